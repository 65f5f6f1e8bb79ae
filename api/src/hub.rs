//! The hub: what an allocator needs to know, whatever API generation it was written in.
//!
//! These types are nobody's wire format and never serialised. Every generation converts into them
//! (`convert::<generation>`), and the result of an allocation is written back by the generation that asked.
//! The shape is the superset of `resource.k8s.io/v1` (KEP-4381 and the KEPs that grew from it) and of the prototypes.

use std::collections::{BTreeMap, BTreeSet};

use machinery::quantity::Quantity;

/// A node as device selection sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
}

/// A named set of requirements on, and configuration for, devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceClass {
    /// `metadata.name`.
    pub name: String,
    /// All must hold for a device that is chosen through this class.
    pub selectors: Vec<Selector>,
    /// The classes that this one gathers (k8srm-prototype's aggregate classes): unless empty, a device must also satisfy
    /// every selector of at least one of them.
    pub any_of: Vec<ClassMember>,
    /// Handed to drivers; never influences the choice.
    pub config: Vec<Opaque>,
    /// The extended resource that pods may ask this class for (KEP-5004).
    pub extended_resource_name: Option<String>,
}

/// A class that another one gathers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassMember {
    /// All must hold for a device that is chosen through this member.
    pub selectors: Vec<Selector>,
    /// Handed to the drivers of devices that are chosen through this member.
    pub config: Vec<Opaque>,
}

/// A CEL expression over one device, and the vocabulary in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// CEL source. `None` is a selector of a type that this model does not know: an error when it is used.
    pub expression: Option<String>,
    /// What the expression may name.
    pub environment: Environment,
}

/// The vocabularies of device selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Environment {
    /// `device.attributes["domain"].name`, `device.capacity`, `device.driver`: resource.k8s.io/v1 and its betas.
    #[default]
    Device,
    /// `device.stringAttributes["name"]` and its siblings, one map per type: the dra-evolution prototype.
    TypedAttributes,
    /// `device.name`, one untyped map: the k8srm prototype.
    AttributeMap,
    /// `attributes.string["name"]` and its siblings: the named resources of Kubernetes 1.30.
    NamedResources,
}

/// Parameters for a driver, which nobody else reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque {
    /// Name of the driver that reads them.
    pub driver: String,
    /// JSON text as it was written.
    pub parameters: String,
}

/// A claim on devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// `metadata.namespace`; may be empty.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// What is asked for, in order.
    pub requests: Vec<Request>,
    /// What must hold among the chosen devices.
    pub constraints: Vec<Constraint>,
    /// Configuration by request.
    pub config: Vec<ClaimConfig>,
    /// Why requests with admin access may not be allocated, where a policy decides that at allocation time
    /// (the `Quota` kind of dra-evolution). `None`: they may.
    pub admin_access_denied: Option<String>,
    /// API group of the classes that it names, where that is not `resource.k8s.io`.
    pub class_group: Option<&'static str>,
}

/// One request of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Unique in the claim.
    pub name: String,
    /// What it asks for.
    pub ask: RequestAsk,
}

/// The one-of of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestAsk {
    /// Exactly this.
    Exactly(Ask),
    /// The first of these that can be had (KEP-4816), each with its name.
    FirstAvailable(Vec<SubRequest>),
    /// Neither of the alternatives is set: an error when the claim is allocated.
    Unknown,
}

/// One alternative of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct SubRequest {
    /// Unique in the request.
    pub name: String,
    /// What it asks for.
    pub ask: Ask,
}

/// Which and how many devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// Name of the device class; `None` selects from all devices (dra-evolution), an empty name is an error.
    pub class: Option<String>,
    /// All must hold, besides those of the class.
    pub selectors: Vec<Selector>,
    /// How many.
    pub amount: Amount,
    /// `Some(true)`: devices may be in use, and stay so (KEP-5018).
    pub admin_access: Option<bool>,
    /// Taints that do not matter (KEP-5055).
    pub tolerations: Vec<Toleration>,
    /// Share of each device that is asked for, by capacity name (KEP-5075).
    pub capacity: BTreeMap<String, Quantity>,
    /// Attributes that the claim computes for each device, for its constraints (KEP-6080).
    pub derived_attributes: Vec<DerivedAttribute>,
}

/// An attribute that is computed from a device, and hides one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DerivedAttribute {
    /// `domain/name`, as constraints write it.
    pub name: String,
    /// CEL source over `device`; a text, number, truth value, version, or a list of one of these.
    pub expression: String,
}

