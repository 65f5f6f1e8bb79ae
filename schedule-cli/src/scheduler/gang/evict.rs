//! Who has to leave so that others fit: pods of queues that have more than they deserve (`reclaim`), and of jobs of less
//! priority in the same queue (`preempt`).
//!
//! As in Volcano only what nodes have too little of counts: devices of claims are not taken from anybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cluster::{Key, event::Remark, kind};
use machinery::meta;
use serde_json::Value;

use super::{Gangs, Group, queues::Queues};
use crate::scheduler::{amounts::Amounts, decision::NodeRefusal, node::NodeState, pod};

/// Why somebody leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Another queue takes back what is its own.
    Reclaim,
    /// A job of more priority comes.
    Preempt,
}

/// A pod that has no node, and why.
pub(super) struct Hungry {
    /// The group, by its place in the session.
    pub(super) group: usize,
    pub(super) pod: Arc<Value>,
    /// What nodes have against it; empty when nobody asked them.
    pub(super) nodes: Arc<Vec<NodeRefusal>>,
}

/// A pod that may have to leave.
struct Candidate {
    group: usize,
    pod: Arc<Value>,
    amounts: Amounts,
}

/// What is planned for the pods of one group.
#[derive(Clone, Default)]
struct Plan {
    /// What a group has left when its pods go.
    remaining: Vec<usize>,
    /// Those who leave, by uid.
    gone: BTreeSet<String>,
    /// What those who come take of a node.
    claimed: BTreeMap<String, Amounts>,
}

impl Gangs {
    /// Makes pods leave for those that have no node. For a gang nobody leaves unless it can start then.
    pub(super) async fn evict(&mut self, cause: Cause, hungry: &[Hungry], groups: &[Group], queues: &mut Queues) {
        let placed =
            |group: &Group| group.pods.iter().filter(|pod| pod::occupies_node(pod) && !self.leaves(pod)).count();
        let mut plan = Plan { remaining: groups.iter().map(placed).collect(), ..Plan::default() };
        let mut leaving = Vec::new();
        for of_group in hungry.chunk_by(|one, next| one.group == next.group) {
            let Some(group) = of_group.first().and_then(|one| groups.get(one.group)) else { continue };
            let before = plan.clone();
            let (mut victims, mut served) = (Vec::new(), 0);
            for one in of_group {
                let amounts = Amounts::of_pod(&one.pod);
                if cause == Cause::Reclaim && !queues.may_reclaim(group.queue(), &amounts) {
                    continue;
                }
                let seeking = Seeking { cause, one, amounts: &amounts, groups, plan: &plan };
                let Some((node, leave)) = self.place_for(&seeking, queues) else { continue };
                for victim in &leave {
                    if let Some(left) = plan.remaining.get_mut(victim.group) {
                        *left = left.saturating_sub(1);
                    }
                    plan.gone.insert(meta::uid(&victim.pod).to_owned());
                    if let Some(queue) = groups.get(victim.group).map(Group::queue) {
                        queues.release(queue, &victim.amounts);
                    }
                }
                plan.claimed.entry(node).or_default().add(&amounts);
                queues.expect(group.queue(), &amounts);
                victims.extend(leave);
                served += 1;
            }
            if placed(group) + served < group.minimum() {
                plan = before;
                continue;
            }
            leaving.extend(victims);
        }
        for victim in leaving {
            if self.dismiss(&victim.pod, cause).await {
                self.leaving.insert(meta::uid(&victim.pod).to_owned());
            }
        }
    }

    /// Whether a pod is on its way out, or was just told to be: its deletion is seen a moment later.
    fn leaves(&self, pod: &Value) -> bool {
        meta::deletion_timestamp(pod).is_some() || self.leaving.contains(meta::uid(pod))
    }

    /// The node on which the fewest have to leave, and who.
    fn place_for(&self, of: &Seeking<'_>, queues: &Queues) -> Option<(String, Vec<Candidate>)> {
        let nodes: Vec<&str> = if of.one.nodes.is_empty() {
            self.world.nodes().map(NodeState::name).collect()
        } else {
            of.one.nodes.iter().filter(|node| is_short_of_resources(node)).map(|node| node.node.as_str()).collect()
        };
        let places = nodes.into_iter().filter_map(|node| Some((node.to_owned(), self.victims(of, node, queues)?)));
        places.min_by_key(|(_, victims)| victims.len())
    }

