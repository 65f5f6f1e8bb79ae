//! `apiregistration.k8s.io/v1`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as api;

use super::column::{age, name, text};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use serde_json::Value;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apiregistration.k8s.io", "APIService", "apiservices")
            .cluster()
            .category("api-extensions")
            .version("v1", schema_of::<api::APIService>, columns())
            .status()
            .rules(Rules {
                default: |service| pointer::default_to(service, "/spec/service", "port", 443),
                ..Rules::WITH_STATUS
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Service", "Service that answers for the group, or `Local`.", |object, _| service(object).into()),
        text("Available", "Whether the group can be asked.", |object, _| available(object).into()),
        age(),
    ]
}

fn service(object: &Value) -> String {
    if !pointer::has(object, "/spec/service") {
        return "Local".to_owned();
    }
    let part = |member: &str| pointer::text(object, &format!("/spec/service/{member}"));
    format!("{}/{}", part("namespace"), part("name"))
}

fn available(object: &Value) -> String {
    let Some(condition) = pointer::condition(object, "Available") else { return "Unknown".to_owned() };
    match pointer::text(condition, "/status") {
        "True" => "True".to_owned(),
        status => format!("{status} ({})", pointer::text(condition, "/reason")),
    }
}
