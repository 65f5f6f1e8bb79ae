//! Topology spread: `PodTopologySpread` of the default scheduler, with its built-in constraints for pods that state none.

use std::collections::{BTreeMap, HashMap};

use cluster::{Key, Objects, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::{Value, json};

use super::{Counting, term::selector};
use crate::scheduler::{
    filter::list,
    node::NodeState,
    refusal::{Plugin, Refusal},
};

const HOSTNAME: &str = "kubernetes.io/hostname";
/// Constraints for pods of services and controllers that state none: topology key and `maxSkew`.
const DEFAULTS: [(&str, i64); 2] = [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)];

/// A core/v1 TopologySpreadConstraint.
#[derive(Debug)]
struct Constraint {
    key: String,
    max_skew: i64,
    min_domains: u64,
    /// Pods that count match all of them. Without any requirement nothing counts.
    selectors: Vec<Selector>,
    honors_affinity: bool,
    honors_taints: bool,
}

impl Constraint {
    fn read(constraint: &Value, pod: &Value) -> Self {
        let honors = |policy: &str, default: bool| constraint[policy].as_str().map_or(default, |word| word == "Honor");
        Self {
            key: constraint["topologyKey"].as_str().unwrap_or_default().to_owned(),
            max_skew: constraint["maxSkew"].as_i64().unwrap_or(1),
            min_domains: constraint["minDomains"].as_u64().unwrap_or(1),
            selectors: vec![narrowed_selector(constraint, pod)],
            honors_affinity: honors("nodeAffinityPolicy", true),
            honors_taints: honors("nodeTaintsPolicy", false),
        }
    }

    fn picks_itself(&self, pod: &Value) -> bool {
        self.selectors.iter().all(|selector| selector.matches_object(pod))
    }

    /// Whether a node belongs to a domain for the pod (KEP-3094).
    fn includes(&self, counting: &Counting<'_>, node: &NodeState) -> bool {
        let wants = counting.wants;
        (!self.honors_affinity || node.looks(|place| place.suits(wants.spec)))
            && (!self.honors_taints || allocator::taint::blocking_taint(&node.taints, &wants.tolerations).is_none())
    }

    /// How many of the pods on a node count.
    fn count(&self, counting: &Counting<'_>, node: &NodeState) -> i64 {
        if self.selectors.iter().all(Selector::is_everything) {
            return 0;
        }
        let namespace = meta::namespace(counting.pod);
        let alike = counting.pods(node).filter(|pod| {
            pod.namespace == namespace
                && !pod.terminating
                && self.selectors.iter().all(|selector| pod.matches(selector))
        });
        i64::try_from(alike.count()).unwrap_or(i64::MAX)
    }
}

/// The label selector, narrowed to pods that have the values of this one under `matchLabelKeys` (KEP-3243).
fn narrowed_selector(constraint: &Value, pod: &Value) -> Selector {
    let mut object = constraint["labelSelector"].clone();
    for key in list(constraint, "matchLabelKeys").filter_map(Value::as_str) {
        if let (Some(value), true) = (meta::label(pod, key), object.is_object()) {
            object["matchLabels"][key] = json!(value);
        }
    }
    selector(&object)
}

fn constraints(counting: &Counting<'_>, strict: bool) -> Vec<Constraint> {
    list(counting.wants.spec, "topologySpreadConstraints")
        .filter(|one| (one["whenUnsatisfiable"] != "ScheduleAnyway") == strict)
        .map(|one| Constraint::read(one, counting.pod))
        .collect()
}

/// A constraint that must be kept, and how many pods count in each domain.
pub(super) struct Strict {
    constraint: Constraint,
    /// What is subtracted: the least of all domains, or nothing while there are fewer domains than wanted.
    least: i64,
    /// The pod counts itself.
    own: i64,
    counts: HashMap<String, i64>,
}

impl Strict {
    /// The constraints that must be kept.
    pub(super) fn all(counting: &Counting<'_>) -> Vec<Self> {
        let all = constraints(counting, true);
        let mut counts: Vec<HashMap<String, i64>> = all.iter().map(|_| HashMap::new()).collect();
        let has_all_keys = |node: &&NodeState| all.iter().all(|one| node.label(&one.key).is_some());
        if !all.is_empty() {
            for node in counting.world.nodes().filter(has_all_keys) {
                for (one, counts) in all.iter().zip(&mut counts).filter(|(one, _)| one.includes(counting, node)) {
                    let domain = node.label(&one.key).unwrap_or_default().to_owned();
                    *counts.entry(domain).or_default() += one.count(counting, node);
                }
            }
        }
        let counted = |(constraint, counts): (Constraint, HashMap<String, i64>)| {
            let too_few = u64::try_from(counts.len()).is_ok_and(|domains| domains < constraint.min_domains);
            let least = if too_few { 0 } else { counts.values().min().copied().unwrap_or(0) };
            let own = i64::from(constraint.picks_itself(counting.pod));
            Self { constraint, least, own, counts }
        };
        all.into_iter().zip(counts).map(counted).collect()
    }

