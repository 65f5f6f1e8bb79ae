//! `Catalog`: which kinds are served right now. Built-in kinds are given at the start; those of CRDs come and go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use api::definition::{ResourceDefinition, SchemaSource, Scope, Subresource, VersionDefinition};
use arc_swap::ArcSwap;
use bytes::Bytes;
use machinery::{
    meta,
    names::{self, GroupResource, GroupVersionKind, split_api_version},
};
use schema::{LoadError, Schema};
use serde_json::Value;

use crate::{
    json::{self, Style},
    rules::ObjectRules,
    storage::{Space, Store, Stored},
};

/// Why a schema of the catalog cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the schema of {kind} does not load: {source}")]
pub struct CatalogError {
    kind: String,
    source: LoadError,
}

/// The schema of `metadata`, which every custom resource has.
static OBJECT_META: LazyLock<Result<Schema, LoadError>> = LazyLock::new(|| {
    let document = api::builtin::object_meta();
    Schema::from_definitions(&document.root, document.definitions)
});

/// The schema of `metadata`, which every object has.
pub fn object_meta() -> Result<&'static Schema, &'static LoadError> {
    OBJECT_META.as_ref()
}

/// A schema, loaded when first asked for; `None` for a kind that takes every field.
type LazySchema = OnceLock<Result<Option<Schema>, CatalogError>>;

/// A definition as the server runs it.
#[derive(Debug)]
pub struct Resource {
    /// What it is.
    pub definition: ResourceDefinition,
    custom: bool,
    space: Arc<Space>,
    /// Encoded `kind` and `apiVersion` of each version.
    heads: Vec<Bytes>,
    schemas: Vec<LazySchema>,
    /// Compiled CEL rules of each version, made when first asked for.
    rules: Vec<OnceLock<ObjectRules>>,
    /// The resource in whose storage version the space holds its objects, when that is another one.
    primary: Option<Arc<Resource>>,
    /// Objects that were stored up to this revision may be such as an older schema made them.
    schema_since: u64,
    /// A webhook converts between its versions: they differ in more than their names.
    by_webhook: bool,
    /// Versions of a custom resource whose schema is not that of the version in storage.
    narrow: Vec<usize>,
}

/// The schema of a version as its author wrote it.
fn given_schema(version: &VersionDefinition) -> Option<&Value> {
    match &version.schema {
        SchemaSource::Given(open_api) => Some(open_api),
        SchemaSource::Built(_) | SchemaSource::Absent => None,
    }
}

impl Resource {
    fn new(definition: ResourceDefinition, custom: bool, space: Arc<Space>, primary: Option<Arc<Self>>) -> Self {
        let style = if custom { Style::Custom } else { Style::BuiltIn };
        let heads = definition
            .versions
            .iter()
            .map(|version| json::head(&names::api_version(&definition.group, &version.name), &definition.kind, style))
            .collect();
        let schemas = definition.versions.iter().map(|_| OnceLock::new()).collect();
        let rules = definition.versions.iter().map(|_| OnceLock::new()).collect();
        let stored = definition.versions.iter().find(|version| version.storage).and_then(given_schema);
        let differs = |(_, version): &(usize, &VersionDefinition)| custom && given_schema(version) != stored;
        let narrow = definition.versions.iter().enumerate().filter(differs).map(|(at, _)| at).collect();
        Self { definition, custom, space, heads, schemas, rules, primary, schema_since: 0, by_webhook: false, narrow }
    }

    /// True for a kind that a CustomResourceDefinition made.
    pub fn is_custom(&self) -> bool {
        self.custom
    }

