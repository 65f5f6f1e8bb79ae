//! Reading members of a document that may lack them. A member of another type reads as absent: documents that reach a
//! strategy have passed their schema.

use serde_json::{Map, Value};

/// The text at `name`; empty if absent.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `name`; empty if absent.
pub(crate) fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The entries of the map at `name`, in key order.
pub(crate) fn entries<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// How many entries the map at `name` has.
pub(crate) fn size(object: &Value, name: &str) -> usize {
    object.get(name).and_then(Value::as_object).map_or(0, Map::len)
}

/// Whether the member at `name` is `true`.
pub(crate) fn is_true(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool) == Some(true)
}

/// The member at `name` unless it is absent or null.
pub(crate) fn present<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// The member at the end of a path of names, null if absent.
pub(crate) fn at<'a>(object: &'a Value, names: &[&str]) -> &'a Value {
    names.iter().fold(object, |object, name| object.get(name).unwrap_or(&Value::Null))
}

/// The list at `name`, for changing its items; empty if absent.
pub(crate) fn list_mut<'a>(object: &'a mut Value, name: &str) -> &'a mut [Value] {
    object.get_mut(name).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

/// The member at the end of a path of names, for changing it.
pub(crate) fn at_mut<'a>(object: &'a mut Value, names: &[&str]) -> Option<&'a mut Value> {
    names.iter().try_fold(object, |object, name| object.get_mut(name))
}

/// Makes the member at `name` what `value` says: absent, or this.
pub(crate) fn put(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(members) = object.as_object_mut() {
        match value {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.remove(name),
        };
    }
}

/// Removes the members of these names that are an empty text or zero: Go's types do not write them.
pub(crate) fn drop_zero(object: &mut Value, names: &[&str]) {
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, value| !names.contains(&name.as_str()) || !(*value == "" || *value == 0));
    }
}

/// Whether two members mean the same: an absent one, null, an empty list and an empty object are equal, as in
/// upstream's semantic comparison.
pub(crate) fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            one.iter().all(|(name, value)| same(Some(value), other.get(name)))
                && other.iter().all(|(name, value)| one.contains_key(name) || is_empty(Some(value)))
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(Some(one), Some(other)))
        }
        (one, other) => one == other || is_empty(one) && is_empty(other),
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.values().all(|member| is_empty(Some(member))),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_and_empty_are_the_same() {
        let cases = [
            (json!({"a": 1, "b": []}), json!({"a": 1}), true),
            (json!({"a": null}), json!({"b": {"c": []}}), true),
            (json!({"a": [1]}), json!({"a": [2]}), false),
            (json!({"a": {"b": "x"}}), json!({"a": {}}), false),
            (json!({"a": ""}), json!({}), false),
            (json!([1, 2]), json!([2, 1]), false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(same(Some(&one), Some(&other)), expected, "{one} {other}");
            assert_eq!(same(Some(&other), Some(&one)), expected, "{other} {one}");
        }
    }
}
