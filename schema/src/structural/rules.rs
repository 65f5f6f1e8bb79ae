//! What a schema of a CRD may say, structural or not.

use machinery::field::{Error, Path};
use serde_json::{Value, json};

use super::{field_path::find, node::SchemaNode};
use crate::rules::texts;

/// The surroundings of a schema.
#[derive(Clone, Copy)]
struct Context {
    /// Why no default may stand here; `None` where one may.
    no_defaults: Option<&'static str>,
    inside_metadata: bool,
}

pub(super) fn check(root: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    schema(root, true, Context { no_defaults: None, inside_metadata: false }, path, errors);
}

fn schema(node: SchemaNode<'_>, is_root: bool, context: Context, path: &Path, errors: &mut Vec<Error>) {
    standard(node, context, path, errors);
    if node.flag("uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), detail));
    }
    additional(node, context, path, errors);
    for (name, property) in node.schemas_by_name("properties") {
        let mut context = context;
        if (is_root || node.is_embedded()) && matches!(name, "metadata" | "apiVersion" | "kind") {
            context.inside_metadata = true;
            if is_root {
                context.no_defaults = Some(match name {
                    "metadata" => "in top-level metadata",
                    "apiVersion" => "in top-level apiVersion",
                    _ => "in top-level kind",
                });
            }
        }
        schema(property, false, context, &path.child("properties").key(name), errors);
    }
    if let Some(not) = node.schema("not") {
        schema(not, false, context, &path.child("not"), errors);
    }
    for name in ["allOf", "oneOf", "anyOf"] {
        for (at, branch) in node.schemas(name) {
            schema(branch, false, context, &path.child(name).index(at), errors);
        }
    }
    if let Some(items) = node.schema("items") {
        schema(items, false, context, &path.child("items"), errors);
    }
    if node.raw("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&at, &Value::Bool(false), "must be true or undefined"));
    }
    map_type(node, path, errors);
    list_type(node, path, errors);
    map_keys(node, path, errors);
    validations(node, path, errors);
}

/// What OpenAPI v3 as CRDs use it does not have.
fn standard(node: SchemaNode<'_>, context: Context, path: &Path, errors: &mut Vec<Error>) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let kind = node.text("type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), &kind.into(), &TYPES));
    }
    if let (Some(_), Some(reason)) = (node.raw("default"), context.no_defaults) {
        errors.push(Error::forbidden(&path.child("default"), &format!("must not be set {reason}")));
    }
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if node.get(name).is_some() {
            errors.push(Error::forbidden(&path.child(name), &format!("{name} is not supported")));
        }
    }
    if kind == "null" {
        errors
            .push(Error::forbidden(&path.child("type"), "type cannot be set to null, use nullable as an alternative"));
    }
    if node.get("items").is_some_and(Value::is_array) {
        errors.push(Error::forbidden(&path.child("items"), "items must be a schema object and not an array"));
    }
    if context.inside_metadata && node.is_embedded() {
        let at = path.child("x-kubernetes-embedded-resource");
        errors.push(Error::forbidden(&at, "must not be used inside of resource meta"));
    }
}

fn additional(node: SchemaNode<'_>, context: Context, path: &Path, errors: &mut Vec<Error>) {
    let Some(allowed) = node.raw("additionalProperties") else { return };
    let at = path.child("additionalProperties");
    if node.get("properties").is_some() && allowed != &Value::Bool(true) {
        errors.push(Error::forbidden(&at, "additionalProperties and properties are mutual exclusive"));
    }
    if let Some(values) = node.additional() {
        let mut context = context;
        if context.inside_metadata {
            context.no_defaults = Some("inside additionalProperties applying to object metadata");
        }
        schema(values, false, context, &at, errors);
    }
}

/// The error about a type that an extension asks for.
fn wrong_type(node: SchemaNode<'_>, path: &Path, detail: &str) -> Error {
    let kind = node.text("type");
    let at = path.child("type");
    if kind.is_empty() { Error::required(&at, detail) } else { Error::invalid(&at, &kind.into(), detail) }
}

fn map_type(node: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    let Some(map_type) = node.raw("x-kubernetes-map-type").and_then(Value::as_str) else { return };
    if node.text("type") != "object" {
        errors.push(wrong_type(node, path, "must be object if x-kubernetes-map-type is specified"));
    }
    if !matches!(map_type, "atomic" | "granular") {
        let at = path.child("x-kubernetes-map-type");
        errors.push(Error::not_supported(&at, &map_type.into(), &["atomic", "granular"]));
    }
}

fn list_type(node: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    let at = path.child("x-kubernetes-list-type");
    let list_type = node.raw("x-kubernetes-list-type").and_then(Value::as_str);
    let has_keys = node.get("x-kubernetes-list-map-keys").is_some();
    let Some(list_type) = list_type else {
        if has_keys {
            errors.push(Error::required(&at, "must be map if x-kubernetes-list-map-keys is non-empty"));
        }
        return;
    };
    if node.text("type") != "array" {
        errors.push(wrong_type(node, path, "must be array if x-kubernetes-list-type is specified"));
    } else if let (Some(items), "set") = (node.schema("items"), list_type) {
        set_items(items, &path.child("items"), errors);
    }
    if !matches!(list_type, "atomic" | "set" | "map") {
        errors.push(Error::not_supported(&at, &list_type.into(), &["atomic", "set", "map"]));
    }
    if has_keys && list_type != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(Error::invalid(&at, &list_type.into(), detail));
    }
}

