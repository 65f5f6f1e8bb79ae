//! What is wrong with PersistentVolumeClaims.

use machinery::{
    field::{Error, Path},
    label, meta, names,
};
use serde_json::Value;

use super::volume::{VOLUME_MODES, access_modes, size};

use crate::builtin::formats::{invalid, label_selector, present_one_of, quantity};
use crate::builtin::go_form::{self, pod::CLAIM_SPEC};
use crate::builtin::pod::claim_warnings;
use crate::builtin::pointer::{has, members, text};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

/// An annotation that named the class once.
pub(super) const STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// PersistentVolumeClaim.
pub(in crate::builtin::core) fn persistent_volume_claim(object: &Value) -> Errors {
    let mut errors = Vec::new();
    claim_spec(&mut errors, &Path::new("spec"), object.get("spec").unwrap_or(&Value::Null));
    errors
}

/// PersistentVolumeClaim: an old way to name its class, and amounts that are none.
pub(in crate::builtin::core) fn persistent_volume_claim_warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if meta::annotation(object, STORAGE_CLASS).is_some() {
        let path = Path::new("metadata").child("annotations").key(STORAGE_CLASS);
        warnings.push(format!("{path}: deprecated since v1.8; use \"storageClassName\" attribute instead"));
    }
    claim_warnings(&mut warnings, &Path::new("spec"), object.get("spec").unwrap_or(&Value::Null));
    warnings
}

/// What a claim asks for, in a PersistentVolumeClaim or in the template of one.
pub(in crate::builtin) fn claim_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    access_modes(errors, &path.child("accessModes"), spec, "at least 1 access mode is required");
    if let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) {
        label_selector(errors, &path.child("selector"), selector);
    }
    let storage = path.child("resources").key("storage");
    match spec.pointer("/resources/requests/storage") {
        None => errors.push(Error::required(&storage, "")),
        some => size(errors, &storage, some),
    }
    for member in ["storageClassName", "volumeAttributesClassName"] {
        let name = text(spec, &format!("/{member}"));
        if !name.is_empty() {
            invalid(errors, &path.child(member), &name.into(), names::dns1123_subdomain_errors(name));
        }
    }
    present_one_of(errors, &path.child("volumeMode"), spec.get("volumeMode"), &VOLUME_MODES);
    for member in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.get(member).filter(|source| !source.is_null()) {
            data_source(errors, &path.child(member), source);
        }
    }
}

/// Where the data of a claim comes from.
fn data_source(errors: &mut Errors, path: &Path, source: &Value) {
    for member in ["name", "kind"] {
        if text(source, &format!("/{member}")).is_empty() {
            errors.push(Error::required(&path.child(member), ""));
        }
    }
    let (group, kind) = (text(source, "/apiGroup"), text(source, "/kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, &kind.into(), detail));
    }
    if !group.is_empty() {
        invalid(errors, &path.child("apiGroup"), &group.into(), names::dns1123_subdomain_errors(group));
    }
}

/// PersistentVolumeClaim: a bound claim may ask for more, and an unbound one may be bound.
pub(in crate::builtin::core) fn persistent_volume_claim_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut allowed = object.clone();
    let bound = text(object, "/status/phase") == "Bound";
    let mut take = |from: &str, member: &str| {
        let was = old.pointer(from).and_then(|parent| parent.get(member)).cloned();
        if let Some(parent) = allowed.pointer_mut(from).and_then(Value::as_object_mut) {
            match was {
                Some(was) => drop(parent.insert(member.to_owned(), was)),
                None => drop(parent.remove(member)),
            }
        }
    };
    if text(old, "/spec/volumeName").is_empty() {
        take("/spec", "volumeName");
    }
    if !has(old, "/spec/storageClassName") {
        take("/spec", "storageClassName");
    }
    if bound {
        take("/spec/resources/requests", "storage");
        take("/spec", "volumeAttributesClassName");
    }
    if !same(allowed.get("spec"), old.get("spec")) {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let empty = Value::Null;
        let [was, is] = [old, &allowed].map(|claim| claim.get("spec").unwrap_or(&empty));
        let changes = go_form::changes(CLAIM_SPEC, was, is);
        errors.push(Error::forbidden(&Path::new("spec"), &format!("{detail}\n{changes}")));
    }
    let amount = |object: &Value, pointer: &str| object.pointer(pointer).and_then(quantity).map(|(_, amount)| amount);
    let requested = "/spec/resources/requests/storage";
    let new = amount(object, requested).unwrap_or_default();
    if let Some(was) = amount(old, requested)
        && new.sub(&was).sign() < 0
    {
        let there = amount(old, "/status/capacity/storage");
        if there.is_none_or(|there| new.sub(&there).sign() <= 0) {
            let path = Path::new("spec").child("resources").child("requests").child("storage");
            errors.push(Error::forbidden(&path, "field can not be less than status.capacity"));
        }
    }
    let mode = |claim: &'_ Value| claim.pointer("/spec/volumeMode").cloned();
    immutable(&mut errors, &Path::new("volumeMode"), mode(object).as_ref(), mode(old).as_ref());
    errors
}

