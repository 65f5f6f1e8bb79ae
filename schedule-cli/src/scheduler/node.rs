//! What the scheduler knows of one node.

use std::{collections::BTreeMap, sync::Arc};

use api::{hub, node_selector::Place};
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
    /// Container images that are on it, by every name, and their sizes in bytes.
    pub images: BTreeMap<String, i64>,
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
    /// It is being deleted because it left for a more important one.
    pub preempted: bool,
    /// Node ports that it takes.
    pub host_ports: Vec<HostPort>,
    /// Required anti-affinity terms, with which it keeps others away.
    pub repels: Vec<Term>,
    /// Terms by which it draws others near, with their weights; less than nothing for those it would rather not have there.
    pub draws: Vec<(i64, Term)>,
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
            preempted: meta::deletion_timestamp(pod).is_some() && was_preempted(pod),
            host_ports: filter::host_ports(&pod["spec"]),
            repels: Term::required(&pod["spec"]["affinity"]["podAntiAffinity"], meta::namespace(pod)),
            draws: Term::drawing(&pod["spec"]["affinity"], meta::namespace(pod)),
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
            && self.preempted == other.preempted
            && self.host_ports == other.host_ports
    }

    /// Whether it minds who else is near.
    pub fn minds(&self) -> bool {
        !self.repels.is_empty() || !self.draws.is_empty()
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

    /// Looks at the node as selectors in documents do.
    pub fn looks<T>(&self, look: impl FnOnce(Place<'_>) -> T) -> T {
        look(Place { name: self.name(), label: &|key| self.label(key) })
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
            images: read_images(&status["images"]),
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

fn was_preempted(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let disrupted = conditions.into_iter().find(|condition| condition["type"] == "DisruptionTarget");
    disrupted.is_some_and(|one| one["status"] == "True" && one["reason"] == "PreemptionByScheduler")
}

fn read_images(images: &Value) -> BTreeMap<String, i64> {
    let images = images.as_array().into_iter().flatten();
    let named = images.flat_map(|image| {
        let size = image["sizeBytes"].as_i64().unwrap_or(0);
        image["names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(move |name| (name.to_owned(), size))
    });
    named.collect()
}

fn read_taint(taint: &Value) -> hub::Taint {
    let text = |member: &str| taint[member].as_str().unwrap_or_default().to_owned();
    hub::Taint { key: text("key"), value: text("value"), effect: text("effect") }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
