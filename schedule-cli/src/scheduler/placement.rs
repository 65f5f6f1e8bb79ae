//! Whether a pod may go to a node for all reasons but its devices: the filters of the default scheduler, with its words.

use machinery::selector::label::Selector;
use serde_json::Value;

use super::{
    amounts::Amounts,
    node::{NodeState, PlacedPod},
};

/// Why a node is no place for a pod, in upstream's words; they are counted over nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    /// For instance `Insufficient cpu`.
    pub reason: String,
    /// Whether taking pods away from the node could help.
    pub preemption_may_help: bool,
}

impl Refusal {
    fn hard(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), preemption_may_help: false }
    }

    fn soft(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), preemption_may_help: true }
    }
}

/// Every filter that looks at one node alone; the first kind of refusal is reported, as upstream does.
pub(super) fn refusals(pod: &Value, requests: &Amounts, node: &NodeState) -> Vec<Refusal> {
    let spec = &pod["spec"];
    if node.unschedulable && !tolerates(spec, "node.kubernetes.io/unschedulable", "", "NoSchedule") {
        return vec![Refusal::hard("node(s) were unschedulable")];
    }
    if let Some(wanted) = spec["nodeName"].as_str().filter(|name| !name.is_empty())
        && wanted != node.name
    {
        return vec![Refusal::hard("node(s) didn't match the requested node name")];
    }
    for taint in &node.taints {
        let blocks = matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        if blocks && !tolerates(spec, &taint.key, &taint.value, &taint.effect) {
            return vec![Refusal::hard(format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value))];
        }
    }
    if !matches_node_affinity(spec, node) {
        return vec![Refusal::hard("node(s) didn't match Pod's node affinity/selector")];
    }
    let ports = conflicting_port(spec, node);
    if ports {
        return vec![Refusal::soft("node(s) didn't have free ports for the requested pod ports")];
    }
    lacking(requests, node)
}

/// What the node has too little of.
fn lacking(requests: &Amounts, node: &NodeState) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if node.pods.len() >= node.pods_max {
        refusals.push(Refusal::soft("Too many pods"));
    }
    let zero = machinery::quantity::Quantity::default();
    for (name, wanted) in requests.iter().filter(|(_, wanted)| wanted.sign() > 0) {
        let all = node.allocatable.get(name).unwrap_or(&zero);
        let used = node.requested.get(name).unwrap_or(&zero);
        if &all.sub(used) < wanted {
            refusals.push(Refusal { reason: format!("Insufficient {name}"), preemption_may_help: all >= wanted });
        }
    }
    refusals
}

fn conflicting_port(spec: &Value, node: &NodeState) -> bool {
    let wanted = host_ports(spec);
    let clash = |a: &HostPort, b: &HostPort| {
        a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || a.ip == ANY_IP || b.ip == ANY_IP)
    };
    !wanted.is_empty()
        && node.pods.values().any(|pod| pod.host_ports.iter().any(|taken| wanted.iter().any(|one| clash(one, taken))))
}

const ANY_IP: &str = "0.0.0.0";

/// A port of the node that a container takes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    ip: String,
    protocol: String,
    port: i64,
}

/// The node ports that a pod takes.
pub(super) fn host_ports(spec: &Value) -> Vec<HostPort> {
    let text =
        |value: &Value, default: &str| value.as_str().filter(|text| !text.is_empty()).unwrap_or(default).to_owned();
    list(spec, "containers")
        .flat_map(|container| list(container, "ports"))
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
            Some(HostPort { ip: text(&port["hostIP"], ANY_IP), protocol: text(&port["protocol"], "TCP"), port: number })
        })
        .collect()
}

/// Whether the pod tolerates a taint of a node (core/v1 `Toleration`).
fn tolerates(spec: &Value, key: &str, value: &str, effect: &str) -> bool {
    list(spec, "tolerations").any(|toleration| {
        let text = |member: &str| toleration[member].as_str().unwrap_or_default();
        let effect_matches = text("effect").is_empty() || text("effect") == effect;
        let key_matches = text("key").is_empty() || text("key") == key;
        let value_matches = match text("operator") {
            "" | "Equal" => text("value") == value,
            "Exists" => true,
            _ => false,
        };
        effect_matches && key_matches && value_matches
    })
}

