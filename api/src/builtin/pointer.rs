//! Reading and writing members of a document by JSON pointer (RFC 6901). What is missing, or of another type, reads as
//! empty.

use machinery::pointer::{at, at_mut};
use serde_json::{Map, Value};

/// The text at a pointer.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a pointer.
pub(super) fn integer(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Whether the boolean at a pointer is true.
pub(super) fn is_true(object: &Value, pointer: &str) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// Whether something other than `null` is at a pointer.
pub(super) fn has(object: &Value, pointer: &str) -> bool {
    at(object, pointer).is_some_and(|value| !value.is_null())
}

/// The list at a pointer.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of the list at a pointer.
pub(super) fn texts<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    list(object, pointer).iter().filter_map(Value::as_str)
}

/// The members of the object at a pointer.
pub(super) fn members<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    at(object, pointer).and_then(Value::as_object).into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The object at a pointer, for writing.
pub(super) fn object_mut<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    at_mut(object, pointer)?.as_object_mut()
}

/// The items of the list at a pointer, for writing.
pub(super) fn list_mut<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    at_mut(object, pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets a member of the object at `pointer` if it is absent or `null`. An empty text is there: where it counts as nothing,
/// decoding has left it out.
pub(super) fn default_to(object: &mut Value, pointer: &str, member: &str, value: impl Into<Value>) {
    let Some(parent) = object_mut(object, pointer) else { return };
    if parent.get(member).is_none_or(Value::is_null) {
        parent.insert(member.to_owned(), value.into());
    }
}

/// The same for a text that is always written, so that the empty one counts as nothing.
pub(super) fn default_text(object: &mut Value, pointer: &str, member: &str, value: &str) {
    let Some(parent) = object_mut(object, pointer) else { return };
    if parent.get(member).is_none_or(|old| old.is_null() || old == "") {
        parent.insert(member.to_owned(), value.into());
    }
}

/// The condition of that type, in `status.conditions`.
pub(super) fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == type_)
}

/// Whether the condition of that type is `True`.
pub(super) fn condition_is_true(object: &Value, type_: &str) -> bool {
    condition(object, type_).is_some_and(|condition| text(condition, "/status") == "True")
}