    /// True when objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.definition.scope == Scope::Namespaced
    }

    /// Where its objects are.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// An object as the schema of today has it: pruned and with defaults, where it was stored under an older one. What storage
    /// holds stays as it is until the next write.
    pub(crate) fn current(self: &Arc<Self>, object: &Arc<Stored>) -> Arc<Stored> {
        if object.revision() > self.schema_since {
            return object.clone();
        }
        let before = object.whole();
        // What waits for a webhook has the schema of the version in which it was stored.
        let version = split_api_version(meta::api_version(&before)).ok().map(|(_, version)| version);
        let stored = version.filter(|_| self.by_webhook).and_then(|version| Endpoint::of(self, version));
        let storage = stored.unwrap_or_else(|| self.storage_endpoint());
        let Ok(Some(schema)) = storage.schema() else { return object.clone() };
        let mut value = before.clone();
        schema.root().prune(&mut value);
        schema.root().apply_defaults(&mut value);
        if value == before {
            return object.clone();
        }
        Arc::new(object.with_value(value, storage.head(), self.style()))
    }

    /// The schema of the version in which objects are stored, as its author wrote it.
    fn stored_schema(&self) -> Option<&Value> {
        self.definition.versions.iter().find(|version| version.storage).and_then(given_schema)
    }

    /// In which order members of its objects are written.
    pub fn style(&self) -> Style {
        if self.custom { Style::Custom } else { Style::BuiltIn }
    }

    /// `plural.group` as errors name it.
    pub fn group_resource(&self) -> GroupResource {
        self.definition.group_resource()
    }

    /// This resource at the version in which its space holds objects.
    pub fn storage_endpoint(self: &Arc<Self>) -> Endpoint {
        let resource = self.primary.as_ref().unwrap_or(self).clone();
        let version = resource.definition.versions.iter().position(|version| version.storage).unwrap_or(0);
        Endpoint { resource, version }
    }

    /// The schema of one of its versions; `None` when every field is accepted, or there is no such version.
    pub fn schema(&self, version: &str) -> Result<Option<&Schema>, &CatalogError> {
        match self.definition.versions.iter().position(|known| known.name == version) {
            Some(version) => self.schema_at(version),
            None => Ok(None),
        }
    }

    fn schema_at(&self, version: usize) -> Result<Option<&Schema>, &CatalogError> {
        self.schemas[version].get_or_init(|| self.load_schema(version)).as_ref().map(Option::as_ref)
    }

    fn load_schema(&self, version: usize) -> Result<Option<Schema>, CatalogError> {
        let version = &self.definition.versions[version];
        let loaded = match &version.schema {
            SchemaSource::Absent => return Ok(None),
            SchemaSource::Built(build) => {
                let document = build();
                Schema::from_definitions(&document.root, document.definitions)
            }
            SchemaSource::Given(open_api) => {
                OBJECT_META.clone().and_then(|object_meta| Schema::from_custom(open_api, &object_meta))
            }
        };
        let kind = || self.definition.kind_in(&version.name).to_string();
        loaded.map(Some).map_err(|source| CatalogError { kind: kind(), source })
    }

    /// The CEL rules of a version of a custom resource; `None` when it has none.
    fn rules_at(&self, version: usize) -> Result<Option<&ObjectRules>, &CatalogError> {
        let SchemaSource::Given(open_api) = &self.definition.versions[version].schema else { return Ok(None) };
        let Some(schema) = self.schema_at(version)? else { return Ok(None) };
        let rules = self.rules[version].get_or_init(|| ObjectRules::compile(schema, open_api));
        Ok(Some(rules).filter(|rules| !rules.is_empty()))
    }

    /// The key of an object: `namespace/name`, or `name` for cluster-scoped objects.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.is_namespaced() { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

/// A resource in one of its versions: what a client's path names.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The resource.
    pub resource: Arc<Resource>,
    version: usize,
}

impl Endpoint {
    /// A resource in the version of that name, if it has one.
    pub fn of(resource: &Arc<Resource>, version: &str) -> Option<Self> {
        let version = resource.definition.versions.iter().position(|known| known.name == version)?;
        Some(Self { resource: resource.clone(), version })
    }

    /// The definition of the resource.
    pub fn definition(&self) -> &ResourceDefinition {
        &self.resource.definition
    }

    /// True for kinds that are only ever created and nowhere to be found afterwards: reviews and bindings.
    pub(crate) fn is_only_created(&self) -> bool {
        matches!(&*self.definition().verbs, [only] if only == "create")
    }

    /// The definition of the version.
    pub fn version(&self) -> &VersionDefinition {
        &self.resource.definition.versions[self.version]
    }

