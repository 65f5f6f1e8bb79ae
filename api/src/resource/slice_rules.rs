//! What `ResourceSlice` does on writes.

use machinery::{
    field::{Error, Path},
    names::dns1123_subdomain_errors,
};
use serde_json::{Map, Value};

use super::{device, gates, printed, selector, taint};
use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    members::{at, entries, list, list_mut, present, size, text},
};

const DEVICES_MAX: usize = 128;
/// With taints, counters or lists, devices take more work.
const ADVANCED_DEVICES_MAX: usize = 64;
const COUNTER_SETS_MAX: usize = 8;
const COUNTERS_MAX: usize = 32;

/// The gate of `partitionTypeAttribute`.
pub(super) const PARTITION_TYPE: &str = "DRAPartitionableDevicesType";
const OPERATIONS: [&str; 3] = ["*", "NodePrepareResources", "NodeUnprepareResources"];

const ONE_OF_NODES: &str =
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

/// `ResourceSlice`.
pub(super) struct SliceRules;

impl Strategy for SliceRules {
    fn default(&self, slice: &mut Value, surroundings: &dyn Surroundings) {
        let Some(spec) = slice.get_mut("spec") else { return };
        for set in list_mut(spec, "sharedCounters") {
            default_amounts(set, "counters");
        }
        for device in list_mut(spec, "devices") {
            default_amounts(device, "capacity");
            for consumption in list_mut(device, "consumesCounters") {
                default_amounts(consumption, "counters");
            }
            for one in list_mut(device, "taints") {
                taint::default_time(one, surroundings);
            }
            let mappings = device.get_mut("nodeAllocatableResourceMappings").and_then(Value::as_object_mut);
            for mapping in mappings.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
                mapping.entry("allocationMultiplier").or_insert_with(|| "1".into());
            }
        }
    }

    fn prepare_for_create(&self, slice: &mut Value, surroundings: &dyn Surroundings) {
        gates::drop_disabled(slice, None, gates::SLICE, surroundings);
    }

    fn validate(&self, slice: &Value, surroundings: &dyn Surroundings) -> Errors {
        validate(slice, None, surroundings)
    }

    fn prepare_for_update(&self, slice: &mut Value, old: &Value, _: &str, surroundings: &dyn Surroundings) {
        gates::drop_disabled(slice, Some(old), gates::SLICE, surroundings);
    }

    fn validate_update(&self, slice: &Value, old: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        validate(slice, Some(old), surroundings)
    }

    fn warnings(&self, slice: &Value, _: Option<&Value>) -> Vec<String> {
        let driver = text(at(slice, &["spec"]), "driver");
        if driver == driver.to_lowercase() {
            return Vec::new();
        }
        vec![format!(
            "spec.driver: driver names should be lowercase; {} contains uppercase characters",
            machinery::field::quote(driver)
        )]
    }
}

/// A quantity that is not given is zero, and written so.
fn default_amounts(owner: &mut Value, name: &str) {
    let amounts = owner.get_mut(name).and_then(Value::as_object_mut);
    for amount in amounts.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        amount.entry("value").or_insert_with(|| "0".into());
        if let Some(policy) = amount.get_mut("requestPolicy").and_then(Value::as_object_mut) {
            policy.entry("default").or_insert(Value::Null);
        }
    }
}

fn validate(slice: &Value, old: Option<&Value>, surroundings: &dyn Surroundings) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = at(slice, &["spec"]);
    let old_spec = old.map(|old| at(old, &["spec"]));
    format::driver_name(&mut errors, &path.child("driver"), text(spec, "driver"));
    validate_pool(&mut errors, &path.child("pool"), at(spec, &["pool"]));
    if let Some(old) = old_spec {
        let name = |spec| at(spec, &["pool", "name"]);
        check::immutable(&mut errors, &path.child("pool").child("name"), Some(name(spec)), Some(name(old)));
        for name in ["driver", "nodeName"] {
            check::immutable(&mut errors, &path.child(name), spec.get(name), old.get(name));
        }
    }
    validate_nodes(&mut errors, &path, spec);
    validate_devices(&mut errors, &path, spec, old_spec, surroundings);
    validate_partition_type(&mut errors, &path, spec, surroundings);
    validate_skipped_operations(&mut errors, &path, spec);
    errors
}

/// Checks `partitionTypeAttribute`: each device that consumes counters says in this attribute which type of partition it is.
fn validate_partition_type(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    let Some(name) = present(spec, "partitionTypeAttribute").and_then(Value::as_str) else { return };
    let own_path = path.child("partitionTypeAttribute");
    if !surroundings.feature_enabled(PARTITION_TYPE) {
        errors.push(Error::forbidden(&own_path, ""));
        return;
    }
    let before = errors.len();
    format::fully_qualified_name(errors, &own_path, name);
    let partitions = |device: &Value| !list(device, "consumesCounters").is_empty();
    let devices = list(spec, "devices");
    if !devices.iter().any(partitions) {
        let detail = "may only be set on a slice which declares devices that consume counters";
        errors.push(Error::invalid(&own_path, &name.into(), detail));
    }
    if errors.len() > before {
        return;
    }
    let bare = name.strip_prefix(text(spec, "driver")).and_then(|rest| rest.strip_prefix('/'));
    for (index, device) in devices.iter().enumerate().filter(|(_, device)| partitions(device)) {
        let path = path.child("devices").index(index).child("attributes").key(name);
        let attribute = |name: &str| present(at(device, &["attributes"]), name);
        match attribute(name).or_else(|| attribute(bare?)) {
            None => {
                let detail =
                    "device consumes counters and `partitionTypeAttribute` names this attribute, so it must be set";
                errors.push(Error::required(&path, detail));
            }
            Some(attribute) if present(attribute, "string").is_none() => {
                let detail = "must be a string value because `partitionTypeAttribute` names this attribute";
                errors.push(Error::invalid(&path, attribute, detail));
            }
            Some(_) => {}
        }
    }
}

