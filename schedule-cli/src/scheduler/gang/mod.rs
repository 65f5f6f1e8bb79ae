//! Volcano's scheduler: pods of a PodGroup are placed together or not at all, within what their queue may have.
//!
//! A session follows every change of the cluster: groups are admitted (enqueue), their pods are tried one after the other
//! on paper, and bound when enough of them fit (allocate); pods that ask for neither CPU nor memory are bound one by one
//! (backfill). At its end the groups and queues are told. `reclaim` and `preempt` make others leave, where the scheduler's
//! configuration has these actions.

mod configuration;
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

use api::convert;
use cluster::{Change, Key, Kind, event::Remark, kind};
use futures::{Stream, StreamExt};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    Options,
    amounts::Amounts,
    claims::{self, PodClaims},
    classic, commit,
    decision::{self, Decision, Placement},
    pod::{self, Standing},
    target::Target,
    world::World,
};
use configuration::Configuration;
use evict::{Cause, Hungry};
use members::Members;
use queues::Queues;
use quota::Increment;
use report::Verdict;

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

    /// Admits groups while the cluster, and their queue, has room for what they need at least.
    async fn enqueue(&mut self, groups: &mut [Group], queues: &mut Queues) {
        let total = self.total();
        let mut used = Amounts::default();
        self.world.nodes().for_each(|node| used.add(&node.requested));
        for group in groups.iter().filter(|group| group.phase() == "Inqueue") {
            used.add(&minimum_of(group));
        }
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.retain(|index| groups.get(*index).is_some_and(|group| matches!(group.phase(), "" | "Pending")));
        order.sort_by_key(|index| {
            let group = groups.get(*index);
            group.map(|group| {
                (
                    Reverse(group.priority),
                    meta::creation_timestamp(&group.document).to_owned(),
                    Key::of(&group.document),
                )
            })
        });
        for index in order {
            let Some(group) = groups.get_mut(index) else { continue };
            if !queues.is_open(group.queue()) {
                continue;
            }
            let minimum = minimum_of(group);
            let overcommitted = self.configuration.overcommit.is_some_and(|hundredths| {
                ["cpu", "memory"].iter().any(|name| {
                    let sum = used.get(name).saturating_add(minimum.get(name)).saturating_mul(100);
                    minimum.get(name) != 0 && sum > total.get(name).saturating_mul(hundredths)
                })
            });
            let claims = (!group.pods.is_empty()).then(|| {
                let first = group.pods.iter().take(group.minimum());
                Increment::together(first.map(|pod| self.increment(pod)))
            });
            if self.configuration.enqueues
                && let Some(why) = queues.lacks(group.queue(), &minimum, claims.as_ref())
            {
                let document = group.document.clone();
                self.tell_group(&document, &why);
                continue;
            }
            if overcommitted && self.configuration.enqueues {
                continue;
            }
            used.add(&minimum);
            queues.admit(group.queue(), &minimum);
            let mut document = Value::clone(&group.document);
            document["status"]["phase"] = json!("Inqueue");
            if let Some(written) = self.write_group(document).await {
                group.document = written;
            }
        }
    }

    /// Tells a group why it is not admitted, once.
    fn tell_group(&mut self, group: &Value, why: &str) {
        let key = Key::of(group);
        if self.told.get(&key).is_some_and(|known| known == why) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(key, why.to_owned());
        self.target.tell(group, Remark::normal(Gangs::NAME, "Unschedulable", why.to_owned()));
    }

    async fn write_group(&mut self, document: Value) -> Option<Arc<Value>> {
        match self.target.replace(kind::POD_GROUP, document, "").await {
            Ok(written) => {
                self.world.note(kind::POD_GROUP, &written);
                Some(Arc::new(written))
            }
            Err(error) => {
                tracing::debug!(%error, "a PodGroup was not written");
                None
            }
        }
    }

    /// Places the pending pods of a group, if enough of them fit.
    async fn allocate(&mut self, group: &Group, queues: &mut Queues) -> Verdict {
        let mut verdict = Verdict::of(group.pods.len(), group.minimum());
        let standing = |pod: &Value| pod::standing(pod, &self.options.scheduler_name);
        let waiting: Vec<Arc<Value>> =
            group.pods.iter().filter(|pod| standing(pod) == Standing::Waiting).cloned().collect();
        verdict.placed = group.pods.iter().filter(|pod| pod::node_name(pod).is_some() && !has_failed(pod)).count();
        let (tiny, tasks): (Vec<Arc<Value>>, Vec<Arc<Value>>) =
            waiting.into_iter().partition(|pod| asks_for_nothing(pod));
        verdict.tiny = tiny.len();
        let mut statement: Vec<(Arc<Value>, Placement)> = Vec::new();
        let before = queues.state_of(group.queue());
        let mut penciled: Vec<(Kind, Arc<Value>)> = Vec::new();
        let mut failed_tasks: BTreeSet<String> = BTreeSet::new();
        let together = group.minimum() == group.pods.len();
        for task in tasks {
            let role = meta::annotation(&task, "volcano.sh/task-spec").unwrap_or_default().to_owned();
            if !failed_tasks.is_empty() && (together || failed_tasks.contains(&role)) {
                verdict.skip(&task);
                continue;
            }
            let (increment, amounts) = (self.increment(&task), Amounts::of_pod(&task));
            if !queues.admits(group.queue(), &increment, &amounts) {
                // Nothing is said of the queue.
                verdict.skip(&task);
                verdict.hunger(Vec::new());
                continue;
            }
            match decision::decide(&task, &mut self.world, &self.options) {
                Decision::Place(placement) => {
                    self.world.assume(&task, &placement);
                    self.pencil_in(&task, &placement, &mut penciled);
                    queues.take(group.queue(), &increment, &amounts);
                    verdict.fits(&task, &placement.node);
                    statement.push((task, placement));
                }
                Decision::Refuse(refusals) => {
                    verdict.refuse(&task, &refusals.message);
                    verdict.hunger(refusals.nodes);
                    failed_tasks.insert(role);
                }
                Decision::Wait(message) | Decision::Fail(message) => {
                    verdict.refuse(&task, &message);
                    failed_tasks.insert(role);
                }
                Decision::Negotiate(_) if self.rests(group) => verdict.refuse(&task, "waiting for resource driver"),
                Decision::Negotiate(move_) => {
                    match commit::negotiate(&self.target, &move_).await {
                        Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                        Err(error) => tracing::info!("{error:#}"),
                    }
                    verdict.refuse(&task, "waiting for resource driver");
                }
                Decision::Await(message) => verdict.refuse(&task, &message),
                Decision::MakeClaims(_) | Decision::Yield => {
                    verdict.unsettled = true;
                    verdict.skip(&task);
                }
            }
        }
        for (kind, claim) in penciled {
            self.world.apply(&Change::Applied(kind, claim));
        }
        let ready = verdict.placed + statement.len() + verdict.tiny >= group.minimum();
        if ready {
            self.commit(statement, &mut verdict).await;
            if self.configuration.backfills {
                self.backfill(tiny, &mut verdict).await;
            }
        } else {
            queues.put_back(before);
            for (task, placement) in statement.iter().rev() {
                self.world.give_up(task, placement);
            }
            self.recall(group).await;
        }
        verdict.ready = ready;
        verdict
    }

    /// Shows the later tasks of a group what claims got for the earlier ones. `before` keeps the claims as they are.
    fn pencil_in(&mut self, task: &Value, placement: &Placement, before: &mut Vec<(Kind, Arc<Value>)>) {
        let consumer = convert::Consumer { pod: task, node: &placement.node, now: (self.options.now)() };
        for claim in &placement.claims {
            let kind = claim.generation.claim;
            let key = Key::of(&claim.document);
            if !before.iter().any(|(of, known)| *of == kind && Key::of(known) == key) {
                before.push((kind, claim.document.clone()));
            }
            let mut penciled = Value::clone(&claim.document);
            if let Some(status) = &claim.structured {
                penciled["status"] = status.clone();
                convert::reserve(&mut penciled, None, &consumer);
            } else {
                convert::reserve(&mut penciled, claim.allocation.as_ref(), &consumer);
            }
            self.world.apply(&Change::Applied(kind, Arc::new(penciled)));
        }
    }

    /// Pods that ask for neither CPU nor memory are placed one by one, whatever their queue may have.
    async fn backfill(&mut self, tiny: Vec<Arc<Value>>, verdict: &mut Verdict) {
        for task in tiny {
            match decision::decide(&task, &mut self.world, &self.options) {
                Decision::Place(placement) => {
                    self.world.assume(&task, &placement);
                    self.commit(vec![(task, placement)], verdict).await;
                }
                Decision::Negotiate(move_) => match commit::negotiate(&self.target, &move_).await {
                    Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                    Err(error) => tracing::info!("{error:#}"),
                },
                Decision::Refuse(refusals) => verdict.refuse(&task, &refusals.message),
                Decision::Wait(message) | Decision::Fail(message) | Decision::Await(message) => {
                    verdict.refuse(&task, &message);
                }
                Decision::MakeClaims(_) | Decision::Yield => {}
            }
        }
    }

    /// Writes what was decided for a group: reservations and bindings of its pods side by side.
    async fn commit(&mut self, statement: Vec<(Arc<Value>, Placement)>, verdict: &mut Verdict) {
        let now = (self.options.now)();
        let reporter = self.options.scheduler_name.as_str();
        let target = &self.target;
        let write = |(task, placement): (Arc<Value>, Placement)| async move {
            let reserved = commit::reserve(target, &task, &placement, now).await;
            let bound = match &reserved {
                Ok(written) => commit::bind(target, &task, &placement, written, reporter).await,
                Err(_) => Ok(()),
            };
            (task, placement, reserved, bound)
        };
        // Claims that several pods of the statement share are reserved by one pod after the other.
        let side_by_side = if shares_claims(&statement) { 1 } else { WRITES_MAX };
        let done: Vec<_> = futures::stream::iter(statement).map(write).buffered(side_by_side).collect().await;
        for (task, placement, reserved, bound) in done {
            match reserved {
                Ok(written) => self.world.settle_claims(&task, &placement, &written),
                Err(error) => {
                    tracing::info!(pod = %Key::of(&task), "{error:#}");
                    self.world.give_up(&task, &placement);
                    continue;
                }
            }
            match bound {
                Ok(()) => {
                    self.members.bind(&task, &placement.node);
                    verdict.bound += 1;
                }
                Err(error) => {
                    tracing::info!(pod = %Key::of(&task), "{error:#}");
                    self.world.unplace(meta::uid(&task));
                }
            }
        }
    }

    fn rests(&self, group: &Group) -> bool {
        self.resting.get(&Key::of(&group.document)) == Some(&self.epoch)
    }

    /// Gives back what drivers of classic claims allocated for pods of a group that cannot start, so that the devices do not
    /// stay with it.
    async fn recall(&mut self, group: &Group) {
        let waiting: Vec<&Arc<Value>> = group.pods.iter().filter(|pod| pod::node_name(pod).is_none()).collect();
        let moves: Vec<_> = waiting.iter().filter_map(|pod| classic::recall(pod, &self.world)).collect();
        let stuck = waiting.iter().any(|pod| classic::is_turned_down(pod, &self.world));
        if stuck && !moves.is_empty() {
            if self.resting.len() >= TOLD_MAX {
                self.resting.clear();
            }
            self.resting.insert(Key::of(&group.document), self.epoch);
        }
        for move_ in moves.into_iter().filter(|_| stuck) {
            match commit::negotiate(&self.target, &move_).await {
                Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                Err(error) => tracing::info!("{error:#}"),
            }
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

/// Whether two pods that are placed together use the same claim.
fn shares_claims(statement: &[(Arc<Value>, Placement)]) -> bool {
    let mut seen: BTreeSet<(Kind, Key)> = BTreeSet::new();
    let claims = statement.iter().flat_map(|(_, placement)| &placement.claims);
    claims.into_iter().any(|claim| !seen.insert((claim.generation.claim, Key::of(&claim.document))))
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

/// Most pods of a group that are written at once.
const WRITES_MAX: usize = 32;
/// Most groups of which it is remembered what they were told.
const TOLD_MAX: usize = 4096;

fn task_index(pod: &Value) -> u64 {
    meta::annotation(pod, "volcano.sh/task-index").and_then(|index| index.parse().ok()).unwrap_or(0)
}

fn has_failed(pod: &Value) -> bool {
    pod["status"]["phase"] == "Failed"
}

/// Volcano calls such pods best-effort: devices do not count.
fn asks_for_nothing(pod: &Value) -> bool {
    Amounts::of_pod(pod).iter().all(|(_, amount)| amount == 0)
}
