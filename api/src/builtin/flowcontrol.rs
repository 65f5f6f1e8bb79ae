//! `flowcontrol.apiserver.k8s.io/v1`.

use k8s_openapi::api::flowcontrol::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "FlowSchema", "flowschemas")
            .cluster()
            .version("v1", schema_of::<api::FlowSchema>, name_and_age())
            .status()
            .rules(Rules::WITH_GENERATION),
        kind(GROUP, "PriorityLevelConfiguration", "prioritylevelconfigurations")
            .cluster()
            .version("v1", schema_of::<api::PriorityLevelConfiguration>, name_and_age())
            .status()
            .rules(Rules::WITH_GENERATION),
    ]
}
