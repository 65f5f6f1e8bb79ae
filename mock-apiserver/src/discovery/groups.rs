//! What is served, by group and version, in the order in which discovery lists it.

use std::cmp::Reverse;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::names::{self, GroupVersionKind};
use sha2::{Digest as _, Sha256};

use crate::catalog::{Endpoint, Served};

/// `groupPriorityMinimum` of kube-apiserver's own groups, highest first.
const GROUP_PRIORITIES: [(&str, u32); 22] = [
    ("", 18_000),
    ("apiregistration.k8s.io", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("admissionregistration.k8s.io", 16_700),
    ("apiextensions.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("resource.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("internal.apiserver.k8s.io", 16_000),
];

/// The priority of a group that kube-apiserver knows. Every other group, those of CRDs included, comes after them.
pub(crate) fn group_priority(group: &str) -> Option<u32> {
    GROUP_PRIORITIES.iter().find(|(name, _)| *name == group).map(|(_, priority)| *priority)
}

/// All verbs of a stored kind, as discovery orders them.
pub(super) const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// One API group.
pub(super) struct Group {
    /// Its name; empty for core.
    pub(super) name: String,
    /// Its versions, the preferred one first.
    pub(super) versions: Vec<Version>,
}

/// One version of a group.
pub(super) struct Version {
    /// `v1`, `v1beta1` …
    pub(super) name: String,
    /// What is served in it, by plural.
    pub(super) resources: Vec<Endpoint>,
}

/// Every group in the order of discovery.
pub(super) fn groups(served: &Served) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for resource in &served.resources {
        let definition = &resource.definition;
        for version in definition.versions.iter().filter(|version| version.served) {
            let Some(endpoint) = served.endpoint(&definition.group, &version.name, &definition.plural) else {
                continue;
            };
            let group = find_or_add(
                &mut groups,
                |group| group.name == definition.group,
                || Group { name: definition.group.to_string(), versions: Vec::new() },
            );
            let version = find_or_add(
                &mut group.versions,
                |found| found.name == version.name,
                || Version { name: version.name.to_string(), resources: Vec::new() },
            );
            version.resources.push(endpoint.clone());
        }
    }
    for group in &mut groups {
        group.versions.sort_by_cached_key(|version| version_order(&version.name));
        for version in &mut group.versions {
            version.resources.sort_by(|a, b| a.definition().plural.cmp(&b.definition().plural));
            version.resources.dedup_by(|a, b| a.definition().plural == b.definition().plural);
        }
    }
    groups.sort_by_cached_key(|group| (Reverse(group_priority(&group.name)), group.name.clone()));
    groups
}

fn find_or_add<T>(items: &mut Vec<T>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let at = items.iter().position(is_it).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    });
    &mut items[at]
}

/// Sorts versions as Kubernetes prefers them: stable ones before beta before alpha, higher numbers first, then whatever is no
/// version by name.
pub(crate) fn version_order(name: &str) -> (bool, Reverse<u8>, Reverse<u64>, Reverse<u64>, String) {
    let Some((major, stage, minor)) = parse_version(name) else {
        return (true, Reverse(0), Reverse(0), Reverse(0), name.to_owned());
    };
    (false, Reverse(stage), Reverse(major), Reverse(minor), String::new())
}

/// `v1beta2` as its number, its stage (alpha 0, beta 1, stable 2) and the number of the stage.
fn parse_version(name: &str) -> Option<(u64, u8, u64)> {
    let rest = name.strip_prefix('v')?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((major, 2, 0));
    }
    let (stage, minor) = match (rest.strip_prefix("alpha"), rest.strip_prefix("beta")) {
        (Some(minor), _) => (0, minor),
        (_, Some(minor)) => (1, minor),
        _ => return None,
    };
    Some((major, stage, minor.parse().ok()?))
}

impl Group {
    /// `group/version` of one of its versions.
    pub(super) fn group_version(&self, version: &Version) -> String {
        names::api_version(&self.name, &version.name)
    }
}

/// The verbs of the resource itself.
pub(super) fn verbs(endpoint: &Endpoint) -> Vec<&str> {
    let verbs = &endpoint.definition().verbs;
    if verbs.is_empty() { ALL_VERBS.to_vec() } else { verbs.iter().map(AsRef::as_ref).collect() }
}

/// Kinds that upstream still stores in a beta version: their hash says so.
const STORED_IN_BETA: [(&str, &str); 3] = [
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
];

/// The hash by which a migration notices that the storage version has changed; only stored kinds have one.
pub(super) fn storage_version_hash(endpoint: &Endpoint) -> Option<String> {
    if !verbs(endpoint).contains(&"watch") {
        return None;
    }
    let GroupVersionKind { group, mut version, kind } = endpoint.resource.storage_endpoint().kind();
    if STORED_IN_BETA.contains(&(group.as_str(), kind.as_str())) {
        "v1beta1".clone_into(&mut version);
    }
    let hash = Sha256::digest(format!("{group}/{version}/{kind}"));
    Some(STANDARD.encode(&hash[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_prefers_them() {
        let mut names =
            ["v1alpha1", "foo", "v1beta2", "v2", "v10", "v1", "v1beta10", "v1alpha3", "bar", "v2beta1", "v1x"];
        names.sort_by_cached_key(|name| version_order(name));
        assert_eq!(
            names,
            ["v10", "v2", "v1", "v2beta1", "v1beta10", "v1beta2", "v1alpha3", "v1alpha1", "bar", "foo", "v1x"]
        );
    }
}
