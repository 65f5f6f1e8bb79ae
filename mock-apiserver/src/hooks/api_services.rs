//! The APIServices of what the server itself answers: one for each version of a group. Those of built-in groups are there from
//! the start; those of CustomResourceDefinitions come and go with them, as kube-apiserver's autoregistration has it.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::is;
use crate::{
    catalog::{Endpoint, Served},
    discovery,
    registry::{Change, Reaction, Registry},
    storage::Stored,
};

const GROUP: &str = "apiregistration.k8s.io";

/// Says who looks after an APIService.
const LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";

/// Made once, when the server starts.
const ON_START: &str = "onstart";

/// Made and removed with what it stands for.
const ALWAYS: &str = "true";

/// `groupPriorityMinimum` of groups that kube-apiserver does not know.
const OTHER_GROUPS: u32 = 1000;

/// `versionPriority` of versions of such groups.
const OTHER_VERSIONS: u32 = 100;

/// `versionPriority` of versions of kube-apiserver's own groups that differ from what is usual at their stage.
const VERSIONS: [(&str, u32); 11] = [
    ("v1.", 1),
    ("v2.autoscaling", 30),
    ("v1.flowcontrol.apiserver.k8s.io", 21),
    ("v1.resource.k8s.io", 21),
    ("v1beta2.resource.k8s.io", 15),
    ("v1alpha3.resource.k8s.io", 1),
    ("v1alpha2.resource.k8s.io", 1),
    ("v1alpha1.resource.k8s.io", 1),
    ("v1beta1.admissionregistration.k8s.io", 12),
    ("v1beta1.coordination.k8s.io", 13),
    ("v1alpha2.coordination.k8s.io", 12),
];

/// Keeps the APIServices of CustomResourceDefinitions.
pub(crate) struct ApiServices;

impl Reaction for ApiServices {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        if !is(change.endpoint, "apiextensions.k8s.io", "customresourcedefinitions") {
            return None;
        }
        let group = change.object.value().pointer("/spec/group")?.as_str()?.to_owned();
        let endpoint = endpoint(registry)?;
        let wanted = custom_versions(&registry.catalog.served(), &group);
        let present: Vec<Arc<Stored>> = of_group(&endpoint, &group);
        let names: BTreeSet<&str> = present.iter().map(|service| &**service.key()).collect();
        let missing: Vec<String> =
            wanted.iter().filter(|version| !names.contains(name(&group, version).as_str())).cloned().collect();
        let spent: Vec<Arc<Stored>> = present
            .iter()
            .filter(|service| meta::label(service.value(), LABEL) == Some(ALWAYS))
            .filter(|service| !wanted.iter().any(|version| name(&group, version) == **service.key()))
            .cloned()
            .collect();
        if missing.is_empty() && spent.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for version in missing {
                registry.install(&endpoint, document(registry, &group, &version, ALWAYS)).await;
            }
            for service in spent {
                registry.uninstall(&endpoint, &service).await;
            }
        }))
    }
}

/// Makes those of the groups that are served from the start.
pub(crate) async fn create_api_services(registry: &Registry) {
    let Some(endpoint) = endpoint(registry) else { return };
    let served = registry.catalog.served();
    let definitions = served.resources.iter().map(|resource| &resource.definition);
    let versions = definitions.flat_map(|definition| {
        let served = definition.versions.iter().filter(|version| version.served);
        served.map(|version| (&*definition.group, &*version.name))
    });
    // The aggregator, which keeps these objects, has none for itself.
    let versions: BTreeSet<(&str, &str)> = versions.filter(|(group, _)| *group != GROUP).collect();
    for (group, version) in versions {
        registry.install(&endpoint, document(registry, group, version, ON_START)).await;
    }
}

fn endpoint(registry: &Registry) -> Option<Endpoint> {
    registry.catalog.endpoint(GROUP, "v1", "apiservices")
}

/// The versions of a group that CustomResourceDefinitions serve.
fn custom_versions(served: &Served, group: &str) -> BTreeSet<String> {
    let custom = served.resources.iter().filter(|resource| resource.is_custom() && resource.definition.group == group);
    let versions = custom.flat_map(|resource| resource.definition.versions.iter());
    versions.filter(|version| version.served).map(|version| version.name.to_string()).collect()
}

/// The APIServices of a group.
fn of_group(endpoint: &Endpoint, group: &str) -> Vec<Arc<Stored>> {
    let snapshot = endpoint.resource.space().snapshot();
    let services = snapshot.range("", None);
    let of_group = |service: &&Arc<Stored>| service.key().split_once('.').is_some_and(|(_, found)| found == group);
    services.filter(of_group).cloned().collect()
}

fn name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

fn document(registry: &Registry, group: &str, version: &str, managed: &str) -> Value {
    let (group_priority, version_priority) = priorities(group, version);
    let mut spec = json!({
        "version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority,
    });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {
            "name": name(group, version), "labels": Map::from_iter([(LABEL.to_owned(), Value::from(managed))]),
        },
        "spec": spec,
        "status": {"conditions": [{
            "type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available",
            "lastTransitionTime": time::format_seconds(registry.clock.now()),
        }]},
    })
}

fn priorities(group: &str, version: &str) -> (u32, u32) {
    let Some(group_priority) = discovery::group_priority(group) else { return (OTHER_GROUPS, OTHER_VERSIONS) };
    let name = name(group, version);
    let own = VERSIONS.iter().find(|(known, _)| *known == name).map(|(_, priority)| *priority);
    let usual = if version.contains("alpha") || version.contains("beta") { 9 } else { 15 };
    (group_priority, own.unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_kube_apiserver() {
        for (group, version, expected) in [
            ("", "v1", (18_000, 1)),
            ("apps", "v1", (17_800, 15)),
            ("events.k8s.io", "v1", (17_750, 15)),
            ("autoscaling", "v2", (17_500, 30)),
            ("resource.k8s.io", "v1beta1", (16_200, 9)),
            ("resource.k8s.io", "v1", (16_200, 21)),
            ("admissionregistration.k8s.io", "v1alpha1", (16_700, 9)),
            ("example.com", "v1", (1000, 100)),
        ] {
            assert_eq!(priorities(group, version), expected, "{group}/{version}");
        }
    }
}
