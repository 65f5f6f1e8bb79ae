//! What other pods mean for a pod: affinity and anti-affinity between pods, and topology spread.
//!
//! The pods of all nodes are counted once for a pod that asks; after that each node costs a look at its labels.

use std::collections::{BTreeSet, HashMap, HashSet};

use cluster::{Key, Objects, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::{Value, json};

use super::{
    filter::{self, list},
    node::{NodeState, PlacedPod},
    refusal::{Plugin, Refusal},
    wants::Wants,
    world::World,
};

/// A core/v1 PodAffinityTerm.
#[derive(Clone, Debug)]
pub struct Term {
    selector: Selector,
    /// Namespaces that it names; that of its pod where it names none and selects none.
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    topology_key: String,
}

impl Term {
    /// The terms of an affinity that must hold.
    pub fn required(affinity: &Value, namespace: &str) -> Vec<Self> {
        list(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
            .map(|term| Self::read(term, namespace))
            .collect()
    }

    /// The terms of an affinity that are preferred, with their weights.
    fn preferred(affinity: &Value, namespace: &str) -> Vec<(i64, Self)> {
        let weighed =
            |one: &Value| (one["weight"].as_i64().unwrap_or(0), Self::read(&one["podAffinityTerm"], namespace));
        list(affinity, "preferredDuringSchedulingIgnoredDuringExecution").map(weighed).collect()
    }

    fn read(term: &Value, namespace: &str) -> Self {
        let namespace_selector = term.get("namespaceSelector").filter(|selector| selector.is_object());
        let mut namespaces: Vec<String> =
            list(term, "namespaces").filter_map(Value::as_str).map(str::to_owned).collect();
        if namespaces.is_empty() && namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        Self {
            selector: selector(&term["labelSelector"]),
            namespaces,
            namespace_selector: namespace_selector.map(selector),
            topology_key: term["topologyKey"].as_str().unwrap_or_default().to_owned(),
        }
    }

    fn reaches(&self, namespace: &str, objects: &Objects) -> bool {
        self.namespaces.iter().any(|one| one == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| {
                let found = objects.get(kind::NAMESPACE, &Key::new("", namespace));
                selector.matches(|key| found.and_then(|namespace| meta::label(namespace, key)))
            })
    }

    fn picks(&self, pod: &PlacedPod, objects: &Objects) -> bool {
        pod.matches(&self.selector) && self.reaches(&pod.namespace, objects)
    }
}

/// A LabelSelector object; an absent or malformed one selects nothing.
fn selector(object: &Value) -> Selector {
    Selector::from_json(Some(object)).unwrap_or_else(|_| Selector::nothing())
}

/// How many pods count in each domain of a topology.
type Counts = HashMap<String, i64>;

/// A term, and the pods that it picks.
struct Counted {
    term: Term,
    counts: Counts,
}

/// A core/v1 TopologySpreadConstraint, and the pods that it picks.
struct Spread {
    key: String,
    max_skew: i64,
    /// What is subtracted: the least of all domains, or nothing while there are fewer domains than wanted.
    least: i64,
    /// The pod counts itself.
    own: i64,
    counts: Counts,
}

/// What other pods mean for one pod.
pub(super) struct Neighbours {
    near: Vec<Counted>,
    /// The pod may be the first of those that it wants to be near.
    first_of_its_kind: bool,
    far: Vec<Counted>,
    /// Domains from which placed pods keep it away.
    repelled_from: HashSet<(String, String)>,
    spread: Vec<Spread>,
    /// Preferred terms with their weights, less than nothing for those to be far from.
    preferred: Vec<(i64, Counted)>,
    loose_spread: Vec<Spread>,
}

impl Neighbours {
    /// Counts the pods of the world, without those of the uids `without`. `None` when the pod says nothing about other
    /// pods and no placed pod keeps it away.
    pub(super) fn of(pod: &Value, wants: &Wants<'_>, world: &World, without: &BTreeSet<String>) -> Option<Self> {
        let affinity = &wants.spec["affinity"];
        let asks = list(wants.spec, "topologySpreadConstraints").next().is_some()
            || !affinity["podAffinity"].is_null()
            || !affinity["podAntiAffinity"].is_null();
        let counting = Counting { pod, wants, world, without };
        let repelled_from = counting.repelled_from();
        if !asks && repelled_from.is_empty() {
            return None;
        }
        let namespace = meta::namespace(pod);
        let near = Term::required(&affinity["podAffinity"], namespace);
        let itself = PlacedPod {
            namespace: namespace.to_owned(),
            labels: meta::labels(pod).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..PlacedPod::default()
        };
        let preferred = Term::preferred(&affinity["podAffinity"], namespace).into_iter();
        let avoided = Term::preferred(&affinity["podAntiAffinity"], namespace).into_iter();
        let preferred = preferred.chain(avoided.map(|(weight, term)| (-weight, term)));
        let (strict, loose): (Vec<_>, Vec<_>) =
            list(wants.spec, "topologySpreadConstraints").partition(|one| one["whenUnsatisfiable"] != "ScheduleAnyway");
        Some(Self {
            first_of_its_kind: near.iter().all(|term| term.picks(&itself, world.objects())),
            near: counting.all_of(near),
            far: Term::required(&affinity["podAntiAffinity"], namespace)
                .into_iter()
                .map(|term| counting.term(term))
                .collect(),
            repelled_from,
            spread: counting.spread(&strict),
            preferred: preferred.map(|(weight, term)| (weight, counting.term(term))).collect(),
            loose_spread: counting.spread(&loose),
        })
    }

    /// Whether it also prefers some nodes over others.
    pub(super) fn has_preferences(&self) -> bool {
        !self.preferred.is_empty() || !self.loose_spread.is_empty()
    }

    /// Why the node is no place, or none; in the order of upstream's plugins.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        const SPREAD: &str = "node(s) didn't match pod topology spread constraints";
        if self.spread.iter().any(|one| node.label(&one.key).is_none()) {
            return Some(Refusal::hard(Plugin::Neighbours, format!("{SPREAD} (missing required label)")));
        }
        if !self.spread.iter().all(|one| one.lets_on(node)) {
            return Some(Refusal::soft(Plugin::Neighbours, SPREAD));
        }
        if !self.is_near(node) {
            return Some(Refusal::hard(Plugin::Neighbours, "node(s) didn't match pod affinity rules"));
        }
        if self.far.iter().any(|one| one.count(node) > 0) {
            return Some(Refusal::soft(Plugin::Neighbours, "node(s) didn't match pod anti-affinity rules"));
        }
        let repels = |(key, domain): &(String, String)| node.label(key) == Some(domain);
        self.repelled_from
            .iter()
            .any(repels)
            .then(|| Refusal::soft(Plugin::Neighbours, "node(s) didn't satisfy existing pods anti-affinity rules"))
    }

    fn is_near(&self, node: &NodeState) -> bool {
        if self.near.iter().any(|one| node.label(&one.term.topology_key).is_none()) {
            return false;
        }
        let nobody_yet = self.near.iter().all(|one| one.counts.is_empty());
        self.near.iter().all(|one| one.count(node) > 0) || (nobody_yet && self.first_of_its_kind)
    }

    /// Sum of the weights of preferred terms, by the pods that match.
    pub(super) fn affinity_score(&self, node: &NodeState) -> i64 {
        self.preferred.iter().map(|(weight, one)| weight.saturating_mul(one.count(node))).fold(0, i64::saturating_add)
    }

    /// How full the domains of the node are, less being better; `None` for a node without the labels.
    pub(super) fn spread_score(&self, node: &NodeState) -> Option<i64> {
        let mut score = 0.0;
        for one in &self.loose_spread {
            let count = one.counts.get(node.label(&one.key)?).copied().unwrap_or(0);
            // Topologies of few domains weigh less.
            let weight = (one.counts.len() as f64 + 2.0).ln();
            score += count as f64 * weight + (one.max_skew - 1) as f64;
        }
        Some(score.round() as i64)
    }
}

impl Counted {
    fn count(&self, node: &NodeState) -> i64 {
        node.label(&self.term.topology_key).and_then(|domain| self.counts.get(domain)).copied().unwrap_or(0)
    }
}

impl Spread {
    fn lets_on(&self, node: &NodeState) -> bool {
        let here = node.label(&self.key).and_then(|domain| self.counts.get(domain)).copied().unwrap_or(0);
        here + self.own - self.least <= self.max_skew
    }
}

/// Counts pods.
struct Counting<'a> {
    pod: &'a Value,
    wants: &'a Wants<'a>,
    world: &'a World,
    without: &'a BTreeSet<String>,
}

