//! `certificates.k8s.io/v1`.

use k8s_openapi::api::certificates::v1 as api;

use super::cells::{NONE, or};
use super::column::{age, human_duration, name, text};
use super::pointer::{self, condition, has};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use serde_json::Value;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests")
            .cluster()
            .short(&["csr"])
            .version("v1", schema_of::<api::CertificateSigningRequest>, columns())
            .selectable(&["spec.signerName"])
            .subresource("approval", None, &["get", "patch", "update"])
            .status()
            .rules(Rules::WITH_STATUS),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        age(),
        text("SignerName", "Who should sign.", |object, _| or(pointer::text(object, "/spec/signerName"), NONE).into()),
        text("Requestor", "Who asked.", |object, _| pointer::text(object, "/spec/username").into()),
        text("RequestedDuration", "How long the certificate should last.", |object, _| {
            match object.pointer("/spec/expirationSeconds").and_then(Value::as_i64) {
                Some(seconds) => human_duration(seconds).into(),
                None => NONE.into(),
            }
        }),
        text("Condition", "How far the request is.", |object, _| progress(object).into()),
    ]
}

fn progress(request: &Value) -> String {
    let verdict = if condition(request, "Denied").is_some() {
        "Denied"
    } else if condition(request, "Approved").is_some() {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if condition(request, "Failed").is_some() { ",Failed" } else { "" };
    let issued = if has(request, "/status/certificate") { ",Issued" } else { "" };
    format!("{verdict}{failed}{issued}")
}