    /// What lies below an object in this version.
    pub fn subresources(&self) -> &[Subresource] {
        self.version().subresources.as_deref().unwrap_or(&self.definition().subresources)
    }

    /// The `apiVersion` of objects at this endpoint.
    pub fn api_version(&self) -> String {
        names::api_version(&self.definition().group, &self.version().name)
    }

    /// Group, version and kind of objects at this endpoint.
    pub fn kind(&self) -> GroupVersionKind {
        self.definition().kind_in(&self.version().name)
    }

    /// The same as validation names it: objects that one group shows and another stores are of the latter.
    pub(crate) fn stored_kind(&self) -> GroupVersionKind {
        let mut kind = self.kind();
        if !self.definition().store.contains('.') {
            kind.group = String::new();
        }
        kind
    }

    /// `plural.group` as errors name it.
    pub fn group_resource(&self) -> GroupResource {
        self.resource.group_resource()
    }

    /// Encoded `kind` and `apiVersion`, up to the first other member: `{"kind":"Pod","apiVersion":"v1",`.
    pub fn head(&self) -> &Bytes {
        &self.resource.heads[self.version]
    }

    /// The schema of the version; `None` when every field is accepted.
    pub fn schema(&self) -> Result<Option<&Schema>, &CatalogError> {
        self.resource.schema_at(self.version)
    }

    /// The CEL rules of the version; `None` when it has none.
    pub(crate) fn rules(&self) -> Result<Option<&ObjectRules>, &CatalogError> {
        self.resource.rules_at(self.version)
    }

    /// True for a version of a custom resource whose schema is not that of the version in storage: what only the other one has is
    /// lost in between, unless a webhook converts.
    pub(crate) fn narrows(&self) -> bool {
        !self.resource.by_webhook && self.resource.narrow.contains(&self.version)
    }

    /// True when this is the version in which objects are stored.
    pub fn is_storage(&self) -> bool {
        self.resource.primary.is_none() && self.version().storage
    }
}

/// Lookup by group, version and plural, without allocating.
type Endpoints = HashMap<String, HashMap<String, HashMap<String, Endpoint>>>;

/// What is served at one moment.
#[derive(Debug, Default)]
pub struct Served {
    /// Goes up with every change; caches of discovery and OpenAPI compare it.
    pub generation: u64,
    /// Every resource: the built-in ones in the order of the catalog, then those of CRDs by group and plural.
    pub resources: Vec<Arc<Resource>>,
    endpoints: Endpoints,
}

impl Served {
    fn index(generation: u64, resources: Vec<Arc<Resource>>) -> Self {
        let mut endpoints = Endpoints::new();
        for resource in &resources {
            let definition = &resource.definition;
            let group = endpoints.entry(definition.group.to_string()).or_default();
            for (version, served) in definition.versions.iter().enumerate().filter(|(_, version)| version.served) {
                group
                    .entry(served.name.to_string())
                    .or_default()
                    .entry(definition.plural.to_string())
                    .or_insert_with(|| Endpoint { resource: resource.clone(), version });
            }
        }
        Self { generation, resources, endpoints }
    }

    /// The endpoint that a path names.
    pub fn endpoint(&self, group: &str, version: &str, plural: &str) -> Option<&Endpoint> {
        self.endpoints.get(group)?.get(version)?.get(plural)
    }

    /// The endpoint that serves a kind.
    pub fn endpoint_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Endpoint> {
        self.endpoints.get(group)?.get(version)?.values().find(|endpoint| endpoint.definition().kind == kind)
    }

    /// True when something is served in the group.
    pub fn has_group(&self, group: &str) -> bool {
        self.endpoints.contains_key(group)
    }

    /// True when something that no CustomResourceDefinition made is served in the group.
    pub fn has_built_in(&self, group: &str) -> bool {
        let versions = self.endpoints.get(group).into_iter().flat_map(HashMap::values);
        versions.flat_map(HashMap::values).any(|endpoint| !endpoint.resource.is_custom())
    }

