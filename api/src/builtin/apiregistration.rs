//! `apiregistration.k8s.io/v1`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as api;

use machinery::field::{Error, Path};
use machinery::{meta, names, time};

use super::column::{age, name, text};
use super::formats::invalid;
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::definition::KeptMetadata;
use crate::format::Errors;
use serde_json::{Value, json};

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apiregistration.k8s.io", "APIService", "apiservices")
            .cluster()
            .category("api-extensions")
            .version("v1", schema_of::<api::APIService>, columns())
            .status()
            .rules(Rules {
                status_keeps: KeptMetadata::All,
                takes_bare_finalizers: true,
                default: |service| pointer::default_to(service, "/spec/service", "port", 443),
                // What the server itself answers is there.
                prepare_for_create: |service, surroundings| {
                    if !pointer::has(service, "/spec/service")
                        && let Some(members) = service.as_object_mut()
                    {
                        let condition = json!({
                            "type": "Available", "status": "True", "reason": "Local",
                            "message": "Local APIServices are always available",
                            "lastTransitionTime": time::format_seconds(surroundings.now()),
                        });
                        members.insert("status".to_owned(), json!({"conditions": [condition]}));
                    }
                },
                validate,
                validate_subresource: |service, _, _| validate_status(service),
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
    let path = Path::new("spec");
    let group = part("group");
    if group.is_empty() {
        if part("version") != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(Error::required(&path.child("group"), detail));
        }
    } else {
        invalid(&mut errors, &path.child("group"), &group.into(), names::dns1123_subdomain_errors(group));
    }
    let version = part("version");
    invalid(&mut errors, &path.child("version"), &version.into(), names::dns1035_label_errors(version));
    for member in ["groupPriorityMinimum", "versionPriority"] {
        let value = pointer::integer(service, &format!("/spec/{member}"));
        let most = if member == "versionPriority" { 1000 } else { 20_000 };
        if !(1..=most).contains(&value) {
            let detail = format!("must be positive and less than {most}");
            errors.push(Error::invalid(&path.child(member), &value.into(), &detail));
        }
    }
    reached(&mut errors, &path, service);
    errors
}

/// The service that answers, and how its certificate is looked at.
fn reached(errors: &mut Errors, path: &Path, object: &Value) {
    let insecure = pointer::is_true(object, "/spec/insecureSkipTLSVerify");
    if !pointer::has(object, "/spec/service") {
        if !pointer::text(object, "/spec/caBundle").is_empty() {
            let bundle = object.pointer("/spec/caBundle").unwrap_or(&Value::Null);
            let detail = "local APIServices may not have a caBundle";
            errors.push(Error::invalid(&path.child("caBundle"), bundle, detail));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), &true.into(), detail));
        }
        return;
    }
    let at = path.child("service");
    for member in ["namespace", "name"] {
        if pointer::text(object, &format!("/spec/service/{member}")).is_empty() {
            errors.push(Error::required(&at.child(member), ""));
        }
    }
    if let Some(port) = object.pointer("/spec/service/port").filter(|port| !port.is_null())
        && !(1..=65_535).contains(&port.as_i64().unwrap_or_default())
    {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(Error::invalid(&at.child("port"), port, detail));
    }
    if insecure && !pointer::text(object, "/spec/caBundle").is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), &true.into(), detail));
    }
}

/// The status: a condition is true, false or unknown.
fn validate_status(service: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, condition) in pointer::list(service, "/status/conditions").iter().enumerate() {
        let path = Path::new("status").child("conditions").index(index).child("status");
        let status = pointer::text(condition, "/status");
        if !["True", "False", "Unknown"].contains(&status) {
            errors.push(Error::not_supported(&path, &status.into(), &["True", "False", "Unknown"]));
        }
    }
    errors
}
