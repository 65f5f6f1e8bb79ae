//! `policy/v1`.

use k8s_openapi::api::policy::v1 as api;

use serde_json::json;

use super::cells::plain;
use super::column::{age, integer, name, text};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("policy", "PodDisruptionBudget", "poddisruptionbudgets")
            .short(&["pdb"])
            .version("v1", schema_of::<api::PodDisruptionBudget>, columns())
            .status()
            .rules(Rules { unconditional_update: false, initial_status: |_| {
                    json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})
                },
                ..Rules::WITH_GENERATION
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Min Available", "How many pods must stay.", |object, _| {
            plain(object, "/spec/minAvailable", "N/A").into()
        }),
        text("Max Unavailable", "How many pods may be missing.", |object, _| {
            plain(object, "/spec/maxUnavailable", "N/A").into()
        }),
        integer("Allowed Disruptions", "How many pods may go now.", |object, _| {
            pointer::integer(object, "/status/disruptionsAllowed").into()
        }),
        age(),
    ]
}