/// How many devices satisfy an ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Amount {
    /// This many.
    Exact(i64),
    /// Every device that matches.
    All,
    /// As few devices as provide, together, at least these totals (k8srm-prototype's `requests`).
    Total {
        /// Fewest devices.
        min: u32,
        /// Most devices; `None`: as many as a claim may hold.
        max: Option<u32>,
        /// By resource name, summed over `Device::provides` of the chosen devices.
        provides: BTreeMap<String, Quantity>,
    },
    /// A mode that this model does not know: an error when the claim is allocated.
    Unknown(String),
}

impl Default for Amount {
    fn default() -> Self {
        Self::Exact(1)
    }
}

/// Accepts taints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toleration {
    /// Taint key; empty with `Exists` matches every key.
    pub key: String,
    /// `Exists`, `Equal`, or empty for `Equal`.
    pub operator: String,
    /// Taint value for `Equal`.
    pub value: String,
    /// Taint effect; empty matches every effect.
    pub effect: String,
    /// How long a `NoExecute` taint is tolerated; does not matter for allocation.
    pub toleration_seconds: Option<i64>,
}

/// What must hold among the devices of some requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Requests (`request` or `request/subrequest`) it is about; empty for all.
    pub requests: Vec<String>,
    /// The rule.
    pub rule: ConstraintRule,
}

/// The rules of constraints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstraintRule {
    /// All devices have the attribute, with the same value.
    Match(String),
    /// All devices have the attribute, each with another value.
    Distinct(String),
    /// A rule that this model does not know: an error when the claim is allocated.
    Unknown,
}

/// Configuration of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimConfig {
    /// Requests it is for; empty for all.
    pub requests: Vec<String>,
    /// The parameters.
    pub opaque: Opaque,
}

/// A part of a pool of devices, as one object publishes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// `metadata.name`, which orders slices within a pool.
    pub name: String,
    /// Name of the driver.
    pub driver: String,
    /// Name of the pool, unique for the driver.
    pub pool: String,
    /// Generation of the pool; only the slices of the newest one count.
    pub generation: i64,
    /// How many slices make the pool complete in this generation; `None`: however many there are (dra-evolution, which
    /// does not count, and where the newest slice is right about a device that several publish).
    pub slice_count: Option<i64>,
    /// When the object was created (RFC 3339 in UTC), where that decides between slices; else empty.
    pub created: String,
    /// Which nodes reach the devices.
    pub nodes: NodeScope,
    /// The devices.
    pub devices: Vec<Device>,
    /// Counters that devices of the pool share (KEP-4815).
    pub counter_sets: Vec<CounterSet>,
    /// Operations that kubelets need not do for the devices (KEP-5945); copied to results.
    pub skip_node_operations: Vec<String>,
}

/// Which nodes reach a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NodeScope {
    /// Not said, or in a way that this model does not know: no node.
    #[default]
    Nowhere,
    /// The node of this name.
    Node(String),
    /// The nodes that match.
    Selector(NodeSelector),
    /// Every node.
    All,
    /// Each device says so itself (slices only).
    PerDevice,
}

/// Alternatives of which one must match a node; `core/v1 NodeSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelector {
    /// Any of them.
    pub terms: Vec<NodeSelectorTerm>,
}

/// Requirements that must all match a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelectorTerm {
    /// On labels.
    pub match_expressions: Vec<NodeRequirement>,
    /// On fields; only `metadata.name` exists.
    pub match_fields: Vec<NodeRequirement>,
}

/// One requirement on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRequirement {
    /// Label key or field path.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: String,
    /// Operands.
    pub values: Vec<String>,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// Unique in the pool.
    pub name: String,
    /// By name: `name` (the driver's own domain) or `domain/name`.
    pub attributes: BTreeMap<String, Attribute>,
    /// By name, as attributes.
    pub capacity: BTreeMap<String, Capacity>,
    /// What using the device takes from the counters of its pool.
    pub consumes: Vec<CounterConsumption>,
    /// Which nodes reach it, where the slice leaves that to devices.
    pub nodes: NodeScope,
    /// Reasons not to use it.
    pub taints: Vec<Taint>,
    /// The claim that gets it is bound to the node it was chosen for.
    pub binds_to_node: bool,
    /// Conditions the scheduler waits for before it binds a pod (KEP-5007); `None` when absent.
    pub binding_conditions: Option<Vec<String>>,
    /// Conditions that make it give up; `None` when absent.
    pub binding_failure_conditions: Option<Vec<String>>,
    /// Several claims may each take a share of it.
    pub allow_multiple_allocations: bool,
    /// Resources that count towards `Amount::Total` (k8srm-prototype's `claimResourcesProvided`).
    pub provides: BTreeMap<String, Quantity>,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    String(String),
    /// A semantic version, as text.
    Version(String),
    /// A quantity (dra-evolution and k8srm only).
    Quantity(Quantity),
    /// Whole numbers (KEP-5491).
    Ints(Vec<i64>),
    /// Truth values.
    Bools(Vec<bool>),
    /// Texts.
    Strings(Vec<String>),
    /// Versions.
    Versions(Vec<String>),
    /// No value, or one of a type that this model does not know.
    Unknown,
}