/// Items of a set are compared as one value.
fn set_items(items: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list_type = items.raw("x-kubernetes-list-type").cloned().unwrap_or_default();
    match items.text("type") {
        "array" if !list_type.is_null() && list_type != "atomic" => {
            errors.push(Error::invalid(&path.child("x-kubernetes-list-type"), &list_type, detail));
        }
        "object" if items.text("x-kubernetes-map-type") != "atomic" => {
            errors.push(Error::invalid(&path.child("x-kubernetes-map-type"), &list_type, detail));
        }
        _ => {}
    }
}

fn map_keys(node: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    let list_type = node.text("x-kubernetes-list-type");
    let keys = texts(node.raw("x-kubernetes-list-map-keys"));
    let at = path.child("x-kubernetes-list-map-keys");
    let items_path = path.child("items");
    let Some(items) = node.schema("items") else {
        if list_type == "map" {
            if keys.is_empty() {
                errors.push(Error::required(&at, "must not be empty if x-kubernetes-list-type is map"));
            }
            errors.push(Error::required(&items_path, "must have a schema if x-kubernetes-list-type is map"));
        }
        return;
    };
    if list_type == "map" {
        if keys.is_empty() {
            errors.push(Error::required(&at, "must not be empty if x-kubernetes-list-type is map"));
        }
        let kind = items.text("type");
        if kind == "object" {
            keys_of_items(items, &keys, &at, &items_path, errors);
        } else {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            errors.push(Error::invalid(&items_path.child("type"), &kind.into(), detail));
        }
    }
    if matches!(list_type, "set" | "map") {
        if items.flag("nullable") {
            let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
            errors.push(Error::forbidden(&items_path.child("nullable"), &detail));
        }
        if list_type == "map" {
            keys_are_set(items, &keys, &items_path, errors);
        }
    }
}

fn keys_of_items(items: SchemaNode<'_>, keys: &[Box<str>], at: &Path, items_path: &Path, errors: &mut Vec<Error>) {
    for (index, key) in keys.iter().enumerate() {
        match items.property(key) {
            Some(property) if matches!(property.text("type"), "array" | "object") => {
                let path = items_path.child("properties").key(key).child("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(Error::invalid(&path, &items.text("type").into(), detail));
            }
            Some(_) => {}
            None => errors.push(Error::invalid(at, &json!(keys), "entries must all be names of item properties")),
        }
        if keys.iter().take(index).any(|before| before == key) {
            errors.push(Error::invalid(at, &json!(keys), "must not contain duplicate entries"));
        }
    }
}

/// A key is always there: required, or with a default, and never null.
fn keys_are_set(items: SchemaNode<'_>, keys: &[Box<str>], items_path: &Path, errors: &mut Vec<Error>) {
    let required = texts(items.raw("required"));
    for key in keys {
        let Some(property) = items.property(key) else { continue };
        let path = items_path.child("properties").key(key);
        if !required.contains(key) && property.raw("default").is_none() {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&path.child("default"), detail));
        }
        if property.flag("nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&path.child("nullable"), detail));
        }
    }
}

/// The form of CEL rules.
fn validations(node: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let at = path.child("x-kubernetes-validations");
    for (index, entry) in node.schemas("x-kubernetes-validations") {
        let at = at.index(index);
        let (rule, message) = (entry.text("rule").trim(), entry.text("message"));
        let breaks = |text: &str| text.contains(['\n', '\r']);
        if rule.is_empty() {
            errors.push(Error::required(&at.child("rule"), "rule is not specified"));
        } else if !message.is_empty() && message.trim().is_empty() {
            errors.push(Error::invalid(&at.child("message"), &message.into(), "must be non-empty if specified"));
        } else if breaks(message.trim()) {
            errors.push(Error::invalid(&at.child("message"), &message.into(), "must not contain line breaks"));
        } else if breaks(rule) && message.trim().is_empty() {
            errors
                .push(Error::required(&at.child("message"), "message must be specified if rule contains line breaks"));
        }
        let expression = entry.text("messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(Error::required(&at.child("messageExpression"), detail));
        }
        if let Some(reason) =
            entry.raw("reason").filter(|reason| reason.as_str().is_some_and(|text| !REASONS.contains(&text)))
        {
            errors.push(Error::not_supported(&at.child("reason"), reason, &REASONS));
        }
        let field = entry.text("fieldPath");
        if field.is_empty() {
            continue;
        }
        let at = at.child("fieldPath");
        if field.trim().is_empty() {
            errors.push(Error::invalid(&at, &field.into(), "must be non-empty if specified"));
        }
        if breaks(field) {
            errors.push(Error::invalid(&at, &field.into(), "must not contain line breaks"));
        }
        if find(field, node).is_err() {
            errors.push(Error::invalid(&at, &field.into(), "must be a valid path"));
        }
    }
}
