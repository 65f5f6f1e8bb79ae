//! The nodes that fit a pod, best first, kept up to date for pods that are alike: one more such pod costs a look at the
//! nodes that changed since the last, however many nodes there are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{node::NodeState, refusal::Refusal, touched::Touch, world::World};

/// What is known of every node for one kind of pod.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// Up to where the changes of the world are known; none before the first look.
    seen: Option<u64>,
    /// Nodes that fit: what they are worth, and their names, which decide between equals.
    order: BTreeSet<(Reverse<i64>, String)>,
    worth: BTreeMap<String, i64>,
    refused: BTreeMap<String, Vec<Refusal>>,
    /// Nodes that fit but for their devices.
    barren: BTreeMap<String, Refusal>,
}

/// What a node is worth for a pod, or why it does not fit.
type Examine<'a> = &'a dyn Fn(&NodeState) -> Result<i64, Vec<Refusal>>;

impl Ranking {
    /// Looks at all nodes that changed since the last time.
    pub(super) fn refresh(&mut self, world: &World, examine: Examine<'_>) {
        let touched = world.touched();
        match self.seen.and_then(|seen| touched.since(seen)) {
            Some(touches) => {
                let mut nodes = BTreeSet::new();
                for touch in touches {
                    match touch {
                        Touch::Node(name) => {
                            nodes.insert(name.clone());
                        }
                        Touch::Devices(Some(name)) if self.barren.contains_key(name) => {
                            nodes.insert(name.clone());
                        }
                        Touch::Devices(Some(_)) => {}
                        Touch::Devices(None) => nodes.extend(self.barren.keys().cloned()),
                    }
                }
                for name in nodes {
                    self.drop_node(&name);
                    if let Some(node) = world.node(&name) {
                        self.look_at(node, examine);
                    }
                }
            }
            None => {
                *self = Self::default();
                world.nodes().for_each(|node| self.look_at(node, examine));
            }
        }
        self.seen = Some(touched.end());
    }

    /// Looks at these nodes only, once.
    pub(super) fn of<'a>(nodes: impl Iterator<Item = &'a NodeState>, examine: Examine<'_>) -> Self {
        let mut ranking = Self::default();
        nodes.for_each(|node| ranking.look_at(node, examine));
        ranking
    }

    fn look_at(&mut self, node: &NodeState, examine: Examine<'_>) {
        let name = node.name().to_owned();
        match examine(node) {
            Ok(worth) => {
                self.order.insert((Reverse(worth), name.clone()));
                self.worth.insert(name, worth);
            }
            Err(refusals) => drop(self.refused.insert(name, refusals)),
        }
    }

    fn drop_node(&mut self, name: &str) {
        if let Some(worth) = self.worth.remove(name) {
            self.order.remove(&(Reverse(worth), name.to_owned()));
        }
        self.refused.remove(name);
        self.barren.remove(name);
    }

    /// The best node that is left.
    pub(super) fn best(&self) -> Option<&str> {
        self.order.first().map(|(_, name)| name.as_str())
    }

    /// What a node that fits is worth.
    pub(super) fn worth(&self, node: &str) -> Option<i64> {
        self.worth.get(node).copied()
    }

    /// The nodes that are left, best first.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(|(_, name)| name.as_str())
    }

    /// Devices stand in the way on a node.
    pub(super) fn rule_out(&mut self, node: &str, refusal: Refusal) {
        self.drop_node(node);
        self.barren.insert(node.to_owned(), refusal);
    }

    /// Every node that does not fit, and why.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&str, &[Refusal])> {
        let refused = self.refused.iter().map(|(name, refusals)| (name.as_str(), refusals.as_slice()));
        refused.chain(self.barren.iter().map(|(name, refusal)| (name.as_str(), std::slice::from_ref(refusal))))
    }
}

/// Most kinds of pods that are remembered.
const KINDS_MAX: usize = 32;

/// Rankings by what matters of a pod.
#[derive(Debug, Default)]
pub(super) struct Rankings(Vec<(String, Ranking)>);

impl Rankings {
    /// The ranking of a kind of pod, to be given back; a new one if there is none.
    pub(super) fn take(&mut self, kind: &str) -> Ranking {
        match self.0.iter().position(|(known, _)| known == kind) {
            Some(position) => self.0.remove(position).1,
            None => Ranking::default(),
        }
    }

    /// Keeps a ranking for the next pod; the one that was not used for the longest time goes.
    pub(super) fn keep(&mut self, kind: String, ranking: Ranking) {
        if self.0.len() == KINDS_MAX {
            self.0.remove(0);
        }
        self.0.push((kind, ranking));
    }
}
