//! Defaults must be values that the schema accepts.

use machinery::field::{Error, ErrorKind, Path};
use serde_json::{Map, Value};

use super::node::SchemaNode;
use crate::{Schema, tree::Node};

pub(super) fn check(
    open_api: &Value,
    root: SchemaNode<'_>,
    path: &Path,
    object_meta: &Schema,
    errors: &mut Vec<Error>,
) {
    // Too deep to load is reported elsewhere.
    let Ok(schema) = Schema::from_custom(open_api, object_meta) else { return };
    if let Some(default) = root.raw("default") {
        // It would be a whole object.
        let missing = ["apiVersion", "kind"].into_iter().filter(|member| default.get(member).is_none());
        errors.extend(missing.map(|member| Error::required(&path.child("default").child(member), "")));
    }
    walk(root, schema.root(), path, errors);
}

fn walk(written: SchemaNode<'_>, node: Node<'_>, path: &Path, errors: &mut Vec<Error>) {
    if let Some(default) = written.raw("default") {
        one(default, node, &path.child("default"), errors);
    }
    if let (Some(items), Some(node)) = (written.schema("items"), node.items()) {
        walk(items, node, &path.child("items"), errors);
    }
    for (name, property) in written.schemas_by_name("properties") {
        if let Some(node) = node.property(name) {
            walk(property, node, &path.child("properties").key(name), errors);
        }
    }
}

fn one(default: &Value, node: Node<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mut pruned = default.clone();
    node.prune(&mut pruned);
    if pruned != *default {
        errors.push(Error::invalid(path, default, "must not have unknown fields"));
    }
    // That items of sets are unique is looked at in objects alone.
    for mut error in node.validate(default, None).into_iter().filter(|error| error.kind != ErrorKind::Duplicate) {
        // What is relative to the value becomes relative to the schema.
        let below = error.path.as_str();
        error.path = match below {
            "" => path.clone(),
            _ if below.starts_with('[') => Path::new(&format!("{path}{below}")),
            _ => path.child(below),
        };
        errors.push(error);
    }
    if node.is_embedded_resource() {
        metadata(default, node, path, errors);
    }
}

/// The metadata of a default for an embedded resource must decode.
fn metadata(default: &Value, node: Node<'_>, path: &Path, errors: &mut Vec<Error>) {
    let (Some(metadata), Some(node)) = (default.get("metadata"), node.property("metadata")) else { return };
    let mut wrapped = Map::new();
    wrapped.insert("metadata".to_owned(), metadata.clone());
    if let Err(error) = node.decode(&mut metadata.clone()) {
        errors.push(Error::invalid(&path.child("metadata"), &Value::Object(wrapped), &error.to_string()));
    }
}
