//! What makes a schema structural.

use machinery::field::{Error, Path};
use serde_json::{Value, json};

use super::node::SchemaNode;
use crate::rules::compile;

/// Where in an object a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

pub(super) fn check(root: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    schema(root, Level::Root, path, errors);
}

fn schema(node: SchemaNode<'_>, level: Level, path: &Path, errors: &mut Vec<Error>) {
    let kind = node.text("type");
    let items = node.schema("items");
    // A list of schemas, as JSON Schema has it, is refused elsewhere.
    if kind == "array" && node.get("items").is_none_or(Value::is_null) {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if let Some(items) = items {
        schema(items, Level::Item, &path.child("items"), errors);
    }
    for (name, property) in node.schemas_by_name("properties") {
        schema(property, Level::Field, &path.child("properties").key(name), errors);
    }
    if node.raw("additionalProperties").is_some() {
        let at = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(Error::forbidden(&at, "must not be used at the root"));
        }
        if let Some(values) = node.additional() {
            schema(values, Level::Field, &at, errors);
        }
    }
    extensions(node, path, errors);
    let either = is_int_or_string_choice(node.get("anyOf"));
    let first_either =
        node.schemas("allOf").next().is_some_and(|(_, first)| is_int_or_string_choice(first.get("anyOf")));
    values(node, either, first_either, path, errors);
    types(node, level, path, errors);
    metadata(node, level, path, errors);
    let bare = !node.preserves_unknown_fields() && node.get("properties").is_none();
    if node.is_embedded() && bare {
        let detail =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&path.child("properties"), detail));
    }
}

fn extensions(node: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if node.is_int_or_string() && node.flag(name) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child(name), &Value::Bool(true), detail));
        }
    }
}

fn types(node: SchemaNode<'_>, level: Level, path: &Path, errors: &mut Vec<Error>) {
    let kind = node.text("type");
    let at = path.child("type");
    if node.is_embedded() && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            Error::required(&at, detail)
        } else {
            Error::invalid(&at, &kind.into(), detail)
        });
    } else if kind.is_empty() && !node.is_int_or_string() && !node.preserves_unknown_fields() {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if node.is_embedded() && node.raw("additionalProperties").is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, &kind.into(), "must be object at the root"));
    }
}

/// What a schema may say about the fields that every resource has.
fn metadata(node: SchemaNode<'_>, level: Level, path: &Path, errors: &mut Vec<Error>) {
    let resource = level == Level::Root || node.is_embedded();
    let properties = path.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(kind) =
            node.property(name).map(|property| property.text("type")).filter(|kind| resource && *kind != "string")
        {
            errors.push(Error::invalid(&properties.key(name).child("type"), &kind.into(), "must be string"));
        }
    }
    let Some(metadata) = node.property("metadata") else { return };
    let kind = metadata.text("type");
    if resource && kind != "object" {
        errors.push(Error::invalid(&properties.key("metadata").child("type"), &kind.into(), "must be object"));
    }
    if level != Level::Root {
        return;
    }
    let names_only = metadata.schemas_by_name("properties").all(|(name, _)| matches!(name, "name" | "generateName"));
    let nothing_else = metadata.present().all(|name| matches!(name, "type" | "default" | "properties"));
    if !names_only || !nothing_else {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(Error::forbidden(&properties.key("metadata"), detail));
    }
}

/// `[{type: integer}, {type: string}]`: the one place where types may stand inside of `anyOf`.
fn is_int_or_string_choice(branches: Option<&Value>) -> bool {
    branches == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

/// Checks the value validations of a schema. `either` skips `anyOf`, `first_either` the `anyOf` of the first of `allOf`.
fn values(node: SchemaNode<'_>, either: bool, first_either: bool, path: &Path, errors: &mut Vec<Error>) {
    if !either {
        for (at, branch) in node.schemas("anyOf") {
            nested(branch, false, &path.child("anyOf").index(at), errors);
        }
    }
    for (at, branch) in node.schemas("allOf") {
        nested(branch, first_either && at == 0, &path.child("allOf").index(at), errors);
    }
    for (at, branch) in node.schemas("oneOf") {
        nested(branch, false, &path.child("oneOf").index(at), errors);
    }
    if let Some(not) = node.schema("not") {
        nested(not, false, &path.child("not"), errors);
    }
    if let Some(error) = node.get("pattern").and_then(Value::as_str).and_then(|pattern| compile(pattern).err()) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(&path.child("pattern"), &node.text("pattern").into(), &detail));
    }
}

/// Checks a schema that may only restrict values.
fn nested(node: SchemaNode<'_>, either: bool, path: &Path, errors: &mut Vec<Error>) {
    values(node, either, false, path, errors);
    if let Some(items) = node.schema("items") {
        nested(items, false, &path.child("items"), errors);
    }
    for (name, property) in node.schemas_by_name("properties") {
        nested(property, false, &path.child("properties").key(name), errors);
    }
    const FORBIDDEN: [(&str, &str); 13] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (name, detail) in FORBIDDEN {
        let stands = if detail.contains("undefined") { node.raw(name) } else { node.get(name) };
        if stands.is_some() {
            errors.push(Error::forbidden(&path.child(name), detail));
        }
    }
    if node.property("metadata").is_some() {
        errors.push(Error::forbidden(
            &path.child("properties").key("metadata"),
            "must not be specified in a nested context",
        ));
    }
}
