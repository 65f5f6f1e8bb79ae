//! `ResourceDefinition`: everything a server needs to know to serve one kind.
//!
//! Prototype kinds, built-in kinds and CRDs created at run time all become this one value; a handler knows nothing else.

use std::{borrow::Cow, fmt, sync::Arc};

use jiff::Timestamp;
use machinery::{
    field,
    names::{GroupResource, GroupVersionKind},
};
use serde_json::{Map, Value};

use crate::release::Release;

/// Text that is static for kinds of the catalog and owned for kinds made at run time.
pub type Text = Cow<'static, str>;

/// One served kind.
#[derive(Clone)]
pub struct ResourceDefinition {
    /// API group, empty for core.
    pub group: Text,
    /// Kind in CamelCase.
    pub kind: Text,
    /// Kind of the list; nearly always `<Kind>List`.
    pub list_kind: Text,
    /// Plural resource name.
    pub plural: Text,
    /// Singular resource name; may be empty.
    pub singular: Text,
    /// Short names for kubectl.
    pub short_names: Vec<Text>,
    /// Categories, for instance `all`.
    pub categories: Vec<Text>,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// The served versions, in the order in which discovery prefers them.
    pub versions: Vec<VersionDefinition>,
    /// Which objects these are: definitions with the same store show the same objects in different spellings
    /// (`Pod` of core and of dra-evolution). Two generations of `ResourceClaim` have two stores.
    pub store: Text,
    /// What the kind does on writes.
    pub strategy: Arc<dyn Strategy>,
    /// Subresources besides the object itself, `status` included.
    pub subresources: Vec<Subresource>,
    /// A finished delete answers with the object, not with a Status.
    pub delete_returns_object: bool,
    /// A delete waits for somebody else to confirm it (only `Pod`).
    pub graceful_delete: bool,
    /// Verbs, in discovery's order. Empty means all eight: create, delete, deletecollection, get, list, patch, update, watch.
    pub verbs: Vec<Text>,
}

impl fmt::Debug for ResourceDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceDefinition")
            .field("store", &self.store)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl ResourceDefinition {
    /// A kind whose store is its own, with all verbs, without versions, subresources or rules. The singular name is the
    /// kind in lower case.
    pub fn new(group: &'static str, kind: &'static str, plural: &'static str, scope: Scope) -> Self {
        Self {
            group: group.into(),
            kind: kind.into(),
            list_kind: format!("{kind}List").into(),
            plural: plural.into(),
            singular: kind.to_ascii_lowercase().into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope,
            versions: Vec::new(),
            store: GroupResource::new(group, plural).to_string().into(),
            strategy: Arc::new(Unruled),
            subresources: Vec::new(),
            delete_returns_object: false,
            graceful_delete: false,
            verbs: Vec::new(),
        }
    }

    /// `plural.group` as errors name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group.clone(), self.plural.clone())
    }

    /// Group, version and kind of objects in the given version.
    pub fn kind_in(&self, version: &str) -> GroupVersionKind {
        GroupVersionKind::new(self.group.clone(), version, self.kind.clone())
    }

    /// The version of that name, when it exists and is served.
    pub fn version(&self, name: &str) -> Option<&VersionDefinition> {
        self.versions.iter().find(|version| version.served && version.name == name)
    }

    /// The version in which objects are stored.
    pub fn storage_version(&self) -> &VersionDefinition {
        self.versions.iter().find(|version| version.storage).unwrap_or(&self.versions[0])
    }

    /// True when the kind has this subresource.
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|subresource| subresource.name == name)
    }
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the cluster.
    Cluster,
    /// In a namespace.
    Namespaced,
}

/// One version of a kind.
#[derive(Clone)]
pub struct VersionDefinition {
    /// `v1`, `v1alpha2` …
    pub name: Text,
    /// Clients may use it.
    pub served: bool,
    /// Objects are stored in it; true for exactly one version of a kind.
    pub storage: bool,
    /// Text of the warning that every use of a deprecated version carries.
    pub deprecation_warning: Option<Text>,
    /// The schema, made when first asked for.
    pub schema: SchemaSource,
    /// Columns of `kubectl get`, `Name` and `Age` included.
    pub columns: Vec<Column>,
    /// Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Vec<SelectableField>,
    /// What lies below an object in this version, where that is not what the kind says.
    pub subresources: Option<Vec<Subresource>>,
    /// Turns a document of this version into the storage version; `apiVersion` and `kind` are set by the caller.
    /// `None`: only those differ.
    pub to_storage: Option<fn(&mut Value)>,
    /// Turns a stored document into this version.
    pub from_storage: Option<fn(&mut Value)>,
}

