//! How upstream prints a part of an object in an error: as JSON of its internal types, whose members bear Go's names,
//! stand in the order of their declaration, and are there when they say nothing.

use serde_json::Value;

use crate::members::{at, present};

/// What a member is.
enum Shape {
    /// Text, which is empty when it says nothing.
    Text,
    /// A number, which is zero when it says nothing.
    Number,
    /// Anything else without members that are told apart here; null when it says nothing.
    Plain,
    /// A part that is always there.
    Struct(&'static [Member]),
    /// A part that may be null.
    Pointer(&'static [Member]),
    /// A list of parts.
    List(&'static [Member]),
    /// A list of conditions.
    Conditions,
}

/// Go's name, the name in documents, and what it is.
type Member = (&'static str, &'static str, Shape);

use Shape::{Conditions, List, Number, Plain, Pointer, Struct, Text};

const CLAIM_SPEC: &[Member] = &[("Devices", "devices", Struct(CLAIM))];
const CLAIM: &[Member] = &[
    ("Requests", "requests", List(REQUEST)),
    ("Constraints", "constraints", List(CONSTRAINT)),
    ("Config", "config", List(CONFIGURATION)),
];
const REQUEST: &[Member] = &[
    ("Name", "name", Text),
    ("Exactly", "exactly", Pointer(EXACTLY)),
    ("FirstAvailable", "firstAvailable", List(ALTERNATIVE)),
];
const EXACTLY: &[Member] = &[
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", List(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("AdminAccess", "adminAccess", Plain),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("Capacity", "capacity", Pointer(CAPACITY)),
];
const ALTERNATIVE: &[Member] = &[
    ("Name", "name", Text),
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", List(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("Capacity", "capacity", Pointer(CAPACITY)),
];
const SELECTOR: &[Member] = &[("CEL", "cel", Pointer(&[("Expression", "expression", Text)]))];
const TOLERATION: &[Member] = &[
    ("Key", "key", Text),
    ("Operator", "operator", Text),
    ("Value", "value", Text),
    ("Effect", "effect", Text),
    ("TolerationSeconds", "tolerationSeconds", Plain),
];
const CAPACITY: &[Member] = &[("Requests", "requests", Plain)];
const CONSTRAINT: &[Member] = &[
    ("Requests", "requests", Plain),
    ("MatchAttribute", "matchAttribute", Plain),
    ("DistinctAttribute", "distinctAttribute", Plain),
];
const CONFIGURATION: &[Member] = &[("Requests", "requests", Plain), ("Opaque", "opaque", Pointer(OPAQUE))];
const OPAQUE: &[Member] = &[("Driver", "driver", Text), ("Parameters", "parameters", Plain)];
const ALLOCATION: &[Member] = &[
    ("Devices", "devices", Struct(&[("Results", "results", List(RESULT)), ("Config", "config", List(APPLIED))])),
    ("NodeSelector", "nodeSelector", Pointer(&[("NodeSelectorTerms", "nodeSelectorTerms", List(TERM))])),
    ("AllocationTimestamp", "allocationTimestamp", Plain),
];
const RESULT: &[Member] = &[
    ("Request", "request", Text),
    ("Driver", "driver", Text),
    ("Pool", "pool", Text),
    ("Device", "device", Text),
    ("AdminAccess", "adminAccess", Plain),
    ("Tolerations", "tolerations", List(TOLERATION)),
    ("BindingConditions", "bindingConditions", Plain),
    ("BindingFailureConditions", "bindingFailureConditions", Plain),
    ("ShareID", "shareID", Plain),
    ("ConsumedCapacity", "consumedCapacity", Plain),
];
const APPLIED: &[Member] =
    &[("Source", "source", Text), ("Requests", "requests", Plain), ("Opaque", "opaque", Pointer(OPAQUE))];
const TERM: &[Member] =
    &[("MatchExpressions", "matchExpressions", List(REQUIREMENT)), ("MatchFields", "matchFields", List(REQUIREMENT))];
const REQUIREMENT: &[Member] = &[("Key", "key", Text), ("Operator", "operator", Text), ("Values", "values", Plain)];

const POOL_STATUS: &[Member] =
    &[("PoolCount", "poolCount", Plain), ("Pools", "pools", List(POOL)), ("Conditions", "conditions", Conditions)];
const POOL: &[Member] = &[
    ("Driver", "driver", Text),
    ("PoolName", "poolName", Text),
    ("Generation", "generation", Number),
    ("ResourceSliceCount", "resourceSliceCount", Plain),
    ("TotalDevices", "totalDevices", Plain),
    ("AllocatedDevices", "allocatedDevices", Plain),
    ("AvailableDevices", "availableDevices", Plain),
    ("UnavailableDevices", "unavailableDevices", Plain),
    ("NodeName", "nodeName", Plain),
    ("ValidationError", "validationError", Plain),
];

/// The spec of a claim.
pub(super) fn claim_spec(spec: &Value) -> String {
    object(CLAIM_SPEC, spec)
}

/// The spec of a template. Metadata is inlined, and leaves out what it does not say.
pub(super) fn template_spec(spec: &Value) -> String {
    let metadata = ["labels", "annotations"].iter().filter_map(|name| {
        let value = present(at(spec, &["metadata"]), name)?;
        Some(format!("\"{name}\":{},", json(value)))
    });
    let claim = claim_spec(at(spec, &["spec"]));
    format!("{{{}\"Spec\":{claim}}}", metadata.collect::<String>())
}

/// An allocation.
pub(super) fn allocation(allocation: &Value) -> String {
    object(ALLOCATION, allocation)
}

/// Terms of a node selector.
pub(super) fn node_selector_terms(terms: &Value) -> String {
    list(TERM, terms)
}

/// What is said of pools.
pub(super) fn pool_status(status: &Value) -> String {
    object(POOL_STATUS, status)
}

/// A condition, whose type is the same within and without.
pub(super) fn condition(condition: &Value) -> String {
    let order = ["type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"];
    let members = order.iter().filter_map(|name| Some(format!("\"{name}\":{}", json(present(condition, name)?))));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Which device, and which share of it.
pub(super) fn device_identity(entry: &Value) -> String {
    object(DEVICE_IDENTITY, entry)
}

const DEVICE_IDENTITY: &[Member] =
    &[("Driver", "driver", Text), ("Pool", "pool", Text), ("Device", "device", Text), ("ShareID", "shareID", Text)];

fn object(members: &[Member], value: &Value) -> String {
    let members = members.iter().map(|(go, name, shape)| format!("\"{go}\":{}", member(shape, at(value, &[name]))));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn member(shape: &Shape, value: &Value) -> String {
    match shape {
        Text if value.is_null() => "\"\"".to_owned(),
        Number if value.is_null() => "0".to_owned(),
        Struct(members) => object(members, value),
        Pointer(members) if !value.is_null() => object(members, value),
        List(members) => list(members, value),
        Conditions if !value.is_null() => {
            let items = value.as_array().into_iter().flatten().map(condition);
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        _ => json(value),
    }
}

/// JSON as Go writes it: fit to stand in HTML.
fn json(value: &Value) -> String {
    value.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

fn list(members: &[Member], value: &Value) -> String {
    match value.as_array() {
        None => "null".to_owned(),
        Some(items) => {
            let items = items.iter().map(|item| object(members, item));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_printed_as_upstream_has_them() {
        let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {
            "deviceClassName": "c", "allocationMode": "ExactCount", "count": 1,
            "selectors": [{"cel": {"expression": "a == \"b\" && c > 1"}}],
        }}]}});
        let printed = r#"{"Devices":{"Requests":[{"Name":"r","Exactly":{"DeviceClassName":"c","Selectors":[{"CEL":{"Expression":"a == \"b\" \u0026\u0026 c \u003e 1"}}],"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null},"FirstAvailable":null}],"Constraints":null,"Config":null}}"#;
        assert_eq!(claim_spec(&spec), printed);
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
        assert_eq!(template_spec(&template), format!(r#"{{"labels":{{"a":"b"}},"Spec":{printed}}}"#));
        assert_eq!(claim_spec(&json!({})), r#"{"Devices":{"Requests":null,"Constraints":null,"Config":null}}"#);
        assert_eq!(
            node_selector_terms(
                &json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}])
            ),
            r#"[{"MatchExpressions":null,"MatchFields":[{"Key":"metadata.name","Operator":"In","Values":["n"]}]}]"#
        );
        let status = json!({"poolCount": 1, "pools": [{"driver": "d", "poolName": "p", "generation": 2, "totalDevices": 3}],
            "conditions": [{"message": "m", "reason": "R", "status": "True", "type": "Complete"}]});
        assert_eq!(
            pool_status(&status),
            r#"{"PoolCount":1,"Pools":[{"Driver":"d","PoolName":"p","Generation":2,"ResourceSliceCount":null,"TotalDevices":3,"AllocatedDevices":null,"AvailableDevices":null,"UnavailableDevices":null,"NodeName":null,"ValidationError":null}],"Conditions":[{"type":"Complete","status":"True","reason":"R","message":"m"}]}"#
        );
        assert_eq!(pool_status(&json!({})), r#"{"PoolCount":null,"Pools":null,"Conditions":null}"#);
        let device = json!({"driver": "d", "pool": "p", "device": "x", "data": {}});
        assert_eq!(device_identity(&device), r#"{"Driver":"d","Pool":"p","Device":"x","ShareID":""}"#);
    }
}
