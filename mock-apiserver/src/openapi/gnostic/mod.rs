//! OpenAPI documents as messages of gnostic, which clients ask for because they are read faster than JSON.

pub(super) mod v2;
pub(super) mod v3;

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

/// Members that begin with `x-`, each as the YAML of its value.
fn extensions(out: &mut Writer, number: u32, value: &Value) {
    for (name, found) in value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        named(out, number, name, |out| yaml(out, found));
    }
}

fn any(out: &mut Writer, number: u32, value: &Value, name: &str) {
    if let Some(found) = value.get(name) {
        nested(out, number, |out| yaml(out, found));
    }
}

/// `Any`: YAML in field 2. JSON is YAML.
fn yaml(out: &mut Writer, value: &Value) {
    let mut text = crate::json::encode(value);
    text.push(b'\n');
    out.bytes(2, &text);
}

fn named(out: &mut Writer, number: u32, name: &str, write: impl FnOnce(&mut Writer)) {
    nested(out, number, |entry| {
        entry.bytes(1, name.as_bytes());
        nested(entry, 2, write);
    });
}

fn nested(out: &mut Writer, number: u32, write: impl FnOnce(&mut Writer)) {
    let mut inner = Writer::default();
    write(&mut inner);
    out.bytes(number, inner.as_slice());
}

fn text(out: &mut Writer, number: u32, value: &Value, name: &str) {
    if let Some(found) = value.get(name).and_then(Value::as_str).filter(|found| !found.is_empty()) {
        out.bytes(number, found.as_bytes());
    }
}

fn texts(out: &mut Writer, number: u32, value: &Value, name: &str) {
    for found in items(value, name).filter_map(Value::as_str) {
        out.bytes(number, found.as_bytes());
    }
}

fn flag(out: &mut Writer, number: u32, value: &Value, name: &str) {
    if value.get(name) == Some(&Value::Bool(true)) {
        out.varint(number, 1);
    }
}

fn integer(out: &mut Writer, number: u32, value: &Value, name: &str) {
    if let Some(found) = value.get(name).and_then(Value::as_i64).filter(|found| *found != 0) {
        out.varint(number, found as u64);
    }
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).map(Map::iter).into_iter().flatten()
}