fn matches_node_affinity(spec: &Value, node: &NodeState) -> bool {
    let selector = spec["nodeSelector"].as_object();
    let labels_match =
        selector.into_iter().flatten().all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str());
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    labels_match && (required.is_null() || list(required, "nodeSelectorTerms").any(|term| term_matches(term, node)))
}

/// How well a node suits the preferences of a pod: the weights of the preferred terms that match.
pub(super) fn preference(spec: &Value, node: &NodeState) -> i64 {
    list(&spec["affinity"]["nodeAffinity"], "preferredDuringSchedulingIgnoredDuringExecution")
        .filter(|one| term_matches(&one["preference"], node))
        .map(|one| one["weight"].as_i64().unwrap_or(0))
        .fold(0, i64::saturating_add)
}

/// One term of a core/v1 NodeSelector. A term without requirements matches nothing.
fn term_matches(term: &Value, node: &NodeState) -> bool {
    let expressions: Vec<_> = list(term, "matchExpressions").collect();
    let fields: Vec<_> = list(term, "matchFields").collect();
    let on_label = |one: &&Value| requirement_matches(one, node.labels.get(one["key"].as_str().unwrap_or_default()));
    let on_field = |one: &&Value| one["key"] == "metadata.name" && requirement_matches(one, Some(&node.name));
    !(expressions.is_empty() && fields.is_empty()) && expressions.iter().all(on_label) && fields.iter().all(on_field)
}

fn requirement_matches(requirement: &Value, actual: Option<&String>) -> bool {
    let values: Vec<&str> = list(requirement, "values").filter_map(Value::as_str).collect();
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |holds: fn(&i64, &i64) -> bool| {
        let bounds = actual.and_then(|text| number(text)).zip(values.first().and_then(|text| number(text)));
        bounds.is_some_and(|(actual, bound)| holds(&actual, &bound))
    };
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" => actual.is_some_and(|actual| values.contains(&actual.as_str())),
        "NotIn" => actual.is_none_or(|actual| !values.contains(&actual.as_str())),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare(i64::gt),
        "Lt" => compare(i64::lt),
        _ => false,
    }
}

/// The filters that look at the pods of all nodes: topology spread and affinity between pods.
pub(super) struct Neighbourhood<'a> {
    namespace: &'a str,
    labels: &'a Value,
    spec: &'a Value,
    nodes: Vec<&'a NodeState>,
}

impl<'a> Neighbourhood<'a> {
    /// `None` when the pod says nothing about other pods, and no placed pod keeps others away.
    pub(super) fn of(pod: &'a Value, nodes: impl Iterator<Item = &'a NodeState>, anyone_repels: bool) -> Option<Self> {
        let spec = &pod["spec"];
        let affinity = &spec["affinity"];
        let asks = list(spec, "topologySpreadConstraints").next().is_some()
            || !affinity["podAffinity"].is_null()
            || !affinity["podAntiAffinity"].is_null();
        (asks || anyone_repels).then(|| Self {
            namespace: machinery::meta::namespace(pod),
            labels: &pod["metadata"]["labels"],
            spec,
            nodes: nodes.collect(),
        })
    }

