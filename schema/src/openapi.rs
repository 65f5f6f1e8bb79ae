//! Schemas as OpenAPI documents publish them, for clients like kubectl.
//!
//! The input is what schemas are loaded from, because a loaded schema carries no descriptions. The output is the content of
//! `components.schemas` (v3) or `definitions` (v2), without the paths.

mod built_in;
mod custom;

use machinery::names::GroupVersionKind;
use serde_json::{Map, Value, json};

pub use built_in::definitions;
pub use custom::custom;

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// OpenAPI 2.0 (Swagger).
    V2,
    /// OpenAPI 3.0.
    V3,
}

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const LIST_METADATA: &str = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

impl Version {
    /// What a reference to the definition `name` looks like, with what is said beside it.
    pub fn reference(self, name: &str, mut beside: Map<String, Value>) -> Value {
        let target = json!(match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        });
        match self {
            // OpenAPI 3.0 ignores what stands beside a reference.
            Self::V3 if !beside.is_empty() => beside.insert("allOf".to_owned(), json!([{"$ref": target}])),
            Self::V2 | Self::V3 => beside.insert("$ref".to_owned(), target),
        };
        Value::Object(beside)
    }

    fn described_reference(self, name: &str, description: &str) -> Value {
        self.reference(name, described(description))
    }
}

fn described(description: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("description".to_owned(), description.into());
    members
}

fn described_text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// Says which kinds a schema describes (`x-kubernetes-group-version-kind`): how kubectl finds it.
pub fn mark_kinds(schema: &mut Value, kinds: &[GroupVersionKind]) {
    let kinds: Vec<Value> =
        kinds.iter().map(|kind| json!({"group": kind.group, "kind": kind.kind, "version": kind.version})).collect();
    if let Value::Object(members) = schema {
        members.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds));
    }
}

/// The schema of a list. `item` and `list_meta` name definitions.
pub fn list(version: Version, list: &GroupVersionKind, kind: &str, plural: &str, item: &str, list_meta: &str) -> Value {
    let more = "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
    let mut schema = json!({
        "description": format!("{} is a list of {kind}", list.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": described_text(API_VERSION),
            "kind": described_text(KIND),
            "metadata": version.described_reference(list_meta, LIST_METADATA),
            "items": {
                "type": "array",
                "description": format!("List of {plural}. {more}"),
                "items": version.reference(item, Map::new()),
            },
        },
    });
    mark_kinds(&mut schema, std::slice::from_ref(list));
    schema
}

/// The name under which a kind of a CRD is published: the group reversed, version, kind.
pub fn custom_name(kind: &GroupVersionKind) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').rev().collect();
    parts.extend([kind.version.as_str(), kind.kind.as_str()]);
    parts.join(".")
}
