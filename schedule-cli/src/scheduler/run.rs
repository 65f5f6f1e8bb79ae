//! A running scheduler: follows the cluster, decides, writes.

mod done;
mod place;
mod waiting;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use cluster::{Change, Key, Kind, kind};
use futures::{Stream, StreamExt};
use machinery::meta;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Options,
    commit::{self, Remedied, Written},
    decision::{self, Decision, Remedy},
    pod::{self, Standing},
    queue::{Hope, Queue},
    refusal::Plugin,
    target::Target,
    world::World,
};
use done::Done;
use place::place;
use waiting::Binding;

/// Most decisions whose writes are under way at the same time.
const WRITES_MAX: usize = 64;
/// Most changes that are taken in before the next decision.
const CHANGES_MAX: usize = 256;
/// How long the last writes may take before the scheduler ends all the same.
const LAST_WRITES_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// How often pods are looked at that wait for devices, in case that time is up for them.
const BINDING_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// A scheduler at work.
pub struct Runner {
    world: World,
    queue: Queue,
    target: Target,
    options: Options,
    /// Kinds that are not known: not listed yet, or not since the server was lost. Nothing is decided meanwhile.
    unlisted: BTreeSet<Kind>,
    /// Kinds whose watch is broken.
    complained: BTreeSet<Kind>,
    writes: JoinSet<Done>,
    /// Pods whose decision is being written, or that wait for their devices.
    busy: HashSet<Key>,
    /// Busy pods that changed meanwhile.
    changed: HashSet<Key>,
    /// Pods that have their claims, and wait for devices to become ready.
    binding: HashMap<Key, Binding>,
    /// Nodes that went while writes were under way.
    gone: Arc<Mutex<HashSet<String>>>,
}

impl Runner {
    /// A scheduler that will see changes of `kinds` and write to `target`.
    pub fn new(options: Options, target: Target, kinds: &[Kind]) -> Self {
        Self {
            world: World::new(options.features),
            queue: Queue::default(),
            target,
            // An Event holds no more than a few.
            options: Options { explained_max: options.explained_max.min(EXPLAINED_MAX), ..options },
            unlisted: kinds.iter().copied().collect(),
            complained: BTreeSet::new(),
            writes: JoinSet::new(),
            busy: HashSet::new(),
            changed: HashSet::new(),
            binding: HashMap::new(),
            gone: Arc::default(),
        }
    }