    /// The pods of a node that leave for another: none when those that leave already make room enough, and `None` when
    /// nothing does.
    fn victims(&self, of: &Seeking<'_>, node: &str, queues: &Queues) -> Option<Vec<Candidate>> {
        let state = self.world.node(node)?;
        let mut free = state.allocatable.clone();
        free.subtract(&state.requested);
        if let Some(claimed) = of.plan.claimed.get(node) {
            free.subtract(claimed);
        }
        let mut candidates = Vec::new();
        for (index, group) in of.groups.iter().enumerate() {
            for pod in group.pods.iter().filter(|pod| pod::node_name(pod) == Some(node) && !pod::has_ended(pod)) {
                let amounts = Amounts::of_pod(pod);
                if self.leaves(pod) || of.plan.gone.contains(meta::uid(pod)) {
                    free.add(&amounts);
                } else {
                    candidates.push(Candidate { group: index, pod: pod.clone(), amounts });
                }
            }
        }
        let fits = |free: &Amounts| of.amounts.iter().all(|(name, wanted)| free.get(name) >= wanted);
        let mut chosen: Vec<Candidate> = Vec::new();
        if fits(&free) {
            return Some(chosen);
        }
        // The least important first, of these the youngest.
        candidates.sort_by_key(|one| {
            let priority = of.groups.get(one.group).map_or(0, |group| group.priority);
            (priority, std::cmp::Reverse(meta::creation_timestamp(&one.pod).to_owned()), Key::of(&one.pod))
        });
        let mut left = of.plan.remaining.clone();
        let mut spared = Amounts::default();
        for candidate in candidates {
            if !self.may_leave(of, &candidate, &left, &spared, queues) {
                continue;
            }
            free.add(&candidate.amounts);
            spared.add(&candidate.amounts);
            if let Some(left) = left.get_mut(candidate.group) {
                *left = left.saturating_sub(1);
            }
            chosen.push(candidate);
            if fits(&free) {
                return Some(chosen);
            }
        }
        None
    }

    fn may_leave(&self, of: &Seeking<'_>, one: &Candidate, left: &[usize], spared: &Amounts, queues: &Queues) -> bool {
        let (Some(theirs), Some(ours)) = (of.groups.get(one.group), of.groups.get(of.one.group)) else { return false };
        // The plugin `conformance`.
        let critical = matches!(
            one.pod["spec"]["priorityClassName"].as_str(),
            Some("system-cluster-critical" | "system-node-critical")
        );
        if critical || meta::namespace(&one.pod) == "kube-system" {
            return false;
        }
        let needed = self.configuration.spares_gangs
            && theirs.minimum() > 1
            && left.get(one.group).is_some_and(|left| *left <= theirs.minimum());
        if needed {
            return false;
        }
        match of.cause {
            Cause::Preempt => {
                one.group != of.one.group && theirs.queue() == ours.queue() && theirs.priority < ours.priority
            }
            Cause::Reclaim => {
                let mut together = spared.clone();
                together.add(&one.amounts);
                theirs.queue() != ours.queue() && queues.can_spare(theirs.queue(), &together, of.amounts)
            }
        }
    }

    /// Makes a pod leave; false if that cannot be done.
    async fn dismiss(&self, pod: &Value, cause: Cause) -> bool {
        let message = match cause {
            Cause::Reclaim => "reclaim",
            Cause::Preempt => "preempt",
        };
        self.target.tell(pod, Remark::warning(self.options.scheduler_name.clone(), "Evict", message));
        let outcome = self.target.delete(kind::POD, &Key::of(pod), meta::uid(pod)).await;
        outcome.inspect_err(|error| tracing::info!("{error:#}")).is_ok()
    }
}

/// For whom somebody is to leave.
struct Seeking<'a> {
    cause: Cause,
    one: &'a Hungry,
    amounts: &'a Amounts,
    groups: &'a [Group],
    plan: &'a Plan,
}

/// Whether a node would do if only it had more left.
fn is_short_of_resources(node: &NodeRefusal) -> bool {
    !node.reasons.is_empty() && node.reasons.iter().all(|reason| reason.starts_with("Insufficient "))
}
