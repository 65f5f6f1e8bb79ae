//! Which field of an object an error of decoding is about. Go's words name it without the positions in lists, or not at all.

use machinery::{json_type::json_type, quantity::Quantity};
use serde_json::Value;

/// The field that cannot be decoded: `spec.devices[1].attributes.model` for `json: cannot unmarshal string into Go struct
/// field Device.spec.devices.attributes of type v1.DeviceAttribute`; empty if it cannot be told.
pub(super) fn of(error: &str, object: &Value) -> String {
    let Some((kind, path)) = named(error) else { return broken_amount(object, "", false).unwrap_or_default() };
    let names: Vec<&str> = path.split('.').collect();
    find(object, &names, kind, String::new()).unwrap_or_else(|| path.to_owned())
}

/// What stands at `spec.devices[0].capacity.memory.value`, where it is short.
pub(super) fn value_at(object: &Value, path: &str) -> Option<String> {
    const SHOWN_MAX: usize = 60;
    if path.is_empty() {
        return None;
    }
    let pointer = path.replace(']', "").replace(['.', '['], "/");
    let text = object.pointer(&format!("/{pointer}"))?.to_string();
    (text.len() <= SHOWN_MAX).then_some(text)
}

/// The JSON type that was found, and the path.
fn named(error: &str) -> Option<(&str, &str)> {
    let (_, rest) = error.split_once("cannot unmarshal ")?;
    let (kind, rest) = rest.split_once(" into Go struct field ")?;
    let (field, _) = rest.split_once(" of type")?;
    Some((kind.split(' ').next()?, field.split_once('.')?.1))
}

/// The first value of that JSON type at the path, in whichever items of lists and members of maps.
fn find(value: &Value, names: &[&str], kind: &str, at: String) -> Option<String> {
    let inner = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        _ if names.is_empty() && json_type(value) == kind => Some(at),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find(item, names, kind, format!("{at}[{index}]")))
        }
        Value::Object(members) => match names.split_first() {
            Some((name, rest)) if members.contains_key(*name) => find(&members[*name], rest, kind, inner(name)),
            Some(_) => members.iter().find_map(|(name, member)| {
                let nested = member.is_object();
                nested.then(|| find(member, names, kind, inner(name))).flatten()
            }),
            None => members.iter().find(|(_, member)| json_type(member) == kind).map(|(name, _)| inner(name)),
        },
        _ => None,
    }
}

/// The first amount of a capacity or counter that is none.
fn broken_amount(value: &Value, at: &str, amounts: bool) -> Option<String> {
    match value {
        Value::String(text) => (amounts && Quantity::parse(text).is_err()).then(|| at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| broken_amount(item, &format!("{at}[{index}]"), amounts))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let amounts = amounts || matches!(name.as_str(), "capacity" | "counters");
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            (name != "metadata").then(|| broken_amount(member, &path, amounts)).flatten()
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_found_in_lists_and_maps() {
        let object = json!({"spec": {"devices": [
            {"name": "a", "capacity": {"memory": {"value": "1Gi"}}},
            {"name": "b", "attributes": {"x": {"int": 1}, "model": "L4"}, "capacity": {"memory": {"value": "10GB"}}},
        ], "requests": [{"exactly": {"count": 1}}, {"exactly": {"count": "two"}}]}});
        let go =
            |kind: &str, field: &str| format!("json: cannot unmarshal {kind} into Go struct field {field} of type x");
        for (error, expected) in [
            (go("string", "Device.spec.devices.attributes"), "spec.devices[1].attributes.model"),
            (go("string", "Exact.spec.requests.exactly.count"), "spec.requests[1].exactly.count"),
            (go("array", "Spec.spec.devices"), "spec.devices"),
            (go("bool", "Spec.spec.nothing"), "spec.nothing"),
            ("quantities must match the regular expression".to_owned(), "spec.devices[1].capacity.memory.value"),
        ] {
            assert_eq!(of(&error, &object), expected, "{error}");
        }
        assert_eq!(of("what is this", &json!({})), "");
        assert_eq!(value_at(&object, "spec.devices[1].capacity.memory.value").as_deref(), Some("\"10GB\""));
        assert_eq!(value_at(&object, "spec.nothing"), None);
    }
}
