//! Volcano's scheduler: pods of a PodGroup are placed together or not at all, within what their queue may have.
//!
//! A session follows every change of the cluster: groups are admitted (enqueue), their pods are tried one after the other
//! on paper, and bound when enough of them fit (allocate); pods that ask for neither CPU nor memory are bound one by one
//! (backfill). At its end the groups and queues are told.

mod quota;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::convert;
use cluster::{Change, Key, Kind, kind};
use futures::{Stream, StreamExt};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    Options,
    amounts::Amounts,
    claims::{self, PodClaims},
    commit,
    decision::{self, Decision, Placement},
    pod::{self, Standing},
    target::Target,
    world::World,
};
use quota::{Increment, Share};
use report::Verdict;

/// The annotation that names the PodGroup of a pod.
const GROUP_NAME: &str = "scheduling.k8s.io/group-name";
/// Most changes that are taken in before a session.
const CHANGES_MAX: usize = 1024;
/// So much more than the cluster has is admitted, in tenths.
const OVERCOMMIT_TENTHS: i64 = 12;

/// A gang scheduler at work.
pub struct Gangs {
    world: World,
    target: Target,
    options: Options,
    unlisted: BTreeSet<Kind>,
}

/// A PodGroup with its pods.
struct Group {
    document: Arc<Value>,
    /// By the index of their task, then by name.
    pods: Vec<Arc<Value>>,
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
        kind::SCHEDULING.iter().copied().chain([kind::POD_GROUP, kind::QUEUE]).collect()
    }

    /// A scheduler that will see changes of `kinds` and write to `target`.
    pub fn new(options: Options, target: Target, kinds: &[Kind]) -> Self {
        Self { world: World::new(options.features), target, options, unlisted: kinds.iter().copied().collect() }
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
                self.world.apply(change);
            }
            if self.unlisted.is_empty() {
                self.session().await;
            }
        }
    }

    /// One look at everything.
    async fn session(&mut self) {
        let mut groups = self.groups();
        let mut shares = self.shares(&groups);
        self.enqueue(&mut groups).await;
        // A group whose claims are just being made is not overtaken in its queue.
        let mut held_up: BTreeSet<String> = BTreeSet::new();
        for group in &groups {
            let share = shares.entry(group.queue().to_owned()).or_default();
            let waits = matches!(group.phase(), "" | "Pending") || !self.queue_is_open(group.queue());
            if waits || held_up.contains(group.queue()) {
                continue;
            }
            let verdict = self.allocate(group, share).await;
            if verdict.unsettled {
                held_up.insert(group.queue().to_owned());
            }
            self.report(group, verdict).await;
        }
        self.report_queues(&shares).await;
    }

    /// The groups, the oldest first.
    fn groups(&self) -> Vec<Group> {
        let mut pods: BTreeMap<Key, Vec<Arc<Value>>> = BTreeMap::new();
        for document in self.world.objects().all(kind::POD) {
            let ours = document["spec"]["schedulerName"] == self.options.scheduler_name.as_str();
            if let Some(name) = meta::annotation(document, GROUP_NAME).filter(|_| ours) {
                pods.entry(Key::new(meta::namespace(document), name)).or_default().push(document.clone());
            }
        }
        let mut groups: Vec<Group> = self
            .world
            .objects()
            .all(kind::POD_GROUP)
            .map(|document| {
                let mut pods = pods.remove(&Key::of(document)).unwrap_or_default();
                pods.sort_by_key(|pod| (-pod::priority(pod), task_index(pod), meta::name(pod).to_owned()));
                Group { document: document.clone(), pods }
            })
            .collect();
        groups.sort_by_key(|group| (meta::creation_timestamp(&group.document).to_owned(), Key::of(&group.document)));
        groups
    }

    /// What the placed pods of each queue have.
    fn shares(&self, groups: &[Group]) -> BTreeMap<String, Share> {
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        for group in groups {
            let share = shares.entry(group.queue().to_owned()).or_default();
            for pod in group.pods.iter().filter(|pod| pod::occupies_node(pod)) {
                share.take(&self.increment(pod));
            }
        }
        shares
    }

    fn increment(&self, pod: &Value) -> Increment {
        match claims::of_pod(pod, self.world.objects()) {
            PodClaims::Ready(claims) => Increment::of(pod, &claims),
            // Claims that are not there yet are not counted.
            _ => Increment::of(pod, &[]),
        }
    }

    fn queue_is_open(&self, name: &str) -> bool {
        let queue = self.world.objects().get(kind::QUEUE, &Key::new("", name));
        queue.is_some_and(|queue| matches!(queue["status"]["state"].as_str(), None | Some("" | "Open")))
    }

    /// The capabilities of a queue and of those above it.
    fn capabilities(&self, queue: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut name = queue.to_owned();
        for _ in 0..QUEUE_DEPTH_MAX {
            let Some(queue) = self.world.objects().get(kind::QUEUE, &Key::new("", name)) else { break };
            found.push(queue["spec"]["capability"].clone());
            match queue["spec"]["parent"].as_str().filter(|parent| !parent.is_empty()) {
                Some(parent) => name = parent.to_owned(),
                None => break,
            }
        }
        found
    }

    /// Admits groups while the cluster has room for what they need at least.
    async fn enqueue(&mut self, groups: &mut [Group]) {
        let (mut total, mut used) = (Amounts::default(), Amounts::default());
        for node in self.world.nodes() {
            total.add(&node.allocatable);
            used.add(&node.requested);
        }
        for group in groups.iter().filter(|group| group.phase() == "Inqueue") {
            used.add(&Amounts::read(group.document["spec"].get("minResources")));
        }
        for group in groups.iter_mut().filter(|group| matches!(group.phase(), "" | "Pending")) {
            if !self.queue_is_open(group.queue()) {
                continue;
            }
            let minimum = Amounts::read(group.document["spec"].get("minResources"));
            let fits = ["cpu", "memory"].iter().all(|name| {
                let wanted = minimum.get(name);
                let sum = used.get(name).saturating_add(wanted).saturating_mul(10);
                wanted == 0 || sum <= total.get(name).saturating_mul(OVERCOMMIT_TENTHS)
            });
            if !fits {
                continue;
            }
            used.add(&minimum);
            let mut document = Value::clone(&group.document);
            document["status"]["phase"] = json!("Inqueue");
            if let Some(written) = self.write_group(document).await {
                group.document = written;
            }
        }
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
    async fn allocate(&mut self, group: &Group, share: &mut Share) -> Verdict {
        let mut verdict = Verdict::of(group.pods.len(), group.minimum());
        let standing = |pod: &Value| pod::standing(pod, &self.options.scheduler_name);
        let waiting: Vec<Arc<Value>> =
            group.pods.iter().filter(|pod| standing(pod) == Standing::Waiting).cloned().collect();
        verdict.placed = group.pods.iter().filter(|pod| pod::node_name(pod).is_some() && !has_failed(pod)).count();
        let (tiny, tasks): (Vec<Arc<Value>>, Vec<Arc<Value>>) =
            waiting.into_iter().partition(|pod| asks_for_nothing(pod));
        verdict.tiny = tiny.len();
        let capabilities = self.capabilities(group.queue());
        let mut statement: Vec<(Arc<Value>, Placement)> = Vec::new();
        let before = share.clone();
        let mut penciled: Vec<(Kind, Arc<Value>)> = Vec::new();
        let mut failed_tasks: BTreeSet<String> = BTreeSet::new();
        let together = group.minimum() == group.pods.len();
        for task in tasks {
            let role = meta::annotation(&task, "volcano.sh/task-spec").unwrap_or_default().to_owned();
            if !failed_tasks.is_empty() && (together || failed_tasks.contains(&role)) {
                verdict.skip(&task);
                continue;
            }
            let increment = self.increment(&task);
            if !capabilities.iter().all(|capability| share.admits(capability, &increment)) {
                // Nothing is said of the queue.
                verdict.skip(&task);
                continue;
            }
            match decision::decide(&task, &mut self.world, &self.options) {
                Decision::Place(placement) => {
                    self.world.assume(&task, &placement);
                    self.pencil_in(&task, &placement, &mut penciled);
                    share.take(&increment);
                    verdict.fits(&task, &placement.node);
                    statement.push((task, placement));
                }
                Decision::Refuse(refusals) => {
                    verdict.refuse(&task, &refusals.message);
                    failed_tasks.insert(role);
                }
                Decision::Wait(message) | Decision::Fail(message) => {
                    verdict.refuse(&task, &message);
                    failed_tasks.insert(role);
                }
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
            for (task, placement) in statement {
                self.commit(task, placement, &mut verdict).await;
            }
            self.backfill(tiny, &mut verdict).await;
        } else {
            *share = before;
            for (task, placement) in statement.iter().rev() {
                self.world.give_up(task, placement);
            }
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
                    self.commit(task, placement, verdict).await;
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

    async fn commit(&mut self, task: Arc<Value>, placement: Placement, verdict: &mut Verdict) {
        let now = (self.options.now)();
        let written = match commit::reserve(&self.target, &task, &placement, now).await {
            Ok(written) => written,
            Err(error) => {
                tracing::info!(pod = %Key::of(&task), "{error:#}");
                self.world.give_up(&task, &placement);
                return;
            }
        };
        self.world.settle_claims(&task, &placement, &written);
        let reporter = self.options.scheduler_name.as_str();
        match commit::bind(&self.target, &task, &placement, &written, reporter, now).await {
            Ok(()) => verdict.bound += 1,
            Err(error) => {
                tracing::info!(pod = %Key::of(&task), "{error:#}");
                self.world.unplace(meta::uid(&task));
            }
        }
    }
}

/// Most queues above each other.
const QUEUE_DEPTH_MAX: usize = 16;

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
