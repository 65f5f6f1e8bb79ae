//! Turns what `schemars` writes (JSON Schema 2020-12) into what OpenAPI v3 documents of Kubernetes look like.
//!
//! Optional fields are not nullable, an enum with documented variants is one `enum`, a Rust enum of structs is one object
//! whose members are all optional, and unsigned formats become `int32`/`int64`. A default that is a zero value is kept: it says that
//! Go always writes the member.

use serde_json::{Map, Value, json};

const DEPTH_MAX: usize = machinery::limits::DOCUMENT_DEPTH_MAX;

/// Members of a JSON schema that OpenAPI v3 as Kubernetes uses it does not know.
const DROPPED: [&str; 13] = [
    "$schema",
    "$defs",
    "$id",
    "$comment",
    "title",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "unevaluatedProperties",
    "contentEncoding",
    "contentMediaType",
    "propertyNames",
];

/// The normal form of one definition. References become `#/components/schemas/<name>`.
pub(crate) fn normalize(name: &str, definition: Value) -> Map<String, Value> {
    let mut schema = normal(definition, 0);
    if name.ends_with(".JSON") {
        // Declared an object by generated bindings; in truth any JSON.
        schema.remove("type");
    }
    schema
}

/// The definition that a reference names.
pub(crate) fn referenced(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

fn normal(schema: Value, depth: usize) -> Map<String, Value> {
    let Value::Object(mut schema) = schema else {
        return free_form(schema != Value::Bool(false));
    };
    if depth > DEPTH_MAX {
        return free_form(true);
    }
    let is_dropped = |name: &String| DROPPED.contains(&name.as_str());
    if schema.keys().any(is_dropped) {
        schema.retain(|name, _| !is_dropped(name));
    }
    if let Some(name) = referenced(&schema) {
        let reference = format!("#/components/schemas/{name}");
        schema.insert("$ref".to_owned(), Value::String(reference));
    }
    single_type(&mut schema);
    constant(&mut schema);
    alternatives(&mut schema, depth);
    unsigned(&mut schema);
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::Array(tuple)) = schema.remove("prefixItems") {
        let alike = tuple.first().filter(|first| tuple.iter().all(|item| item == *first)).cloned();
        schema.insert("items".to_owned(), alike.unwrap_or(Value::Bool(true)));
    }
    children(&mut schema, depth);
    metadata_is_optional(&mut schema);
    schema
}

