//! Lists that are sets or maps hold nothing twice.

use std::collections::HashMap;

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::{
    correlation::key_of,
    tree::{Additional, ListType, Node},
};

/// Every second appearance of an item in a set, or of a key in a list-map.
pub(super) fn errors(value: &Value, node: Node<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    walk(value, node, &Path::root(), &mut errors);
    errors
}

fn walk(value: &Value, node: Node<'_>, path: &Path, errors: &mut Vec<Error>) {
    if errors.len() >= super::ERRORS_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(_, member)| member.is_array() || member.is_object()) {
                match (node.property(name), node.additional()) {
                    (Some(property), _) => walk(member, property, &path.child(name), errors),
                    (None, Additional::Schema(values)) => walk(member, values, &path.key(name), errors),
                    (None, Additional::Any | Additional::None) => {}
                }
            }
        }
        Value::Array(items) => {
            match node.list_type() {
                ListType::Set => duplicates(items.iter().map(|item| (item.to_string(), item)), path, errors),
                ListType::Map(keys) => list_map(items, keys, path, errors),
                ListType::Atomic | ListType::Unset => {}
            }
            let Some(schema) = node.items() else { return };
            for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_array() || item.is_object()) {
                walk(item, schema, &path.index(at), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn list_map(items: &[Value], keys: &[Box<str>], path: &Path, errors: &mut Vec<Error>) {
    if let Some(at) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        errors.push(Error::invalid(&path.index(at), &items[at], "must be an object for an array of list-type map"));
        return;
    }
    let identities: Vec<Value> = items.iter().map(|item| key_of(item, keys)).collect();
    duplicates(identities.iter().map(|identity| (identity.to_string(), identity)), path, errors);
}

/// Reports the second appearance of each text, and no later one.
fn duplicates<'v>(items: impl Iterator<Item = (String, &'v Value)>, path: &Path, errors: &mut Vec<Error>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (at, (identity, shown)) in items.enumerate() {
        let times = seen.entry(identity).or_default();
        *times += 1;
        if *times == 2 && errors.len() < super::ERRORS_MAX {
            errors.push(Error::duplicate(&path.index(at), shown));
        }
    }
}
