//! What containers and pods may ask of CPU, memory and the like.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, ErrorKind, Path},
    label, names,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, quantity, quantity_not_negative};
use crate::builtin::pointer::{has, list, members, text};
use crate::format::Errors;

/// The resources of a container: names, amounts, requests within limits, claims that the pod has.
pub(super) fn validate(errors: &mut Errors, path: &Path, container: &Value, claims: &BTreeSet<&str>) {
    requests_within_limits(errors, path, container);
    let mut seen = BTreeSet::new();
    for (index, claim) in list(container, "/resources/claims").iter().enumerate() {
        let path = path.child("claims").index(index);
        let (name, request) = (text(claim, "/name"), text(claim, "/request"));
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
        if !request.is_empty() {
            invalid(errors, &path.child("request"), &request.into(), names::dns1123_label_errors(request));
        }
        if !seen.insert(key.clone()) {
            errors.push(Error::duplicate(&path, &key.into()));
        }
        if !claims.contains(name) {
            errors.push(unknown_claim(&path, name, claims));
        }
    }
}

fn unknown_claim(path: &Path, name: &str, claims: &BTreeSet<&str>) -> Error {
    let known = match claims.len() {
        0 => " which is empty".to_owned(),
        _ => format!(": {}", claims.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    let error = Error::not_found(path, &name.into());
    let message = format!("{}: must be one of the names in pod.spec.resourceClaims{known}", error.message);
    Error { kind: ErrorKind::NotFound, message, ..error }
}

fn requests_within_limits(errors: &mut Errors, path: &Path, container: &Value) {
    let (limits, requests) = (path.child("limits"), path.child("requests"));
    for (resource, value) in members(container, "/resources/limits") {
        amount(errors, &limits.key(resource), resource, value);
    }
    for (resource, value) in members(container, "/resources/requests") {
        amount(errors, &requests.key(resource), resource, value);
        let limit = container.pointer("/resources/limits").and_then(|limits| limits.get(resource)).and_then(quantity);
        let (Some((shown, request)), limit) = (quantity(value), limit) else { continue };
        let Some((limit_shown, limit)) = limit else {
            if !may_overcommit(resource) {
                errors.push(Error::required(&limits, "Limit must be set for non overcommitable resources"));
            }
            continue;
        };
        let limit_shown = limit_shown.as_str().unwrap_or_default();
        let over = request.sub(&limit).sign();
        if over != 0 && !may_overcommit(resource) {
            let detail = format!("must be equal to {resource} limit of {limit_shown}");
            errors.push(Error::invalid(&requests, &shown, &detail));
        } else if over > 0 {
            let detail = format!("must be less than or equal to {resource} limit of {limit_shown}");
            errors.push(Error::invalid(&requests, &shown, &detail));
        }
    }
}

/// The name of a container's resource, and how much of it.
fn amount(errors: &mut Errors, path: &Path, resource: &str, value: &Value) {
    resource_name(errors, path, resource);
    quantity_not_negative(errors, path, value);
    let Some((shown, amount)) = quantity(value) else { return };
    if !is_native(resource) && !amount.is_integer() {
        errors.push(Error::invalid(path, &shown, "must be an integer"));
    }
}

/// The name of a resource that a container may have.
pub(in crate::builtin) fn resource_name(errors: &mut Errors, path: &Path, resource: &str) {
    let found = label::key_errors(resource);
    if !found.is_empty() {
        invalid(errors, path, &resource.into(), found);
        if !resource.contains('/') && !is_standard(resource) {
            errors.push(Error::invalid(path, &resource.into(), "must be a standard resource for containers"));
        }
        return;
    }
    if !resource.contains('/') {
        if !is_standard(resource) && !is_quota_name(resource) {
            let detail = "must be a standard resource type or fully qualified";
            errors.push(Error::invalid(path, &resource.into(), detail));
        }
        if !is_standard(resource) {
            errors.push(Error::invalid(path, &resource.into(), "must be a standard resource for containers"));
        }
    } else if !is_native(resource)
        && (resource.starts_with("requests.") || !label::key_errors(&format!("requests.{resource}")).is_empty())
    {
        errors.push(Error::invalid(path, &resource.into(), "doesn't follow extended resource name standard"));
    }
}

/// Resources that containers have in common.
fn is_standard(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-")
}

/// Other names without a domain that quotas know.
fn is_quota_name(resource: &str) -> bool {
    matches!(
        resource,
        "requests.cpu"
            | "requests.memory"
            | "requests.storage"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "replicationcontrollers"
            | "storage"
            | "services.nodeports"
            | "services.loadbalancers"
    )
}

fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

fn may_overcommit(resource: &str) -> bool {
    is_native(resource) && !resource.starts_with("hugepages-")
}

/// The resources of a pod as a whole.
pub(super) fn validate_pod_level(errors: &mut Errors, path: &Path, spec: &Value) {
    if !has(spec, "/resources") {
        return;
    }
    if !list(spec, "/resources/claims").is_empty() {
        errors.push(Error::forbidden(&path.child("claims"), "claims cannot be set for Resources at pod-level"));
    }
    requests_within_limits(errors, path, spec);
}

/// What a pod costs besides its containers.
pub(super) fn validate_overhead(errors: &mut Errors, path: &Path, spec: &Value) {
    for (resource, value) in members(spec, "/overhead") {
        amount(errors, &path.key(resource), resource, value);
    }
}
