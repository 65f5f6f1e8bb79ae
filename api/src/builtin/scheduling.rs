//! `scheduling.k8s.io/v1`.

use k8s_openapi::api::scheduling::v1 as api;

use super::column::{age, boolean, integer, name, text};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("scheduling.k8s.io", "PriorityClass", "priorityclasses")
            .cluster()
            .short(&["pc"])
            .version("v1", schema_of::<api::PriorityClass>, columns())
            .rules(Rules {
                generation: true,
                default: |class| pointer::default_to(class, "", "preemptionPolicy", "PreemptLowerPriority"),
                ..Rules::PLAIN
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        integer("Value", "Priority that pods of the class get.", |object, _| pointer::integer(object, "/value").into()),
        boolean("Global-Default", "Whether pods without a class get this one.", |object, _| {
            pointer::is_true(object, "/globalDefault").into()
        }),
        age(),
        text("PreemptionPolicy", "Whether pods of the class preempt others.", |object, _| {
            pointer::text(object, "/preemptionPolicy").into()
        }),
    ]
}
