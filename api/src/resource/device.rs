//! Validation of one device of a slice.

use std::collections::HashSet;

use machinery::field::{Error, Path};
use serde_json::Value;

use super::{claim_spec, node_resources, request_policy, selector, slice_rules, taint};
use crate::{
    check,
    definition::Surroundings,
    format::{self, Errors},
    members::{at, entries, is_true, list, present, same, size, text},
    release::Release,
};

const PROPERTIES_MAX: usize = 32;
const ATTRIBUTE_VALUES_MAX: usize = 48;
const TAINTS_MAX: usize = 16;
const CONSUMPTIONS_MAX: usize = 2;
const CONDITIONS_MAX: usize = 4;
const LIST_VALUES: [&str; 4] = ["bools", "ints", "strings", "versions"];

const ONE_OF_NODES: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";

/// Whether the device uses what halves the number of devices in a slice: taints, counters or lists.
pub(super) fn is_advanced(device: &Value) -> bool {
    let has_list = |attribute: &Value| LIST_VALUES.iter().any(|name| present(attribute, name).is_some());
    !list(device, "taints").is_empty()
        || !list(device, "consumesCounters").is_empty()
        || entries(device, "attributes").any(|(_, attribute)| has_list(attribute))
}

/// Checks a device. What is as it was before is looked at less closely.
pub(super) fn validate(
    errors: &mut Errors,
    path: &Path,
    device: &Value,
    old: Option<&Value>,
    per_device_nodes: bool,
    surroundings: &dyn Surroundings,
) {
    let unchanged = |name: &str| old.is_some_and(|old| same(old.get(name), device.get(name)));
    format::own_label(errors, &path.child("name"), text(device, "name"), surroundings.release());
    validate_sizes(errors, path, device);
    let attributes = path.child("attributes");
    for (name, attribute) in entries(device, "attributes") {
        if !claim_spec::passes_unchecked(name, surroundings) {
            format::qualified_name(errors, &attributes, name);
        }
        validate_attribute(errors, &attributes.key(&shortened(name)), attribute);
    }
    if surroundings.release() < Release::V1_37 || !unchanged("capacity") {
        let shared = is_true(device, "allowMultipleAllocations");
        let capacities = path.child("capacity");
        for (name, capacity) in entries(device, "capacity") {
            if !claim_spec::passes_unchecked(name, surroundings) {
                format::qualified_name(errors, &capacities, name);
            }
            let path = capacities.key(&shortened(name)).child("requestPolicy");
            match present(capacity, "requestPolicy") {
                Some(policy) if shared => {
                    request_policy::validate(errors, &path, policy, at(capacity, &["value"]), surroundings);
                }
                Some(_) => errors.push(Error::forbidden(&path, "allowMultipleAllocations must be true")),
                None => {}
            }
        }
    }
    if !unchanged("taints") {
        let taints = list(device, "taints");
        check::items(errors, &path.child("taints"), taints, Some(TAINTS_MAX), |errors, path, one| {
            taint::validate_taint(errors, path, one, None);
        });
    }
    let consumed = list(device, "consumesCounters");
    let (consumed_path, max) = (path.child("consumesCounters"), Some(CONSUMPTIONS_MAX));
    check::unique_items(errors, &consumed_path, consumed, max, check::by("counterSet"), |errors, path, one| {
        format::required_label(errors, &path.child("counterSet"), text(one, "counterSet"));
        slice_rules::validate_counters(errors, &path.child("counters"), one);
    });
    validate_nodes(errors, path, device, per_device_nodes);
    validate_binding_conditions(errors, path, device);
    node_resources::validate(errors, path, device);
    node_resources::validate_mappings(errors, path, device);
}

fn validate_sizes(errors: &mut Errors, path: &Path, device: &Value) {
    let properties = size(device, "attributes").saturating_add(size(device, "capacity"));
    if properties > PROPERTIES_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {PROPERTIES_MAX}");
        errors.push(Error::invalid(path, &properties.into(), &detail));
    }
    let values_of =
        |attribute: &Value| LIST_VALUES.iter().map(|name| list(attribute, name).len()).sum::<usize>().max(1);
    let values: usize = entries(device, "attributes").map(|(_, attribute)| values_of(attribute)).sum();
    if values > ATTRIBUTE_VALUES_MAX {
        let detail = format!("the total number of attribute values must not exceed {ATTRIBUTE_VALUES_MAX}");
        errors.push(Error::invalid(path, &values.into(), &detail));
    }
}

