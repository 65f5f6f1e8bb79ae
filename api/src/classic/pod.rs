//! `source` in a pod's entry of `spec.resourceClaims`, which held the names of claim and template until Kubernetes 1.30.

use serde_json::{Value, json};

use crate::{
    definition::SchemaDocument,
    members::{list_mut, present},
};

const ENTRY: &str = "io.k8s.api.core.v1.PodResourceClaim";

/// Adds the field to the schema of `v1 Pod`, or of a kind that holds pod specs.
#[must_use]
pub(crate) fn extend_pod(document: SchemaDocument) -> SchemaDocument {
    let name = |description: &str| json!({"description": description, "type": "string"});
    let source = json!({
        "description": "Where the claim comes from, as pods said it until Kubernetes 1.30. Its members are moved beside `name`.",
        "type": "object",
        "properties": {
            "resourceClaimName": name("Name of a ResourceClaim in the namespace of the pod."),
            "resourceClaimTemplateName": name("Name of a ResourceClaimTemplate in the namespace of the pod."),
        },
    });
    document.with_property(ENTRY, "source", source)
}

/// Moves the members of `source` to where Kubernetes 1.31 and later have them.
pub(crate) fn flatten_sources(spec: &mut Value) {
    for entry in list_mut(spec, "resourceClaims").iter_mut().filter_map(Value::as_object_mut) {
        let Some(source) = entry.remove("source") else { continue };
        for member in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = present(&source, member) {
                entry.entry(member).or_insert_with(|| name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_beside_the_entry() {
        let mut spec = json!({"resourceClaims": [
            {"name": "a", "source": {"resourceClaimName": "c"}},
            {"name": "b", "source": {"resourceClaimTemplateName": "t"}},
            {"name": "c", "resourceClaimName": "kept", "source": {"resourceClaimName": "other"}},
            {"name": "d", "source": {}},
            3,
        ]});
        flatten_sources(&mut spec);
        assert_eq!(
            spec,
            json!({"resourceClaims": [
                {"name": "a", "resourceClaimName": "c"},
                {"name": "b", "resourceClaimTemplateName": "t"},
                {"name": "c", "resourceClaimName": "kept"},
                {"name": "d"},
                3,
            ]})
        );
    }
}
