//! `batch/v1`.

mod columns;
mod cron_job;
mod defaults;
mod job_policy;
mod job_status;
mod schedule;
mod validation;

use k8s_openapi::api::batch::v1 as api;

use super::pod::{schema_with_pods, workload_warnings};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("batch", "CronJob", "cronjobs")
            .short(&["cj"])
            .category("all")
            .version("v1", schema_with_pods::<api::CronJob>, columns::cron_job())
            .status()
            .rules(Rules {
                default: defaults::cron_job,
                warnings: |cron_job, old| {
                    let template = &["spec", "jobTemplate", "spec", "template"];
                    workload_warnings(template, cron_job, old)
                },
                validate: cron_job::validate,
                validate_update: Some(cron_job::validate_update),
                ..Rules::WITH_GENERATION
            }),
        kind("batch", "Job", "jobs")
            .category("all")
            .version("v1", schema_with_pods::<api::Job>, columns::job())
            .selectable_by("status.successful", |job| pointer::integer(job, "/status/succeeded").to_string())
            .status()
            .rules(Rules {
                default: defaults::job,
                warnings: |job, old| workload_warnings(&["spec", "template"], job, old),
                validate: validation::job,
                validate_change: validation::job_change,
                validate_subresource: |job, old, _| job_status::validate(job, old),
                prepare_for_create: |job, _| defaults::select_own_pods(job),
                ..Rules::WITH_GENERATION
            }),
    ]
}