/// What of the metadata a write to the status leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptMetadata {
    /// The owners.
    Owners,
    /// The owners and the labels, as of Deployments.
    Labels,
    /// Everything that a client writes: kinds that upstream's `ResetObjectMetaForStatus` looks after.
    All,
}

impl VersionDefinition {
    /// A served version that objects are not stored in, without columns besides name and age.
    pub fn new(name: &'static str, schema: SchemaSource) -> Self {
        Self {
            name: name.into(),
            served: true,
            storage: false,
            deprecation_warning: None,
            schema,
            columns: crate::builtin::column::name_and_age(),
            selectable_fields: Vec::new(),
            subresources: None,
            to_storage: None,
            from_storage: None,
        }
    }
}

/// Where a schema comes from.
#[derive(Clone)]
pub enum SchemaSource {
    /// Made by a function: for kinds with a Rust type. Called once per server and version, on first use.
    Built(fn() -> SchemaDocument),
    /// Given: for CRDs, the `openAPIV3Schema` (with `metadata`, `apiVersion` and `kind` as the author wrote them or not at all).
    Given(Arc<Value>),
    /// None: every field is accepted.
    Absent,
}

/// A JSON schema with its definitions, as `schemars` makes it, with the Kubernetes extensions
/// (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, `x-kubernetes-map-type`, `x-kubernetes-patch-merge-key`,
/// `x-kubernetes-patch-strategy`, `x-kubernetes-int-or-string`, `x-kubernetes-preserve-unknown-fields`,
/// `x-kubernetes-validations`) put in where they apply.
#[derive(Clone, Debug)]
pub struct SchemaDocument {
    /// Name of the definition that describes the kind, for instance `io.k8s.api.core.v1.Pod`.
    pub root: String,
    /// Every definition that the root refers to, itself included, by name. References are `#/$defs/<name>`.
    pub definitions: Map<String, Value>,
}

/// One column of a Table.
#[derive(Clone)]
pub struct Column {
    /// Heading as in `meta.k8s.io/v1 Table` (kubectl prints it in upper case).
    pub name: Text,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub type_: Text,
    /// `name` for the name column, else usually empty.
    pub format: Text,
    /// What the column shows.
    pub description: Text,
    /// 0: always; greater: only with `-o wide`.
    pub priority: i32,
    /// How a cell is computed.
    pub cell: Cell,
}

/// How a cell of a Table is computed.
#[derive(Clone)]
pub enum Cell {
    /// By a function of the object and the current time.
    Computed(fn(&Value, Timestamp) -> Value),
    /// By a function that gives null for objects to which the column does not apply. A table in which it applies to none
    /// has no such column.
    Optional(fn(&Value, Timestamp) -> Value),
    /// By a JSONPath (CRD printer columns). A column of type `date` shows how long ago.
    JsonPath(String),
}

/// One field that a field selector may name.
#[derive(Clone)]
pub struct SelectableField {
    /// As users write it: `spec.nodeName`.
    pub name: Text,
    /// Its value in an object, as text; absent reads as the empty string.
    pub value: FieldValue,
}

/// How the value of a selectable field is found.
#[derive(Clone)]
pub enum FieldValue {
    /// At the path that is its name.
    Path,
    /// By a function.
    Computed(fn(&Value) -> String),
    /// At this JSONPath (CRDs).
    JsonPath(String),
}

/// A subresource.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// `status`, `scale`, `binding`, `log` …
    pub name: Text,
    /// Group, version and kind on its wire; `None`: the resource's own.
    pub kind: Option<GroupVersionKind>,
    /// Verbs in discovery's order.
    pub verbs: Vec<Text>,
    /// Where `scale` finds its numbers; `None` for other subresources.
    pub scale: Option<ScalePaths>,
}

impl Subresource {
    /// The `status` subresource.
    pub fn status() -> Self {
        Self {
            name: "status".into(),
            kind: None,
            verbs: ["get", "patch", "update"].map(Text::from).to_vec(),
            scale: None,
        }
    }
}

