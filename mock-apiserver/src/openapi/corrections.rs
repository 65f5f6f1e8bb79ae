//! What upstream's documents say of definitions otherwise than the Rust types do, from which ours are made.

use serde_json::{Map, Value, json};

/// Members that upstream does not demand.
const OPTIONAL: [(&str, &str); 8] = [
    ("io.k8s.api.core.v1.ConfigMapEnvSource", "name"),
    ("io.k8s.api.core.v1.ConfigMapKeySelector", "name"),
    ("io.k8s.api.core.v1.ConfigMapProjection", "name"),
    ("io.k8s.api.core.v1.ConfigMapVolumeSource", "name"),
    ("io.k8s.api.core.v1.LocalObjectReference", "name"),
    ("io.k8s.api.core.v1.SecretEnvSource", "name"),
    ("io.k8s.api.core.v1.SecretKeySelector", "name"),
    ("io.k8s.api.core.v1.SecretProjection", "name"),
];

/// Members that upstream demands.
const REQUIRED: [(&str, &str); 3] = [
    ("io.k8s.api.core.v1.Event", "metadata"),
    ("io.k8s.api.events.v1.Event", "eventTime"),
    ("io.k8s.api.resource.v1alpha3.ResourcePoolStatusRequest", "metadata"),
];

/// Objects of which one member says which of the others there may be. Its values are named as they are.
const UNIONS: [(&str, Option<&str>, &[&str]); 6] = [
    ("io.k8s.api.core.v1.AppArmorProfile", Some("type"), &["localhostProfile"]),
    ("io.k8s.api.core.v1.PodSchedulingGroup", None, &["podGroupName"]),
    ("io.k8s.api.core.v1.SeccompProfile", Some("type"), &["localhostProfile"]),
    ("io.k8s.api.flowcontrol.v1.LimitResponse", Some("type"), &["queuing"]),
    ("io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", Some("type"), &["exempt", "limited"]),
    ("io.k8s.api.flowcontrol.v1.Subject", Some("kind"), &["group", "serviceAccount", "user"]),
];

/// Corrects a published definition.
pub(super) fn correct(name: &str, schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    for (_, member) in OPTIONAL.iter().filter(|(definition, _)| *definition == name) {
        if let Some(Value::Array(required)) = members.get_mut("required") {
            required.retain(|demanded| demanded != member);
        }
    }
    for (_, member) in REQUIRED.iter().filter(|(definition, _)| *definition == name) {
        if let Value::Array(required) = members.entry("required").or_insert_with(|| json!([]))
            && !required.iter().any(|demanded| demanded == member)
        {
            required.push((*member).into());
        }
    }
    if members.get("required").is_some_and(|required| required == &json!([])) {
        members.remove("required");
    }
    if let Some((_, discriminator, fields)) = UNIONS.iter().find(|(definition, ..)| *definition == name) {
        let mut union = Map::new();
        if let Some(discriminator) = discriminator {
            union.insert("discriminator".to_owned(), (*discriminator).into());
        }
        let named = fields.iter().map(|field| ((*field).to_owned(), Value::from(capitalized(field))));
        union.insert("fields-to-discriminateBy".to_owned(), Value::Object(named.collect()));
        members.insert("x-kubernetes-unions".to_owned(), json!([union]));
    }
}

fn capitalized(field: &str) -> String {
    let mut characters = field.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_say_what_upstreams_say() {
        let mut selector = json!({"type": "object", "required": ["key", "name"]});
        correct("io.k8s.api.core.v1.SecretKeySelector", &mut selector);
        assert_eq!(selector["required"], json!(["key"]));
        let mut reference = json!({"type": "object", "required": ["name"]});
        correct("io.k8s.api.core.v1.LocalObjectReference", &mut reference);
        assert_eq!(reference, json!({"type": "object"}));
        let mut profile = json!({"type": "object", "required": ["type"]});
        correct("io.k8s.api.core.v1.SeccompProfile", &mut profile);
        assert_eq!(
            profile["x-kubernetes-unions"],
            json!([{"discriminator": "type", "fields-to-discriminateBy": {"localhostProfile": "LocalhostProfile"}}])
        );
    }
}