/// Checks `skipNodeOperations` of a slice or of a result.
pub(super) fn validate_skipped_operations(errors: &mut Errors, path: &Path, owner: &Value) {
    let path = path.child("skipNodeOperations");
    let skipped = list(owner, "skipNodeOperations");
    check::unique_items(errors, &path, skipped, None, Value::clone, |errors, path, operation| {
        if !OPERATIONS.iter().any(|known| operation == known) {
            errors.push(Error::not_supported(path, operation, &OPERATIONS));
        }
    });
    let skips = |name: &str| skipped.iter().any(|operation| operation == name);
    if skips("NodePrepareResources") && !skips("NodeUnprepareResources") && !skips("*") {
        let detail = "NodePrepareResources cannot be skipped unless NodeUnprepareResources is also skipped";
        errors.push(Error::invalid(&path, &skipped.into(), detail));
    }
}

fn validate_pool(errors: &mut Errors, path: &Path, pool: &Value) {
    format::pool_name(errors, &path.child("name"), text(pool, "name"));
    let count = at(pool, &["resourceSliceCount"]).as_i64().unwrap_or_default();
    if count <= 0 {
        errors.push(Error::invalid(&path.child("resourceSliceCount"), &count.into(), "must be greater than zero"));
    }
    let generation = at(pool, &["generation"]).as_i64().unwrap_or_default();
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.push(Error::invalid(&path.child("generation"), &generation.into(), detail));
    }
}

/// A node name: why it is none.
pub(super) fn validate_node_name(errors: &mut Errors, path: &Path, name: &str) {
    errors.extend(dns1123_subdomain_errors(name).iter().map(|detail| Error::invalid(path, &name.into(), detail)));
}

fn validate_nodes(errors: &mut Errors, path: &Path, spec: &Value) {
    let mut given = Vec::new();
    if let Some(name) = present(spec, "nodeName").and_then(Value::as_str) {
        let path = path.child("nodeName");
        if name.is_empty() {
            errors.push(Error::invalid(&path, &name.into(), "must be either unset or set to a non-empty string"));
        } else {
            given.push("`nodeName`");
            validate_node_name(errors, &path, name);
        }
    }
    if let Some(nodes) = present(spec, "nodeSelector") {
        given.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        selector::validate(errors, &path, nodes);
        let terms = list(nodes, "nodeSelectorTerms");
        if terms.len() != 1 {
            let detail = "must have exactly one node selector term";
            let printed = printed::node_selector_terms(at(nodes, &["nodeSelectorTerms"]));
            errors.push(Error::invalid_shown(&path.child("nodeSelectorTerms"), &printed, detail));
        }
    }
    for (name, quoted) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")] {
        match present(spec, name) {
            Some(Value::Bool(true)) => given.push(quoted),
            Some(other) => {
                errors.push(Error::invalid(&path.child(name), other, "must be either unset or set to true"));
            }
            None => {}
        }
    }
    match given.len() {
        0 => errors.push(Error::required(path, ONE_OF_NODES)),
        1 => {}
        _ => {
            let detail = format!("{ONE_OF_NODES}, but multiple fields are set");
            errors.push(Error::invalid(path, &format!("{{{}}}", given.join(", ")).into(), &detail));
        }
    }
}

fn validate_devices(
    errors: &mut Errors,
    path: &Path,
    spec: &Value,
    old: Option<&Value>,
    surroundings: &dyn Surroundings,
) {
    if present(spec, "sharedCounters").is_some() && present(spec, "devices").is_some() {
        errors.push(Error::invalid(path, &"".into(), "only one of `sharedCounters` or `devices` is allowed"));
    }
    let devices = list(spec, "devices");
    let max = if devices.iter().any(device::is_advanced) { ADVANCED_DEVICES_MAX } else { DEVICES_MAX };
    let per_device = at(spec, &["perDeviceNodeSelection"]).as_bool() == Some(true);
    let known = |name: &str| list(old?, "devices").iter().find(|device| text(device, "name") == name);
    let devices_path = path.child("devices");
    check::unique_items(errors, &devices_path, devices, Some(max), check::by("name"), |errors, path, one| {
        device::validate(errors, path, one, known(text(one, "name")), per_device, surroundings);
    });
    let sets = list(spec, "sharedCounters");
    let sets_path = path.child("sharedCounters");
    check::unique_items(errors, &sets_path, sets, Some(COUNTER_SETS_MAX), check::by("name"), |errors, path, set| {
        format::required_label(errors, &path.child("name"), text(set, "name"));
        validate_counters(errors, &path.child("counters"), set);
    });
}

/// Checks the counters of a set, or those that a device takes from one.
pub(super) fn validate_counters(errors: &mut Errors, path: &Path, owner: &Value) {
    match size(owner, "counters") {
        0 => errors.push(Error::required(path, "")),
        count if count > COUNTERS_MAX => errors.push(Error::too_many(path, count, COUNTERS_MAX)),
        _ => entries(owner, "counters").for_each(|(name, _)| format::dns_label(errors, path, name)),
    }
}
