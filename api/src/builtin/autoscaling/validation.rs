//! What is wrong with a HorizontalPodAutoscaler. It is read as `autoscaling/v2` has it.

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::builtin::formats::{at_least, invalid, not_negative, present_one_of, quantity};
use crate::builtin::pod::container_resource_name;
use crate::builtin::pointer::{has, integer, list, text};
use crate::format::Errors;

/// Longest look back, in seconds.
const WINDOW_MAX: i64 = 3600;

/// Longest period of a scaling policy, in seconds.
const PERIOD_MAX: i64 = 1800;

const SOURCES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The autoscaler without its status.
pub(super) fn autoscaler(autoscaler: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = autoscaler.get("spec").unwrap_or(&Value::Null);
    at_least(&mut errors, &path, spec, "minReplicas", 1, "must be greater than or equal to 1");
    let (least, most) = (integer(spec, "/minReplicas"), integer(spec, "/maxReplicas"));
    let most_path = path.child("maxReplicas");
    if most == 0 {
        errors.push(Error::required(&most_path, "must be set and greater than 0"));
    } else if most < 0 {
        errors.push(Error::invalid(&most_path, &most.into(), "must be greater than or equal to 1"));
    }
    if has(spec, "/minReplicas") && most < least {
        errors.push(Error::invalid(&most_path, &most.into(), "must be greater than or equal to `minReplicas`"));
    }
    reference(&mut errors, &path.child("scaleTargetRef"), spec.get("scaleTargetRef"), true);
    for (index, one) in list(spec, "/metrics").iter().enumerate() {
        metric(&mut errors, &path.child("metrics").index(index), one);
    }
    let from_outside = |metric: &Value| matches!(text(metric, "/type"), "Object" | "External");
    if has(spec, "/minReplicas") && least == 0 && !list(spec, "/metrics").iter().any(from_outside) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(Error::forbidden(&path.child("metrics"), detail));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = spec.pointer(&format!("/behavior/{direction}")).filter(|rules| !rules.is_null()) {
            scaling_rules(&mut errors, &path.child("behavior").child(direction), rules);
        }
    }
    errors
}

/// Its status.
pub(super) fn status(autoscaler: &Value) -> Errors {
    let mut errors = Vec::new();
    for member in ["currentReplicas", "desiredReplicas"] {
        let status = autoscaler.get("status").unwrap_or(&Value::Null);
        not_negative(&mut errors, &Path::new("status"), status, member);
    }
    errors
}

/// A reference to an object of any group; that of the target must name the group, which of all kinds that scale only
/// ReplicationControllers lack.
fn reference(errors: &mut Errors, path: &Path, reference: Option<&Value>, grouped: bool) {
    let reference = reference.unwrap_or(&Value::Null);
    for member in ["kind", "name"] {
        segment(errors, &path.child(member), text(reference, &format!("/{member}")), "");
    }
    let version = text(reference, "/apiVersion");
    let groupless = version.starts_with('/') || !version.contains('/');
    let detail = match version.matches('/').count() {
        0 | 1 if grouped && groupless && text(reference, "/kind") != "ReplicationController" => {
            "apiVersion must specify API group".to_owned()
        }
        0 | 1 => return,
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    errors.push(Error::invalid(&path.child("apiVersion"), &version.into(), &detail));
}

/// A name that may stand in a URL.
fn segment(errors: &mut Errors, path: &Path, name: &str, missing: &str) {
    match name {
        "" => errors.push(Error::required(path, missing)),
        name => invalid(errors, path, &name.into(), names::path_segment_errors(name)),
    }
}

fn metric(errors: &mut Errors, path: &Path, metric: &Value) {
    let type_ = text(metric, "/type");
    let unsupported = || Error::not_supported(&path.child("type"), &type_.into(), &SOURCES);
    if type_.is_empty() {
        errors.push(Error::required(&path.child("type"), "must specify a metric source type"));
    }
    let known = SOURCES.contains(&type_);
    if !known {
        errors.push(unsupported());
    }
    // In the order in which upstream looks for them.
    let present: Vec<_> = ["object", "external", "pods", "resource", "containerResource"]
        .into_iter()
        .filter_map(|member| metric.get(member).filter(|source| !source.is_null()).map(|source| (member, source)))
        .collect();
    if let Some((member, first)) = present.first() {
        source(errors, &path.child(member), member, first);
    }
    let mut expected = type_.to_owned();
    if let Some(initial) = expected.get_mut(..1) {
        initial.make_ascii_lowercase();
    }
    if !known {
        errors.push(unsupported());
    } else if !present.iter().any(|(member, _)| *member == expected) {
        let detail = "must populate information for the given metric source";
        errors.push(Error::required(&path.child(&expected), detail));
    }
    if present.len() != 1 {
        for (member, _) in present.iter().filter(|(member, _)| *member != expected) {
            errors.push(Error::forbidden(&path.child(member), "must populate the given metric source only"));
        }
    }
}

fn source(errors: &mut Errors, path: &Path, member: &str, source: &Value) {
    let by_resource = matches!(member, "resource" | "containerResource");
    match member {
        "resource" if text(source, "/name").is_empty() => {
            errors.push(Error::required(&path.child("name"), "must specify a resource name"));
        }
        "containerResource" => container_resource(errors, path, source),
        "object" => reference(errors, &path.child("describedObject"), source.get("describedObject"), false),
        _ => {}
    }
    if !by_resource {
        let name = text(source, "/metric/name");
        segment(errors, &path.child("metric").child("name"), name, "must specify a metric name");
    }
    let path = path.child("target");
    target(errors, &path, source.get("target").unwrap_or(&Value::Null));
    let set = |member: &str| has(source, &format!("/target/{member}"));
    let (value, average, utilization) = (set("value"), set("averageValue"), set("averageUtilization"));
    match member {
        "object" if !value && !average => {
            let detail = "must set either a target value or averageValue";
            errors.push(Error::required(&path.child("averageValue"), detail));
        }
        "external" if !value && !average => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.push(Error::required(&path.child("averageValue"), detail));
        }
        "external" if value && average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(Error::forbidden(&path.child("value"), detail));
        }
        "pods" if !average => {
            errors.push(Error::required(&path.child("averageValue"), "must specify a positive target averageValue"));
        }
        _ if by_resource && !average && !utilization => {
            let detail = "must set either a target raw value or a target utilization";
            errors.push(Error::required(&path.child("averageUtilization"), detail));
        }
        _ if by_resource && average && utilization => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(Error::forbidden(&path.child("averageValue"), detail));
        }
        _ => {}
    }
}