/// Capacity of a device under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// All there is.
    pub value: Quantity,
    /// How shares of it are cut (KEP-5075).
    pub policy: Option<Box<RequestPolicy>>,
}

/// How shares of a capacity are cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPolicy {
    /// Taken when a request does not say.
    pub default: Option<Quantity>,
    /// The only values; ascending.
    pub valid_values: Vec<Quantity>,
    /// The only range.
    pub valid_range: Option<CapacityRange>,
}

/// A range of shares.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacityRange {
    /// Least share.
    pub min: Quantity,
    /// Largest share.
    pub max: Option<Quantity>,
    /// Shares are `min` and whole steps above.
    pub step: Option<Quantity>,
}

/// Counters that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CounterSet {
    /// Unique in the pool.
    pub name: String,
    /// What there is, by counter.
    pub counters: BTreeMap<String, Quantity>,
}

/// What a device takes from one counter set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CounterConsumption {
    /// Name of the counter set.
    pub counter_set: String,
    /// By counter.
    pub counters: BTreeMap<String, Quantity>,
    /// Groups of devices that may take from the counter set at the same time (KEP-5963).
    pub compatibility_groups: Vec<String>,
}

/// A reason not to use a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taint {
    /// Label key.
    pub key: String,
    /// Label value.
    pub value: String,
    /// `None`, `NoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A taint for all devices that match: what a `DeviceTaintRule` states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaintRule {
    /// Only devices of this driver.
    pub driver: Option<String>,
    /// Only devices of the pool of this name.
    pub pool: Option<String>,
    /// Only the device of this name.
    pub device: Option<String>,
    /// The taint.
    pub taint: Taint,
}

/// Identity of a device in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Name of the driver.
    pub driver: String,
    /// Name of the pool.
    pub pool: String,
    /// Name of the device.
    pub device: String,
}

/// `driver/pool/device`.
impl std::fmt::Display for DeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.driver, self.pool, self.device)
    }
}

/// What is in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocated {
    /// Devices in exclusive use.
    pub devices: BTreeSet<DeviceId>,
    /// Shares in use, by device and share id.
    pub shares: BTreeSet<(DeviceId, String)>,
    /// What the shares consume, by device and capacity name. A device with shares has an entry, if an empty one.
    pub capacity: BTreeMap<DeviceId, BTreeMap<String, Quantity>>,
    /// Who holds a device, for explanations: `namespace/claim`.
    pub holders: BTreeMap<DeviceId, String>,
}

/// What one claim got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// The devices, in the order in which they were found.
    pub results: Vec<DeviceResult>,
    /// Configuration that applies, that of classes first.
    pub config: Vec<AllocationConfig>,
    /// Where the devices can be used; `None` for everywhere.
    pub node_selector: Option<NodeSelector>,
}

/// One device that a claim got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceResult {
    /// `request` or `request/subrequest`.
    pub request: String,
    /// Which device.
    pub id: DeviceId,
    /// The request had admin access.
    pub admin_access: bool,
    /// Copied from the request.
    pub tolerations: Vec<Toleration>,
    /// Names the share, where the device can be shared.
    pub share_id: Option<String>,
    /// What the share consumes, by capacity name; `None` where there is no share or no capacity.
    pub consumed_capacity: Option<BTreeMap<String, Quantity>>,
    /// Copied from the device; `None` when absent there.
    pub binding_conditions: Option<Vec<String>>,
    /// Copied from the device; `None` when absent there.
    pub binding_failure_conditions: Option<Vec<String>>,
    /// Copied from the slice.
    pub skip_node_operations: Vec<String>,
}

/// Where a piece of configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A device class: an administrator wrote it.
    Class,
    /// The claim: a user wrote it.
    Claim,
}

/// Configuration that applies to an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationConfig {
    /// Who wrote it.
    pub source: ConfigSource,
    /// Requests it is for; empty for all.
    pub requests: Vec<String>,
    /// The parameters.
    pub opaque: Opaque,
}
