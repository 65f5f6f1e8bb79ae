//! Pods made from templates, and templates compared.

use std::sync::Arc;

use cluster::kind;
use machinery::meta;
use serde_json::{Map, Value, json};

use crate::action::{Action, Tell};

/// The label with the hash of the template from which a pod of a deployment was made.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";

/// A pod as a template has it, controlled by `reference`; without a name, and without being created yet.
pub(super) fn pod(template: &Value, namespace: &str, reference: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("namespace".to_owned(), json!(namespace));
    for member in ["labels", "annotations", "finalizers"] {
        let value = &template["metadata"][member];
        if !value.is_null() {
            metadata.insert(member.to_owned(), value.clone());
        }
    }
    metadata.insert("ownerReferences".to_owned(), json!([reference]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// Sets a label of an object.
pub(super) fn set_label(object: &mut Value, label: &str, value: &str) {
    set_in(object, "labels", label, value);
}

/// Sets an annotation of an object.
pub(super) fn set_annotation(object: &mut Value, annotation: &str, value: &str) {
    set_in(object, "annotations", annotation, value);
}

fn set_in(object: &mut Value, map: &str, key: &str, value: &str) {
    let Some(metadata) = meta::metadata_mut(object) else { return };
    let entry = metadata.entry(map).or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    if let Some(entries) = entry.as_object_mut() {
        entries.insert(key.to_owned(), json!(value));
    }
}

/// Creates a pod for a workload, and tells what came of it as the pod control of kube-controller-manager does.
pub(super) fn create(pod: Value, about: &Arc<Value>, component: &'static str) -> Action {
    let tell = Tell {
        about: about.clone(),
        component,
        done: ("SuccessfulCreate", "Created pod: {}".to_owned()),
        failed: ("FailedCreate", "Error creating: {}".to_owned()),
    };
    Action::Create { kind: kind::POD, object: pod, tell: Some(tell) }
}

/// Deletes a pod of a workload, and tells what came of it likewise.
pub(super) fn delete(pod: &Arc<Value>, about: &Arc<Value>, component: &'static str) -> Action {
    let tell = Tell {
        about: about.clone(),
        component,
        done: ("SuccessfulDelete", "Deleted pod: {}".to_owned()),
        failed: ("FailedDelete", "Error deleting: {}".to_owned()),
    };
    Action::Delete { kind: kind::POD, object: pod.clone(), grace: None, tell: Some(tell) }
}

/// Whether two templates say the same, the label with the hash aside.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

/// A template without its hash, and without members that say nothing.
fn normal(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    prune(&mut template);
    template
}

fn prune(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, member| !is_empty(member));
        if metadata.is_empty() {
            drop(value.as_object_mut().map(|members| members.remove("metadata")));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_compared_without_their_hash() {
        let one = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}});
        let hashed = json!({
            "metadata": {"labels": {"a": "b", TEMPLATE_HASH: "x"}, "creationTimestamp": null}, "spec": {"containers": []},
        });
        assert!(is_same(&one, &hashed));
        assert!(!is_same(&one, &json!({"metadata": {"labels": {"a": "c"}}, "spec": {"containers": []}})));
        assert!(!is_same(&one, &json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [], "x": 1}})));
    }
}