/// What a claim can have an amount of, and how far a resize of it can be.
const STORAGE: [&str; 1] = ["storage"];
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// PersistentVolumeClaim: amounts of its status, and how far a resize is.
pub(in crate::builtin::core) fn persistent_volume_claim_status(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let status = Path::new("status");
    for (resource, value) in members(object, "/status/capacity") {
        amount(&mut errors, &status.child("capacity").key(resource), value);
    }
    let path = status.child("allocatedResourceStatuses");
    for (resource, progress) in members(object, "/status/allocatedResourceStatuses") {
        let told = errors.len();
        claimed(&mut errors, &path, resource);
        if errors.len() == told && !RESIZES.contains(&progress.as_str().unwrap_or_default()) {
            errors.push(Error::not_supported(&path, &resource.into(), &RESIZES));
        }
    }
    let path = status.child("allocatedResources");
    for (resource, value) in members(object, "/status/allocatedResources") {
        let told = errors.len();
        claimed(&mut errors, &path, resource);
        if errors.len() == told {
            amount(&mut errors, &path.key(resource), value);
        }
    }
    errors
}

/// An amount of a status is not negative.
fn amount(errors: &mut Errors, path: &Path, value: &Value) {
    if let Some((_, amount)) = quantity(value)
        && amount.sign() < 0
    {
        errors.push(Error::invalid(path, &amount.value().into(), "must be a valid resource quantity"));
    }
}

/// A claim has storage, and what others call theirs.
fn claimed(errors: &mut Errors, path: &Path, resource: &str) {
    let why = label::key_errors(resource);
    let is_ours = resource.split_once('/').is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"));
    if why.is_empty() && is_ours && !STORAGE.contains(&resource) {
        errors.push(Error::not_supported(path, &resource.into(), &STORAGE));
    }
    invalid(errors, path, &resource.into(), why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn claims_may_grow_once_bound() {
        let old = json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "v"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
        });
        let mut more = old.clone();
        more["spec"]["resources"]["requests"]["storage"] = "2Gi".into();
        assert_eq!(persistent_volume_claim_change(&more, &old), []);
        assert_eq!(persistent_volume_claim(&more), []);
        let mut less = old.clone();
        less["spec"]["resources"]["requests"]["storage"] = "1Mi".into();
        assert_eq!(
            said(&persistent_volume_claim_change(&less, &old)),
            ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
        );
        let mut modes = old.clone();
        modes["spec"]["accessModes"] = json!(["ReadOnlyMany"]);
        let found = said(&persistent_volume_claim_change(&modes, &old));
        assert!(found[0].starts_with("spec: Forbidden: spec is immutable"), "{found:?}");
        assert!(found[0].contains("\n-  \"ReadWriteOnce\"\n+  \"ReadOnlyMany\"\n"), "{found:?}");
        assert_eq!(
            said(&persistent_volume_claim(&json!({}))),
            [
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value"
            ]
        );
    }
}
