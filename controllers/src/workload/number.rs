//! Numbers in workloads: read, defaulted, scaled, and left out where they are zero.

use machinery::int_or_string::IntOrString;
use serde_json::{Map, Value, json};

/// An integer of a document; 0 when it is not there.
pub(crate) fn at(document: &Value, pointer: &str) -> i64 {
    or(document, pointer, 0)
}

/// An integer of a document, or what is meant when it is not there.
pub(crate) fn or(document: &Value, pointer: &str, default: i64) -> i64 {
    maybe(document, pointer).unwrap_or(default)
}

/// An integer of a document, if it is there.
pub(crate) fn maybe(document: &Value, pointer: &str) -> Option<i64> {
    document.pointer(pointer).and_then(Value::as_i64)
}

/// A number, or a percentage of `total`; 0 when it is neither.
pub(crate) fn scaled(document: &Value, pointer: &str, total: i64, round_up: bool) -> Option<i64> {
    let value = document.pointer(pointer).filter(|value| !value.is_null())?;
    let value: IntOrString = serde_json::from_value(value.clone()).ok()?;
    Some(value.scaled(total, round_up).unwrap_or(0))
}

/// Puts numbers into a status; Go leaves out those that are zero.
pub(crate) fn put(status: &mut Map<String, Value>, members: &[(&str, i64)]) {
    for (name, number) in members.iter().filter(|(_, number)| *number != 0) {
        status.insert((*name).to_owned(), json!(number));
    }
}

/// A length as a number.
pub(crate) fn count<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

/// A number as a length; less than none is none.
pub(crate) fn length(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
