//! `autoscaling`: HorizontalPodAutoscaler, stored as v2.

use k8s_openapi::api::autoscaling::{v1, v2};

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            .short(&["hpa"])
            .category("all")
            .version("v2", schema_of::<v2::HorizontalPodAutoscaler>, name_and_age())
            .version("v1", schema_of::<v1::HorizontalPodAutoscaler>, name_and_age())
            .status()
            .rules(Rules::WITH_STATUS),
    ]
}
