//! What a version of a CustomResourceDefinition says beside its schema: columns, selectable fields and subresources.
//!
//! Upstream keeps what all versions have in common once for the definition, and its errors point there.

use std::collections::BTreeSet;

use machinery::field::{Error, Path};
use schema::{Schema, Type, structural};
use serde_json::Value;

use super::validation::{list, text};
use crate::catalog;

/// Most fields that a version may offer to field selectors: upstream's `MaxSelectableFields`.
const SELECTABLE_MAX: usize = 8;

/// Checks a member of a version: the version, the member and where it stands.
type Check = fn(&Value, &Value, &Path, &mut Vec<Error>);

/// Everything wrong with it.
pub(super) fn errors(crd: &Value, spec: &Path, errors: &mut Vec<Error>) {
    let checks: [(&str, Check); 3] = [
        ("subresources", |_, subresources, path, errors| scale_errors(subresources, path, errors)),
        ("additionalPrinterColumns", |_, columns, path, errors| column_errors(columns, path, errors)),
        ("selectableFields", selectable_errors),
    ];
    let versions = list(crd, "/spec/versions");
    for (member, check) in checks {
        let of = |version: &Value| version.get(member).cloned().unwrap_or_default();
        match versions {
            [first, others @ ..] if others.iter().all(|other| of(other) == of(first)) => {
                check(first, &of(first), &spec.child(member), errors);
            }
            _ => {
                let is_hoisted = member == "selectableFields" && has_common_schema(versions);
                for (index, version) in versions.iter().enumerate() {
                    let path = spec.child("versions").index(index).child(member);
                    if is_hoisted && !items(&of(version)).is_empty() {
                        // The versions have one schema, which is no longer theirs.
                        let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
                        errors.push(Error::invalid(&path, &"".into(), detail));
                        continue;
                    }
                    check(version, &of(version), &path, errors);
                }
            }
        }
    }
}

fn has_common_schema(versions: &[Value]) -> bool {
    versions.windows(2).all(|two| two[0].get("schema") == two[1].get("schema"))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Why a text is no path like `.spec.replicas`.
fn simple_path_error(path: &str) -> Option<&'static str> {
    (!path.starts_with('.')).then_some("must be a simple json path starting with .")
}

fn column_errors(columns: &Value, path: &Path, errors: &mut Vec<Error>) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    let one_of = |known: &[&str]| format!("must be one of {}", known.join(","));
    for (index, column) in items(columns).iter().enumerate() {
        let path = path.index(index);
        if text(column, "/name").is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        match text(column, "/type") {
            "" => errors.push(Error::required(&path.child("type"), &one_of(&TYPES))),
            known if TYPES.contains(&known) => {}
            other => errors.push(Error::invalid(&path.child("type"), &other.into(), &one_of(&TYPES))),
        }
        let format = text(column, "/format");
        if !format.is_empty() && !FORMATS.contains(&format) {
            errors.push(Error::invalid(&path.child("format"), &format.into(), &one_of(&FORMATS)));
        }
        let json_path = text(column, "/jsonPath");
        match simple_path_error(json_path) {
            _ if json_path.is_empty() => errors.push(Error::required(&path.child("JSONPath"), "")),
            Some(why) => errors.push(Error::invalid(&path.child("JSONPath"), &json_path.into(), why)),
            None => {}
        }
    }
}

fn scale_errors(subresources: &Value, path: &Path, errors: &mut Vec<Error>) {
    let Some(scale) = subresources.get("scale").filter(|scale| scale.is_object()) else { return };
    let path = path.child("scale");
    let mut check = |member: &str, below: &[&str], optional: bool, why: &str| {
        let given = text(scale, &format!("/{member}"));
        let path = path.child(member);
        if given.is_empty() {
            if !optional {
                errors.push(Error::required(&path, ""));
            }
        } else if let Some(why) = simple_path_error(given) {
            errors.push(Error::invalid(&path, &given.into(), why));
        } else if !below.iter().any(|prefix| given.starts_with(prefix)) {
            errors.push(Error::invalid(&path, &given.into(), why));
        }
    };
    check("specReplicasPath", &[".spec."], false, "should be a json path under .spec");
    check("statusReplicasPath", &[".status."], false, "should be a json path under .status");
    let either = "should be a json path under either .spec or .status";
    check("labelSelectorPath", &[".status.", ".spec."], true, either);
}

fn selectable_errors(version: &Value, fields: &Value, path: &Path, errors: &mut Vec<Error>) {
    if items(fields).is_empty() {
        return;
    }
    let Some(open_api) = version.pointer("/schema/openAPIV3Schema").filter(|schema| !schema.is_null()) else {
        let detail = "may only be set when validations.schema is included";
        return errors.push(Error::invalid(path, &"".into(), detail));
    };
    // What is wrong with the schema is told elsewhere.
    let Ok(object_meta) = catalog::object_meta() else { return };
    let Ok(schema) = Schema::from_custom(open_api, object_meta) else { return };
    let mut seen = BTreeSet::new();
    for (index, field) in items(fields).iter().enumerate() {
        let path = path.index(index).child("jsonPath");
        let given = text(field, "/jsonPath");
        if given.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        if given.contains('[') {
            let detail = "is an invalid path: array notation is not allowed";
            errors.push(Error::invalid(&path, &given.into(), detail));
            continue;
        }
        let found = structural::field_path(given, schema.root());
        let (field_path, node) = match found {
            Ok(found) => found,
            Err(why) => {
                errors.push(Error::invalid(&path, &given.into(), &format!("is an invalid path: {why}")));
                continue;
            }
        };
        if field_path.as_str() == "metadata" || field_path.as_str().starts_with("metadata.") {
            let detail = "is an invalid path: does not refer to a valid field";
            errors.push(Error::invalid(&path, &given.into(), detail));
            continue;
        }
        if !matches!(node.type_(), Type::String | Type::Boolean | Type::Integer) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                          formats are allowed.";
            errors.push(Error::invalid(&path, &given.into(), detail));
        }
        if !seen.insert(field_path.as_str().to_owned()) {
            errors.push(Error::duplicate(&path, &given.into()));
        }
    }
    if seen.len() > SELECTABLE_MAX {
        errors.push(Error::too_many(path, seen.len(), SELECTABLE_MAX));
    }
}
