//! Embedded resources say what they are.

use machinery::{
    field::{Error, Path},
    label,
    names::{dns1035_label_errors, split_api_version},
};
use serde_json::{Map, Value};

use crate::tree::{Additional, Node};

/// Checks every embedded resource below `value`; the resource at the root is checked elsewhere.
pub(super) fn check_below(value: &Value, node: Node<'_>, path: &Path, errors: &mut Vec<Error>) {
    if errors.len() >= super::ERRORS_MAX || node.data().typed {
        return;
    }
    match value {
        Value::Object(members) => {
            if node.is_embedded_resource() {
                resource(members, path, errors);
            }
            for (name, member) in members.iter().filter(|(_, member)| member.is_array() || member.is_object()) {
                match (node.property(name), node.additional()) {
                    (Some(property), _) => check_below(member, property, &path.child(name), errors),
                    (None, Additional::Schema(values)) => check_below(member, values, &path.key(name), errors),
                    (None, Additional::Any | Additional::None) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = node.items() else { return };
            for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_array() || item.is_object()) {
                check_below(item, schema, &path.index(at), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn resource(members: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    for name in ["apiVersion", "kind"] {
        let at = path.child(name);
        match members.get(name) {
            None => errors.push(Error::required(&at, "")),
            Some(value @ Value::String(text)) if text.is_empty() => {
                errors.push(Error::invalid(&at, value, "must not be empty"))
            }
            Some(value @ Value::String(text)) => {
                let wrong = if name == "kind" { kind_error(text) } else { split_api_version(text).err() };
                errors.extend(wrong.map(|wrong| Error::invalid(&at, value, &wrong)));
            }
            Some(other) => errors.push(Error::invalid(&at, other, "must be a string")),
        }
    }
    if let Some(metadata) = members.get("metadata") {
        label_errors(metadata, &path.child("metadata"), errors);
    }
}

/// Labels of an embedded resource are labels.
fn label_errors(metadata: &Value, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("labels");
    let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
    for (key, value) in labels {
        errors.extend(label::key_errors(key).iter().map(|why| Error::invalid(&path, &key.as_str().into(), why)));
        let wrong = label::value_errors(value.as_str().unwrap_or_default());
        errors.extend(wrong.iter().map(|why| Error::invalid(&path, value, why)));
    }
}

fn kind_error(kind: &str) -> Option<String> {
    let wrong = dns1035_label_errors(&kind.to_lowercase());
    (!wrong.is_empty()).then(|| format!("may have mixed case, but should otherwise match: {}", wrong.join(",")))
}
