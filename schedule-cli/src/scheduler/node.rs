//! What the scheduler knows of one node.

use std::{collections::BTreeMap, sync::Arc};

use api::hub;
use machinery::{meta, selector::label::Selector};
use serde_json::Value;

use super::{
    amounts::{self, Amounts},
    filter::{self, HostPort},
    neighbours::Term,
};

/// A node and the pods that are on it, or on their way to it.
#[derive(Clone, Debug, Default)]
pub struct NodeState {
    /// Name and labels, as device selection sees them.
    pub place: hub::Node,
    /// `spec.taints`.
    pub taints: Vec<hub::Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable`, or `status.capacity` where that is absent.
    pub allocatable: Amounts,
    /// How many pods the node takes.
    pub pods_max: usize,
    /// What the pods ask for, together.
    pub requested: Amounts,
    /// The same, as nodes are compared: pods that do not say count too.
    pub compared: Amounts,
    /// By uid.
    pub pods: BTreeMap<String, Arc<PlacedPod>>,
}

/// A pod on a node.
#[derive(Clone, Debug, Default)]
pub struct PlacedPod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// What it asks for.
    pub requested: Amounts,
    /// What it counts for when nodes are compared.
    pub compared: Amounts,
    /// `spec.priority`.
    pub priority: i64,
    /// When it was started, or else created.
    pub since: String,
    /// It is being deleted.
    pub terminating: bool,
    /// Node ports that it takes.
    pub host_ports: Vec<HostPort>,
    /// Required anti-affinity terms, with which it keeps others away.
    pub repels: Vec<Term>,
}

impl PlacedPod {
    /// Reads a pod.
    pub fn read(pod: &Value) -> Self {
        let started = pod["status"]["startTime"].as_str();
        Self {
            namespace: meta::namespace(pod).to_owned(),
            name: meta::name(pod).to_owned(),
            labels: owned(meta::labels(pod)),
            requested: Amounts::of_pod(pod),
            compared: Amounts::of_pod_for_comparison(pod),
            priority: pod["spec"]["priority"].as_i64().unwrap_or(0),
            since: started.unwrap_or(meta::creation_timestamp(pod)).to_owned(),
            terminating: meta::deletion_timestamp(pod).is_some(),
            host_ports: filter::host_ports(&pod["spec"]),
            repels: Term::required(&pod["spec"]["affinity"]["podAntiAffinity"], meta::namespace(pod)),
        }
    }

    /// Whether it makes no difference for other pods which of the two is on a node.
    pub fn is_like(&self, other: &Self) -> bool {
        self.requested == other.requested
            && self.compared == other.compared
            && self.labels == other.labels
            && self.priority == other.priority
            && self.since == other.since
            && self.terminating == other.terminating
            && self.host_ports == other.host_ports
    }

    /// Whether a label selector picks it.
    pub fn matches(&self, selector: &Selector) -> bool {
        selector.matches(|key| self.labels.get(key).map(String::as_str))
    }
}

/// What a node takes that does not say: upstream's kubelet default.
const PODS_MAX_DEFAULT: usize = 110;

impl NodeState {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.place.labels.get(key).map(String::as_str)
    }

    /// Takes in what a Node object says; the pods stay. False: nothing that matters here has changed.
    pub fn update(&mut self, node: &Value) -> bool {
        let status = &node["status"];
        let listed = status.get("allocatable").filter(|list| list.is_object()).or_else(|| status.get("capacity"));
        let pods_max = listed.and_then(|list| list.get("pods")).and_then(amounts::parse);
        let fresh = Self {
            place: hub::Node { name: meta::name(node).to_owned(), labels: owned(meta::labels(node)) },
            taints: node["spec"]["taints"].as_array().into_iter().flatten().map(read_taint).collect(),
            unschedulable: node["spec"]["unschedulable"].as_bool().unwrap_or(false),
            allocatable: Amounts::read(listed),
            pods_max: pods_max.map_or(PODS_MAX_DEFAULT, |count| usize::try_from(count.value()).unwrap_or_default()),
            requested: std::mem::take(&mut self.requested),
            compared: std::mem::take(&mut self.compared),
            pods: std::mem::take(&mut self.pods),
        };
        let changed = fresh.place != self.place
            || fresh.taints != self.taints
            || fresh.unschedulable != self.unschedulable
            || fresh.allocatable != self.allocatable
            || fresh.pods_max != self.pods_max;
        *self = fresh;
        changed
    }

    /// Puts a pod on the node, or replaces what is known of it.
    pub fn place(&mut self, uid: &str, pod: Arc<PlacedPod>) {
        self.remove(uid);
        self.requested.add(&pod.requested);
        self.compared.add(&pod.compared);
        self.pods.insert(uid.to_owned(), pod);
    }

    /// Takes a pod off the node.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PlacedPod>> {
        let pod = self.pods.remove(uid)?;
        self.requested.subtract(&pod.requested);
        self.compared.subtract(&pod.compared);
        Some(pod)
    }
}

fn read_taint(taint: &Value) -> hub::Taint {
    let text = |member: &str| taint[member].as_str().unwrap_or_default().to_owned();
    hub::Taint { key: text("key"), value: text("value"), effect: text("effect") }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
