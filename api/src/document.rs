//! Schema documents of Rust types.
//!
//! `schemars` describes what serde accepts; Kubernetes' documents differ in a few habits, which are put right here:
//! an optional member is not nullable, integers carry no bounds that only restate their width, and facts about lists
//! and maps that a Rust type cannot carry are written in.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::definition::SchemaDocument;

/// How two lists (or maps) of one field merge: what server-side apply and strategic merge patch need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFact {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Entries told apart by these members.
    Map(&'static [&'static str]),
    /// Entries told apart by one member, which strategic merge patch uses too.
    Merge(&'static str),
    /// A map or object that is replaced as a whole.
    AtomicMap,
}

impl SchemaDocument {
    /// The document of a Rust type: its definition under `T::schema_name()` and everything that it refers to.
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

    /// Writes a list fact at a field of the definition that ends in `.<type_name>`. A fact about a field that is not
    /// there is ignored: versions of one kind share their facts, and not every version has every field.
    #[must_use]
    pub fn with_facts(mut self, prefix: &str, facts: &[(&str, &str, ListFact)]) -> Self {
        for (type_name, field, fact) in facts {
            if let Some(schema) = self.property_mut(&format!("{prefix}{type_name}"), field) {
                annotate(schema, *fact);
            }
        }
        self
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

    fn property_mut(&mut self, definition: &str, property: &str) -> Option<&mut Map<String, Value>> {
        self.definitions.get_mut(definition)?.get_mut("properties")?.get_mut(property)?.as_object_mut()
    }
}

fn annotate(schema: &mut Map<String, Value>, fact: ListFact) {
    let mut set = |key: &str, value: Value| {
        schema.insert(key.to_owned(), value);
    };
    match fact {
        ListFact::Atomic => set("x-kubernetes-list-type", json!("atomic")),
        ListFact::Set => set("x-kubernetes-list-type", json!("set")),
        ListFact::AtomicMap => set("x-kubernetes-map-type", json!("atomic")),
        ListFact::Map(keys) => {
            set("x-kubernetes-list-type", json!("map"));
            set("x-kubernetes-list-map-keys", json!(keys));
        }
        ListFact::Merge(key) => {
            set("x-kubernetes-list-type", json!("map"));
            set("x-kubernetes-list-map-keys", json!([key]));
            set("x-kubernetes-patch-merge-key", json!(key));
            set("x-kubernetes-patch-strategy", json!("merge"));
        }
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
    use super::*;

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
        let document = SchemaDocument::of::<Outer>().with_facts("test.", &[("Outer", "names", ListFact::Set)]);
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
                            "x-kubernetes-list-type": "set",
                        },
                        "on": {"description": "A switch.", "type": "boolean"},
                    },
                },
            })
        );
    }

    #[test]
    fn renaming_follows_references() {
        let document = SchemaDocument::of::<Outer>().renamed("test.", "other.v2.");
        assert_eq!(document.root, "other.v2.Outer");
        assert_eq!(document.definitions["other.v2.Outer"]["properties"]["inner"]["$ref"], "#/$defs/other.v2.Inner");
        assert_eq!(document.definitions.len(), 2);
    }
}
