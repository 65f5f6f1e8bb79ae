//! `apps/v1`.

mod columns;
mod defaults;
mod status;
mod validation;

pub(super) use status::replication_controller as validate_replication_controller_status;
pub(super) use validation::replication_controller as validate_replication_controller;

use k8s_openapi::api::apps::v1 as api;
use serde_json::{Value, json};

use super::pod::{schema_with_pods, workload_warnings};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::KeptMetadata;
use crate::format::Errors;

/// What is wrong with a write to `status`. One to `scale` is checked as the main resource is.
fn status_of(counts: &status::Counts, object: &Value, old: &Value, subresource: &str) -> Errors {
    if subresource == "status" { status::counts(counts, object, old) } else { Vec::new() }
}

/// Where workloads have the template of their pods.
const TEMPLATE: &[&str] = &["spec", "template"];

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apps", "ControllerRevision", "controllerrevisions").version(
            "v1",
            schema_of::<api::ControllerRevision>,
            columns::controller_revision(),
        ).rules(Rules { validate: validation::revision, validate_update: Some(validation::revision_update), ..Rules::PLAIN }),
        kind("apps", "DaemonSet", "daemonsets")
            .short(&["ds"])
            .category("all")
            .version("v1", schema_with_pods::<api::DaemonSet>, columns::daemon_set())
            .status()
            .rules(Rules { initial_status: |_| {
                    json!({
                        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
                    })
                },
                default: defaults::daemon_set, warnings: validation::daemon_set_warnings, prepare_for_create: |object, _| defaults::count_templates(object, None), prepare_for_update: |object, old, _, _| defaults::count_templates(object, Some(old)), validate: validation::daemon_set, validate_subresource: |object, old, subresource| status_of(&status::DAEMON_SET, object, old, subresource), validate_update: Some(validation::daemon_set_update), ..Rules::WITH_GENERATION }),
        kind("apps", "Deployment", "deployments")
            .short(&["deploy"])
            .category("all")
            .version("v1", schema_with_pods::<api::Deployment>, columns::deployment())
            .scale(".spec.selector")
            .status()
            .rules(Rules { status_keeps: KeptMetadata::Labels, generation_counts: &["annotations"], default: defaults::deployment, warnings: |object, old| workload_warnings(TEMPLATE, object, old), validate: validation::deployment, validate_subresource: |object, old, subresource| status_of(&status::DEPLOYMENT, object, old, subresource), validate_change: validation::keeps_selector, ..Rules::WITH_GENERATION }),
        kind("apps", "ReplicaSet", "replicasets")
            .short(&["rs"])
            .category("all")
            .version("v1", schema_with_pods::<api::ReplicaSet>, columns::replica_set())
            .scale(".spec.selector")
            .status()
            .rules(Rules { initial_status: |_| json!({"replicas": 0}), default: defaults::replica_set, warnings: |object, old| workload_warnings(TEMPLATE, object, old), validate: validation::replica_set, validate_subresource: |object, old, subresource| status_of(&status::REPLICA_SET, object, old, subresource), validate_change: validation::keeps_selector, ..Rules::WITH_GENERATION }),
        kind("apps", "StatefulSet", "statefulsets")
            .short(&["sts"])
            .category("all")
            .version("v1", schema_with_pods::<api::StatefulSet>, columns::stateful_set())
            .scale(".spec.selector")
            .status()
            .rules(Rules { initial_status: |_| json!({"replicas": 0, "availableReplicas": 0}), default: defaults::stateful_set, gated: &[("MaxUnavailableStatefulSet", "/spec/updateStrategy/rollingUpdate", &["maxUnavailable"])], validate: validation::stateful_set, validate_subresource: |object, old, subresource| status_of(&status::STATEFUL_SET, object, old, subresource), validate_update: Some(validation::stateful_set_update), warnings: validation::stateful_set_warnings, ..Rules::WITH_GENERATION }),
    ]
}
