//! Validation of what devices take from the resources that a node can allocate.

use machinery::{
    field::{Error, Path},
    quantity::Quantity,
};
use serde_json::Value;

use crate::{
    format::Errors,
    members::{entries, present},
};

/// Checks `nodeAllocatableResources` of a device.
pub(super) fn validate(errors: &mut Errors, path: &Path, device: &Value) {
    let path = path.child("nodeAllocatableResources");
    for (name, taken) in entries(device, "nodeAllocatableResources") {
        let path = path.key(name);
        if !is_node_allocatable(name) {
            errors.push(Error::invalid(&path, &name.as_str().into(), "must be a node allocatable resource name"));
        }
        let (mapping, overhead) = (present(taken, "mapping"), present(taken, "overhead"));
        if mapping.is_none() && overhead.is_none() {
            errors.push(Error::required(&path, "at least one of mapping or overhead must be set"));
        }
        if let Some(mapping) = mapping {
            validate_mapping(errors, &path.child("mapping"), mapping, device);
        }
        if let Some(overhead) = overhead {
            validate_overhead(errors, &path.child("overhead"), overhead);
        }
    }
}

/// Checks `nodeAllocatableResourceMappings` of a device, of which `nodeAllocatableResources` grew in 1.37.
pub(super) fn validate_mappings(errors: &mut Errors, path: &Path, device: &Value) {
    let path = path.child("nodeAllocatableResourceMappings");
    for (name, mapping) in entries(device, "nodeAllocatableResourceMappings") {
        let path = path.key(name);
        if !is_native(name) {
            errors.push(Error::invalid(&path, &name.as_str().into(), "must be a node allocatable resource name"));
        }
        let (multiplier, key) = (present(mapping, "allocationMultiplier"), present(mapping, "capacityKey"));
        if multiplier.is_none() && key.is_none() {
            let detail = "at least one of allocationMultiplier or capacityKey must be set";
            errors.push(Error::invalid(&path, &"".into(), detail));
        }
        if let Some(amount) = multiplier {
            check_sign(errors, &path.child("allocationMultiplier"), amount, 1, "must be positive");
        }
        validate_capacity_key(errors, &path.child("capacityKey"), key, device);
    }
}

/// Checks that a capacity is one of the device.
fn validate_capacity_key(errors: &mut Errors, path: &Path, key: Option<&Value>, device: &Value) {
    let Some(key) = key.and_then(Value::as_str) else { return };
    if key.is_empty() {
        errors.push(Error::invalid(path, &"".into(), "capacityKey must not be an empty string"));
    } else if entries(device, "capacity").all(|(name, _)| name != key) {
        errors.push(Error::not_found(path, &key.into()));
    }
}

/// Resources of Kubernetes itself: without a domain, or of a domain of Kubernetes.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Resources that kubelets make of what a machine has.
fn is_node_allocatable(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn validate_mapping(errors: &mut Errors, path: &Path, mapping: &Value, device: &Value) {
    let (key_path, multiplier_path) = (path.child("capacityKey"), path.child("capacityMultiplier"));
    let multiplier = present(mapping, "capacityMultiplier");
    match present(mapping, "capacityKey") {
        key @ Some(_) => {
            validate_capacity_key(errors, &key_path, key, device);
            match multiplier {
                None => {
                    let detail = "capacityMultiplier is required when capacityKey is set";
                    errors.push(Error::required(&multiplier_path, detail));
                }
                Some(amount) => check_sign(errors, &multiplier_path, amount, 1, "must be positive"),
            }
        }
        None if multiplier.is_some() => {
            errors.push(Error::required(&key_path, "capacityKey is required when capacityMultiplier is set"));
        }
        None => {}
    }
    if let Some(amount) = present(mapping, "deviceMultiplier") {
        check_sign(errors, &path.child("deviceMultiplier"), amount, 1, "must be positive");
    }
}

fn validate_overhead(errors: &mut Errors, path: &Path, overhead: &Value) {
    let parts = ["perPod", "perContainer"];
    if parts.iter().all(|name| present(overhead, name).is_none()) {
        errors.push(Error::invalid(path, &"".into(), "at least one of perPod or perContainer must be set"));
    }
    for name in parts {
        if let Some(amount) = present(overhead, name) {
            check_sign(errors, &path.child(name), amount, 0, "must be non-negative");
        }
    }
}

/// Checks that an amount has at least the sign.
fn check_sign(errors: &mut Errors, path: &Path, amount: &Value, least: i64, detail: &str) {
    let amount = Quantity::from_json(amount).unwrap_or_default();
    if amount.sign() < least {
        errors.push(Error::invalid(path, &amount.to_string().into(), detail));
    }
}
