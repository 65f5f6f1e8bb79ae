//! Shapes of structural schemas: what the rules of a CRD know about a document, and how large they must fear it to be.
//!
//! Sizes without a bound of their own are bounded by the largest request an API server accepts.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::escape::escape;
use crate::shape::{Field, Order, Shape};
use crate::types::Type;

/// Bytes of the largest request.
const MAX_REQUEST: u64 = 3 * 1024 * 1024;
/// Smallest encodings in JSON, in bytes.
const MIN_COLLECTION: u64 = 2;
const MIN_STRING: u64 = 2;
const MIN_BOOL: u64 = 4;
const MIN_NUMBER: u64 = 1;
const MIN_DURATION: u64 = 3;
const MIN_DATE_TIME: u64 = 21;
const DATE: u64 = 12;
/// Largest encodings of durations and times.
const MAX_TIME: u64 = 32;

/// The shape of documents of an OpenAPI v3 schema, or `None` if expressions cannot see them. Object types are named
/// after `name` and the path that leads to them. At the root of a resource, `apiVersion`, `kind`, `metadata.name` and
/// `metadata.generateName` are always known.
#[must_use]
pub fn shape_of_schema(schema: &Json, name: &str, resource_root: bool) -> Option<Shape> {
    convert(schema, name, resource_root).map(|sized| sized.shape)
}

/// How many documents of the schema one request can hold at most; `None` as for [`shape_of_schema`].
#[must_use]
pub fn documents_in_request(schema: &Json, resource_root: bool) -> Option<u64> {
    // A comma at least stands between two of them.
    convert(schema, "", resource_root).map(|sized| MAX_REQUEST / sized.min_bytes.saturating_add(1))
}

/// A shape, and the fewest bytes that JSON needs for such a document.
struct Sized {
    shape: Shape,
    min_bytes: u64,
}

fn sized(shape: Shape, min_bytes: u64) -> Option<Sized> {
    Some(Sized { shape, min_bytes })
}

fn number(schema: &Json, key: &str) -> Option<u64> {
    // Negative limits count as 0.
    schema.get(key).and_then(Json::as_i64).map(|limit| u64::try_from(limit).unwrap_or(0))
}

fn flag(schema: &Json, key: &str) -> bool {
    schema.get(key).and_then(Json::as_bool).unwrap_or(false)
}

fn scalar(ty: Type) -> Shape {
    Shape::simple(ty).with_max_elements(0)
}

fn convert(schema: &Json, name: &str, resource_root: bool) -> Option<Sized> {
    if flag(schema, "x-kubernetes-int-or-string") {
        let size = number(schema, "maxLength").map_or(MAX_REQUEST - 2, |length| length.saturating_mul(4));
        return sized(Shape::simple(Type::Dyn).with_max_elements(size), 1);
    }
    match schema.get("type").and_then(Json::as_str)? {
        "array" => array(schema, name),
        "object" => match schema.get("additionalProperties").filter(|values| values.is_object()) {
            Some(values) => map(schema, values, name),
            None => object(schema, name, resource_root),
        },
        "string" => string(schema),
        "boolean" => sized(scalar(Type::Bool), MIN_BOOL),
        "number" => sized(scalar(Type::Double), MIN_NUMBER),
        "integer" => sized(scalar(Type::Int), MIN_NUMBER),
        _ => None,
    }
}

fn is_embedded(schema: &Json) -> bool {
    flag(schema, "x-kubernetes-embedded-resource")
}

fn array(schema: &Json, name: &str) -> Option<Sized> {
    let items = schema.get("items")?;
    let item = convert(items, &format!("{name}.@idx"), is_embedded(items))?;
    let count = number(schema, "maxItems").unwrap_or((MAX_REQUEST - 2) / (item.min_bytes + 1));
    let order = match schema.get("x-kubernetes-list-type").and_then(Json::as_str) {
        Some("set") => Order::Free,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Json::as_array).into_iter().flatten();
            Order::Keyed(keys.filter_map(Json::as_str).filter_map(escape).collect())
        }
        _ => Order::Matters,
    };
    sized(Shape::list(item.shape, count).with_order(order), MIN_COLLECTION)
}

