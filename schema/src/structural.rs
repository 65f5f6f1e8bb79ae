//! Whether the `openAPIV3Schema` of a CRD may be one: the rules of apiextensions' validation, in its words.
//!
//! A structural schema says the type of everything outside of `allOf`, `anyOf`, `oneOf` and `not`; those only restrict values.
//! CEL rules are checked for form here; compiling them is the work of who knows CEL.

mod completeness;
mod defaults;
mod field_path;
mod invariants;
mod node;
mod rules;

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::Schema;
pub use field_path::{FieldPathError, field_path};
use node::SchemaNode;

/// Members of a schema that may stand at its root beside a status subresource: what can be split off as the schema of `status`
/// loses nothing by it. As upstream's Go field names and as JSON.
const WITH_STATUS: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];

/// Everything wrong with an `openAPIV3Schema`. `path` is that of the member which holds it (`spec.versions[0].schema`, or
/// `spec.validation`). `status_subresource` says whether the version has one. `object_meta` is the schema of `ObjectMeta`.
pub fn errors(open_api: &Value, path: &Path, status_subresource: bool, object_meta: &Schema) -> Vec<Error> {
    let Some(root) = SchemaNode::of(open_api) else { return Vec::new() };
    let schema_path = path.child("openAPIV3Schema");
    let mut errors = Vec::new();
    if node::too_deep(open_api) {
        let detail = format!("must not nest deeper than {} levels", machinery::limits::DOCUMENT_DEPTH_MAX);
        return vec![Error::forbidden(&schema_path, &detail)];
    }
    if status_subresource {
        errors.extend(with_status(root, open_api, path));
    }
    if root.flag("nullable") {
        errors.push(Error::forbidden(&path.child("openAPIV3Schema.nullable"), "nullable cannot be true at the root"));
    }
    let unsupported = node::unsupported(root);
    if unsupported.is_none() {
        let mut structural = Vec::new();
        invariants::check(root, &schema_path, &mut structural);
        completeness::check(root, &schema_path, &mut structural);
        structural.sort_by_cached_key(Error::to_string);
        if structural.is_empty() {
            defaults::check(open_api, root, &schema_path, object_meta, &mut structural);
        }
        errors.extend(structural);
    }
    rules::check(root, &schema_path, &mut errors);
    if let Some(name) = unsupported.filter(|_| errors.is_empty()) {
        errors.push(Error::invalid(
            &schema_path,
            &Value::from(""),
            &format!("OpenAPIV3Schema '{name}' is not supported"),
        ));
    }
    errors
}

fn with_status(root: SchemaNode<'_>, open_api: &Value, path: &Path) -> Option<Error> {
    let kind = root.text("type");
    if !kind.is_empty() && kind != "object" {
        let detail =
            r#"only "object" is allowed as the type at the root of the schema if the status subresource is enabled"#;
        return Some(Error::invalid(&path.child("openAPIV3Schema.type"), &kind.into(), detail));
    }
    let stray = root.present().find(|name| WITH_STATUS.iter().all(|(_, json)| json != name));
    stray.map(|_| {
        let names: Vec<&str> = WITH_STATUS.iter().map(|(go, _)| *go).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        Error::invalid(&path.child("openAPIV3Schema"), open_api, &detail)
    })
}

#[cfg(test)]
mod tests;
