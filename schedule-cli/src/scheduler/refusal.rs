//! Why no node takes a pod, in the one sentence that conditions and Events carry.

use std::collections::{BTreeMap, BTreeSet};

/// Which kind of filter refuses; by this the events are chosen that may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Plugin {
    /// Labels, taints, `unschedulable`.
    Node,
    /// Room on the node.
    Resources,
    /// Ports of the node.
    Ports,
    /// Other pods, near or far.
    Neighbours,
    /// Volumes of the pod.
    Volumes,
    /// Devices.
    Devices,
}

/// Why a node is no place for a pod, in upstream's words; they are counted over nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Who refuses.
    pub(super) plugin: Plugin,
    /// For instance `Insufficient cpu`.
    pub(super) reason: String,
    /// Whether taking pods away from the node could help.
    pub(super) preemption_may_help: bool,
}

impl Refusal {
    /// One that stays whoever leaves the node.
    pub(super) fn hard(plugin: Plugin, reason: impl Into<String>) -> Self {
        Self { plugin, reason: reason.into(), preemption_may_help: false }
    }

    /// One that may go when pods leave the node.
    pub(super) fn soft(plugin: Plugin, reason: impl Into<String>) -> Self {
        Self { plugin, reason: reason.into(), preemption_may_help: true }
    }
}

/// Counts reasons over nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    nodes: usize,
    reasons: BTreeMap<String, usize>,
    plugins: BTreeSet<Plugin>,
}

impl Tally {
    /// Of this many nodes.
    pub(super) fn of(nodes: usize) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// One node refuses for this reason.
    pub(super) fn add(&mut self, refusal: &Refusal) {
        self.plugins.insert(refusal.plugin);
        self.count(&refusal.reason, 1);
    }

    /// So many nodes have this to say.
    pub(super) fn count(&mut self, reason: &str, nodes: usize) {
        if nodes > 0 {
            match self.reasons.get_mut(reason) {
                Some(count) => *count += nodes,
                None => drop(self.reasons.insert(reason.to_owned(), nodes)),
            }
        }
    }

    /// Who refused.
    pub(super) fn plugins(&self) -> &BTreeSet<Plugin> {
        &self.plugins
    }

    /// `0/3 nodes are available: 1 Insufficient cpu, 2 cannot allocate all claims.`, reasons with their counts in front,
    /// in the order of these texts, as upstream sorts them.
    pub(super) fn sentence(&self) -> String {
        let mut counted: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        counted.sort();
        match counted.as_slice() {
            [] => format!("0/{} nodes are available", self.nodes),
            _ => format!("0/{} nodes are available: {}.", self.nodes, counted.join(", ")),
        }
    }
}

/// What a node says whose devices do not serve the claims.
pub(super) const CANNOT_ALLOCATE: &str = "cannot allocate all claims";
/// What it says when a claim has been allocated elsewhere.
pub(super) const NOT_AVAILABLE: &str = "resourceclaim not available on the node";
/// What preemption says of a node on which it changes nothing.
pub(super) const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
/// What it says of a node whose pods are all at least as important.
pub(super) const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// What is said of claims to deallocate where the pod has none.
pub(super) const NO_CLAIMS: &str = "no new claims to deallocate";
/// Where one was found.
pub(super) const DEALLOCATED: &str = "deallocation of ResourceClaim completed";
/// Where none was found.
pub(super) const STILL_NOT: &str = "still not schedulable";

/// The sentence about a pod that no node was asked about, because something is missing whatever the node.
pub(super) fn before_nodes(nodes: usize, reason: &str) -> String {
    if nodes == 0 {
        return NO_NODES.to_owned();
    }
    let mut preemption = Tally::of(nodes);
    preemption.count(NOT_HELPFUL, nodes);
    let preemption = preemption.sentence();
    format!("0/{nodes} nodes are available: {reason}. {NO_CLAIMS}, preemption: {preemption}")
}

/// The same for volumes. They are looked at before devices, of which upstream then only says that it found nothing out.
pub(super) fn before_devices(nodes: usize, reason: &str) -> String {
    if nodes == 0 { NO_NODES.to_owned() } else { format!("0/{nodes} nodes are available: {reason}. not found") }
}

/// What a sentence says beside preemption and the devices of nodes.
pub(crate) fn essence(sentence: &str) -> &str {
    let end = [NO_CLAIMS, DEALLOCATED, STILL_NOT].iter().filter_map(|words| sentence.find(words)).min();
    end.map_or(sentence, |end| sentence[..end].trim_end())
}

/// The sentence where there are no nodes at all.
pub(super) const NO_NODES: &str = "no nodes available to schedule pods";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let mut tally = Tally::of(12);
        for _ in 0..10 {
            tally.add(&Refusal::hard(Plugin::Devices, "cannot allocate all claims"));
        }
        tally.add(&Refusal::soft(Plugin::Resources, "Insufficient cpu"));
        tally.add(&Refusal::soft(Plugin::Resources, "Too many pods"));
        assert_eq!(
            tally.sentence(),
            "0/12 nodes are available: 1 Insufficient cpu, 1 Too many pods, 10 cannot allocate all claims."
        );
    }

    #[test]
    fn what_is_missing_everywhere_is_said_once() {
        assert_eq!(
            before_nodes(2, "resourceclaim in use"),
            "0/2 nodes are available: resourceclaim in use. no new claims to deallocate, preemption: 0/2 nodes are \
             available: 2 Preemption is not helpful for scheduling."
        );
        assert_eq!(essence(&before_nodes(2, "resourceclaim in use")), "0/2 nodes are available: resourceclaim in use.");
        assert_eq!(essence(NO_NODES), NO_NODES);
        assert_eq!(before_nodes(0, "x"), "no nodes available to schedule pods");
        assert_eq!(before_devices(2, "no volume"), "0/2 nodes are available: no volume. not found");
    }
}
