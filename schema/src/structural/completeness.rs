//! What value validations at the root talk about must be declared outside of them. (Upstream looks at those of the root only.)

use machinery::field::{Error, Path};

use super::node::SchemaNode;

pub(super) fn check(root: SchemaNode<'_>, path: &Path, errors: &mut Vec<Error>) {
    combined(root, Some(root), path, path, errors);
}

/// `node` stands at `path` and is declared by `declared`, at `declared_path`.
fn combined(
    node: SchemaNode<'_>,
    declared: Option<SchemaNode<'_>>,
    declared_path: &Path,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    if let Some(not) = node.schema("not") {
        nested(not, declared, declared_path, &path.child("not"), errors);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (at, branch) in node.schemas(name) {
            nested(branch, declared, declared_path, &path.child(name).index(at), errors);
        }
    }
}

fn nested(
    node: SchemaNode<'_>,
    declared: Option<SchemaNode<'_>>,
    declared_path: &Path,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    let Some(declared) = declared else {
        errors.push(Error::required(declared_path, &format!("because it is defined in {path}")));
        return;
    };
    combined(node, Some(declared), declared_path, path, errors);
    if let Some(items) = node.schema("items") {
        nested(items, declared.schema("items"), &declared_path.child("items"), &path.child("items"), errors);
    }
    for (name, property) in node.schemas_by_name("properties") {
        let declared_path = declared_path.child("properties").key(name);
        let path = path.child("properties").key(name);
        nested(property, declared.property(name), &declared_path, &path, errors);
    }
}
