//! Definitions of Rust types, in OpenAPI.

use serde_json::{Map, Value, json};

use super::Version;
use crate::normalize::{normalize, referenced};

/// Every definition, as OpenAPI writes it. `definitions` are as `schemars` writes them.
pub fn definitions(version: Version, definitions: &Map<String, Value>) -> Map<String, Value> {
    let emit = |(name, definition): (&String, &Value)| {
        let mut schema = normalize(name, definition.clone());
        if name.starts_with("io.k8s.api") {
            // What may be anything says so to us alone.
            schema.remove("x-kubernetes-preserve-unknown-fields");
        }
        let value = if name.ends_with(".Quantity") {
            quantity(version, &mut schema);
            Value::Object(schema)
        } else {
            publish(version, schema)
        };
        (name.clone(), value)
    };
    definitions.iter().map(emit).collect()
}

fn publish(version: Version, mut schema: Map<String, Value>) -> Value {
    if version == Version::V2 {
        // Upstream prunes them from its v2 document.
        schema.remove("default");
    }
    if let Some(name) = referenced(&schema).map(str::to_owned) {
        schema.remove("$ref");
        return version.reference(&name, schema);
    }
    if schema.remove("x-kubernetes-int-or-string").is_some() {
        schema.insert("format".to_owned(), "int-or-string".into());
        match version {
            Version::V2 => schema.insert("type".to_owned(), "string".into()),
            Version::V3 => schema.insert("oneOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}])),
        };
        return Value::Object(schema);
    }
    // What is left of a choice says more than these documents can: upstream publishes no type there.
    schema.remove("oneOf");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(|property| publish_in_place(version, property));
    }
    for child in ["items", "additionalProperties"] {
        if let Some(Value::Object(child)) = schema.get_mut(child)
            && let Some(zero) = zero_value(child)
        {
            child.insert("default".to_owned(), zero);
        }
        if let Some(child) = schema.get_mut(child) {
            publish_in_place(version, child);
        }
    }
    Value::Object(schema)
}

/// What an item or a value is for Go when nothing is said: the zero value of its type. Types that write themselves have none.
fn zero_value(schema: &Map<String, Value>) -> Option<Value> {
    const WRITE_THEMSELVES: [&str; 6] =
        ["Quantity", "Time", "MicroTime", "IntOrString", "JSON", "JSONSchemaPropsOrStringArray"];
    if let Some(name) = referenced(schema) {
        let type_ = name.rsplit('.').next().unwrap_or(name);
        return (!WRITE_THEMSELVES.contains(&type_)).then(|| json!({}));
    }
    match schema.get("type").and_then(Value::as_str)? {
        "string" if !schema.contains_key("format") => Some("".into()),
        "integer" => Some(0.into()),
        "boolean" => Some(false.into()),
        _ => None,
    }
}

fn publish_in_place(version: Version, schema: &mut Value) {
    if let Value::Object(members) = schema {
        *schema = publish(version, std::mem::take(members));
    }
}

fn quantity(version: Version, schema: &mut Map<String, Value>) {
    schema.remove("x-kubernetes-int-or-string");
    match version {
        Version::V2 => schema.insert("type".to_owned(), "string".into()),
        Version::V3 => {
            schema.remove("type");
            schema.insert("oneOf".to_owned(), json!([{"type": "string"}, {"type": "number"}]))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn built_in_definitions_are_published_as_upstream_does() {
        let source = fixture::pod_definitions();
        let v3 = definitions(Version::V3, &source);
        let v2 = definitions(Version::V2, &source);
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let pod = "io.k8s.api.core.v1.Pod";
        assert_eq!(
            v3[pod]["properties"]["metadata"],
            json!({"description": "Standard metadata.", "allOf": [{"$ref": format!("#/components/schemas/{meta}")}]})
        );
        assert_eq!(
            v2[pod]["properties"]["metadata"],
            json!({"description": "Standard metadata.", "$ref": format!("#/definitions/{meta}")})
        );
        assert_eq!(v3[pod].get("required"), None);
        let reference = json!({"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}]});
        assert_eq!(v3[pod]["properties"]["spec"], reference);
        assert_eq!(v2[pod]["properties"]["spec"], json!({"$ref": "#/definitions/io.k8s.api.core.v1.PodSpec"}));
        assert_eq!(
            v3["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"],
            json!({
                "type": "array",
                "items": {"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
            })
        );
        let quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
        assert_eq!(v3[quantity], json!({"oneOf": [{"type": "string"}, {"type": "number"}]}));
        assert_eq!(v2[quantity], json!({"type": "string"}));
        let int_or_string = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
        assert_eq!(
            v3[int_or_string],
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        );
        assert_eq!(v2[int_or_string], json!({"format": "int-or-string", "type": "string"}));
    }
}
