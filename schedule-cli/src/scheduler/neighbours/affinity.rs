//! Affinity and anti-affinity between pods: `InterPodAffinity` of the default scheduler.

use std::collections::{HashMap, HashSet};

use machinery::meta;

use super::{Counting, term::Term};
use crate::scheduler::{
    node::{NodeState, PlacedPod},
    refusal::{Plugin, Refusal},
};

/// How many pods count in each domain of a topology; domains without any are left out.
type Counts = HashMap<String, i64>;

/// A term, and the pods that it picks.
struct Counted {
    term: Term,
    counts: Counts,
}

impl Counted {
    fn count(&self, node: &NodeState) -> i64 {
        node.label(&self.term.topology_key).and_then(|domain| self.counts.get(domain)).copied().unwrap_or(0)
    }
}

/// What must hold between a pod and those that are placed.
pub(super) struct Affinity {
    near: Vec<Counted>,
    /// The pod may be the first of those that it wants to be near.
    first_of_its_kind: bool,
    far: Vec<Counted>,
    /// Domains from which placed pods keep it away.
    repelled_from: HashSet<(String, String)>,
}

impl Affinity {
    /// Counts for a pod; `None` when nothing must hold.
    pub(super) fn of(counting: &Counting<'_>) -> Option<Self> {
        let affinity = &counting.wants.spec["affinity"];
        let namespace = meta::namespace(counting.pod);
        let near = Term::required(&affinity["podAffinity"], namespace);
        let far = Term::required(&affinity["podAntiAffinity"], namespace);
        let repelled_from = counting.repelled_from();
        if near.is_empty() && far.is_empty() && repelled_from.is_empty() {
            return None;
        }
        let objects = counting.world.objects();
        Some(Self {
            first_of_its_kind: near.iter().all(|term| term.picks_document(counting.pod, objects)),
            near: counting.all_of(near),
            far: far.into_iter().map(|term| counting.term(term)).collect(),
            repelled_from,
        })
    }

    /// Why the node is no place, or none.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
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
}

/// How much placed pods draw a pod to the domains of topologies, by key and domain.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<String, HashMap<String, i64>>);

impl Weights {
    /// What the pod prefers, and what placed pods prefer about it.
    pub(super) fn of(counting: &Counting<'_>) -> Self {
        let (pod, world) = (counting.pod, counting.world);
        let mut weights = Self::default();
        let preferred = Term::preferred(&counting.wants.spec["affinity"], meta::namespace(pod));
        for (weight, term) in &preferred {
            for node in world.nodes() {
                let picked = counting.pods(node).filter(|placed| term.picks(placed, world.objects())).count();
                let picked = i64::try_from(picked).unwrap_or(i64::MAX);
                weights.add(node, &term.topology_key, weight.saturating_mul(picked));
            }
        }
        for (placed, node) in counting.minding() {
            for (weight, term) in placed.draws.iter().filter(|(_, term)| term.picks_document(pod, world.objects())) {
                weights.add(node, &term.topology_key, *weight);
            }
        }
        weights
    }

    fn add(&mut self, node: &NodeState, key: &str, weight: i64) {
        if let Some(domain) = node.label(key).filter(|_| weight != 0) {
            let domains = self.0.entry(key.to_owned()).or_default();
            let sum = domains.entry(domain.to_owned()).or_default();
            *sum = sum.saturating_add(weight);
        }
    }

    /// Whether nothing draws the pod anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What draws the pod to a node.
    pub(super) fn on(&self, node: &NodeState) -> i64 {
        let of_domain = |(key, domains): (&String, &HashMap<String, i64>)| {
            node.label(key).and_then(|domain| domains.get(domain)).copied().unwrap_or(0)
        };
        self.0.iter().map(of_domain).fold(0, i64::saturating_add)
    }
}

impl Counting<'_> {
    /// Domains from which placed pods keep this one away.
    fn repelled_from(&self) -> HashSet<(String, String)> {
        let mut domains = HashSet::new();
        for (placed, node) in self.minding() {
            for term in &placed.repels {
                if let Some(domain) = node.label(&term.topology_key)
                    && term.picks_document(self.pod, self.world.objects())
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
}
