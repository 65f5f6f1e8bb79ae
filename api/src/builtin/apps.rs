//! `apps/v1`.

use k8s_openapi::api::apps::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apps", "ControllerRevision", "controllerrevisions").version(
            "v1",
            schema_of::<api::ControllerRevision>,
            name_and_age(),
        ),
        kind("apps", "DaemonSet", "daemonsets")
            .short(&["ds"])
            .category("all")
            .version("v1", schema_of::<api::DaemonSet>, name_and_age())
            .status()
            .rules(Rules::WITH_GENERATION),
        kind("apps", "Deployment", "deployments")
            .short(&["deploy"])
            .category("all")
            .version("v1", schema_of::<api::Deployment>, name_and_age())
            .scale(".spec.selector")
            .status()
            .rules(Rules::WITH_GENERATION),
        kind("apps", "ReplicaSet", "replicasets")
            .short(&["rs"])
            .category("all")
            .version("v1", schema_of::<api::ReplicaSet>, name_and_age())
            .scale(".spec.selector")
            .status()
            .rules(Rules::WITH_GENERATION),
        kind("apps", "StatefulSet", "statefulsets")
            .short(&["sts"])
            .category("all")
            .version("v1", schema_of::<api::StatefulSet>, name_and_age())
            .scale(".spec.selector")
            .status()
            .rules(Rules::WITH_GENERATION),
    ]
}
