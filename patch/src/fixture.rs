//! The schema that tests share: a small Pod, and a Deployment-like kind.

use schema::Schema;
use serde_json::{Value, json};

fn list_of(items: Value, keys: &[&str], merge_key: &str) -> Value {
    json!({
        "type": "array", "items": items,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
        "x-kubernetes-patch-merge-key": merge_key, "x-kubernetes-patch-strategy": "merge",
    })
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// A struct that Go always writes.
fn always(name: &str) -> Value {
    json!({"allOf": [refer(name)], "default": {}})
}

/// A small Pod as generated bindings describe it.
pub(crate) fn pod() -> Schema {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let set = json!({"type": "array", "items": text, "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"});
    let definitions = json!({
        "v1.Pod": {"type": "object", "properties": {
            "apiVersion": text, "kind": text,
            "metadata": always("v1.ObjectMeta"), "spec": always("v1.PodSpec"),
            "status": {"type": "object", "properties": {"phase": text, "message": text}},
        }},
        "v1.ObjectMeta": {"type": "object", "properties": {
            "name": text, "namespace": text, "resourceVersion": text, "uid": text, "generation": {"type": "integer"},
            "creationTimestamp": {"type": "string", "format": "date-time"},
            "labels": texts, "annotations": texts, "finalizers": set,
            "managedFields": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "object"}},
        }},
        "v1.PodSpec": {"type": "object", "properties": {
            "containers": list_of(refer("v1.Container"), &["name"], "name"),
            "volumes": {
                "type": "array", "items": refer("v1.Volume"),
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge,retainKeys",
            },
            "nodeSelector": {"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"},
            "tolerations": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "object", "properties": {"key": text}}},
            "selector": {"allOf": [refer("v1.Selector")], "x-kubernetes-patch-strategy": "replace"},
            "strategy": {"allOf": [refer("v1.Strategy")], "default": {}, "x-kubernetes-patch-strategy": "retainKeys"},
            "replicas": {"type": "integer", "format": "int32"},
        }},
        "v1.Container": {"type": "object", "properties": {
            "name": text, "image": text, "args": {"type": "array", "items": text, "x-kubernetes-list-type": "atomic"},
            "ports": list_of(refer("v1.ContainerPort"), &["containerPort", "protocol"], "containerPort"),
            "env": list_of(json!({"type": "object", "properties": {"name": text, "value": text}}), &["name"], "name"),
        }},
        "v1.ContainerPort": {"type": "object", "properties": {
            "name": text, "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
        }},
        "v1.Volume": {"type": "object", "properties": {
            "name": text, "emptyDir": {"type": "object"}, "hostPath": {"type": "object", "properties": {"path": text}},
        }},
        "v1.Selector": {"type": "object", "properties": {"matchLabels": texts}},
        "v1.Strategy": {"type": "object", "properties": {"type": text, "rollingUpdate": {"type": "object", "properties": {"maxSurge": {"type": "integer"}}}}},
    });
    let definitions = definitions.as_object().expect("an object");
    Schema::from_definitions("v1.Pod", definitions.clone()).expect("the fixture loads")
}
