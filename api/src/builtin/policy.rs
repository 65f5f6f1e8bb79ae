//! `policy/v1`.

use k8s_openapi::api::policy::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("policy", "PodDisruptionBudget", "poddisruptionbudgets")
            .short(&["pdb"])
            .version("v1", schema_of::<api::PodDisruptionBudget>, name_and_age())
            .status()
            .rules(Rules { unconditional_update: false, ..Rules::WITH_GENERATION }),
    ]
}
