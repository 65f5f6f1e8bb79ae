//! Schemas that tests share: a small Pod as generated bindings describe it, and a CRD's Widget.

use serde_json::{Map, Value, json};

use crate::Schema;

fn definition(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// Definitions of [`pod`].
pub(crate) fn pod_definitions() -> Map<String, Value> {
    let text = json!({"type": "string"});
    let quantities =
        json!({"type": "object", "additionalProperties": definition("io.k8s.apimachinery.pkg.api.resource.Quantity")});
    let definitions = json!({
        "io.k8s.api.core.v1.Pod": {
            "description": "A pod.", "type": "object", "required": ["metadata"],
            "properties": {
                "apiVersion": text, "kind": text,
                "metadata": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "description": "Standard metadata."},
                "spec": {"$ref": "#/$defs/io.k8s.api.core.v1.PodSpec", "default": {}},
                "status": {"type": ["object", "null"], "properties": {
                    "startTime": definition("io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
                    "token": {"type": "string", "format": "byte"},
                }},
            },
        },
        "io.k8s.api.core.v1.PodSpec": {
            "type": "object", "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array", "items": definition("io.k8s.api.core.v1.Container"),
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
                },
                "priority": {"type": "integer", "format": "int32"},
                "hostNetwork": {"type": "boolean"},
                "nodeSelector": {"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"},
            },
        },
        "io.k8s.api.core.v1.Container": {
            "type": "object", "required": ["name"],
            "properties": {
                "name": text, "image": text,
                "args": {"type": "array", "items": text},
                "resources": {"type": "object", "properties": {"limits": quantities}},
                "port": definition("io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
            },
        },
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
            "type": "object",
            "properties": {
                "name": text, "generateName": text, "namespace": text,
                "labels": {"type": "object", "additionalProperties": text},
                "creationTimestamp": definition("io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
                "finalizers": {"type": "array", "items": text, "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"},
                "managedFields": {"type": "array", "items": {"type": "object", "properties": {"fieldsV1": {"type": "object"}}}},
            },
        },
        "io.k8s.apimachinery.pkg.api.resource.Quantity": {"x-kubernetes-int-or-string": true},
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": true},
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time": {"type": "string", "format": "date-time"},
    });
    definitions.as_object().cloned().unwrap_or_default()
}

/// A small Pod.
pub(crate) fn pod() -> Schema {
    Schema::from_definitions("io.k8s.api.core.v1.Pod", pod_definitions()).expect("the fixture loads")
}

/// The small Pod's metadata.
pub(crate) fn object_meta() -> Schema {
    let root = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    Schema::from_definitions(root, pod_definitions()).expect("the fixture loads")
}

/// A custom resource.
pub(crate) fn widget() -> Schema {
    let part = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    custom(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "color": {"type": "string", "default": "red"},
                "note": {"type": "string", "nullable": true},
                "nested": {"type": "object", "default": {}, "properties": {"level": {"type": "integer", "default": 3}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": part}},
                "map": {"type": "object", "additionalProperties": part},
                "loose": {"type": "object", "additionalProperties": true},
                "parts": {"type": "array", "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "weight": {"type": "integer", "default": 10},
                }}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            }},
        },
    }))
}

/// Any custom resource.
pub(crate) fn custom(open_api: &Value) -> Schema {
    Schema::from_custom(open_api, &object_meta()).expect("the fixture loads")
}
