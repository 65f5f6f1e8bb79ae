//! `coordination.k8s.io/v1`.

use k8s_openapi::api::coordination::v1 as api;

use super::column::{age, name, text};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("coordination.k8s.io", "Lease", "leases").version("v1", schema_of::<api::Lease>, columns()).rules(Rules {
            unconditional_update: false,
            create_on_update: true,
            ..Rules::PLAIN
        }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Holder", "Who holds the lease.", |object, _| pointer::text(object, "/spec/holderIdentity").into()),
        age(),
    ]
}
