//! An OpenAPI v3 document as the `openapi.v3.Document` message of gnostic (`openapiv3/OpenAPIv3.proto`), which client-go's
//! `openapi3` root asks for.

use serde_json::Value;

use super::{any, extensions, flag, integer, items, members, named, nested, text, texts, yaml};
use crate::protobuf::wire::Writer;

/// The message of a document that this server wrote.
pub(in crate::openapi) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    text(&mut out, 1, document, "openapi");
    nested(&mut out, 2, |info| {
        text(info, 1, &document["info"], "title");
        text(info, 6, &document["info"], "version");
    });
    nested(&mut out, 4, |paths| {
        for (name, path) in members(document, "paths") {
            named(paths, 1, name, |item| path_item(item, path));
        }
    });
    nested(&mut out, 5, |components| {
        nested(components, 1, |schemas| {
            for (name, found) in members(&document["components"], "schemas") {
                named(schemas, 1, name, |item| schema_or_reference(item, found));
            }
        });
    });
    out.finish()
}

/// Methods with their field numbers.
const METHODS: [(&str, u32); 7] =
    [("get", 4), ("put", 5), ("post", 6), ("delete", 7), ("options", 8), ("head", 9), ("patch", 10)];

fn path_item(out: &mut Writer, path: &Value) {
    for (method, number) in METHODS {
        if let Some(found) = path.get(method) {
            nested(out, number, |out| operation(out, found));
        }
    }
    for found in items(path, "parameters") {
        nested(out, 13, |item| nested(item, 1, |out| parameter(out, found)));
    }
}

fn operation(out: &mut Writer, value: &Value) {
    texts(out, 1, value, "tags");
    text(out, 3, value, "description");
    text(out, 5, value, "operationId");
    for found in items(value, "parameters") {
        nested(out, 6, |item| nested(item, 1, |out| parameter(out, found)));
    }
    if let Some(body) = value.get("requestBody") {
        nested(out, 7, |item| {
            nested(item, 1, |out| {
                text(out, 1, body, "description");
                media_types(out, 2, body);
                flag(out, 3, body, "required");
            });
        });
    }
    nested(out, 8, |responses| {
        for (code, found) in members(value, "responses") {
            named(responses, 2, code, |item| {
                nested(item, 1, |out| {
                    text(out, 1, found, "description");
                    media_types(out, 3, found);
                });
            });
        }
    });
    extensions(out, 13, value);
}

/// What may be sent or answered, by media type.
fn media_types(out: &mut Writer, number: u32, value: &Value) {
    if value.get("content").is_none() {
        return;
    }
    nested(out, number, |types| {
        for (name, found) in members(value, "content") {
            named(types, 1, name, |item| nested(item, 1, |out| schema_or_reference(out, &found["schema"])));
        }
    });
}

fn parameter(out: &mut Writer, value: &Value) {
    text(out, 1, value, "name");
    text(out, 2, value, "in");
    text(out, 3, value, "description");
    flag(out, 4, value, "required");
    nested(out, 10, |item| schema_or_reference(item, &value["schema"]));
}

fn schema_or_reference(out: &mut Writer, value: &Value) {
    match value.get("$ref") {
        Some(_) => nested(out, 2, |reference| text(reference, 1, value, "$ref")),
        None => nested(out, 1, |out| schema(out, value)),
    }
}

fn schema(out: &mut Writer, value: &Value) {
    flag(out, 1, value, "nullable");
    flag(out, 3, value, "readOnly");
    any(out, 7, value, "example");
    text(out, 9, value, "title");
    for (number, name) in [(10, "multipleOf"), (11, "maximum"), (13, "minimum")] {
        if let Some(found) = value.get(name).and_then(Value::as_f64) {
            out.fixed64(number, found.to_bits());
        }
    }
    flag(out, 12, value, "exclusiveMaximum");
    flag(out, 14, value, "exclusiveMinimum");
    integer(out, 15, value, "maxLength");
    integer(out, 16, value, "minLength");
    text(out, 17, value, "pattern");
    integer(out, 18, value, "maxItems");
    integer(out, 19, value, "minItems");
    flag(out, 20, value, "uniqueItems");
    integer(out, 21, value, "maxProperties");
    integer(out, 22, value, "minProperties");
    texts(out, 23, value, "required");
    for found in items(value, "enum") {
        nested(out, 24, |out| yaml(out, found));
    }
    text(out, 25, value, "type");
    for (number, name) in [(26, "allOf"), (27, "oneOf"), (28, "anyOf")] {
        for found in items(value, name) {
            nested(out, number, |out| schema_or_reference(out, found));
        }
    }
    if let Some(found) = value.get("not") {
        nested(out, 29, |out| schema(out, found));
    }
    if let Some(found) = value.get("items") {
        nested(out, 30, |item| nested(item, 1, |out| schema_or_reference(out, found)));
    }
    if value.get("properties").is_some() {
        nested(out, 31, |properties| {
            for (name, found) in members(value, "properties") {
                named(properties, 1, name, |out| schema_or_reference(out, found));
            }
        });
    }
    match value.get("additionalProperties") {
        Some(Value::Bool(allowed)) => nested(out, 32, |item| item.varint(2, u64::from(*allowed))),
        Some(found @ Value::Object(_)) => {
            nested(out, 32, |item| nested(item, 1, |out| schema_or_reference(out, found)))
        }
        _ => {}
    }
    default(out, value);
    text(out, 34, value, "description");
    text(out, 35, value, "format");
    extensions(out, 36, value);
}

/// `DefaultType` knows numbers, booleans and texts; gnostic leaves out any other default.
fn default(out: &mut Writer, value: &Value) {
    match value.get("default") {
        Some(Value::Number(number)) => {
            nested(out, 33, |item| item.fixed64(1, number.as_f64().unwrap_or_default().to_bits()));
        }
        Some(Value::Bool(flag)) => nested(out, 33, |item| item.varint(2, u64::from(*flag))),
        Some(Value::String(text)) => nested(out, 33, |item| item.bytes(3, text.as_bytes())),
        _ => {}
    }
}
