//! `node.k8s.io/v1`.

use std::collections::HashSet;

use k8s_openapi::api::node::v1 as api;

use machinery::field::{Error, Path};
use machinery::names;
use serde_json::Value;

use super::column::{age, name, text};
use super::formats::{labels, quantity_not_negative, required_name};
use super::node_labels;
use super::pod::tolerations;
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::check::immutable;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("node.k8s.io", "RuntimeClass", "runtimeclasses")
            .cluster()
            .version("v1", schema_of::<api::RuntimeClass>, columns())
            .rules(Rules {
                takes_bare_finalizers: true,
                unconditional_update: false,
                create_on_update: true,
                validate,
                warnings: |class, _| {
                    let labels = pointer::members(class, "/scheduling/nodeSelector").map(|(label, _)| label);
                    let messages = labels.filter_map(node_labels::deprecated);
                    messages.map(|message| format!("scheduling.nodeSelector: {message}")).collect()
                },
                validate_change: |class, old| {
                    let mut errors = Vec::new();
                    immutable(&mut errors, &Path::new("handler"), class.get("handler"), old.get("handler"));
                    errors
                },
                ..Rules::PLAIN
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Handler", "Configuration of the container runtime.", |object, _| {
            pointer::text(object, "/handler").into()
        }),
        age(),
    ]
}

fn validate(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let handler = pointer::text(class, "/handler");
    required_name(&mut errors, &Path::new("handler"), handler, names::dns1123_label_errors);
    for (resource, value) in pointer::members(class, "/overhead/podFixed") {
        let path = Path::new("overhead").child("podFixed").key(resource);
        quantity_not_negative(&mut errors, &path, value);
    }
    let path = Path::new("scheduling");
    labels(&mut errors, &path.child("nodeSelector"), class, "/scheduling/nodeSelector");
    let path = path.child("tolerations");
    tolerations(&mut errors, &path, class.get("scheduling").unwrap_or(&Value::Null));
    unique_tolerations(&mut errors, &path, pointer::list(class, "/scheduling/tolerations"));
    errors
}

/// A toleration that stands twice, as upstream's internal type, whose members begin with capitals.
fn unique_tolerations(errors: &mut Errors, path: &Path, all: &[Value]) {
    let mut known = HashSet::new();
    for (index, toleration) in all.iter().enumerate() {
        if known.insert(toleration) {
            continue;
        }
        let [key, operator, value, effect] = ["key", "operator", "value", "effect"]
            .map(|member| Value::from(pointer::text(toleration, &format!("/{member}"))));
        let seconds = toleration.get("tolerationSeconds").unwrap_or(&Value::Null);
        let shown = format!(
            "{{\"Key\":{key},\"Operator\":{operator},\"Value\":{value},\"Effect\":{effect},\"TolerationSeconds\":{seconds}}}"
        );
        errors.push(Error::duplicate_shown(&path.index(index), &shown, ""));
    }
}
