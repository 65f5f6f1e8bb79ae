//! The schemas of served kinds, under the names by which documents refer to them.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    builtin,
    definition::{SchemaDocument, SchemaSource},
};
use machinery::names::GroupVersionKind;
use schema::openapi::{self, Version};
use serde_json::{Map, Value, json};

use super::{corrections, enums};
use crate::catalog::Endpoint;

/// Definitions of a document under construction.
pub(super) struct Schemas {
    version: Version,
    definitions: Map<String, Value>,
    /// Names of the definitions of kinds.
    names: BTreeMap<(String, String, String), String>,
}

/// Names of definitions that every document about objects has.
pub(super) struct MetaNames {
    pub(super) object_meta: String,
    list_meta: String,
    pub(super) delete_options: String,
    pub(super) status: String,
    pub(super) patch: String,
    pub(super) watch_event: String,
}

/// The definition of any object.
const RAW: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// Definitions of what every API server says about itself, which are kinds of their own.
const META_KINDS: [&str; 5] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];

fn key(kind: &GroupVersionKind) -> (String, String, String) {
    (kind.group.clone(), kind.version.clone(), kind.kind.clone())
}

impl Schemas {
    /// No definitions.
    pub(super) fn new(version: Version) -> Self {
        Self { version, definitions: Map::new(), names: BTreeMap::new() }
    }

