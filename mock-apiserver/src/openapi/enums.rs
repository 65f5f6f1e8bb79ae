//! Which fields of built-in kinds take one of a few words, for readers of the documents. Writes are checked by the kinds' own rules.

use std::{collections::HashMap, sync::OnceLock};

use serde_json::{Value, json};

/// Fields with their words, by the name of the definition.
type Table = HashMap<&'static str, Vec<(&'static str, &'static str)>>;

/// Fields whose words stand in the API's sources in a way that the table's maker does not read.
const MORE: &[(&str, &str, &str)] = &[
    ("io.k8s.api.admissionregistration.v1.NamedRuleWithOperations", "operations", "*,CONNECT,CREATE,DELETE,UPDATE"),
    ("io.k8s.api.admissionregistration.v1.NamedRuleWithOperations", "scope", "*,Cluster,Namespaced"),
    ("io.k8s.api.admissionregistration.v1.RuleWithOperations", "scope", "*,Cluster,Namespaced"),
    ("io.k8s.api.core.v1.EphemeralContainer", "imagePullPolicy", "Always,IfNotPresent,Never"),
    ("io.k8s.api.core.v1.EphemeralContainer", "terminationMessagePolicy", "FallbackToLogsOnError,File"),
    (
        "io.k8s.api.core.v1.PersistentVolumeClaimStatus",
        "allocatedResourceStatuses",
        "ControllerResizeInProgress,ControllerResizeInfeasible,NodeResizeInProgress,NodeResizeInfeasible,NodeResizePending",
    ),
    ("io.k8s.api.discovery.v1.EndpointSlice", "addressType", "FQDN,IPv4,IPv6"),
    ("io.k8s.api.networking.v1.HTTPIngressPath", "pathType", "Exact,ImplementationSpecific,Prefix"),
    ("io.k8s.api.resource.v1.DeviceSubRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.resource.v1.ExactDeviceRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.resource.v1beta1.DeviceRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.resource.v1beta1.DeviceSubRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.resource.v1beta2.DeviceSubRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.resource.v1beta2.ExactDeviceRequest", "allocationMode", "All,ExactCount"),
    ("io.k8s.api.scheduling.v1.PriorityClass", "preemptionPolicy", "Never,PreemptLowerPriority"),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule",
        "reason",
        "FieldValueDuplicate,FieldValueForbidden,FieldValueInvalid,FieldValueRequired",
    ),
];

/// Adds `enum` to the fields of a published definition that take one of a few words; a list has it on its items, a map on its values.
pub(super) fn add(name: &str, schema: &mut Value) {
    for (field, words) in table().get(name).into_iter().flatten() {
        let Some(Value::Object(property)) = schema.pointer_mut(&format!("/properties/{field}")) else { continue };
        let inner = ["items", "additionalProperties"]
            .into_iter()
            .find(|inner| property.get(*inner).is_some_and(Value::is_object));
        let target = match inner.and_then(|inner| property.get_mut(inner)) {
            Some(Value::Object(inner)) => inner,
            _ => property,
        };
        if target.get("type").is_some_and(|type_| type_ == "string") {
            target.entry("enum").or_insert_with(|| json!(words.split(',').collect::<Vec<_>>()));
        }
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        for (name, field, words) in MORE {
            table.entry(name).or_default().push((field, words));
        }
        for line in include_str!("enums.txt").lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(3, ' ');
            if let (Some(name), Some(field), Some(values)) = (words.next(), words.next(), words.next()) {
                table.entry(name).or_default().push((field, values));
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_items_of_lists_get_their_words() {
        let mut strategy = json!({"properties": {"type": {"type": "string"}}});
        add("io.k8s.api.apps.v1.DeploymentStrategy", &mut strategy);
        assert_eq!(strategy["properties"]["type"]["enum"], json!(["Recreate", "RollingUpdate"]));
        let mut policy = json!({"properties": {"policyTypes": {"type": "array", "items": {"type": "string"}}}});
        add("io.k8s.api.networking.v1.NetworkPolicySpec", &mut policy);
        assert_eq!(policy["properties"]["policyTypes"]["items"]["enum"], json!(["Egress", "Ingress"]));
        let before = json!({"properties": {"type": {"type": "string"}}});
        let mut unknown = before.clone();
        add("io.k8s.api.none.v1.None", &mut unknown);
        assert_eq!(unknown, before);
    }
}
