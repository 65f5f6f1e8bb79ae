//! Why no node takes a pod, in the one sentence that conditions and Events carry.

use std::collections::BTreeMap;

/// Counts reasons over nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    nodes: usize,
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    /// Of this many nodes.
    pub(super) fn of(nodes: usize) -> Self {
        Self { nodes, reasons: BTreeMap::new() }
    }

    /// One node refuses for this reason.
    pub(super) fn add(&mut self, reason: impl Into<String>) {
        *self.reasons.entry(reason.into()).or_default() += 1;
    }

    /// `0/3 nodes are available: 1 Insufficient cpu, 2 cannot allocate all claims.`, reasons in the order of their texts
    /// with the counts in front, as upstream sorts them.
    pub(super) fn sentence(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut counted: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        counted.sort();
        match counted.as_slice() {
            [] => format!("0/{} nodes are available.", self.nodes),
            _ => format!("0/{} nodes are available: {}.", self.nodes, counted.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let mut tally = Tally::of(4);
        tally.add("cannot allocate all claims");
        tally.add("Insufficient cpu");
        tally.add("cannot allocate all claims");
        assert_eq!(tally.sentence(), "0/4 nodes are available: 1 Insufficient cpu, 2 cannot allocate all claims.");
        assert_eq!(Tally::of(0).sentence(), "no nodes available to schedule pods");
    }
}
