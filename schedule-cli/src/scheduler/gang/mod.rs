//! Volcano's scheduler: pods of a PodGroup are placed together or not at all, within what their queue may have.
//!
//! A session follows every change of the cluster: groups are admitted (enqueue), their pods are tried one after the other
//! on paper, and bound when enough of them fit (allocate); pods that ask for neither CPU nor memory are bound one by one
//! (backfill). At its end the groups and queues are told. `reclaim` and `preempt` make others leave, where the scheduler's
//! configuration has these actions.

mod allocate;
mod configuration;
mod enqueue;
mod evict;
mod members;
mod queues;
mod quota;
mod report;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cluster::{Change, Key, Kind, kind};
use futures::{Stream, StreamExt};
use machinery::meta;
use serde_json::Value;

use super::{
    Options,
    amounts::Amounts,
    claims::{self, PodClaims},
    pod,
    target::Target,
    world::World,
};
use configuration::Configuration;
use evict::{Cause, Hungry};
use members::Members;
use queues::Queues;
use quota::Increment;

/// Most changes that are taken in before a session.
const CHANGES_MAX: usize = 1024;

/// A gang scheduler at work.
pub struct Gangs {
    world: World,
    target: Target,
    options: Options,
    unlisted: BTreeSet<Kind>,
    members: Members,
    configuration: Configuration,
    /// Why groups were not admitted, as they have been told.
    told: HashMap<Key, String>,
    /// Grows when something comes or goes that drivers of classic claims may answer differently for.
    epoch: u64,
    /// Groups that gave back what drivers had allocated for some of their pods, and when: they do not ask again before
    /// something is different, or two groups would take devices from each other for ever.
    resting: HashMap<Key, u64>,
    /// Pods that were made to leave, by uid, until they are gone.
    leaving: BTreeSet<String>,
}

/// A PodGroup with its pods.
struct Group {
    document: Arc<Value>,
    /// By priority, then by the index of their task, then by name.
    pods: Vec<Arc<Value>>,
    /// Of its class.
    priority: i64,
}

impl Group {
    fn minimum(&self) -> usize {
        self.document["spec"]["minMember"].as_u64().and_then(|minimum| usize::try_from(minimum).ok()).unwrap_or(0)
    }

    fn queue(&self) -> &str {
        self.document["spec"]["queue"].as_str().filter(|queue| !queue.is_empty()).unwrap_or("default")
    }

    fn phase(&self) -> &str {
        self.document["status"]["phase"].as_str().unwrap_or_default()
    }
}

impl Gangs {
    /// The scheduler of Volcano.
    pub const NAME: &'static str = "volcano";

    /// The kinds that it looks at.
    pub fn kinds() -> Vec<Kind> {
        let own = [kind::POD_GROUP, kind::QUEUE, configuration::CONFIG_MAP];
        kind::SCHEDULING.iter().copied().chain(own).collect()
    }

    /// A scheduler that will see changes of `kinds` and write to `target`.
    pub fn new(options: Options, target: Target, kinds: &[Kind]) -> Self {
        Self {
            world: World::new(options.features),
            target,
            options,
            unlisted: kinds.iter().copied().collect(),
            members: Members::default(),
            configuration: Configuration::default(),
            told: HashMap::new(),
            epoch: 0,
            resting: HashMap::new(),
            leaving: BTreeSet::new(),
        }
    }

    /// Works until `changes` ends.
    pub async fn run(mut self, changes: impl Stream<Item = Change> + Send) {
        let mut changes = std::pin::pin!(changes.ready_chunks(CHANGES_MAX));
        while let Some(batch) = changes.next().await {
            for change in &batch {
                match change {
                    Change::Lost(kind, error) => {
                        tracing::info!(kind = kind.plural, error, "the connection is lost; waiting for the server");
                        self.unlisted.insert(*kind);
                        continue;
                    }
                    Change::Listed(kind, _) => drop(self.unlisted.remove(kind)),
                    _ => {}
                }
                self.members.apply(change, &self.options.scheduler_name);
                if is_new_hope(change) {
                    self.epoch += 1;
                }
                self.world.apply(change);
            }
            if self.unlisted.is_empty() {
                self.session().await;
            }
        }
    }

    /// One look at everything.
    async fn session(&mut self) {
        self.configuration = Configuration::of(self.world.objects());
        let mut groups = self.groups();
        self.forget_gone(&groups);
        let mut queues = self.queues(&groups);
        self.enqueue(&mut groups, &mut queues).await;
        let mut hungry = Vec::new();
        // A group whose claims are just being made is not overtaken in its queue.
        let mut held_up: BTreeSet<String> = BTreeSet::new();
        let waits = |group: &Group| matches!(group.phase(), "" | "Pending") || !queues.is_open(group.queue());
        let mut open: Vec<usize> =
            (0..groups.len()).filter(|index| groups.get(*index).is_some_and(|one| !waits(one))).collect();
        while let Some(index) = self.next(&groups, &open, &queues) {
            open.retain(|one| *one != index);
            let Some(group) = groups.get(index) else { continue };
            if held_up.contains(group.queue()) {
                continue;
            }
            let verdict = self.allocate(group, &mut queues).await;
            hungry.extend(verdict.hungry().into_iter().map(|(pod, nodes)| Hungry { group: index, pod, nodes }));
            if verdict.unsettled {
                held_up.insert(group.queue().to_owned());
            }
            self.report(group, verdict).await;
        }
        if self.configuration.preempts {
            self.evict(Cause::Preempt, &hungry, &groups, &mut queues).await;
        }
        if self.configuration.reclaims {
            self.evict(Cause::Reclaim, &hungry, &groups, &mut queues).await;
        }
        self.report_queues(&queues).await;
    }

