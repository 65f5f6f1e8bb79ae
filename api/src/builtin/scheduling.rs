//! `scheduling.k8s.io/v1`.

use k8s_openapi::api::scheduling::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("scheduling.k8s.io", "PriorityClass", "priorityclasses")
            .cluster()
            .short(&["pc"])
            .version("v1", schema_of::<api::PriorityClass>, name_and_age())
            .rules(Rules { generation: true, ..Rules::PLAIN }),
    ]
}