/// A key in a field path: upstream cuts the middle out of one that cannot be valid anyway.
fn shortened(key: &str) -> String {
    const MAX: usize = format::DRIVER_NAME_MAX + 1 + format::IDENTIFIER_MAX;
    if key.len() <= MAX {
        return key.to_owned();
    }
    let characters: Vec<char> = key.chars().collect();
    let kept = (MAX - 3).min(characters.len());
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let start: String = characters.iter().take(head).collect();
    let end: String = characters.iter().skip(characters.len() - tail).collect();
    format!("{start}...{end}")
}

fn validate_attribute(errors: &mut Errors, path: &Path, attribute: &Value) {
    let mut given = 0;
    for name in ["bool", "int"] {
        given += usize::from(present(attribute, name).is_some());
    }
    type Check = fn(&mut Errors, &Path, &str);
    let texts: [(&str, &str, Check); 2] =
        [("string", "strings", format::attribute_text), ("version", "versions", format::semantic_version)];
    for (name, _, check) in texts {
        if let Some(value) = present(attribute, name) {
            given += 1;
            check(errors, &path.child(name), value.as_str().unwrap_or_default());
        }
    }
    for name in LIST_VALUES {
        let Some(values) = present(attribute, name) else { continue };
        given += 1;
        let path = path.child(name);
        if list(attribute, name).is_empty() {
            errors.push(Error::invalid(&path, values, "must not be empty if specified"));
        }
        if let Some((_, _, check)) = texts.iter().find(|(_, plural, _)| *plural == name) {
            for (index, value) in list(attribute, name).iter().enumerate() {
                check(errors, &path.index(index), value.as_str().unwrap_or_default());
            }
        }
    }
    if given != 1 {
        let value = if given == 0 { &Value::String(String::new()) } else { attribute };
        errors.push(Error::invalid(path, value, "exactly one value must be specified"));
    }
}

fn validate_nodes(errors: &mut Errors, path: &Path, device: &Value, per_device: bool) {
    let names = ["nodeName", "nodeSelector", "allNodes"];
    if !per_device {
        if names.iter().any(|name| present(device, name).is_some()) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            errors.push(Error::invalid(path, &Value::Null, detail));
        }
        return;
    }
    let mut given = Vec::new();
    if let Some(name) = present(device, "nodeName").and_then(Value::as_str) {
        let path = path.child("nodeName");
        if name.is_empty() {
            errors.push(Error::invalid(&path, &name.into(), "must not be empty"));
        } else {
            given.push("`nodeName`");
            slice_rules::validate_node_name(errors, &path, name);
        }
    }
    if let Some(nodes) = present(device, "nodeSelector") {
        given.push("`nodeSelector`");
        selector::validate(errors, &path.child("nodeSelector"), nodes);
    }
    match present(device, "allNodes") {
        Some(Value::Bool(true)) => given.push("`allNodes`"),
        Some(other) => {
            errors.push(Error::invalid(&path.child("allNodes"), other, "must be either unset or set to true"));
        }
        None => {}
    }
    match given.len() {
        0 => errors.push(Error::required(path, ONE_OF_NODES)),
        1 => {}
        _ => errors.push(Error::invalid(path, &format!("{{{}}}", given.join(", ")).into(), ONE_OF_NODES)),
    }
}

/// Checks the binding conditions of a device or of a result.
pub(super) fn validate_binding_conditions(errors: &mut Errors, path: &Path, owner: &Value) {
    let (conditions, failures) = (list(owner, "bindingConditions"), list(owner, "bindingFailureConditions"));
    let (path, failure_path) = (path.child("bindingConditions"), path.child("bindingFailureConditions"));
    for (path, list) in [(&path, conditions), (&failure_path, failures)] {
        check::items(errors, path, list, Some(CONDITIONS_MAX), |errors, path, condition| {
            format::label_key(errors, path, condition.as_str().unwrap_or_default());
        });
    }
    check::unique(errors, &path, conditions, Value::clone);
    let mut seen = HashSet::new();
    for (index, failure) in failures.iter().enumerate() {
        if !seen.insert(failure.to_string()) {
            errors.push(Error::duplicate(&failure_path.index(index), failure));
        }
        if conditions.contains(failure) {
            let detail = "bindingFailureConditions must not overlap with bindingConditions";
            errors.push(Error::invalid(&failure_path.index(index), failure, detail));
        }
    }
    let lone = |path: &Path, value: Option<&Value>, detail| Error::invalid(path, value.unwrap_or(&Value::Null), detail);
    if conditions.is_empty() && !failures.is_empty() {
        let detail = "bindingConditions are required to use bindingFailureConditions";
        errors.push(lone(&path, owner.get("bindingConditions"), detail));
    }
    if failures.is_empty() && !conditions.is_empty() {
        let detail = "bindingFailureConditions are required to use bindingConditions";
        errors.push(lone(&failure_path, owner.get("bindingFailureConditions"), detail));
    }
}