fn container_resource(errors: &mut Errors, path: &Path, source: &Value) {
    match text(source, "/name") {
        "" => errors.push(Error::required(&path.child("name"), "must specify a resource name")),
        name => container_resource_name(errors, &path.child("name"), name),
    }
    match text(source, "/container") {
        "" => errors.push(Error::required(&path.child("container"), "must specify a container")),
        name => invalid(errors, &path.child("container"), &name.into(), names::dns1123_label_errors(name)),
    }
}

fn target(errors: &mut Errors, path: &Path, target: &Value) {
    let type_ = text(target, "/type");
    if type_.is_empty() {
        errors.push(Error::required(&path.child("type"), "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&type_) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(Error::invalid(&path.child("type"), &type_.into(), detail));
    }
    for member in ["value", "averageValue"] {
        if let Some((shown, amount)) = target.get(member).and_then(quantity)
            && amount.sign() <= 0
        {
            errors.push(Error::invalid(&path.child(member), &shown, "must be positive"));
        }
    }
    at_least(errors, path, target, "averageUtilization", 1, "must be greater than 0");
}

fn scaling_rules(errors: &mut Errors, path: &Path, rules: &Value) {
    at_least(errors, path, rules, "stabilizationWindowSeconds", 0, "must be greater than or equal to zero");
    at_most(errors, path, rules, "stabilizationWindowSeconds", WINDOW_MAX);
    present_one_of(errors, &path.child("selectPolicy"), rules.get("selectPolicy"), &["Disabled", "Max", "Min"]);
    let path_of_policies = path.child("policies");
    let policies = list(rules, "/policies");
    if policies.is_empty() {
        errors.push(Error::required(&path_of_policies, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = path_of_policies.index(index);
        let type_ = text(policy, "/type");
        if !["Percent", "Pods"].contains(&type_) {
            errors.push(Error::not_supported(&path.child("type"), &type_.into(), &["Percent", "Pods"]));
        }
        for member in ["value", "periodSeconds"] {
            let number = integer(policy, &format!("/{member}"));
            if number <= 0 {
                errors.push(Error::invalid(&path.child(member), &number.into(), "must be greater than zero"));
            }
        }
        at_most(errors, &path, policy, "periodSeconds", PERIOD_MAX);
    }
    if let Some((shown, amount)) = rules.get("tolerance").and_then(quantity)
        && amount.sign() < 0
    {
        errors.push(Error::invalid(&path.child("tolerance"), &shown, "must be greater than or equal to 0"));
    }
}

fn at_most(errors: &mut Errors, path: &Path, object: &Value, member: &str, most: i64) {
    let value = object.get(member).unwrap_or(&Value::Null);
    if value.as_i64().is_some_and(|number| number > most) {
        errors.push(Error::invalid(&path.child(member), value, &format!("must be less than or equal to {most}")));
    }
}
