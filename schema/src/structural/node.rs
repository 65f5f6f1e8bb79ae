//! A JSON schema as a CRD writes it, read member by member.

use machinery::limits::DOCUMENT_DEPTH_MAX;
use serde_json::{Map, Value};

/// One schema object.
#[derive(Clone, Copy)]
pub(super) struct SchemaNode<'v>(&'v Map<String, Value>);

impl<'v> SchemaNode<'v> {
    pub(super) fn of(value: &'v Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// A member that is there and not a zero value: Go drops `false`, `""`, empty lists and empty objects.
    pub(super) fn get(self, name: &str) -> Option<&'v Value> {
        self.0.get(name).filter(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty() || matches!(name, "items" | "not" | "additionalProperties"),
            Value::Bool(true) | Value::Number(_) => true,
        })
    }

    /// A member as written, zero value or not.
    pub(super) fn raw(self, name: &str) -> Option<&'v Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Names of the members that are no zero values.
    pub(super) fn present(self) -> impl Iterator<Item = &'v str> {
        self.0.keys().map(String::as_str).filter(move |name| self.get(name).is_some())
    }

    pub(super) fn text(self, name: &str) -> &'v str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn flag(self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// The schema in a member.
    pub(super) fn schema(self, name: &str) -> Option<Self> {
        self.get(name).and_then(Self::of)
    }

    /// The schemas in a list, each with its index.
    pub(super) fn schemas(self, name: &str) -> impl Iterator<Item = (usize, Self)> + use<'v> {
        let list = self.0.get(name).and_then(Value::as_array).into_iter().flatten();
        list.enumerate().filter_map(|(at, value)| Some((at, Self::of(value)?)))
    }

    /// The schemas in a map, by name.
    pub(super) fn schemas_by_name(self, name: &str) -> impl Iterator<Item = (&'v str, Self)> + use<'v> {
        let members = self.0.get(name).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.as_str(), Self::of(value)?)))
    }

    /// The schema of a property.
    pub(super) fn property(self, name: &str) -> Option<Self> {
        self.0.get("properties")?.get(name).and_then(Self::of)
    }

    /// `additionalProperties` as a schema.
    pub(super) fn additional(self) -> Option<Self> {
        self.schema("additionalProperties")
    }

    pub(super) fn preserves_unknown_fields(self) -> bool {
        self.flag("x-kubernetes-preserve-unknown-fields")
    }

    pub(super) fn is_embedded(self) -> bool {
        self.flag("x-kubernetes-embedded-resource")
    }

    pub(super) fn is_int_or_string(self) -> bool {
        self.flag("x-kubernetes-int-or-string")
    }
}

/// True when a document nests deeper than documents may.
pub(super) fn too_deep(value: &Value) -> bool {
    fn beyond(value: &Value, left: usize) -> bool {
        let Some(left) = left.checked_sub(1) else { return true };
        match value {
            Value::Array(items) => items.iter().any(|item| beyond(item, left)),
            Value::Object(members) => members.values().any(|member| beyond(member, left)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    beyond(value, DOCUMENT_DEPTH_MAX)
}

/// The first member anywhere in the structural part of a schema that no structural schema can have.
pub(super) fn unsupported(schema: SchemaNode<'_>) -> Option<&'static str> {
    const NAMES: [(&str, &str); 7] = [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"),
        ("additionalItems", "additionalItems"),
        ("definitions", "definitions"),
    ];
    let here = NAMES.iter().find(|(json, _)| schema.get(json).is_some()).map(|(_, shown)| *shown);
    here.or_else(|| {
        let combined =
            ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|name| schema.schemas(name).map(|(_, one)| one));
        let children = schema.schema("not").into_iter().chain(schema.schema("items")).chain(schema.additional());
        let properties = schema.schemas_by_name("properties").map(|(_, property)| property);
        combined.chain(children).chain(properties).find_map(unsupported)
    })
}
