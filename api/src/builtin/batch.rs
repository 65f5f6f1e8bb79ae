//! `batch/v1`.

use k8s_openapi::api::batch::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("batch", "CronJob", "cronjobs")
            .short(&["cj"])
            .category("all")
            .version("v1", schema_of::<api::CronJob>, name_and_age())
            .status()
            .rules(Rules::WITH_GENERATION),
        kind("batch", "Job", "jobs")
            .category("all")
            .version("v1", schema_of::<api::Job>, name_and_age())
            .selectable(&["status.successful"])
            .status()
            .rules(Rules::WITH_GENERATION),
    ]
}