/// Where the `scale` subresource finds its numbers, as dotted paths (`.spec.replicas`).
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// Wanted replicas.
    pub spec_replicas: Text,
    /// Present replicas.
    pub status_replicas: Text,
    /// The selector: a text, or a LabelSelector object that is turned into one.
    pub selector: Option<Text>,
}

/// Something that the user may or may not do to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// What.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// Empty for all.
    pub namespace: &'a str,
    /// Empty for all.
    pub name: &'a str,
}

/// What a strategy may ask of its surroundings. The server implements it; a test can too.
pub trait Surroundings {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// The user who asks.
    fn user(&self) -> &str;
    /// The verb of the request: `create`, `update` or `patch`.
    fn verb(&self) -> &str {
        "update"
    }
    /// The node of the user, where that is a service account whose token is bound to one.
    fn user_node(&self) -> Option<&str> {
        None
    }
    /// Whether the user may do something; `Err` says why not, in the words of authorization.
    fn authorize(&self, _question: &Question<'_>) -> Result<(), String> {
        Ok(())
    }
    /// A label of a namespace.
    fn namespace_label(&self, namespace: &str, label: &str) -> Option<String>;
    /// Whether a feature gate is on.
    fn feature_enabled(&self, gate: &str) -> bool;
    /// The release of Kubernetes whose rules apply.
    fn release(&self) -> Release {
        Release::default()
    }
    /// Compiles a device selector in the given vocabulary. `Ok` is its estimated worst-case cost.
    fn check_selector(&self, expression: &str, environment: crate::hub::Environment) -> Result<u64, String>;
    /// Compiles an expression for an attribute of a device. `Ok` is its estimated worst-case cost.
    fn check_derived_attribute(&self, expression: &str) -> Result<u64, String>;
}

/// What a kind does on writes. Documents are in the storage version; structural validation against the schema has been
/// done, pruning and schema defaults too. Every method has the behaviour of a kind without rules as its default.
pub trait Strategy: Send + Sync {
    /// Fills in fields that have defaults. Runs on every document that comes in, after decoding.
    fn default(&self, _object: &mut Value, _surroundings: &dyn Surroundings) {}

    /// Resets what a client may not set on create (`status`, for most kinds with that subresource).
    fn prepare_for_create(&self, _object: &mut Value, _surroundings: &dyn Surroundings) {}

    /// Everything wrong with a new object.
    fn validate(&self, _object: &Value, _surroundings: &dyn Surroundings) -> Vec<field::Error> {
        Vec::new()
    }

    /// Restores what a client may not change. `subresource` is empty for the main resource.
    fn prepare_for_update(
        &self,
        _object: &mut Value,
        _old: &Value,
        _subresource: &str,
        _surroundings: &dyn Surroundings,
    ) {
    }

    /// Everything wrong with a change.
    fn validate_update(
        &self,
        _object: &Value,
        _old: &Value,
        _subresource: &str,
        _surroundings: &dyn Surroundings,
    ) -> Vec<field::Error> {
        Vec::new()
    }

    /// Warnings for the client of a create or an update (`old` is absent on create).
    fn warnings(&self, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Why `name` is no name for this kind; the default is the DNS subdomain rule.
    fn name_errors(&self, name: &str) -> Vec<String> {
        machinery::names::dns1123_subdomain_errors(name)
    }

    /// Whether `metadata.generation` is kept for this kind (1 on create, one more with every change outside metadata and status).
    fn keeps_generation(&self) -> bool {
        true
    }

    /// Whether finalizers may lack a domain that are not Kubernetes' own (`orphan`, `foregroundDeletion`, `kubernetes`).
    fn takes_bare_finalizers(&self) -> bool {
        false
    }

    /// Members of `metadata` whose change counts as a change of the object, for the generation.
    fn generation_counts(&self) -> &'static [&'static str] {
        &[]
    }

    /// What of the metadata a write to the status leaves alone.
    fn status_keeps(&self) -> KeptMetadata {
        KeptMetadata::All
    }

    /// Whether a PUT without `resourceVersion` is allowed.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// Whether a PUT may create the object.
    fn allows_create_on_update(&self) -> bool {
        false
    }
}

/// The strategy of a kind without rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unruled;

impl Strategy for Unruled {}
