//! `coordination.k8s.io/v1`.

use k8s_openapi::api::coordination::v1 as api;

use machinery::field::Path;
use serde_json::Value;

use super::column::{age, name, text};
use super::formats::{at_least, not_negative};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![kind("coordination.k8s.io", "Lease", "leases").version("v1", schema_of::<api::Lease>, columns()).rules(
        Rules {
            takes_bare_finalizers: true,
            unconditional_update: false,
            create_on_update: true,
            validate,
            gated: &[("CoordinatedLeaderElection", "/spec", &["strategy", "preferredHolder"])],
            ..Rules::PLAIN
        },
    )]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Holder", "Who holds the lease.", |object, _| pointer::text(object, "/spec/holderIdentity").into()),
        age(),
    ]
}

fn validate(lease: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = lease.get("spec").unwrap_or(&Value::Null);
    at_least(&mut errors, &path, spec, "leaseDurationSeconds", 1, "must be greater than 0");
    not_negative(&mut errors, &path, spec, "leaseTransitions");
    errors
}
