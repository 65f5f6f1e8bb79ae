//! Fields that a feature gate covers: while the gate is off they are dropped on writes, unless the stored object has
//! them already.

use serde_json::Value;

use crate::definition::Surroundings;

/// Fields of one kind by gate. In a path, `*` stands for every item of a list and every value of a map.
pub(super) type Gated = &'static [(&'static str, &'static [&'static str])];

/// `DeviceClass`.
pub(super) const CLASS: Gated = &[("DRAExtendedResource", &["spec.extendedResourceName"])];

/// `ResourceClaim`.
pub(super) const CLAIM: Gated = &[
    ("DRAPrioritizedList", &["spec.devices.requests.*.firstAvailable"]),
    (
        "DRAAdminAccess",
        &["spec.devices.requests.*.exactly.adminAccess", "status.allocation.devices.results.*.adminAccess"],
    ),
    (
        "DRADeviceTaints",
        &[
            "spec.devices.requests.*.exactly.tolerations",
            "spec.devices.requests.*.firstAvailable.*.tolerations",
            "status.allocation.devices.results.*.tolerations",
        ],
    ),
    (
        "DRAConsumableCapacity",
        &[
            "spec.devices.requests.*.exactly.capacity",
            "spec.devices.requests.*.firstAvailable.*.capacity",
            "spec.devices.constraints.*.distinctAttribute",
            "status.allocation.devices.results.*.shareID",
            "status.allocation.devices.results.*.consumedCapacity",
            "status.devices.*.shareID",
        ],
    ),
    ("DRAResourceClaimDeviceStatus", &["status.devices"]),
    (
        "DRADeviceBindingConditions",
        &[
            "status.allocation.devices.results.*.bindingConditions",
            "status.allocation.devices.results.*.bindingFailureConditions",
        ],
    ),
    (
        "DRADerivedAttributes",
        &[
            "spec.devices.requests.*.exactly.derivedAttributes",
            "spec.devices.requests.*.firstAvailable.*.derivedAttributes",
        ],
    ),
    ("DRAOptionalNodeOperations", &["status.allocation.devices.results.*.skipNodeOperations"]),
];

/// `ResourceClaimTemplate`.
pub(super) const TEMPLATE: Gated = &[
    ("DRAPrioritizedList", &["spec.spec.devices.requests.*.firstAvailable"]),
    ("DRAAdminAccess", &["spec.spec.devices.requests.*.exactly.adminAccess"]),
    (
        "DRADeviceTaints",
        &[
            "spec.spec.devices.requests.*.exactly.tolerations",
            "spec.spec.devices.requests.*.firstAvailable.*.tolerations",
        ],
    ),
    (
        "DRAConsumableCapacity",
        &[
            "spec.spec.devices.requests.*.exactly.capacity",
            "spec.spec.devices.requests.*.firstAvailable.*.capacity",
            "spec.spec.devices.constraints.*.distinctAttribute",
        ],
    ),
    (
        "DRADerivedAttributes",
        &[
            "spec.spec.devices.requests.*.exactly.derivedAttributes",
            "spec.spec.devices.requests.*.firstAvailable.*.derivedAttributes",
        ],
    ),
];

/// `ResourceSlice`.
pub(super) const SLICE: Gated = &[
    (
        "DRAPartitionableDevices",
        &[
            "spec.sharedCounters",
            "spec.perDeviceNodeSelection",
            "spec.devices.*.consumesCounters",
            "spec.devices.*.nodeName",
            "spec.devices.*.nodeSelector",
            "spec.devices.*.allNodes",
        ],
    ),
    ("DRADeviceTaints", &["spec.devices.*.taints"]),
    ("DRAConsumableCapacity", &["spec.devices.*.allowMultipleAllocations", "spec.devices.*.capacity.*.requestPolicy"]),
    (
        "DRADeviceBindingConditions",
        &["spec.devices.*.bindsToNode", "spec.devices.*.bindingConditions", "spec.devices.*.bindingFailureConditions"],
    ),
    (
        "DRAListTypeAttributes",
        &[
            "spec.devices.*.attributes.*.ints",
            "spec.devices.*.attributes.*.bools",
            "spec.devices.*.attributes.*.strings",
            "spec.devices.*.attributes.*.versions",
        ],
    ),
    (
        "DRANodeAllocatableResources",
        &["spec.devices.*.nodeAllocatableResourceMappings", "spec.devices.*.nodeAllocatableResources"],
    ),
    ("DRADeviceCompatibilityGroups", &["spec.devices.*.consumesCounters.*.compatibilityGroups"]),
    ("DRAOptionalNodeOperations", &["spec.skipNodeOperations"]),
];

/// `DeviceTaintRule`: nothing is gated in the kind itself.
pub(super) const TAINT_RULE: Gated = &[];

/// Drops the fields of gates that are off, unless the old object uses a field of the gate.
pub(super) fn drop_disabled(object: &mut Value, old: Option<&Value>, gated: Gated, surroundings: &dyn Surroundings) {
    for (gate, paths) in gated {
        let used = |path: &str| old.is_some_and(|old| has(old, path));
        if !surroundings.feature_enabled(gate) && !paths.iter().any(|path| used(path)) {
            paths.iter().for_each(|path| remove(object, path));
        }
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    }
}

fn has(object: &Value, path: &str) -> bool {
    let (first, rest) = split(path);
    let found = |value: &Value| rest.map_or(!value.is_null(), |rest| has(value, rest));
    match (first, object) {
        ("*", Value::Array(items)) => items.iter().any(found),
        ("*", Value::Object(members)) => members.values().any(found),
        (name, object) => object.get(name).is_some_and(found),
    }
}

fn remove(object: &mut Value, path: &str) {
    let (first, Some(rest)) = split(path) else {
        if let Some(members) = object.as_object_mut() {
            members.remove(path);
        }
        return;
    };
    match (first, object) {
        ("*", Value::Array(items)) => items.iter_mut().for_each(|item| remove(item, rest)),
        ("*", Value::Object(members)) => members.values_mut().for_each(|member| remove(member, rest)),
        (name, object) => {
            if let Some(member) = object.get_mut(name) {
                remove(member, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use serde_json::json;

    #[test]
    fn disabled_fields_go_unless_in_use() {
        let slice = || json!({"spec": {"devices": [{"name": "a", "taints": [1], "capacity": {"m": {"value": "1", "requestPolicy": {}}}}]}});
        let off = Bench { disabled: vec!["DRADeviceTaints", "DRAConsumableCapacity"], ..Bench::default() };
        let mut new = slice();
        drop_disabled(&mut new, None, SLICE, &off);
        assert_eq!(new, json!({"spec": {"devices": [{"name": "a", "capacity": {"m": {"value": "1"}}}]}}));
        let mut used = slice();
        drop_disabled(&mut used, Some(&slice()), SLICE, &off);
        assert_eq!(used, slice());
        let mut on = slice();
        drop_disabled(&mut on, None, SLICE, &Bench::default());
        assert_eq!(on, slice());
    }
}
