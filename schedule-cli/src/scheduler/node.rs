//! What the scheduler knows of one node.

use std::collections::BTreeMap;

use machinery::{meta, quantity::Quantity, selector::label::Selector};
use serde_json::Value;

use super::{
    amounts::Amounts,
    placement::{self, HostPort},
};

/// A node and the pods that are on it, or on their way to it.
#[derive(Clone, Debug, Default)]
pub struct NodeState {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable`, or `status.capacity` where that is absent.
    pub allocatable: Amounts,
    /// How many pods the node takes.
    pub pods_max: usize,
    /// What the pods ask for, together.
    pub requested: Amounts,
    /// By uid.
    pub pods: BTreeMap<String, PlacedPod>,
}

/// A taint of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taint {
    /// Label key.
    pub key: String,
    /// Label value.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
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
    /// `spec.priority`.
    pub priority: i64,
    /// Node ports that it takes.
    pub host_ports: Vec<HostPort>,
    /// Required anti-affinity terms, with which it keeps others away.
    pub repels: Vec<Value>,
}

impl PlacedPod {
    /// Reads a pod.
    pub fn read(pod: &Value) -> Self {
        Self {
            namespace: meta::namespace(pod).to_owned(),
            name: meta::name(pod).to_owned(),
            labels: owned(meta::labels(pod)),
            requested: Amounts::of_pod(pod),
            priority: pod["spec"]["priority"].as_i64().unwrap_or(0),
            host_ports: placement::host_ports(&pod["spec"]),
            repels: placement::required(&pod["spec"]["affinity"]["podAntiAffinity"]).into_iter().cloned().collect(),
        }
    }

    /// Whether a label selector picks it.
    pub fn matches(&self, selector: &Selector) -> bool {
        selector.matches(|key| self.labels.get(key).map(String::as_str))
    }
}

/// What a node takes that does not say: upstream's kubelet default.
const PODS_MAX_DEFAULT: usize = 110;

impl NodeState {
    /// Takes in what a Node object says; the pods stay.
    pub fn update(&mut self, node: &Value) {
        let status = &node["status"];
        let listed = status.get("allocatable").filter(|list| list.is_object()).or_else(|| status.get("capacity"));
        self.name = meta::name(node).to_owned();
        self.labels = owned(meta::labels(node));
        self.taints = node["spec"]["taints"].as_array().into_iter().flatten().map(read_taint).collect();
        self.unschedulable = node["spec"]["unschedulable"].as_bool().unwrap_or(false);
        self.allocatable = Amounts::read(listed);
        self.pods_max = match self.allocatable.get("pods") {
            Some(count) => usize::try_from(count.value()).unwrap_or(0),
            None => PODS_MAX_DEFAULT,
        };
    }

    /// How much of cpu and memory stays free when the pod comes, in thousandths, averaged: the default scheduler's
    /// `LeastAllocated` score.
    pub fn free_share_with(&self, requests: &Amounts) -> i64 {
        let share = |name: &str| {
            let all = self.allocatable.get(name).map_or(0.0, Quantity::as_f64);
            let used = self.requested.get(name).map_or(0.0, Quantity::as_f64);
            let wanted = requests.get(name).map_or(0.0, Quantity::as_f64);
            if all > 0.0 { ((all - used - wanted) / all).clamp(0.0, 1.0) } else { 0.0 }
        };
        // Pods without requests still make a node fuller.
        let slots = 1.0 - self.pods.len() as f64 / self.pods_max.max(1) as f64;
        ((share("cpu") + share("memory") + slots) * 1000.0 / 3.0) as i64
    }

    /// Puts a pod on the node, or replaces what is known of it.
    pub fn place(&mut self, uid: &str, pod: PlacedPod) {
        self.remove(uid);
        self.requested.add(&pod.requested);
        self.pods.insert(uid.to_owned(), pod);
    }

    /// Takes a pod off the node.
    pub fn remove(&mut self, uid: &str) -> Option<PlacedPod> {
        let pod = self.pods.remove(uid)?;
        self.requested.subtract(&pod.requested);
        Some(pod)
    }
}

fn read_taint(taint: &Value) -> Taint {
    let text = |member: &str| taint[member].as_str().unwrap_or_default().to_owned();
    Taint { key: text("key"), value: text("value"), effect: text("effect") }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
