//! Schemas of the kinds that have a Rust type in `k8s-openapi`, completed with what that crate leaves out: how lists and
//! maps merge, and the values that Kubernetes shows where a document says nothing.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::merging::{ATOMIC_STRUCTS, ByPackage, FIELDS, Merging};
use super::zero_values::{DEFAULTS, EMPTY_OBJECTS, POINTERS, ZERO_VALUES};
use crate::definition::SchemaDocument;

/// Types that hold any value: pruning stops at them.
const OPAQUE: &[&str] = &[
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
];

/// Types that are a union JSON schema cannot prune; only their description is published, as upstream does.
const UNTYPED: &[&str] = &[
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
];

/// The schema of a Kubernetes type and of everything it refers to, under upstream's definition names
/// (`io.k8s.api.core.v1.Pod`). Made anew by every call.
pub fn schema_of<T: JsonSchema>() -> SchemaDocument {
    let mut document = SchemaDocument::of::<T>();
    if document.definitions.contains_key("io.k8s.api.core.v1.PodSpec") {
        document = crate::classic::pod::extend_pod(crate::k8srm::extend_pod(document));
    }
    complete_schema(document)
}

/// Puts the extensions and default values of every definition in.
pub(crate) fn complete_schema(mut document: SchemaDocument) -> SchemaDocument {
    for (name, definition) in &mut document.definitions {
        complete(name, definition);
    }
    document
}

/// Puts the extensions and default values of one definition in.
fn complete(name: &str, definition: &mut Value) {
    let Some(schema) = definition.as_object_mut() else { return };
    if OPAQUE.contains(&name) || UNTYPED.contains(&name) {
        if UNTYPED.contains(&name) {
            schema.retain(|member, _| member == "description");
        }
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    let (package, type_) = name.rsplit_once('.').unwrap_or(("", name));
    if in_package(ATOMIC_STRUCTS, package).any(|row| *row == type_) {
        schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (field, property) in properties {
        let Some(property) = property.as_object_mut() else { continue };
        let merging = in_package(FIELDS, package).find(|row| row.0 == type_ && row.1 == field).map(|row| &row.2);
        annotate(property, merging);
        if let Some(default) = default_of(package, type_, field, property, &required) {
            property.insert("default".to_owned(), default);
        }
    }
}

/// Packages whose types are those of another one: an older version that differs in nothing but its name.
const SAME_AS: [(&str, &str); 3] = [
    ("io.k8s.api.admissionregistration.v1alpha1", "io.k8s.api.admissionregistration.v1"),
    ("io.k8s.api.admissionregistration.v1beta1", "io.k8s.api.admissionregistration.v1"),
    ("io.k8s.api.networking.v1beta1", "io.k8s.api.networking.v1"),
];

/// The rows of one package in a table that is grouped by package.
pub(super) fn in_package<T>(table: ByPackage<T>, package: &str) -> impl Iterator<Item = &'static T> {
    let package = SAME_AS.iter().find(|(older, _)| *older == package).map_or(package, |(_, of)| of);
    table.iter().filter(move |(name, _)| *name == package).flat_map(|(_, rows)| rows.iter())
}

/// Writes how a property merges. A list about which the table says nothing is replaced whole.
fn annotate(property: &mut Map<String, Value>, merging: Option<&Merging>) {
    let is_list = property.get("type").and_then(Value::as_str) == Some("array");
    let atomic_list = if is_list { &Merging::AtomicList } else { return annotate_map(property, merging) };
    let (list_type, keys, strategy, merge_key) = match merging.unwrap_or(atomic_list) {
        Merging::Keyed(keys) => ("map", *keys, "merge", keys.first()),
        Merging::KeyedRetaining(keys) => ("map", *keys, "merge,retainKeys", keys.first()),
        Merging::KeyedApplyOnly(keys) => ("map", *keys, "", None),
        Merging::Set => ("set", &[][..], "", None),
        Merging::SetMerged => ("set", &[][..], "merge", None),
        Merging::AtomicMerged(key) => ("atomic", &[][..], "merge", Some(key)),
        _ => ("atomic", &[][..], "", None),
    };
    property.insert("x-kubernetes-list-type".to_owned(), list_type.into());
    if !keys.is_empty() {
        property.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
    }
    if !strategy.is_empty() {
        property.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
    }
    if let Some(key) = merge_key {
        property.insert("x-kubernetes-patch-merge-key".to_owned(), (*key).into());
    }
}

fn annotate_map(property: &mut Map<String, Value>, merging: Option<&Merging>) {
    let (extension, value) = match merging {
        Some(Merging::AtomicMap) => ("x-kubernetes-map-type", "atomic"),
        Some(Merging::GranularMap) => ("x-kubernetes-map-type", "granular"),
        Some(Merging::RetainKeys) => ("x-kubernetes-patch-strategy", "retainKeys"),
        Some(Merging::Replace) => ("x-kubernetes-patch-strategy", "replace"),
        _ => return,
    };
    property.insert(extension.to_owned(), value.into());
}

/// What a field reads as when a document leaves it out: Go writes members of struct type, and those without
/// `omitempty`, always.
fn default_of(
    package: &str,
    type_: &str,
    field: &str,
    property: &Map<String, Value>,
    required: &[String],
) -> Option<Value> {
    let here = |row: &&(&str, &str)| row.0 == type_ && row.1 == field;
    if in_package(POINTERS, package).any(|row| here(&row)) {
        return None;
    }
    if let Some((_, _, text)) = in_package(DEFAULTS, package).find(|row| row.0 == type_ && row.1 == field) {
        return serde_json::from_str(text).ok();
    }
    if property.contains_key("$ref") {
        let target = property.get("$ref").and_then(Value::as_str).unwrap_or_default();
        let always = matches!(field, "metadata" | "spec" | "status") && type_ != "CustomResourceSubresources";
        let is_object = !target.ends_with(".Time") && !target.ends_with(".MicroTime");
        return (is_object && (always || in_package(EMPTY_OBJECTS, package).any(|row| here(&row)))).then(|| json!({}));
    }
    if !required.iter().any(|name| name == field) && !in_package(ZERO_VALUES, package).any(|row| here(&row)) {
        return None;
    }
    match property.get("type").and_then(Value::as_str)? {
        "string" => Some("".into()),
        "integer" => Some(0.into()),
        "boolean" => Some(false.into()),
        _ => None,
    }
}