    /// Works until `changes` ends or `shutdown` comes; what is being written then is finished.
    pub async fn run(mut self, changes: impl Stream<Item = Change> + Send, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut changes = std::pin::pin!(changes.ready_chunks(CHANGES_MAX));
        let mut pause = tokio::time::interval(BINDING_PAUSE);
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.decide_all();
            let due = self.queue.next_due();
            tokio::select! {
                // What happened in the cluster comes before what was written: later decisions rest on it.
                biased;
                () = &mut shutdown => break,
                batch = changes.next() => match batch {
                    Some(batch) => batch.into_iter().for_each(|change| self.take(&change)),
                    None => break,
                },
                Some(done) = self.writes.join_next() => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => tracing::error!(%error, "a write ended early"),
                },
                () = sleep_until(due) => {
                    for key in self.queue.take_due(Instant::now()) {
                        self.line_up(&key);
                    }
                }
                _ = pause.tick(), if !self.binding.is_empty() => {
                    for key in self.binding.keys().cloned().collect::<Vec<_>>() {
                        self.look_at_devices(&key);
                    }
                }
            }
        }
        let finished = async {
            while self.writes.join_next().await.is_some() {}
            self.target.flush().await;
        };
        if tokio::time::timeout(LAST_WRITES_MAX, finished).await.is_err() {
            tracing::warn!("some decisions could not be written to the end");
        }
    }

    fn take(&mut self, change: &Change) {
        if let Change::Lost(kind, error) = change {
            self.unlisted.insert(*kind);
            // One complaint stands for all kinds when the server is gone.
            if self.complained.is_empty() {
                tracing::warn!("cannot watch {}: {error}; waiting for the server", kind.plural);
            } else if !self.complained.contains(kind) {
                tracing::info!("cannot watch {}: {error}", kind.plural);
            }
            self.complained.insert(*kind);
            return;
        }
        let Some(before) = self.world.apply(change) else { return };
        match change {
            Change::Listed(kind, documents) => {
                self.unlisted.remove(kind);
                if self.complained.remove(kind) && self.complained.is_empty() {
                    tracing::warn!("the server is back");
                }
                if *kind == kind::POD {
                    self.queue = Queue::default();
                    for document in documents {
                        let key = Key::of(document);
                        if pod::node_name(document).is_none() && !self.busy.contains(&key) {
                            self.world.unplace(meta::uid(document));
                        }
                        self.line_up(&key);
                    }
                    self.drop_lost_bindings();
                }
            }
            Change::Applied(kind, document) if *kind == kind::POD => {
                let key = Key::of(document);
                if pod::node_name(document).is_some() {
                    self.queue.remove(&key);
                } else if before.first().is_none_or(|before| wants_change(before, document)) {
                    self.line_up(&key);
                }
            }
            // A driver answered.
            Change::Applied(kind, document) if *kind == kind::POD_SCHEDULING_CONTEXT => {
                self.line_up(&Key::of(document));
            }
            Change::Deleted(kind, document) if *kind == kind::POD => {
                self.queue.remove(&Key::of(document));
                self.queue.forgive(&Key::of(document));
                self.drop_lost_bindings();
                if document["status"]["nominatedNodeName"].is_string() {
                    // What was kept for it is free.
                    self.queue.wake_for_leavings(Instant::now());
                }
            }
            Change::Deleted(kind, document) if *kind == kind::NODE => {
                self.gone().insert(meta::name(document).to_owned());
            }
            _ => {}
        }
        if let Change::Applied(kind, document) | Change::Deleted(kind, document) = change
            && cluster::Generation::of_claim(*kind).is_some()
        {
            self.devices_changed(*kind, document);
        }
        if let Change::Applied(kind, document) | Change::Deleted(kind, document) = change
            && *kind == kind::PERSISTENT_VOLUME_CLAIM
        {
            self.volume_changed(&Key::of(document));
        }
        self.queue.wake(change, &before, &self.world, Instant::now());
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a pod in line, if it wants a node and is not being given one. That it was given one is known here before the
    /// watch tells of it, which may tell of what was before meanwhile.
    fn line_up(&mut self, key: &Key) {
        if self.busy.contains(key) {
            self.changed.insert(key.clone());
            return;
        }
        self.queue.remove(key);
        let Some(document) = self.world.objects().get(kind::POD, key) else { return };
        let waits = pod::standing(document, &self.options.scheduler_name) == Standing::Waiting;
        if waits && !self.world.is_placed(meta::uid(document)) {
            self.queue.push(document);
        }
    }

    fn decide_all(&mut self) {
        while self.unlisted.is_empty() && self.writes.len() < WRITES_MAX {
            let Some(key) = self.queue.pop() else { break };
            if self.busy.contains(&key) {
                self.changed.insert(key);
                continue;
            }
            let Some(document) = self.world.objects().get(kind::POD, &key).cloned() else { continue };
            let decision = decision::decide(&document, &mut self.world, &self.options);
            self.write(document, decision);
        }
        if self.writes.is_empty() {
            self.gone().clear();
        }
    }

    /// Starts to write a decision, and takes it for granted meanwhile.
    fn write(&mut self, pod: Arc<Value>, decision: Decision) {
        let target = self.target.clone();
        let now = (self.options.now)();
        match decision {
            // The controller records them in the pod's status, which wakes the pod.
            Decision::MakeClaims(_) if !self.options.makes_claims => self.park(&pod, Hope::of_claims()),
            Decision::Yield => self.park(&pod, Hope::of_claims()),
            Decision::MakeClaims(missing) => {
                self.busy.insert(Key::of(&pod));
                self.writes.spawn(async move {
                    let result = commit::make_claims(&target, &pod, &missing).await;
                    Done::Made { pod, result }
                });
            }
            Decision::Place(placement) => {
                self.busy.insert(Key::of(&pod));
                self.world.assume(&pod, &placement);
                let (gone, reporter) = (self.gone.clone(), self.options.scheduler_name.clone());
                let patience = self.options.binding_timeout;
                self.writes.spawn(async move {
                    let result = place(&target, &pod, &placement, &gone, &reporter, (now, patience)).await;
                    Done::Reserved { pod, placement, result }
                });
            }
            Decision::Refuse(refusals) => {
                if let Some(Remedy::Preempt(preemption)) = &refusals.remedy {
                    self.world.keep(&pod, &preemption.kept);
                }
                self.park(&pod, refusals.hope.clone());
                self.busy.insert(Key::of(&pod));
                let reporter = self.options.scheduler_name.clone();
                self.writes.spawn(async move {
                    let result = commit::refuse(&target, &pod, &refusals, &reporter, now).await;
                    Done::Refused { pod, result }
                });
            }
            Decision::Negotiate(move_) => {
                self.busy.insert(Key::of(&pod));
                self.writes.spawn(async move {
                    let result = commit::negotiate(&target, &move_).await;
                    Done::Moved { pod, result }
                });
            }
            Decision::Await(message) => {
                self.tell(pod, "Unschedulable", message, None, Hope::of(&[Plugin::Devices].into(), false));
            }
            // Who makes the claims tells what is missing; upstream's scheduler says nothing before they are there.
            Decision::Wait(_) if !self.options.makes_claims => self.park(&pod, Hope::of_claims()),
            Decision::Wait(message) => self.tell(pod, "Unschedulable", message, None, Hope::of_claims()),
            Decision::Fail(message) => {
                let hope = Hope::of(&[Plugin::Devices].into(), false);
                self.tell(pod, "SchedulerError", message, None, hope);
            }
        }
    }

    fn park(&mut self, pod: &Arc<Value>, hope: Hope) {
        self.queue.park(pod, hope, Instant::now());
    }

    /// Sets a pod aside and says why; `nominate` is the node that is kept for it from now on.
    fn tell(&mut self, pod: Arc<Value>, reason: &'static str, message: String, nominate: Option<Value>, hope: Hope) {
        self.park(&pod, hope);
        self.busy.insert(Key::of(&pod));
        let (target, reporter, now) = (self.target.clone(), self.options.scheduler_name.clone(), (self.options.now)());
        self.writes.spawn(async move {
            let told = commit::tell(&target, &pod, reason, &message, nominate, &reporter, now).await;
            Done::Refused { pod, result: told.map(|()| (Remedied::Nothing, Written::new())) }
        });
    }
}

/// Nodes that an Event explains.
const EXPLAINED_MAX: usize = 8;

/// Whether a change of a pod can matter to where it goes. What the scheduler itself writes about it does not.
fn wants_change(before: &Value, after: &Value) -> bool {
    const OURS: [&str; 2] = ["conditions", "nominatedNodeName"];
    meta::uid(before) != meta::uid(after)
        || before["spec"] != after["spec"]
        || before["metadata"]["labels"] != after["metadata"]["labels"]
        || before["metadata"]["deletionTimestamp"] != after["metadata"]["deletionTimestamp"]
        || status_but(before, &OURS).ne(status_but(after, &OURS))
}

/// The status of a pod without some of its members.
fn status_but<'p>(pod: &'p Value, aside: &'p [&str]) -> impl Iterator<Item = (&'p String, &'p Value)> {
    let members = pod["status"].as_object().into_iter().flatten();
    members.filter(|(name, _)| !aside.contains(&name.as_str()))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