    /// Forgets who was made to leave and has left.
    fn forget_gone(&mut self, groups: &[Group]) {
        if !self.leaving.is_empty() {
            let present: BTreeSet<&str> =
                groups.iter().flat_map(|group| &group.pods).map(|pod| meta::uid(pod)).collect();
            self.leaving.retain(|uid| present.contains(uid.as_str()));
        }
    }

    /// The group that is served next: of the queue whose turn it is the most important one, of these one that is not complete
    /// before one that is, the one that has the least, the oldest.
    fn next(&self, groups: &[Group], open: &[usize], queues: &Queues) -> Option<usize> {
        let total = self.total();
        open.iter().copied().min_by_key(|index| {
            let group = groups.get(*index);
            let rank = group.map(|group| {
                let placed = group.pods.iter().filter(|pod| pod::node_name(pod).is_some()).count();
                let share = if self.configuration.drf { dominant_share(group, &total) } else { 0 };
                let created = meta::creation_timestamp(&group.document).to_owned();
                (Reverse(group.priority), placed >= group.minimum(), share, created, Key::of(&group.document))
            });
            (group.map(|group| queues.rank(group.queue())), rank)
        })
    }

    /// What all nodes have.
    fn total(&self) -> Amounts {
        let mut total = Amounts::default();
        self.world.nodes().for_each(|node| total.add(&node.allocatable));
        total
    }

    /// The groups, with their pods.
    fn groups(&self) -> Vec<Group> {
        let objects = self.world.objects();
        let group = |document: &Arc<Value>| {
            let key = Key::of(document);
            let members = self.members.of(&key);
            let pods = members.filter_map(|key| objects.get(kind::POD, key));
            let mut pods: Vec<Arc<Value>> = pods.map(|pod| self.members.as_bound(pod)).collect();
            pods.sort_by_key(|pod| (-pod::priority(pod), task_index(pod), meta::name(pod).to_owned()));
            let class = document["spec"]["priorityClassName"].as_str().filter(|_| self.configuration.priority);
            let class = class.and_then(|class| objects.get(kind::PRIORITY_CLASS, &Key::new("", class)));
            let priority = class.and_then(|class| class["value"].as_i64()).unwrap_or(0);
            Group { document: document.clone(), pods, priority }
        };
        objects.all(kind::POD_GROUP).map(group).collect()
    }

    /// The queues, with what their pods have and want.
    fn queues(&self, groups: &[Group]) -> Queues {
        let mut queues = Queues::new(self.world.objects(), self.configuration.limits, self.total());
        for group in groups {
            for pod in group.pods.iter().filter(|pod| !pod::has_ended(pod)) {
                let amounts = Amounts::of_pod(pod);
                queues.want(group.queue(), &amounts);
                if pod::node_name(pod).is_some() {
                    queues.take(group.queue(), &self.increment(pod), &amounts);
                }
            }
            if group.pods.is_empty() && group.phase() == "Inqueue" {
                let minimum = minimum_of(group);
                queues.want(group.queue(), &minimum);
                queues.admit(group.queue(), &minimum);
            }
        }
        queues.share_out();
        queues
    }

    fn increment(&self, pod: &Value) -> Increment {
        match claims::of_pod(pod, self.world.objects()) {
            PodClaims::Ready(claims) => Increment::of(pod, &claims),
            // Claims that are not there yet are not counted.
            _ => Increment::of(pod, &[]),
        }
    }
}

/// Whether a change may let drivers answer differently: devices are published, or something that may hold some goes.
fn is_new_hope(change: &Change) -> bool {
    match change {
        Change::Deleted(..) | Change::Listed(..) => true,
        Change::Applied(of, _) => {
            let publishes = cluster::generation::ALL.iter().any(|generation| generation.pool == *of);
            publishes || *of == kind::NAMED_RESOURCE_SLICE
        }
        Change::Lost(..) => false,
    }
}

/// What a group needs at least.
fn minimum_of(group: &Group) -> Amounts {
    Amounts::read(group.document["spec"].get("minResources")).without_prefixed(&["requests.", "limits.", "count/"])
}

/// The largest part of anything in the cluster that a group has, in thousandths.
fn dominant_share(group: &Group, total: &Amounts) -> i64 {
    let mut have = Amounts::default();
    group.pods.iter().filter(|pod| pod::occupies_node(pod)).for_each(|pod| have.add(&Amounts::of_pod(pod)));
    let part = |(name, amount): (&str, i64)| amount.saturating_mul(1000) / total.get(name).max(1);
    have.iter().map(part).max().unwrap_or(0)
}

/// Most groups of which it is remembered what they were told.
const TOLD_MAX: usize = 4096;

fn task_index(pod: &Value) -> u64 {
    meta::annotation(pod, "volcano.sh/task-index").and_then(|index| index.parse().ok()).unwrap_or(0)
}
