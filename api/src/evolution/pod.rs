//! `Pod` as the prototype spells it: the core kind under another group, in which a container names the request of a claim
//! as `requestName`.

use serde_json::{Value, json};

use super::{GROUP, VERSIONS};
use crate::{
    builtin::schema_of,
    definition::{ResourceDefinition, SchemaDocument, SchemaSource, VersionDefinition},
    members::{at_mut, list_mut},
};

const CORE: &str = "io.k8s.api.core.v1.";

/// The row of the other spelling, made from that of the core kind: the same objects under the same rules.
pub(crate) fn definition(core: &ResourceDefinition) -> ResourceDefinition {
    let schemas: [fn() -> SchemaDocument; 3] =
        [|| document("v1alpha3"), || document("v1alpha2"), || document("v1alpha1")];
    let version = |(name, schema): (&'static str, fn() -> SchemaDocument)| VersionDefinition {
        name: name.into(),
        storage: false,
        schema: SchemaSource::Built(schema),
        to_storage: Some(to_core),
        from_storage: Some(from_core),
        ..core.storage_version().clone()
    };
    ResourceDefinition {
        group: GROUP.into(),
        // Whoever says `po` or `all` means the core kind.
        short_names: Vec::new(),
        categories: Vec::new(),
        versions: VERSIONS.into_iter().zip(schemas).map(version).collect(),
        ..core.clone()
    }
}

fn document(version: &str) -> SchemaDocument {
    let request = json!({
        "description": "Name of a request of the claim. Its devices are what the container may use; without it, all of the claim's are.",
        "type": "string",
    });
    schema_of::<k8s_openapi::api::core::v1::Pod>()
        .with_property(&format!("{CORE}ResourceClaim"), "requestName", request)
        .renamed(CORE, &format!("io.k8s.api.resource.{version}.core."))
}

fn to_core(pod: &mut Value) {
    rename(pod, "requestName", "request");
}

fn from_core(pod: &mut Value) {
    rename(pod, "request", "requestName");
}

/// Renames a member of every claim that a container refers to, unless the other name is taken.
fn rename(pod: &mut Value, from: &str, to: &str) {
    let Some(spec) = pod.get_mut("spec") else { return };
    for containers in ["containers", "initContainers"] {
        for container in list_mut(spec, containers) {
            let Some(resources) = at_mut(container, &["resources"]) else { continue };
            for claim in list_mut(resources, "claims").iter_mut().filter_map(Value::as_object_mut) {
                if let Some(name) = claim.remove(from) {
                    claim.entry(to).or_insert(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_name_requests_in_both_spellings() {
        let theirs = json!({"spec": {"containers": [{"name": "c", "resources": {"claims": [{"name": "a", "requestName": "r"}, {"name": "b"}]}}, {}]}});
        let mut pod = theirs.clone();
        to_core(&mut pod);
        assert_eq!(pod["spec"]["containers"][0]["resources"]["claims"][0], json!({"name": "a", "request": "r"}));
        from_core(&mut pod);
        assert_eq!(pod, theirs);
        to_core(&mut json!({"spec": {"containers": [3]}}));
    }

    #[test]
    fn the_schema_knows_both_names() {
        let document = document("v1alpha2");
        assert_eq!(document.root, "io.k8s.api.resource.v1alpha2.core.Pod");
        let claim = &document.definitions["io.k8s.api.resource.v1alpha2.core.ResourceClaim"]["properties"];
        assert!(claim.get("requestName").is_some() && claim.get("request").is_some());
        let container = &document.definitions["io.k8s.api.resource.v1alpha2.core.Container"]["properties"];
        assert!(container.get("devices").is_some());
    }
}
