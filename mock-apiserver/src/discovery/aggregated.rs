//! The aggregated documents: `APIGroupDiscoveryList` of `apidiscovery.k8s.io`, everything in one answer.

use http::{HeaderMap, header};
use machinery::{status::Status, yaml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::groups::{self, Group, Version};
use crate::{
    catalog::Endpoint,
    json, protobuf,
    respond::{self, Encoding},
};

/// A version of `apidiscovery.k8s.io`; they differ in name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscoveryVersion {
    /// `v2`.
    V2,
    /// `v2beta1`, which is all that kubectl up to 1.29 knows.
    V2Beta1,
}

impl DiscoveryVersion {
    fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// How an aggregated document is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: DiscoveryVersion,
    pub(super) encoding: Encoding,
}

impl Wanted {
    /// What the first satisfiable clause of `Accept` asks for; `None` when that clause asks for plain documents.
    pub(super) fn of(request: &HeaderMap) -> Option<Self> {
        let accept = request.get(header::ACCEPT)?.to_str().ok()?;
        let clauses = respond::parse_accept(accept);
        let wanted = clauses.iter().find_map(|clause| {
            let encoding = Encoding::ALL.into_iter().find(|encoding| clause.matches(encoding.subtype()))?;
            match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
                    Some(Some(Self { version: DiscoveryVersion::V2, encoding }))
                }
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => {
                    Some(Some(Self { version: DiscoveryVersion::V2Beta1, encoding }))
                }
                ("", "", "") => Some(None),
                _ => None,
            }
        });
        wanted.flatten()
    }

    /// The media type of the answer. Clients tell by its parameters that the document is aggregated.
    pub(super) fn media_type(self) -> &'static str {
        match (self.encoding, self.version) {
            (Encoding::Json, DiscoveryVersion::V2) => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            (Encoding::Json, DiscoveryVersion::V2Beta1) => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            (Encoding::Yaml, DiscoveryVersion::V2) => {
                "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            (Encoding::Yaml, DiscoveryVersion::V2Beta1) => {
                "application/yaml;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            (Encoding::Protobuf, DiscoveryVersion::V2) => {
                "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            (Encoding::Protobuf, DiscoveryVersion::V2Beta1) => {
                "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
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

    /// Its bytes. Nearly everybody wants JSON.
    pub(super) fn bytes(&self, wanted: Wanted) -> Result<Vec<u8>, Status> {
        let head = json::head(wanted.version.api_version(), "APIGroupDiscoveryList", json::Style::BuiltIn);
        let json = [&head[..], &self.tail].concat();
        if wanted.encoding == Encoding::Json {
            return Ok(json);
        }
        let document: Value = serde_json::from_slice(&json).map_err(Status::internal)?;
        match wanted.encoding {
            Encoding::Yaml => Ok(yaml::to_string(&document).into_bytes()),
            _ => protobuf::encode(&document).map_err(Status::internal),
        }
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
    use machinery::names::GroupVersionKind;

    use super::*;

    #[test]
    fn the_first_clause_that_can_be_had_decides() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let unknown = "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList";
        let yaml = v2.replace("json", "yaml");
        let protobuf = v2.replace("json", "vnd.kubernetes.protobuf");
        let is = |version, encoding| Some(Wanted { version, encoding });
        for (accept, expected) in [
            (format!("{v2},{old},application/json"), is(DiscoveryVersion::V2, Encoding::Json)),
            (format!("{old},application/json"), is(DiscoveryVersion::V2Beta1, Encoding::Json)),
            (format!("{unknown},{old},application/json"), is(DiscoveryVersion::V2Beta1, Encoding::Json)),
            (yaml.clone(), is(DiscoveryVersion::V2, Encoding::Yaml)),
            (protobuf.clone(), is(DiscoveryVersion::V2, Encoding::Protobuf)),
            (format!("application/json, {v2};q=0.5"), None),
            (format!("application/yaml, {v2}"), None),
            (unknown.to_owned(), None),
            ("application/json, */*".to_owned(), None),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT, accept.parse().expect("a header value"));
            let found = Wanted::of(&request);
            assert_eq!(found, expected, "{accept}");
            if found.is_some() {
                let media_type = found.map(Wanted::media_type).unwrap_or_default();
                assert!(accept.split(',').any(|clause| clause == media_type), "{accept}: {media_type}");
            }
        }
    }

    #[test]
    fn documents_are_the_same_in_every_encoding() {
        let item = json!({"metadata": {"name": "example.com"}, "versions": [
            {"version": "v1", "freshness": "Current", "resources": [{"resource": "foos", "verbs": ["get"], "scope": "Namespaced",
             "responseKind": {"group": "", "version": "", "kind": "Foo"}, "singularResource": "foo"}]}]});
        let document = Document::of([], vec![item]);
        let bytes =
            |encoding| document.bytes(Wanted { version: DiscoveryVersion::V2, encoding }).expect("it is written");
        let json: Value = serde_json::from_slice(&bytes(Encoding::Json)).expect("JSON");
        let text = String::from_utf8(bytes(Encoding::Yaml)).expect("UTF-8");
        assert_eq!(machinery::yaml::parse(&text).expect("YAML"), json);
        let kind = GroupVersionKind::new("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList");
        let read = protobuf::decode(&bytes(Encoding::Protobuf), &kind).expect("protobuf");
        for place in ["/kind", "/items/0/metadata/name", "/items/0/versions/0/resources/0/verbs"] {
            assert!(json.pointer(place).is_some());
            assert_eq!(read.pointer(place), json.pointer(place), "{place}");
        }
    }
}
