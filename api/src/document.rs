//! Schema documents of Rust types.
//!
//! `schemars` describes what serde accepts; Kubernetes' documents differ in a few habits, which are put right here:
//! an optional member is not nullable, and integers carry no bounds that only restate their width.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::definition::SchemaDocument;

impl SchemaDocument {
    /// The document of a Rust type: its definition under `T::schema_name()` and everything that it refers to. It says
    /// nothing about how lists merge; `builtin::schema_of` adds that.
    pub fn of<T: JsonSchema>() -> Self {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        // The reference is not needed: making it is what puts the type among the definitions.
        let _ = generator.subschema_for::<T>();
        let root = T::schema_name().into_owned();
        let mut definitions = generator.take_definitions(true);
        definitions.values_mut().for_each(tidy);
        if let Some(required) =
            definitions.get_mut(&root).and_then(|schema| schema.get_mut("required")).and_then(Value::as_array_mut)
        {
            required.retain(|name| name != "metadata");
        }
        Self { root, definitions }
    }

    /// Adds a property to a definition, unless it has it.
    #[must_use]
    pub fn with_property(mut self, definition: &str, name: &str, schema: Value) -> Self {
        if let Some(properties) = self
            .definitions
            .get_mut(definition)
            .and_then(|definition| definition.get_mut("properties"))
            .and_then(Value::as_object_mut)
        {
            properties.entry(name).or_insert(schema);
        }
        self
    }

    /// Adds a definition, unless there is one of that name.
    #[must_use]
    pub fn with_definition(mut self, name: &str, schema: Value) -> Self {
        self.definitions.entry(name).or_insert(schema);
        self
    }

    /// Renames every definition that starts with `from`, and the references to it.
    #[must_use]
    pub fn renamed(self, from: &str, to: &str) -> Self {
        let rename = |name: &str| match name.strip_prefix(from) {
            Some(rest) => format!("{to}{rest}"),
            None => name.to_owned(),
        };
        let definitions = self
            .definitions
            .into_iter()
            .map(|(name, mut schema)| {
                rename_references(&mut schema, &rename);
                (rename(&name), schema)
            })
            .collect();
        Self { root: rename(&self.root), definitions }
    }
}

const REFERENCE_PREFIX: &str = "#/$defs/";

fn rename_references(schema: &mut Value, rename: &impl Fn(&str) -> String) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(REFERENCE_PREFIX)
            {
                *reference = format!("{REFERENCE_PREFIX}{}", rename(name));
            }
            members.values_mut().for_each(|member| rename_references(member, rename));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, rename)),
        _ => {}
    }
}

/// Turns what schemars writes for `Option` and for integer types into Kubernetes' habits, all the way down.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            drop_null(members);
            if members.get("default").is_some_and(is_zero) {
                members.remove("default");
            }
            if members.get("type").and_then(Value::as_str) == Some("integer") {
                members.remove("minimum");
                members.remove("maximum");
            }
            // The members of `properties` are fields, not keywords.
            for (keyword, member) in members.iter_mut() {
                match (keyword.as_str(), member) {
                    ("properties", Value::Object(fields)) => fields.values_mut().for_each(tidy),
                    ("description" | "required" | "enum" | "default" | "example", _) => {}
                    (_, other) => tidy(other),
                }
            }
        }
        _ => {}
    }
}

/// True for what `#[serde(default)]` writes as the default of most fields: Kubernetes leaves such fields out instead.
fn is_zero(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// `{"type": ["string", "null"]}` becomes `{"type": "string"}`, `{"anyOf": [X, {"type": "null"}]}` becomes X.
fn drop_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if types.len() == 1 {
            let only = types.remove(0);
            members.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(alternatives)) = members.get_mut("anyOf") else { return };
    alternatives.retain(|alternative| alternative.get("type").and_then(Value::as_str) != Some("null"));
    if alternatives.len() == 1 {
        let only = alternatives.remove(0);
        members.remove("anyOf");
        if let Value::Object(only) = only {
            for (key, value) in only {
                members.entry(key).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde_json::json;

    use super::*;
    use crate::builtin::schema_of;

    #[derive(JsonSchema)]
    #[schemars(rename = "test.Inner")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Inner {
        /// How many.
        count: Option<i64>,
    }

    #[derive(JsonSchema)]
    #[schemars(rename = "test.Outer")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Outer {
        /// The inner one.
        inner: Option<Inner>,
        /// Names.
        names: Option<Vec<String>>,
        /// A switch.
        #[serde(default)]
        on: bool,
    }

    #[test]
    fn optional_members_are_not_nullable() {
        let document = schema_of::<Outer>();
        assert_eq!(document.root, "test.Outer");
        assert_eq!(
            Value::Object(document.definitions),
            json!({
                "test.Inner": {
                    "type": "object",
                    "properties": {"count": {"description": "How many.", "type": "integer", "format": "int64"}},
                },
                "test.Outer": {
                    "type": "object",
                    "properties": {
                        "inner": {"description": "The inner one.", "$ref": "#/$defs/test.Inner"},
                        "names": {
                            "description": "Names.",
                            "type": "array",
                            "items": {"type": "string"},
                            "x-kubernetes-list-type": "atomic",
                        },
                        "on": {"description": "A switch.", "type": "boolean"},
                    },
                },
            })
        );
    }

    #[test]
    fn renaming_follows_references() {
        let document = schema_of::<Outer>().renamed("test.", "other.v2.");
        assert_eq!(document.root, "other.v2.Outer");
        let inner = &document.definitions["other.v2.Outer"]["properties"]["inner"];
        assert_eq!(inner["$ref"], "#/$defs/other.v2.Inner");
        assert_eq!(document.definitions.len(), 2);
    }
}
