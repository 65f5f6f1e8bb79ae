//! The aggregated documents: `APIGroupDiscoveryList` of `apidiscovery.k8s.io`, everything in one answer.

use http::{HeaderMap, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::groups::{self, Group, Version};
use crate::{catalog::Endpoint, json, respond};

/// A version of `apidiscovery.k8s.io`; they differ in name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscoveryVersion {
    /// `v2`.
    V2,
    /// `v2beta1`, which is all that kubectl up to 1.29 knows.
    V2Beta1,
}

impl DiscoveryVersion {
    /// The version that the first satisfiable clause of `Accept` asks for; `None` when that clause asks for plain documents.
    pub(super) fn wanted(request: &HeaderMap) -> Option<Self> {
        let accept = request.get(header::ACCEPT)?.to_str().ok()?;
        respond::parse_accept(accept)
            .iter()
            .filter(|clause| clause.matches("json"))
            .find_map(|clause| match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Some(Self::V2)),
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => Some(Some(Self::V2Beta1)),
                ("", "", "") => Some(None),
                _ => None,
            })
            .flatten()
    }

    /// The media type of the answer. Clients tell by its parameters that the document is aggregated.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// One aggregated document, in both versions.
#[derive(Debug)]
pub(super) struct Document {
    /// The JSON after `kind` and `apiVersion`.
    tail: Vec<u8>,
    /// Hash of the contents, in upper-case hex.
    pub(super) hash: String,
}

impl Document {
    /// The document of some groups, and of what others have.
    pub(super) fn of<'a>(groups: impl IntoIterator<Item = &'a Group>, others: Vec<Value>) -> Self {
        let items: Vec<Value> = groups.into_iter().map(item).chain(others).collect();
        let mut tail = b"\"metadata\":{},\"items\":".to_vec();
        json::write(&mut tail, &Value::Array(items));
        tail.extend_from_slice(b"}\n");
        let hash = Sha256::digest(&tail).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { tail, hash }
    }

    /// Its bytes in a version.
    pub(super) fn bytes(&self, version: DiscoveryVersion) -> Vec<u8> {
        let head = json::head(version.api_version(), "APIGroupDiscoveryList", json::Style::BuiltIn);
        [&head[..], &self.tail].concat()
    }
}

fn item(group: &Group) -> Value {
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    let versions: Vec<Value> = group.versions.iter().map(|version| version_entry(group, version)).collect();
    json!({"metadata": metadata, "versions": versions})
}

fn version_entry(group: &Group, version: &Version) -> Value {
    let resources: Vec<Value> = version.resources.iter().map(|endpoint| resource(endpoint, group, version)).collect();
    json!({"version": version.name, "freshness": "Current", "resources": resources})
}

fn resource(endpoint: &Endpoint, group: &Group, version: &Version) -> Value {
    let definition = endpoint.definition();
    let mut entry = json!({
        "resource": definition.plural,
        "responseKind": {"group": "", "version": "", "kind": definition.kind},
        "scope": if endpoint.resource.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": definition.singular,
        "verbs": groups::verbs(endpoint),
    });
    if !definition.short_names.is_empty() {
        entry["shortNames"] = json!(definition.short_names);
    }
    if !definition.categories.is_empty() {
        entry["categories"] = json!(definition.categories);
    }
    let mut subresources: Vec<_> = endpoint.subresources().iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    if !subresources.is_empty() {
        let entries = subresources.into_iter().map(|subresource| {
            let (kind_group, kind_version, kind) = match &subresource.kind {
                // The group and version of the resource are left empty.
                Some(kind) if kind.group == group.name && kind.version == version.name => ("", "", kind.kind.as_str()),
                Some(kind) => (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()),
                None => ("", "", definition.kind.as_ref()),
            };
            json!({
                "subresource": subresource.name,
                "responseKind": {"group": kind_group, "version": kind_version, "kind": kind},
                "verbs": subresource.verbs,
            })
        });
        entry["subresources"] = entries.collect();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_that_can_be_had_decides() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let unknown = "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList";
        for (accept, expected) in [
            (format!("{v2},{old},application/json"), Some(DiscoveryVersion::V2)),
            (format!("{old},application/json"), Some(DiscoveryVersion::V2Beta1)),
            (format!("{unknown},{old},application/json"), Some(DiscoveryVersion::V2Beta1)),
            (format!("application/json, {v2};q=0.5"), None),
            (unknown.to_owned(), None),
            ("application/json, */*".to_owned(), None),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT, accept.parse().expect("a header value"));
            assert_eq!(DiscoveryVersion::wanted(&request), expected, "{accept}");
        }
    }
}