fn free_form(anything: bool) -> Map<String, Value> {
    let mut schema = Map::new();
    if anything {
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    schema
}

/// `["string", "null"]` is `string`; `["integer", "string"]` is an int-or-string; other unions have no type.
fn single_type(schema: &mut Map<String, Value>) {
    if schema.get("type") == Some(&Value::String("null".to_owned())) {
        schema.remove("type");
    }
    let Some(Value::Array(types)) = schema.get_mut("type") else { return };
    types.retain(|one| one != "null");
    match types.as_slice() {
        [only] => {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
        [one, other] if (one == "integer" && other == "string") || (one == "string" && other == "integer") => {
            schema.remove("type");
            schema.insert("x-kubernetes-int-or-string".to_owned(), Value::Bool(true));
        }
        _ => {
            schema.remove("type");
        }
    }
}

fn constant(schema: &mut Map<String, Value>) {
    if let Some(value) = schema.remove("const") {
        if value.is_string() {
            schema.entry("type").or_insert_with(|| "string".into());
        }
        schema.insert("enum".to_owned(), Value::Array(vec![value]));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// Resolves `anyOf`, `oneOf` and `allOf` as far as they say something about structure.
fn alternatives(schema: &mut Map<String, Value>, depth: usize) {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = schema.remove(keyword) else { continue };
        let mut branches: Vec<_> =
            branches.into_iter().filter(|branch| !is_null(branch)).map(|branch| normal(branch, depth + 1)).collect();
        if keyword == "allOf" || branches.len() == 1 {
            branches.into_iter().for_each(|branch| absorb(schema, branch));
        } else if branches.iter().all(|branch| branch.contains_key("enum") && type_of(branch) == "string") {
            one_enumeration(schema, branches);
        } else if is_int_or_string(&branches) {
            schema.insert("x-kubernetes-int-or-string".to_owned(), Value::Bool(true));
        } else if branches.iter().all(|branch| type_of(branch) == "object" && !branch.contains_key("$ref")) {
            one_object(schema, branches);
        } else if !branches.is_empty() {
            branches.iter_mut().for_each(|branch| drop(branch.remove("description")));
            schema.insert("oneOf".to_owned(), Value::Array(branches.into_iter().map(Value::Object).collect()));
        }
    }
}

fn type_of(schema: &Map<String, Value>) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_null(branch: &Value) -> bool {
    branch.get("type").is_some_and(|kind| kind == "null") || branch.get("const").is_some_and(Value::is_null)
}

fn is_int_or_string(branches: &[Map<String, Value>]) -> bool {
    branches.len() == 2
        && ["integer", "string"].iter().all(|kind| branches.iter().any(|branch| type_of(branch) == *kind))
}

/// Takes over what `branch` says and `schema` does not.
fn absorb(schema: &mut Map<String, Value>, branch: Map<String, Value>) {
    for (name, value) in branch {
        match (schema.get_mut(&name), value) {
            (Some(Value::Object(into)), Value::Object(from)) if name == "properties" => into.extend(from),
            (Some(Value::Array(into)), Value::Array(from)) if name == "required" => into.extend(from),
            (Some(_), _) => {}
            (None, value) => drop(schema.insert(name, value)),
        }
    }
}

/// `oneOf` of constants with descriptions becomes one `enum`; the descriptions join the schema's, as upstream writes them.
fn one_enumeration(schema: &mut Map<String, Value>, branches: Vec<Map<String, Value>>) {
    let mut values = Vec::new();
    let mut notes = String::new();
    for branch in &branches {
        let described = branch.get("description").and_then(Value::as_str);
        for value in branch.get("enum").and_then(Value::as_array).into_iter().flatten() {
            if let Some(text) = described {
                notes.push_str(&format!("\n - `{value}` {}", text.replace('\n', " ")));
            }
            values.push(value.clone());
        }
    }
    if !notes.is_empty() {
        let mut description = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        schema.insert("description".to_owned(), format!("{description}Possible enum values:{notes}").into());
    }
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), Value::Array(values));
}

/// A choice between structs becomes one struct with all their members; required is what all of them require.
fn one_object(schema: &mut Map<String, Value>, branches: Vec<Map<String, Value>>) {
    let required_by = |branch: &Map<String, Value>| -> Vec<Value> {
        branch.get("required").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut common: Option<Vec<Value>> = None;
    for branch in &branches {
        let here = required_by(branch);
        common = Some(match common {
            None => here,
            Some(before) => before.into_iter().filter(|name| here.contains(name)).collect(),
        });
    }
    let mut properties = Map::new();
    for branch in branches {
        let Some(Value::Object(members)) = branch.get("properties").cloned() else { continue };
        for (name, mut member) in members {
            if let Some(text) = branch.get("description")
                && let Value::Object(member) = &mut member
            {
                member.entry("description").or_insert_with(|| text.clone());
            }
            merge_member(&mut properties, name, member);
        }
    }
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    object.insert("properties".to_owned(), Value::Object(properties));
    if let Some(common) = common.filter(|common| !common.is_empty()) {
        object.insert("required".to_owned(), Value::Array(common));
    }
    absorb(schema, object);
}

/// Adds a member of one branch; a tag that several branches have collects their constants.
fn merge_member(properties: &mut Map<String, Value>, name: String, member: Value) {
    let Some(known) = properties.get_mut(&name) else {
        properties.insert(name, member);
        return;
    };
    let added = member.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(Value::Array(values)) = known.get_mut("enum") {
        values.extend(added);
    }
}

/// Go APIs have no unsigned numbers on the wire.
fn unsigned(schema: &mut Map<String, Value>) {
    let signed = match schema.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "int8" | "int16") => "int32",
        Some("uint32" | "uint64" | "uint" | "int") => "int64",
        _ => return,
    };
    schema.insert("format".to_owned(), signed.into());
    schema.remove("minimum");
    schema.remove("maximum");
}

fn children(schema: &mut Map<String, Value>, depth: usize) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (_, property) in properties.iter_mut() {
            *property = Value::Object(normal(property.take(), depth + 1));
        }
    }
    if let Some(items) = schema.get_mut("items") {
        *items = Value::Object(normal(items.take(), depth + 1));
    }
    match schema.get_mut("additionalProperties") {
        Some(Value::Bool(allowed)) => {
            let only_free = !*allowed || !schema.contains_key("properties");
            if only_free {
                schema.remove("additionalProperties");
            }
        }
        Some(values) => *values = Value::Object(normal(values.take(), depth + 1)),
        None => {}
    }
}

/// Bindings call `metadata` required because their type is not optional; the API does not.
fn metadata_is_optional(schema: &mut Map<String, Value>) {
    let is_kind =
        schema.get("properties").is_some_and(|all| all.get("apiVersion").is_some() && all.get("kind").is_some());
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        if is_kind {
            required.retain(|name| name != &json!("metadata"));
        }
        if required.is_empty() {
            schema.remove("required");
        }
    }
}
