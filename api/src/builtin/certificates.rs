//! `certificates.k8s.io/v1`.

use k8s_openapi::api::certificates::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests")
            .cluster()
            .short(&["csr"])
            .version("v1", schema_of::<api::CertificateSigningRequest>, name_and_age())
            .selectable(&["spec.signerName"])
            .subresource("approval", None, &["get", "patch", "update"])
            .status()
            .rules(Rules::WITH_STATUS),
    ]
}
