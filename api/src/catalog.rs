//! Every kind that is served from the start.

use machinery::{meta, names::split_api_version};
use serde_json::Value;

use crate::{builtin, classic, definition::ResourceDefinition, evolution, k8srm, release::Release, resource};

/// One row for each kind: built-in kinds, the GA device API as the default release has it, and the prototypes.
///
/// Group `resource.k8s.io` has two generations of kinds of the same names (see `resource` and `evolution`): what tells
/// them apart is the version.
pub fn catalog() -> Vec<ResourceDefinition> {
    catalog_of(Release::default())
}

/// Every kind as a release has it.
pub fn catalog_of(release: Release) -> Vec<ResourceDefinition> {
    let builtin = builtin::definitions();
    let pod = builtin.iter().find(|row| row.kind == "Pod").map(evolution::pod::definition);
    let generations =
        [resource::definitions(release), evolution::definitions(), classic::definitions(), k8srm::definitions()]
            .concat();
    builtin.into_iter().chain(generations).chain(pod).collect()
}

/// Whether there is a kind of this group, version and plural in a generation of device APIs that no emulated release of
/// Kubernetes serves.
pub fn is_prototype(group: &str, version: &str, plural: &str) -> bool {
    let is_here = |row: &ResourceDefinition| {
        row.group == group && row.plural == plural && row.versions.iter().any(|known| known.name == version)
    };
    let generations = [evolution::definitions(), classic::definitions(), k8srm::definitions()];
    let is_pod_of_evolution = group == evolution::GROUP && plural == "pods";
    is_pod_of_evolution || generations.iter().flatten().any(is_here)
}

/// Respells a document as it would be stored, apart from defaults: another spelling of a kind (the `Pod` of
/// dra-evolution, `events.k8s.io Event`) or an older version becomes the kind and version of the store. A document of a
/// kind that is not in `rows` stays as it is.
pub fn respell(rows: &[ResourceDefinition], document: &mut Value) {
    let Ok((group, version)) = split_api_version(meta::api_version(document)) else { return };
    let kind = meta::kind(document);
    let spelled = rows.iter().filter(|row| row.group == group && row.kind == kind);
    let Some((row, version)) = spelled.filter_map(|row| Some((row, row.version(version)?))).next() else { return };
    let owns = |owner: &&ResourceDefinition| owner.store == row.store && owner.versions.iter().any(|one| one.storage);
    let Some(owner) = rows.iter().find(owns) else { return };
    let stored = owner.kind_in(&owner.storage_version().name);
    if let Some(convert) = version.to_storage {
        convert(document);
    }
    if let Some(members) = document.as_object_mut() {
        members.insert("apiVersion".to_owned(), stored.api_version().into());
        members.insert("kind".to_owned(), stored.kind.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_respelled_as_they_are_stored() {
        let rows = catalog();
        let cases = [
            (
                json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "Pod", "spec": {"containers": [{"resources": {"claims": [{"name": "a", "requestName": "r"}]}}]}}),
                json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"resources": {"claims": [{"name": "a", "request": "r"}]}}]}}),
            ),
            (
                json!({"apiVersion": "resource.k8s.io/v1alpha3", "kind": "ResourcePool", "spec": {}}),
                json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "ResourcePool", "spec": {}}),
            ),
            (
                json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "DevicePool", "spec": {"driver": "d"}}),
                json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "ResourcePool", "spec": {"driverName": "d", "devices": []}}),
            ),
            (
                json!({"apiVersion": "resource.k8s.io/v1beta1", "kind": "ResourceClaim", "spec": {}}),
                json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "spec": {}}),
            ),
            (json!({"apiVersion": "x/v1", "kind": "Y"}), json!({"apiVersion": "x/v1", "kind": "Y"})),
            (json!({}), json!({})),
        ];
        for (mut document, expected) in cases {
            respell(&rows, &mut document);
            assert_eq!(document, expected);
        }
    }

    #[test]
    fn rows_are_told_apart_by_group_version_and_plural() {
        let mut seen = HashSet::new();
        let mut stored = HashMap::new();
        for row in catalog() {
            *stored.entry(row.store.clone()).or_insert(0) +=
                row.versions.iter().filter(|version| version.storage).count();
            for version in &row.versions {
                let key = (row.group.clone(), version.name.clone(), row.plural.clone());
                assert!(seen.insert(key.clone()), "{key:?} twice");
            }
        }
        // Several spellings of the same objects have one storage version between them.
        assert!(stored.values().all(|count| *count == 1), "{stored:?}");
    }
}
