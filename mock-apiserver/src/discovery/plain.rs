//! The unaggregated documents: `APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`.

use serde_json::{Value, json};

use super::groups::{self, Group, Version};
use crate::catalog::Endpoint;

/// `/api`. `address` is where the client reached the server.
pub(super) fn core_versions(groups: &[Group], address: &str) -> Value {
    let core = groups.iter().find(|group| group.name.is_empty());
    let versions: Vec<&str> =
        core.map(|group| group.versions.iter().map(|version| version.name.as_str()).collect()).unwrap_or_default();
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(super) fn group_list(groups: &[Group]) -> Value {
    let groups: Vec<Value> = groups.iter().filter(|group| !group.name.is_empty()).map(group_body).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub(super) fn group(group: &Group) -> Value {
    let mut document = group_body(group);
    document["kind"] = json!("APIGroup");
    document["apiVersion"] = json!("v1");
    document
}

fn group_body(group: &Group) -> Value {
    let version = |version: &Version| json!({"groupVersion": group.group_version(version), "version": version.name});
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(version),
    })
}

/// `/api/<version>` and `/apis/<group>/<version>`. The core group's list carries no `apiVersion`.
pub(super) fn resource_list(group: &Group, version: &Version) -> Value {
    let mut resources = Vec::new();
    for endpoint in &version.resources {
        resources.push(resource(endpoint));
        resources.extend(subresources(endpoint, group, version));
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let mut document = json!({
        "kind": "APIResourceList",
        "groupVersion": group.group_version(version),
        "resources": resources,
    });
    if !group.name.is_empty() {
        document["apiVersion"] = json!("v1");
    }
    document
}

fn resource(endpoint: &Endpoint) -> Value {
    let definition = endpoint.definition();
    let mut entry = json!({
        "name": definition.plural,
        "singularName": definition.singular,
        "namespaced": endpoint.resource.is_namespaced(),
        "kind": definition.kind,
        "verbs": groups::verbs(endpoint),
    });
    if !definition.short_names.is_empty() {
        entry["shortNames"] = json!(definition.short_names);
    }
    if !definition.categories.is_empty() {
        entry["categories"] = json!(definition.categories);
    }
    if let Some(hash) = groups::storage_version_hash(endpoint) {
        entry["storageVersionHash"] = json!(hash);
    }
    entry
}

fn subresources(endpoint: &Endpoint, group: &Group, version: &Version) -> Vec<Value> {
    let definition = endpoint.definition();
    let entry = |subresource: &api::definition::Subresource| {
        let mut entry = json!({
            "name": format!("{}/{}", definition.plural, subresource.name),
            "singularName": "",
            "namespaced": endpoint.resource.is_namespaced(),
            "kind": subresource.kind.as_ref().map_or(definition.kind.as_ref(), |kind| &kind.kind),
            "verbs": subresource.verbs,
        });
        if let Some(kind) = &subresource.kind
            && (kind.group != group.name || kind.version != version.name)
        {
            if !kind.group.is_empty() {
                entry["group"] = json!(kind.group);
            }
            entry["version"] = json!(kind.version);
        }
        entry
    };
    endpoint.subresources().iter().map(entry).collect()
}
