//! An OpenAPI v2 document as the `openapi.v2.Document` message of gnostic (`openapiv2/OpenAPIv2.proto`), which kubectl up to 1.28
//! insists on.

use serde_json::Value;

use super::{any, extensions, flag, integer, items, members, named, nested, text, texts, yaml};
use crate::protobuf::wire::Writer;

/// The message of a document that this server wrote.
pub(in crate::openapi) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    text(&mut out, 1, document, "swagger");
    nested(&mut out, 2, |info| {
        text(info, 1, &document["info"], "title");
        text(info, 2, &document["info"], "version");
    });
    nested(&mut out, 8, |paths| {
        for (name, path) in members(document, "paths") {
            named(paths, 2, name, |item| path_item(item, path));
        }
    });
    nested(&mut out, 9, |definitions| {
        for (name, definition) in members(document, "definitions") {
            named(definitions, 1, name, |item| schema(item, definition));
        }
    });
    out.finish()
}

/// Methods with their field numbers.
const METHODS: [(&str, u32); 7] =
    [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8)];

fn path_item(out: &mut Writer, path: &Value) {
    for (method, number) in METHODS {
        if let Some(found) = path.get(method) {
            nested(out, number, |out| operation(out, found));
        }
    }
    for found in items(path, "parameters") {
        parameter(out, 9, found);
    }
}

fn operation(out: &mut Writer, value: &Value) {
    texts(out, 1, value, "tags");
    text(out, 3, value, "description");
    text(out, 5, value, "operationId");
    texts(out, 6, value, "produces");
    texts(out, 7, value, "consumes");
    for found in items(value, "parameters") {
        parameter(out, 8, found);
    }
    nested(out, 9, |responses| {
        for (code, found) in members(value, "responses") {
            named(responses, 1, code, |value| nested(value, 1, |out| response(out, found)));
        }
    });
    extensions(out, 13, value);
}

fn response(out: &mut Writer, value: &Value) {
    text(out, 1, value, "description");
    if let Some(found) = value.get("schema") {
        nested(out, 2, |item| nested(item, 1, |out| schema(out, found)));
    }
}

/// Three messages around a parameter tell what sort it is of.
fn parameter(out: &mut Writer, number: u32, value: &Value) {
    nested(out, number, |item| {
        nested(item, 1, |parameter| match value["in"].as_str() {
            Some("body") => nested(parameter, 1, |out| {
                text(out, 1, value, "description");
                text(out, 2, value, "name");
                text(out, 3, value, "in");
                flag(out, 4, value, "required");
                nested(out, 5, |out| schema(out, &value["schema"]));
            }),
            Some("path") => nested(parameter, 2, |other| nested(other, 4, |out| simple_parameter(out, value, 0))),
            _ => nested(parameter, 2, |other| nested(other, 3, |out| simple_parameter(out, value, 1))),
        });
    });
}

/// A path or query parameter; the numbers of the latter are `shift` higher from the type on.
fn simple_parameter(out: &mut Writer, value: &Value, shift: u32) {
    flag(out, 1, value, "required");
    text(out, 2, value, "in");
    text(out, 3, value, "description");
    text(out, 4, value, "name");
    text(out, 5 + shift, value, "type");
    flag(out, 19 + shift, value, "uniqueItems");
}

fn schema(out: &mut Writer, value: &Value) {
    text(out, 1, value, "$ref");
    text(out, 2, value, "format");
    text(out, 3, value, "title");
    text(out, 4, value, "description");
    any(out, 5, value, "default");
    for (number, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        if let Some(found) = value.get(name).and_then(Value::as_f64) {
            out.fixed64(number, found.to_bits());
        }
    }
    flag(out, 8, value, "exclusiveMaximum");
    flag(out, 10, value, "exclusiveMinimum");
    integer(out, 11, value, "maxLength");
    integer(out, 12, value, "minLength");
    text(out, 13, value, "pattern");
    integer(out, 14, value, "maxItems");
    integer(out, 15, value, "minItems");
    flag(out, 16, value, "uniqueItems");
    integer(out, 17, value, "maxProperties");
    integer(out, 18, value, "minProperties");
    texts(out, 19, value, "required");
    for found in items(value, "enum") {
        nested(out, 20, |out| yaml(out, found));
    }
    match value.get("additionalProperties") {
        Some(Value::Bool(allowed)) => nested(out, 21, |item| item.varint(2, u64::from(*allowed))),
        Some(found @ Value::Object(_)) => nested(out, 21, |item| nested(item, 1, |out| schema(out, found))),
        _ => {}
    }
    match value.get("type") {
        Some(Value::String(type_)) => nested(out, 22, |item| item.bytes(1, type_.as_bytes())),
        Some(Value::Array(_)) => nested(out, 22, |item| texts(item, 1, value, "type")),
        _ => {}
    }
    if let Some(found) = value.get("items") {
        nested(out, 23, |item| nested(item, 1, |out| schema(out, found)));
    }
    for found in items(value, "allOf") {
        nested(out, 24, |out| schema(out, found));
    }
    if value.get("properties").is_some() {
        nested(out, 25, |properties| {
            for (name, found) in members(value, "properties") {
                named(properties, 1, name, |out| schema(out, found));
            }
        });
    }
    flag(out, 27, value, "readOnly");
    any(out, 30, value, "example");
    extensions(out, 31, value);
}