    /// Why the node is no place, or none.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        if !self.spreads(node) {
            return Some(Refusal::soft("node(s) didn't match pod topology spread constraints"));
        }
        if !self.is_near_friends(node) {
            return Some(Refusal::hard("node(s) didn't match pod affinity rules"));
        }
        if self.is_near_foes(node) {
            return Some(Refusal::soft("node(s) didn't match pod anti-affinity rules"));
        }
        if self.repelled(node) {
            return Some(Refusal::soft("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        None
    }

    fn spreads(&self, node: &NodeState) -> bool {
        let strict = |one: &&Value| one["whenUnsatisfiable"].as_str() != Some("ScheduleAnyway");
        list(self.spec, "topologySpreadConstraints").filter(strict).all(|constraint| {
            let key = constraint["topologyKey"].as_str().unwrap_or_default();
            let Some(domain) = node.labels.get(key) else { return false };
            let selector = selector(&constraint["labelSelector"]);
            let mut counts = std::collections::BTreeMap::<&str, i64>::new();
            for other in self.nodes.iter().filter(|other| matches_node_affinity(self.spec, other)) {
                let Some(there) = other.labels.get(key) else { continue };
                let alike = |pod: &&PlacedPod| pod.namespace == self.namespace && pod.matches(&selector);
                *counts.entry(there).or_default() += other.pods.values().filter(alike).count() as i64;
            }
            let least = counts.values().min().copied().unwrap_or(0);
            let own = i64::from(matches_labels(&selector, self.labels));
            let here = counts.get(domain.as_str()).copied().unwrap_or(0);
            here + own - least <= constraint["maxSkew"].as_i64().unwrap_or(1)
        })
    }

    fn is_near_friends(&self, node: &NodeState) -> bool {
        let terms = required(&self.spec["affinity"]["podAffinity"]);
        let mut all_elsewhere_empty = true;
        let satisfied = terms.iter().all(|term| {
            all_elsewhere_empty &= !self.nodes.iter().any(|other| self.has_match(term, other));
            self.domain_has_match(term, node)
        });
        // The first pod of a group that wants to be near itself may go anywhere with the topology key.
        let first_of_its_kind = || {
            let on_topology =
                |term: &&Value| node.labels.contains_key(term["topologyKey"].as_str().unwrap_or_default());
            terms.iter().all(|term| {
                self.in_namespaces(term, self.namespace)
                    && matches_labels(&selector(&term["labelSelector"]), self.labels)
                    && !self.nodes.iter().any(|other| self.has_match(term, other))
            }) && terms.iter().all(on_topology)
        };
        satisfied || (all_elsewhere_empty && first_of_its_kind())
    }

    fn is_near_foes(&self, node: &NodeState) -> bool {
        required(&self.spec["affinity"]["podAntiAffinity"]).iter().any(|term| self.domain_has_match(term, node))
    }

    /// A placed pod keeps this one away from its topology domain.
    fn repelled(&self, node: &NodeState) -> bool {
        self.nodes.iter().any(|other| {
            other.pods.values().any(|pod| {
                pod.repels.iter().any(|term| {
                    let key = term["topologyKey"].as_str().unwrap_or_default();
                    let same_domain = node.labels.get(key).is_some_and(|here| other.labels.get(key) == Some(here));
                    let namespaces: Vec<&str> = list(term, "namespaces").filter_map(Value::as_str).collect();
                    let in_reach = if namespaces.is_empty() {
                        pod.namespace == self.namespace
                    } else {
                        namespaces.contains(&self.namespace)
                    };
                    same_domain && in_reach && matches_labels(&selector(&term["labelSelector"]), self.labels)
                })
            })
        })
    }

    fn domain_has_match(&self, term: &Value, node: &NodeState) -> bool {
        let key = term["topologyKey"].as_str().unwrap_or_default();
        let Some(domain) = node.labels.get(key) else { return false };
        self.nodes.iter().any(|other| other.labels.get(key) == Some(domain) && self.has_match(term, other))
    }

    fn has_match(&self, term: &Value, node: &NodeState) -> bool {
        let selector = selector(&term["labelSelector"]);
        node.pods.values().any(|pod| self.in_namespaces(term, &pod.namespace) && pod.matches(&selector))
    }

    fn in_namespaces(&self, term: &Value, namespace: &str) -> bool {
        let mut named = list(term, "namespaces").filter_map(Value::as_str).peekable();
        if named.peek().is_none() { namespace == self.namespace } else { named.any(|one| one == namespace) }
    }
}

/// The terms that must hold.
pub(super) fn required(affinity: &Value) -> Vec<&Value> {
    list(affinity, "requiredDuringSchedulingIgnoredDuringExecution").collect()
}

/// A LabelSelector object; an absent or malformed one selects nothing.
fn selector(object: &Value) -> Selector {
    Selector::from_json(Some(object).filter(|object| !object.is_null())).unwrap_or_else(|_| Selector::nothing())
}

fn matches_labels(selector: &Selector, labels: &Value) -> bool {
    selector.matches(|key| labels.get(key).and_then(Value::as_str))
}

fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}
