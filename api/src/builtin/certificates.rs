//! `certificates.k8s.io/v1`.

use k8s_openapi::api::certificates::v1 as api;
use machinery::{
    duration,
    field::{Error, Path},
};

use super::cells::{NONE, or};
use super::column::{age, name, text};
use super::pointer::{self, condition, has};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;
use serde_json::{Map, Value};

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
            .rules(Rules {
                prepare_for_create: |request, surroundings| {
                    // The requestor is whoever asks, whatever the request says.
                    if let Some(spec) = pointer::object_mut(request, "/spec") {
                        for member in ["username", "uid", "groups", "extra"] {
                            spec.remove(member);
                        }
                        spec.insert("username".to_owned(), surroundings.user().into());
                    }
                },
                prepare_for_update: keep_parts,
                validate,
                ..Rules::WITH_STATUS
            }),
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
                Some(seconds) => duration::human(seconds).into(),
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

/// Conditions that say yes or no come through `approval` alone, and nothing else does; the spec never changes.
fn keep_parts(request: &mut Value, old: &Value, subresource: &str) {
    let verdict = |condition: &Value| matches!(pointer::text(condition, "/type"), "Approved" | "Denied");
    let (verdicts, others) = match subresource {
        "approval" => (&*request, old),
        "status" => (old, &*request),
        _ => {
            let spec = old.get("spec").cloned();
            return super::rules::put(request, "spec", spec);
        }
    };
    let given = pointer::list(verdicts, "/status/conditions").iter().filter(|condition| verdict(condition));
    let kept = pointer::list(others, "/status/conditions").iter().filter(|condition| !verdict(condition));
    let conditions: Vec<Value> = given.chain(kept).cloned().collect();
    let mut status = others.get("status").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(status) = status.as_object_mut() {
        match conditions.is_empty() {
            true => drop(status.remove("conditions")),
            false => drop(status.insert("conditions".to_owned(), conditions.into())),
        }
    }
    super::rules::put(request, "spec", old.get("spec").cloned());
    super::rules::put(request, "status", Some(status));
}

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    if pointer::text(request, "/spec/request").is_empty() {
        errors.push(Error::required(&path.child("request"), ""));
    }
    if pointer::list(request, "/spec/usages").is_empty() {
        errors.push(Error::required(&path.child("usages"), ""));
    }
    let signer = pointer::text(request, "/spec/signerName");
    if signer.is_empty() {
        errors.push(Error::required(&path.child("signerName"), ""));
    } else if !signer.contains('/') {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(&path.child("signerName"), &signer.into(), detail));
    }
    let seconds =
        request.pointer("/spec/expirationSeconds").filter(|seconds| seconds.as_i64().is_some_and(|s| s < 600));
    if let Some(seconds) = seconds {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors
}