    /// Why the node is no place, or none.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        const SPREAD: &str = "node(s) didn't match pod topology spread constraints";
        let Some(domain) = node.label(&self.constraint.key) else {
            return Some(Refusal::hard(Plugin::Neighbours, format!("{SPREAD} (missing required label)")));
        };
        let here = self.counts.get(domain).copied().unwrap_or(0);
        let kept = here + self.own - self.least <= self.constraint.max_skew;
        (!kept).then(|| Refusal::soft(Plugin::Neighbours, SPREAD))
    }
}

/// Constraints that should be kept.
pub(super) struct Loose {
    constraints: Vec<Constraint>,
    /// Nodes without all of the labels are worth nothing. The built-in constraints do not ask for so much.
    all_keys: bool,
}

impl Loose {
    /// The constraints that should be kept, or the built-in ones; `None` where there are neither.
    pub(super) fn of(counting: &Counting<'_>) -> Option<Self> {
        let stated = list(counting.wants.spec, "topologySpreadConstraints").next().is_some();
        let constraints = if stated {
            constraints(counting, false)
        } else {
            let selectors = of_owners(counting.pod, counting.world.objects())?;
            let built_in = |(key, max_skew): (&str, i64)| Constraint {
                key: key.to_owned(),
                max_skew,
                min_domains: 1,
                selectors: selectors.clone(),
                honors_affinity: true,
                honors_taints: false,
            };
            DEFAULTS.map(built_in).into()
        };
        (!constraints.is_empty()).then_some(Self { constraints, all_keys: stated })
    }

    /// How full the domains of the nodes are, less being better; `None` for one without the labels. `nodes` are those
    /// that fit.
    pub(super) fn scores(&self, nodes: &[&NodeState], counting: &Counting<'_>) -> Vec<Option<i64>> {
        let all_keys = |node: &NodeState| self.constraints.iter().all(|one| node.label(&one.key).is_some());
        let counts = |node: &NodeState| !self.all_keys || all_keys(node);
        let fitting: Vec<&&NodeState> = nodes.iter().filter(|node| counts(node)).collect();
        let mut totals = vec![0.0; nodes.len()];
        for one in &self.constraints {
            let mut domains: HashMap<&str, i64> = HashMap::new();
            if one.key != HOSTNAME {
                domains.extend(fitting.iter().map(|node| (node.label(&one.key).unwrap_or_default(), 0)));
                for node in counting.world.nodes().filter(|node| counts(node) && one.includes(counting, node)) {
                    if let Some(count) = domains.get_mut(node.label(&one.key).unwrap_or_default()) {
                        *count += one.count(counting, node);
                    }
                }
            }
            // Topologies of few domains weigh less.
            let size = if one.key == HOSTNAME { fitting.len() } else { domains.len() };
            let weight = (size as f64 + 2.0).ln();
            for (node, total) in nodes.iter().zip(&mut totals) {
                let Some(domain) = node.label(&one.key) else { continue };
                let count = match one.key.as_str() {
                    HOSTNAME => one.count(counting, node),
                    _ => domains.get(domain).copied().unwrap_or(0),
                };
                *total += count as f64 * weight + (one.max_skew - 1) as f64;
            }
        }
        let score = |(node, total): (&&NodeState, f64)| counts(node).then(|| total.round() as i64);
        nodes.iter().zip(totals).map(score).collect()
    }
}

/// What the services and the controller of a pod select; `None` where that is nothing in particular.
fn of_owners(pod: &Value, objects: &Objects) -> Option<Vec<Selector>> {
    let namespace = meta::namespace(pod);
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    let pairs = |object: &'_ Value| -> Option<Vec<(String, String)>> {
        let pairs = object["spec"]["selector"].as_object()?.iter();
        pairs.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let services = objects.in_namespace(kind::SERVICE, namespace).filter_map(|service| pairs(service));
    let matches =
        |pairs: &Vec<(String, String)>| pairs.iter().all(|(key, value)| meta::label(pod, key) == Some(value.as_str()));
    let services: Vec<_> = services.filter(matches).collect();
    let mut selectors = Vec::new();
    let owner = meta::controller(pod);
    let owner = owner.and_then(|owner| {
        let key = Key::new(namespace, owner["name"].as_str().unwrap_or_default());
        let of = |api_version: &str, kind: &str| owner["apiVersion"] == api_version && owner["kind"] == kind;
        if of("v1", "ReplicationController") {
            objects.get(kind::REPLICATION_CONTROLLER, &key).map(|object| (object, true))
        } else if of("apps/v1", "ReplicaSet") {
            objects.get(kind::REPLICA_SET, &key).map(|object| (object, false))
        } else if of("apps/v1", "StatefulSet") {
            objects.get(kind::STATEFUL_SET, &key).map(|object| (object, false))
        } else {
            None
        }
    });
    let of_controller = owner.filter(|(_, plain)| *plain).and_then(|(object, _)| pairs(object));
    for (key, value) in services.iter().chain(&of_controller).flatten() {
        labels.insert(key, value);
    }
    selectors.push(Selector::from_labels(labels));
    selectors.extend(owner.filter(|(_, plain)| !plain).map(|(object, _)| selector(&object["spec"]["selector"])));
    (!selectors.iter().all(Selector::is_everything)).then_some(selectors)
}