    /// Adds the definitions that every document about objects has.
    pub(super) fn add_meta(&mut self, endpoints: &[Endpoint]) -> MetaNames {
        let meta = MetaNames {
            object_meta: self.add_document(builtin::object_meta()),
            list_meta: self.add_document(builtin::list_meta()),
            delete_options: self.add_document(builtin::delete_options()),
            status: self.add_document(builtin::status()),
            patch: "io.k8s.apimachinery.pkg.apis.meta.v1.Patch".to_owned(),
            watch_event: "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent".to_owned(),
        };
        if endpoints.iter().any(|endpoint| !endpoint.resource.is_custom()) {
            self.add_watch_event(&meta.watch_event);
        }
        let versions: BTreeSet<(String, String)> = endpoints
            .iter()
            .map(|endpoint| (endpoint.definition().group.to_string(), endpoint.version().name.to_string()))
            .chain([(String::new(), "v1".to_owned())])
            .collect();
        // They are read in every version of every group.
        for kind in ["DeleteOptions", "WatchEvent"] {
            let kinds: Vec<_> =
                versions.iter().map(|(group, version)| GroupVersionKind::new(group, version, kind)).collect();
            if let Some(schema) = self.definitions.get_mut(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}")) {
                openapi::mark_kinds(schema, &kinds);
            }
        }
        let description = "A document that changes an object, in one of the formats that the request names.";
        self.definitions.insert(meta.patch.clone(), json!({"type": "object", "description": description}));
        meta
    }

    /// Events of a watch: what happened, and to what.
    fn add_watch_event(&mut self, name: &str) {
        let described = |text: &str| [("description".to_owned(), Value::from(text))].into_iter().collect();
        let object = "The object, as it is or as it was last; a Status when the type is ERROR.";
        let mut type_ = json!({"type": "string"});
        if self.version == Version::V3 {
            type_["default"] = "".into();
        }
        let event = json!({
            "type": "object", "description": "What happened to an object that is watched.", "required": ["type", "object"],
            "properties": {"object": self.version.reference(RAW, described(object)), "type": type_},
        });
        self.definitions.insert(name.to_owned(), event);
        self.definitions.entry(RAW).or_insert_with(|| json!({"type": "object", "description": "Any object."}));
    }

    /// Adds the kind of an endpoint, its list, and the kinds of its subresources.
    pub(super) fn add(&mut self, endpoint: &Endpoint, meta: &MetaNames) {
        let kind = endpoint.kind();
        let name = match &endpoint.version().schema {
            SchemaSource::Built(make) => {
                let name = self.add_document(make());
                self.mark(&name, &kind);
                name
            }
            SchemaSource::Given(open_api) => {
                let name = openapi::custom_name(&kind);
                let mut schema = openapi::custom(self.version, open_api, &kind, &meta.object_meta);
                offer_selection(&mut schema, endpoint);
                self.definitions.insert(name.clone(), schema);
                name
            }
            SchemaSource::Absent => {
                let name = openapi::custom_name(&kind);
                let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
                let schema = openapi::custom(self.version, &open, &kind, &meta.object_meta);
                self.definitions.insert(name.clone(), schema);
                name
            }
        };
        let verbs = &endpoint.definition().verbs;
        if verbs.is_empty() || verbs.iter().any(|verb| verb == "list") {
            self.add_list(endpoint, &name, meta);
        }
        self.names.insert(key(&kind), name);
        for kind in endpoint.subresources().iter().filter_map(|subresource| subresource.kind.as_ref()) {
            if !self.names.contains_key(&key(kind))
                && let Some(document) = builtin::subresource_schema(kind)
            {
                let name = self.add_document(document);
                self.mark(&name, kind);
                self.names.insert(key(kind), name);
            }
        }
    }

    /// The name of the definition of a kind.
    pub(super) fn name_of(&self, kind: &GroupVersionKind) -> Option<&str> {
        self.names.get(&key(kind)).map(String::as_str)
    }

    /// The name of the definition of the list of a kind.
    pub(super) fn list_name_of(&self, endpoint: &Endpoint) -> Option<String> {
        let name = self.name_of(&endpoint.kind())?;
        Some(list_name(name, &endpoint.definition().list_kind))
    }

    /// All definitions.
    pub(super) fn finish(self) -> Map<String, Value> {
        self.definitions
    }

    fn add_list(&mut self, endpoint: &Endpoint, item: &str, meta: &MetaNames) {
        let definition = endpoint.definition();
        let list = GroupVersionKind { kind: definition.list_kind.to_string(), ..endpoint.kind() };
        let name = list_name(item, &list.kind);
        let mut schema =
            openapi::list(self.version, &list, &definition.kind, &definition.plural, item, &meta.list_meta);
        if matches!(endpoint.version().schema, SchemaSource::Given(_)) {
            offer_selection(&mut schema, endpoint);
        } else if self.version == Version::V3 {
            // Go always writes what is no pointer.
            let empty: Map<String, Value> = [("default".to_owned(), json!({}))].into_iter().collect();
            schema["properties"]["metadata"]["default"] = json!({});
            schema["properties"]["items"]["items"] = self.version.reference(item, empty);
        }
        self.definitions.insert(name, schema);
    }

    /// Adds the definitions of a Rust type and returns the name of its own. Where two types bring a definition of one name,
    /// the one that says more stays: a kind may have been given fields that others do not know.
    pub(super) fn add_document(&mut self, document: SchemaDocument) -> String {
        let size = |schema: &Value| schema.get("properties").and_then(Value::as_object).map_or(0, Map::len);
        for (name, mut schema) in openapi::definitions(self.version, &document.definitions) {
            enums::add(&name, &mut schema);
            corrections::correct(&name, &mut schema);
            let meta_kind = name.strip_prefix("io.k8s.apimachinery.pkg.apis.meta.v1.");
            if let Some(kind) = meta_kind.filter(|kind| META_KINDS.contains(kind)) {
                openapi::mark_kinds(&mut schema, &[GroupVersionKind::new("", "v1", kind)]);
            }
            match self.definitions.get_mut(&name) {
                Some(known) if size(known) >= size(&schema) => {}
                Some(known) => {
                    if let Some(kinds) = known.get_mut(KINDS) {
                        schema[KINDS] = kinds.take();
                    }
                    *known = schema;
                }
                None => {
                    self.definitions.insert(name, schema);
                }
            }
        }
        document.root
    }

    fn mark(&mut self, name: &str, kind: &GroupVersionKind) {
        if let Some(schema) = self.definitions.get_mut(name) {
            openapi::mark_kinds(schema, std::slice::from_ref(kind));
        }
    }
}

/// Says which fields of a custom resource field selectors may name.
fn offer_selection(schema: &mut Value, endpoint: &Endpoint) {
    let fields = &endpoint.version().selectable_fields;
    if !fields.is_empty() {
        let fields = fields.iter().map(|field| json!({"fieldPath": field.name}));
        schema["x-kubernetes-selectable-fields"] = fields.collect();
    }
}

const KINDS: &str = "x-kubernetes-group-version-kind";

fn list_name(item: &str, list_kind: &str) -> String {
    let package = item.rsplit_once('.').map_or("", |(package, _)| package);
    format!("{package}.{list_kind}")
}
