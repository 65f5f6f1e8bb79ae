//! What other pods mean for a pod: affinity and anti-affinity between pods, and topology spread.
//!
//! The pods of all nodes are counted once for a pod that asks; after that each node costs a look at its labels.

mod affinity;
mod spread;
mod term;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use self::{
    affinity::{Affinity, Weights},
    spread::{Loose, Strict},
};
use super::{
    node::{NodeState, PlacedPod},
    refusal::Refusal,
    wants::Wants,
    world::World,
};

pub(super) use self::term::Term;

/// What must hold between a pod and others.
pub(super) struct Neighbours {
    spread: Vec<Strict>,
    affinity: Option<Affinity>,
}

impl Neighbours {
    /// Counts the pods of the world, without those of the uids `without`. `None` when nothing must hold: the pod says
    /// nothing about other pods and no placed pod keeps it away.
    pub(super) fn of(pod: &Value, wants: &Wants<'_>, world: &World, without: &BTreeSet<String>) -> Option<Self> {
        let counting = Counting { pod, wants, world, without };
        let neighbours = Self { spread: Strict::all(&counting), affinity: Affinity::of(&counting) };
        (neighbours.affinity.is_some() || !neighbours.spread.is_empty()).then_some(neighbours)
    }

    /// Why the node is no place, or none; in the order of upstream's plugins.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        self.spread
            .iter()
            .find_map(|one| one.refusal(node))
            .or_else(|| self.affinity.as_ref().and_then(|affinity| affinity.refusal(node)))
    }
}

/// What should hold between a pod and others: it decides among the nodes that fit.
pub(super) struct Company {
    weights: Weights,
    spread: Option<Loose>,
}

/// What company a node is for a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Worth {
    /// What draws the pod there.
    pub(super) drawn: i64,
    /// How full its topology domains are, less being better; `None` where nothing is spread, or not over this node.
    pub(super) crowded: Option<i64>,
}

impl Company {
    /// What is preferred by a pod, about it, or of all pods like it. `None`: nothing.
    pub(super) fn of(pod: &Value, wants: &Wants<'_>, world: &World) -> Option<Self> {
        let without = BTreeSet::new();
        let counting = Counting { pod, wants, world, without: &without };
        let company = Self { weights: Weights::of(&counting), spread: Loose::of(&counting) };
        (!company.weights.is_empty() || company.spread.is_some()).then_some(company)
    }

    /// What each of the nodes that fit is worth.
    pub(super) fn worth(&self, pod: &Value, wants: &Wants<'_>, world: &World, nodes: &[&NodeState]) -> Vec<Worth> {
        let without = BTreeSet::new();
        let counting = Counting { pod, wants, world, without: &without };
        let spread = self.spread.as_ref().map(|loose| loose.scores(nodes, &counting));
        let spread = spread.unwrap_or_else(|| vec![None; nodes.len()]);
        nodes.iter().zip(spread).map(|(node, crowded)| Worth { drawn: self.weights.on(node), crowded }).collect()
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

    /// Placed pods that mind who else is near, and their nodes.
    fn minding(&self) -> impl Iterator<Item = (&PlacedPod, &NodeState)> {
        let minding = self.world.minding().filter(|(uid, _)| !self.without.contains(*uid));
        minding.filter_map(|(uid, node)| Some((&**node.pods.get(uid)?, node)))
    }
}