    /// True when something is served in that version of the group.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.endpoints.get(group).is_some_and(|versions| versions.contains_key(version))
    }

    /// Other generations of a resource: same group and plural, objects of their own. Each in the version in which its objects are stored.
    pub fn siblings(&self, resource: &Resource) -> Vec<Endpoint> {
        self.resources
            .iter()
            .filter(|other| {
                other.definition.group == resource.definition.group
                    && other.definition.plural == resource.definition.plural
                    && other.definition.store != resource.definition.store
            })
            .filter_map(|other| {
                let versions = &other.definition.versions;
                let stored = versions.iter().position(|version| version.storage && version.served);
                let version = stored.or_else(|| versions.iter().position(|version| version.served))?;
                Some(Endpoint { resource: other.clone(), version })
            })
            .collect()
    }
}

/// The kinds that are served, and how they change.
#[derive(Debug)]
pub struct Catalog {
    served: ArcSwap<Served>,
    /// Serialises changes.
    change: Mutex<()>,
}

impl Catalog {
    /// The catalog of the built-in kinds.
    pub fn new(definitions: Vec<ResourceDefinition>, store: &dyn Store) -> Self {
        // The definition a store is named after says in which version the store holds its objects.
        let mut primaries: BTreeMap<String, Arc<Resource>> = BTreeMap::new();
        let (mut first, mut aliases) = (Vec::new(), Vec::new());
        for definition in definitions {
            let is_named_after = definition.group_resource().to_string() == definition.store;
            if is_named_after { first.push(definition) } else { aliases.push(definition) }
        }
        let mut resources = Vec::with_capacity(first.len() + aliases.len());
        for definition in first.into_iter().chain(aliases) {
            let primary = primaries.get(definition.store.as_ref()).cloned();
            let space = store.space(&definition.store);
            let selects = |version: &VersionDefinition| {
                version.selectable_fields.iter().any(|field| field.name == "spec.nodeName")
            };
            if definition.versions.iter().any(selects) && space.found_by().is_none() {
                // What is on a node is what kubelets and those who look at nodes ask for.
                space.find_by(&["spec", "nodeName"]);
            }
            let resource = Arc::new(Resource::new(definition, false, space, primary));
            primaries.entry(resource.definition.store.to_string()).or_insert_with(|| resource.clone());
            resources.push(resource);
        }
        Self { served: ArcSwap::from_pointee(Served::index(1, resources)), change: Mutex::new(()) }
    }

    /// What is served now.
    pub fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// The endpoint that a path names, if it is served now.
    pub fn endpoint(&self, group: &str, version: &str, plural: &str) -> Option<Endpoint> {
        self.served.load().endpoint(group, version, plural).cloned()
    }

    /// Serves the kind of a CRD, in place of what the CRD defined before.
    pub fn put_custom(&self, definition: ResourceDefinition, by_webhook: bool, store: &dyn Store) {
        let served = self.served();
        let name = definition.group_resource();
        let before = served.resources.iter().find(|known| known.custom && known.group_resource() == name).cloned();
        self.change_custom(&definition.group_resource(), |custom| {
            let space = store.space(&definition.store);
            let mut resource = Resource::new(definition.clone(), true, space, None);
            resource.by_webhook = by_webhook;
            resource.schema_since = match before.as_deref() {
                Some(before) if before.stored_schema() == resource.stored_schema() => before.schema_since,
                _ => store.revision(),
            };
            custom.push(Arc::new(resource));
        });
    }

    /// Stops serving the kind of a CRD.
    pub fn remove_custom(&self, resource: &GroupResource) {
        self.change_custom(resource, |_| {});
    }

    fn change_custom(&self, replaced: &GroupResource, change: impl FnOnce(&mut Vec<Arc<Resource>>)) {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let served = self.served.load_full();
        let (mut custom, mut resources): (Vec<_>, Vec<_>) =
            served.resources.iter().cloned().partition(|resource| resource.custom);
        custom.retain(|resource| resource.group_resource() != *replaced);
        change(&mut custom);
        custom.sort_by(|a, b| {
            (&a.definition.group, &a.definition.plural).cmp(&(&b.definition.group, &b.definition.plural))
        });
        resources.extend(custom);
        self.served.store(Arc::new(Served::index(served.generation + 1, resources)));
    }
}