fn map(schema: &Json, values: &Json, name: &str) -> Option<Sized> {
    let value = convert(values, &format!("{name}.@elem"), is_embedded(values))?;
    let count = number(schema, "maxProperties").unwrap_or((MAX_REQUEST - 2) / (value.min_bytes + 6));
    sized(Shape::map(scalar(Type::String), value.shape, count), MIN_COLLECTION)
}

fn object(schema: &Json, name: &str, resource_root: bool) -> Option<Sized> {
    let required: Vec<&str> =
        schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let mut fields: Vec<(String, Field)> = Vec::new();
    let mut min_bytes = MIN_COLLECTION;
    for (property, schema) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let escaped = escape(property);
        let path = format!("{name}.{}", escaped.as_deref().unwrap_or(property));
        let Some(value) = convert(schema, &path, is_embedded(schema)) else { continue };
        if required.contains(&property.as_str()) && schema.get("default").is_none() {
            min_bytes = min_bytes.saturating_add(property.len() as u64 + value.min_bytes + 4);
        }
        if let Some(escaped) = escaped {
            fields.push((escaped, Field { name: property.clone(), shape: Arc::new(value.shape) }));
        }
    }
    if resource_root {
        add_type_and_metadata(&mut fields, name, schema);
    }
    sized(Shape::object(name, fields), min_bytes)
}

/// What every resource has. Properties that the schema declares sufficiently stay as they are.
fn add_type_and_metadata(fields: &mut Vec<(String, Field)>, name: &str, schema: &Json) {
    let has = |path: &str, ty: &str| schema.pointer(path).and_then(Json::as_str) == Some(ty);
    let declared = has("/properties/kind/type", "string")
        && has("/properties/apiVersion/type", "string")
        && has("/properties/metadata/type", "object")
        && has("/properties/metadata/properties/name/type", "string")
        && has("/properties/metadata/properties/generateName/type", "string");
    if declared {
        return;
    }
    fields.retain(|(field, _)| !matches!(field.as_str(), "kind" | "apiVersion" | "metadata"));
    let field = |name: &str, shape: Shape| (name.to_owned(), Field { name: name.to_owned(), shape: Arc::new(shape) });
    let text = || Shape::simple(Type::String).with_max_elements(MAX_REQUEST - 2);
    let names = [field("name", text()), field("generateName", text())];
    fields.push(field("kind", text()));
    fields.push(field("apiVersion", text()));
    fields.push(field("metadata", Shape::object(&format!("{name}.metadata"), names)));
}

