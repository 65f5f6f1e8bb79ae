//! Schemas of CRDs, in OpenAPI.

use machinery::names::GroupVersionKind;
use serde_json::{Map, Value, json};

use super::{API_VERSION, KIND, METADATA, Version, described_text, mark_kinds};

const EMBEDDED_API_VERSION: &str = "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const EMBEDDED_KIND: &str = "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The schema of a kind made by a CRD. `open_api` is the CRD's `openAPIV3Schema`; `object_meta` names the definition of ObjectMeta.
pub fn custom(version: Version, open_api: &Value, kind: &GroupVersionKind, object_meta: &str) -> Value {
    let mut schema = if version == Version::V2 && preserves(open_api.as_object()) {
        // kubectl takes properties of a v2 schema for all there are.
        json!({"type": "object"})
    } else {
        let mut schema = publish(version, open_api, object_meta);
        let resource = [
            ("apiVersion", described_text(API_VERSION)),
            ("kind", described_text(KIND)),
            ("metadata", version.described_reference(object_meta, METADATA)),
        ];
        set_properties(&mut schema, resource);
        Value::Object(schema)
    };
    mark_kinds(&mut schema, std::slice::from_ref(kind));
    schema
}

fn preserves(schema: Option<&Map<String, Value>>) -> bool {
    schema.is_some_and(|schema| is_true(schema, "x-kubernetes-preserve-unknown-fields"))
}

fn is_true(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn set_properties(schema: &mut Map<String, Value>, added: [(&str, Value); 3]) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.extend(added.map(|(name, property)| (name.to_owned(), property)));
    }
}

fn publish(version: Version, schema: &Value, object_meta: &str) -> Map<String, Value> {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    if version == Version::V2 {
        reduce(&mut schema);
    } else if is_true(&schema, "x-kubernetes-int-or-string")
        && !schema.contains_key("anyOf")
        && !schema.contains_key("allOf")
    {
        schema.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = Value::Object(publish(version, property, object_meta));
        }
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = schema.get_mut(child).filter(|child| child.is_object()) {
            *child = Value::Object(publish(version, child, object_meta));
        }
    }
    let open = preserves(Some(&schema)) && version == Version::V2;
    if is_true(&schema, "x-kubernetes-embedded-resource") && !open {
        let resource = [
            ("apiVersion", described_text(EMBEDDED_API_VERSION)),
            ("kind", described_text(EMBEDDED_KIND)),
            ("metadata", version.described_reference(object_meta, METADATA)),
        ];
        set_properties(&mut schema, resource);
        let required = schema.entry("required").or_insert_with(|| json!([]));
        if let Value::Array(required) = required {
            for name in ["kind", "apiVersion"] {
                if !required.iter().any(|known| known == name) {
                    required.push(name.into());
                }
            }
        }
    }
    schema
}

/// Drops what OpenAPI 2 cannot say, and what kubectl misreads there.
fn reduce(schema: &mut Map<String, Value>) {
    for name in ["allOf", "anyOf", "default", "oneOf", "not"] {
        schema.remove(name);
    }
    let nullable = schema.remove("nullable") == Some(Value::Bool(true));
    let open = preserves(Some(schema));
    if nullable || open {
        schema.remove("items");
        schema.remove("properties");
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if nullable || (kind == "array" && !schema.contains_key("items")) || (kind == "object" && open) {
        schema.remove("type");
    }
    let is_nullable = |child: &Value| child.get("nullable") == Some(&Value::Bool(true));
    let optional: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, property)| is_nullable(property))
        .map(|(name, _)| name.clone())
        .collect();
    let open_values = schema.get("additionalProperties").is_some_and(is_nullable);
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| {
            !open_values && name.as_str().is_some_and(|name| !optional.iter().any(|other| other == name))
        });
        if required.is_empty() {
            schema.remove("required");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::{custom_name, list};

    fn widget() -> GroupVersionKind {
        GroupVersionKind::new("ex.io", "v1", "Widget")
    }

    #[test]
    fn custom_kinds_are_published_as_upstream_does() {
        let source = json!({"type": "object", "required": ["spec"], "properties": {"spec": {
            "type": "object",
            "required": ["note", "size"],
            "properties": {
                "size": {"type": "integer", "oneOf": [{"minimum": 1}]},
                "note": {"type": "string", "nullable": true},
                "port": {"x-kubernetes-int-or-string": true},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            },
        }}});
        let v3 = custom(Version::V3, &source, &widget(), "Meta");
        assert_eq!(
            v3["x-kubernetes-group-version-kind"],
            json!([{"group": "ex.io", "kind": "Widget", "version": "v1"}])
        );
        assert_eq!(v3["properties"]["metadata"]["allOf"], json!([{"$ref": "#/components/schemas/Meta"}]));
        let spec = &v3["properties"]["spec"];
        assert_eq!(spec["properties"]["port"]["anyOf"], json!([{"type": "integer"}, {"type": "string"}]));
        assert_eq!(spec["properties"]["size"], json!({"type": "integer", "oneOf": [{"minimum": 1}]}));
        assert_eq!(spec["properties"]["template"]["required"], json!(["kind", "apiVersion"]));
        let v2 = custom(Version::V2, &source, &widget(), "Meta");
        let spec = &v2["properties"]["spec"];
        assert_eq!(spec["required"], json!(["size"]));
        assert_eq!(spec["properties"]["size"], json!({"type": "integer"}));
        assert_eq!(spec["properties"]["note"], json!({}));
        assert_eq!(spec["properties"]["free"], json!({"x-kubernetes-preserve-unknown-fields": true}));
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(custom(Version::V2, &open, &widget(), "Meta").get("properties"), None);
    }

    #[test]
    fn lists_name_their_items() {
        assert_eq!(custom_name(&widget()), "io.ex.v1.Widget");
        let kind = GroupVersionKind::new("ex.io", "v1", "WidgetList");
        let schema = list(Version::V3, &kind, "Widget", "widgets", "io.ex.v1.Widget", "ListMeta");
        assert_eq!(schema["properties"]["items"]["items"], json!({"$ref": "#/components/schemas/io.ex.v1.Widget"}));
        assert_eq!(schema["description"], "WidgetList is a list of Widget");
    }
}