impl Counting<'_> {
    fn pods<'n>(&'n self, node: &'n NodeState) -> impl Iterator<Item = &'n PlacedPod> {
        node.pods.iter().filter(|(uid, _)| !self.without.contains(*uid)).map(|(_, pod)| &**pod)
    }

    /// Domains from which placed pods keep this one away. Only pods that keep others away are looked at.
    fn repelled_from(&self) -> HashSet<(String, String)> {
        let mut domains = HashSet::new();
        let labels = |key: &str| meta::label(self.pod, key);
        for (uid, node) in self.world.repelling().filter(|(uid, _)| !self.without.contains(*uid)) {
            for term in node.pods.get(uid).into_iter().flat_map(|pod| &pod.repels) {
                if let Some(domain) = node.label(&term.topology_key)
                    && term.selector.matches(labels)
                    && term.reaches(meta::namespace(self.pod), self.world.objects())
                {
                    domains.insert((term.topology_key.clone(), domain.to_owned()));
                }
            }
        }
        domains
    }

    fn term(&self, term: Term) -> Counted {
        let picks = |pod: &&PlacedPod| term.picks(pod, self.world.objects());
        let counts = self.domains(&term.topology_key, |node| self.pods(node).filter(picks).count());
        Counted { counts, term }
    }

    /// Counts pods that all of the terms pick.
    fn all_of(&self, terms: Vec<Term>) -> Vec<Counted> {
        let picks = |pod: &&PlacedPod| terms.iter().all(|term| term.picks(pod, self.world.objects()));
        let counts: Vec<Counts> = terms
            .iter()
            .map(|term| self.domains(&term.topology_key, |node| self.pods(node).filter(picks).count()))
            .collect();
        terms.into_iter().zip(counts).map(|(term, counts)| Counted { term, counts }).collect()
    }

    /// Counts by domain; domains without any are left out.
    fn domains(&self, key: &str, count: impl Fn(&NodeState) -> usize) -> Counts {
        let mut counts = Counts::new();
        for node in self.world.nodes().filter(|node| !node.pods.is_empty()) {
            if let Some(domain) = node.label(key) {
                let here = count(node);
                if here > 0 {
                    *counts.entry(domain.to_owned()).or_default() += i64::try_from(here).unwrap_or(i64::MAX);
                }
            }
        }
        counts
    }

    fn spread(&self, constraints: &[&Value]) -> Vec<Spread> {
        let key = |constraint: &Value| constraint["topologyKey"].as_str().unwrap_or_default().to_owned();
        let keys: Vec<String> = constraints.iter().map(|constraint| key(constraint)).collect();
        constraints.iter().map(|constraint| self.spread_one(constraint, key(constraint), &keys)).collect()
    }

    fn spread_one(&self, constraint: &Value, key: String, keys: &[String]) -> Spread {
        let selector = self.spread_selector(constraint);
        let honors = |policy: &str, default: bool| constraint[policy].as_str().map_or(default, |word| word == "Honor");
        let (affinity, taints) = (honors("nodeAffinityPolicy", true), honors("nodeTaintsPolicy", false));
        let mut counts = Counts::new();
        for node in self.world.nodes() {
            let counted = keys.iter().all(|key| node.label(key).is_some())
                && (!affinity || filter::matches_node_affinity(self.wants.spec, node))
                && (!taints || allocator::taint::blocking_taint(&node.taints, &self.wants.tolerations).is_none());
            if let Some(domain) = node.label(&key).filter(|_| counted) {
                let alike = |pod: &&PlacedPod| {
                    pod.namespace == meta::namespace(self.pod) && !pod.terminating && pod.matches(&selector)
                };
                let here = self.pods(node).filter(alike).count();
                *counts.entry(domain.to_owned()).or_default() += i64::try_from(here).unwrap_or(i64::MAX);
            }
        }
        let domains_min = constraint["minDomains"].as_u64().unwrap_or(1);
        let too_few = u64::try_from(counts.len()).is_ok_and(|domains| domains < domains_min);
        Spread {
            key,
            max_skew: constraint["maxSkew"].as_i64().unwrap_or(1),
            least: if too_few { 0 } else { counts.values().min().copied().unwrap_or(0) },
            own: i64::from(selector.matches(|key| meta::label(self.pod, key))),
            counts,
        }
    }

    /// The label selector, narrowed to pods that have the values of this one under `matchLabelKeys` (KEP-3243).
    fn spread_selector(&self, constraint: &Value) -> Selector {
        let mut object = constraint["labelSelector"].clone();
        for key in list(constraint, "matchLabelKeys").filter_map(Value::as_str) {
            if let (Some(value), true) = (meta::label(self.pod, key), object.is_object()) {
                object["matchLabels"][key] = json!(value);
            }
        }
        selector(&object)
    }
}
