//! What is wrong with ResourceQuotas.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, quantity, quantity_not_negative};
use crate::builtin::pointer::{list, members, text, texts};
use crate::format::Errors;

/// ResourceQuota: amounts are not negative, scopes are known.
pub(in crate::builtin::core) fn resource_quota(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for (resource, value) in members(object, "/spec/hard") {
        let path = Path::new("spec").child("hard").key(resource);
        invalid(&mut errors, &path, &resource.into(), label::key_errors(resource));
        if !resource.contains('/') && !is_quota_name(resource) {
            let detail = "must be a standard resource type or fully qualified";
            errors.push(Error::invalid(&path, &resource.into(), detail));
            errors.push(Error::invalid(&path, &resource.into(), "must be a standard resource for quota"));
        }
        quantity_not_negative(&mut errors, &path, value);
        if let Some((shown, amount)) = quantity(value)
            && is_count(resource)
            && !amount.is_integer()
        {
            errors.push(Error::invalid(&path, &shown, "must be an integer"));
        }
    }
    quota_scopes(&mut errors, object);
    errors
}

/// Names without a domain that a quota may bound.
fn is_quota_name(resource: &str) -> bool {
    let measured = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits.")).unwrap_or(resource);
    is_count(resource)
        || matches!(measured, "cpu" | "memory" | "ephemeral-storage")
        || resource == "requests.storage"
        || measured.starts_with("hugepages-")
}

/// Resources that are counted, not measured.
fn is_count(resource: &str) -> bool {
    resource.starts_with("count/")
        || matches!(
            resource,
            "pods"
                | "services"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "replicationcontrollers"
                | "resourcequotas"
                | "services.nodeports"
                | "services.loadbalancers"
        )
}

const QUOTA_SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// Whether a quota with that scope can bound that resource. What is no name of a quota's own is not looked at.
fn fits_scope(resource: &str, scope: &str) -> bool {
    if !is_quota_name(resource) || resource.starts_with("count/") || resource.contains("hugepages-") {
        return true;
    }
    let measured = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods" || measured.contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// The scopes of a quota: known ones, that go with what it bounds and with each other.
fn quota_scopes(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec").child("scopes");
    let all: Value = list(object, "/spec/scopes").to_vec().into();
    for scope in texts(object, "/spec/scopes") {
        if !QUOTA_SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path, &all, "unsupported scope"));
        }
        if members(object, "/spec/hard").any(|(resource, _)| !fits_scope(resource, scope)) {
            errors.push(Error::invalid(&path, &all, "unsupported scope applied to resource"));
        }
    }
    let scopes = || texts(object, "/spec/scopes");
    conflicting_scopes(errors, &path, &all, &scopes().collect());
    let path = Path::new("spec").child("scopeSelector").child("matchExpressions");
    let expressions = list(object, "/spec/scopeSelector/matchExpressions");
    let shown = shown_scope_selector(expressions);
    for expression in expressions {
        let (scope, operator) = (text(expression, "/scopeName"), text(expression, "/operator"));
        if !QUOTA_SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path.child("scopeName"), &scope.into(), "unsupported scope"));
        }
        if members(object, "/spec/hard").any(|(resource, _)| !fits_scope(resource, scope)) {
            errors.push(Error::invalid_shown(&path, &shown, "unsupported scope applied to resource"));
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass")
            && QUOTA_SCOPES.contains(&scope)
            && operator != "Exists"
        {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(Error::invalid(&path.child("operator"), &operator.into(), detail));
        }
        let values = list(expression, "/values");
        match operator {
            "In" | "NotIn" if values.is_empty() => errors.push(Error::required(
                &path.child("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(Error::invalid(
                &path.child("values"),
                &values.to_vec().into(),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(Error::invalid(&path.child("operator"), &other.into(), "not a valid selector operator"))
            }
        }
    }
    let selected = expressions.iter().map(|expression| text(expression, "/scopeName")).collect();
    conflicting_scopes(
        errors,
        &path,
        if list(object, "/spec/scopes").is_empty() { &Value::Null } else { &all },
        &selected,
    );
}

fn conflicting_scopes(errors: &mut Errors, path: &Path, shown: &Value, scopes: &BTreeSet<&str>) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.push(Error::invalid(path, shown, "conflicting scopes"));
        }
    }
}

/// A scope selector as upstream's internal type, whose members begin with capitals.
fn shown_scope_selector(expressions: &[Value]) -> String {
    let one = |expression: &Value| {
        let [scope, operator] = ["/scopeName", "/operator"].map(|member| Value::from(text(expression, member)));
        let values = expression.get("values").unwrap_or(&Value::Null);
        format!("{{\"ScopeName\":{scope},\"Operator\":{operator},\"Values\":{values}}}")
    };
    format!("{{\"MatchExpressions\":[{}]}}", expressions.iter().map(one).collect::<Vec<_>>().join(","))
}

/// ResourceQuota: scopes stay.
pub(in crate::builtin::core) fn resource_quota_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let set = |object: &Value| texts(object, "/spec/scopes").map(str::to_owned).collect::<BTreeSet<_>>();
    if set(object) != set(old) {
        let all: Value = list(object, "/spec/scopes").to_vec().into();
        errors.push(Error::invalid(&Path::new("spec").child("scopes"), &all, "field is immutable"));
    }
    errors
}
