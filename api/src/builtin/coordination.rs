//! `coordination.k8s.io/v1`.

use k8s_openapi::api::coordination::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("coordination.k8s.io", "Lease", "leases")
            .version("v1", schema_of::<api::Lease>, name_and_age())
            .rules(Rules { unconditional_update: false, create_on_update: true, ..Rules::PLAIN }),
    ]
}
