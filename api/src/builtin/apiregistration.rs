//! `apiregistration.k8s.io/v1`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as api;

use machinery::field::{Error, Path};
use machinery::meta;

use super::column::{age, name, text};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;
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
                validate,
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

fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let part = |member: &str| pointer::text(service, &format!("/spec/{member}"));
    let (name, wanted) = (meta::name(service), format!("{}.{}", part("version"), part("group")));
    if name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", machinery::field::quote(&wanted));
        errors.push(Error::invalid(&Path::new("metadata").child("name"), &name.into(), &detail));
    }
    for member in ["groupPriorityMinimum", "versionPriority"] {
        let value = pointer::integer(service, &format!("/spec/{member}"));
        let most = if member == "versionPriority" { 1000 } else { 20_000 };
        if !(1..=most).contains(&value) {
            let detail = format!("must be positive and less than {most}");
            errors.push(Error::invalid(&Path::new("spec").child(member), &value.into(), &detail));
        }
    }
    errors
}