fn string(schema: &Json) -> Option<Sized> {
    let of = |ty: Type, size: u64, min_bytes: u64| sized(Shape::simple(ty).with_max_elements(size), min_bytes);
    let limit = number(schema, "maxLength");
    match schema.get("format").and_then(Json::as_str) {
        Some("byte") => of(Type::Bytes, limit.unwrap_or(MAX_REQUEST - 2), MIN_STRING),
        Some("duration") => of(Type::Duration, MAX_TIME, MIN_DURATION),
        Some("date") => of(Type::Timestamp, DATE, DATE),
        Some("date-time") => of(Type::Timestamp, MAX_TIME, MIN_DATE_TIME),
        _ => {
            let longest = || {
                let values = schema.get("enum").and_then(Json::as_array).filter(|values| !values.is_empty())?;
                Some(values.iter().filter_map(Json::as_str).map(str::len).max().unwrap_or(0) as u64)
            };
            // Limits count characters, of up to four bytes.
            let size = limit.map(|limit| limit.saturating_mul(4)).or_else(longest).unwrap_or(MAX_REQUEST - 2);
            of(Type::String, size, MIN_STRING)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::value_of;
    use crate::eval::Activation;
    use crate::value::Value;
    use crate::{Budget, Environment};

    struct Rule<'r> {
        document: &'r Json,
        old: &'r Json,
        shape: &'r Shape,
    }

    impl Activation for Rule<'_> {
        fn variable(&self, name: &str) -> Option<Value<'_>> {
            match name {
                "self" => Some(value_of(self.document, self.shape)),
                "oldSelf" => Some(value_of(self.old, self.shape)),
                _ => None,
            }
        }
    }

    fn schema() -> Json {
        json!({
            "type": "object",
            "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
                "size": {"type": "integer"},
                "ratio": {"type": "number"},
                "color": {"type": "string", "maxLength": 10},
                "namespace": {"type": "string"},
                "a-b": {"type": "string"},
                "port": {"x-kubernetes-int-or-string": true},
                "since": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3,
                    "x-kubernetes-list-type": "set"},
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {
                        "name": {"type": "string"}, "port": {"type": "integer"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }}},
        })
    }

    fn evaluate(rule: &str) -> Result<String, String> {
        let shape = shape_of_schema(&schema(), "selfType", true).expect("a shape");
        let document = json!({"apiVersion": "e/v1", "kind": "Widget", "metadata": {"name": "w", "uid": "u"}, "spec": {
            "size": 3, "ratio": 2, "color": "red", "namespace": "n", "a-b": "c", "port": "http",
            "since": "2023-01-01T00:00:00Z", "tags": ["a", "b"], "labels": {"a-b": "c"},
            "ports": [{"name": "x", "port": 1}, {"name": "y", "port": 2}]}});
        let old = json!({"spec": {"tags": ["b", "a"], "ports": [{"name": "y", "port": 2}, {"name": "x", "port": 1}]}});
        let environment =
            Environment::base().with_variable("self", shape.clone()).with_variable("oldSelf", shape.clone());
        let checked = environment
            .check(rule)
            .map_err(|issues| issues.iter().map(|issue| issue.message.clone()).collect::<Vec<_>>().join("; "))?;
        let program = checked.program().map_err(|fault| fault.to_string())?;
        let rule = Rule { document: &document, old: &old, shape: &shape };
        program.eval(&rule, &mut Budget::unlimited()).map(|value| value.to_string()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn rules_see_typed_documents() {
        for rule in [
            "self.metadata.name == 'w' && self.kind == 'Widget'",
            "self.spec.size > 2 && type(self.spec.size) == int && self.spec.ratio == 2.0",
            "self.spec.__namespace__ == 'n' && self.spec.a__dash__b == 'c'",
            "type(self.spec.port) == string && self.spec.port == 'http'",
            "self.spec.since < timestamp('2024-01-01T00:00:00Z')",
            "self.spec.tags == oldSelf.spec.tags && self.spec.ports == oldSelf.spec.ports",
            "(self.spec.tags + ['a', 'c']).size() == 3",
            "(self.spec.ports + [self.spec.ports[1]]).size() == 2",
            "self.spec.labels['a-b'] == 'c' && self.spec.labels.all(k, k.startsWith('a'))",
            "has(self.spec.color) && !has(oldSelf.spec.color) && oldSelf.spec.?color.orValue('x') == 'x'",
            "self.spec.ports.exists(p, p.name == 'x' && p.port == 1)",
        ] {
            assert_eq!(evaluate(rule), Ok("true".to_owned()), "{rule}");
        }
        for (rule, message) in [
            ("self.spec.missing", "undefined field 'missing'"),
            ("self.metadata.uid", "undefined field 'uid'"),
            ("oldSelf.spec.size == 1", "no such key: size"),
            ("self.spec.size == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ] {
            assert_eq!(evaluate(rule), Err(message.to_owned()), "{rule}");
        }
    }

    #[test]
    fn estimates_follow_the_limits_of_the_schema() {
        let shape = shape_of_schema(&schema(), "selfType", true).expect("a shape");
        let cost = |rule: &str| {
            let environment = Environment::base().with_variable("self", shape.clone());
            environment.check(rule).map(|checked| checked.max_cost()).unwrap_or(0)
        };
        // Three tags of five characters, four bytes each.
        assert_eq!(cost("self.spec.tags.all(t, t.contains('x'))"), 3 + 3 * (2 + 1 + 1 + 2) + 1);
        // A list without a limit: as many of the smallest elements as a request holds.
        assert_eq!(cost("self.spec.ports.all(p, true)"), 3 + (MAX_REQUEST - 2) / 3 * 3 + 1);
        assert_eq!(cost("self.spec.color == 'red'"), 3 + 1);
        // What is gone over here has no path, so that its elements count as `self` does: they are taken to be empty.
        let either = "(has(self.spec.tags) ? self.spec.tags : []).exists(t, t.contains('x'))";
        assert_eq!(cost(either), 12 + 3 * (3 + 1 + 1) + 1);
    }
}
