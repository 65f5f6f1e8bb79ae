//! A running scheduler: follows the cluster, decides, writes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use api::persistent_volume::is_bound;
use cluster::{Change, Key, Kind, kind};
use futures::{Stream, StreamExt};
use machinery::meta;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Options,
    binding::{self, Readiness},
    commit::{self, Remedied, Written},
    decision::{self, Decision, Placement, Remedy},
    pod::{self, Standing},
    queue::{Hope, Queue},
    refusal::Plugin,
    target::Target,
    world::World,
};

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

/// A pod that waits for its devices.
struct Binding {
    pod: Arc<Value>,
    placement: Placement,
    written: Written,
}

/// What was written, or could not be.
enum Done {
    /// Claims were made from templates.
    Made { pod: Arc<Value>, result: anyhow::Result<Written> },
    /// Claims are reserved, and the pod is bound unless it has to wait.
    Reserved { pod: Arc<Value>, placement: Placement, result: anyhow::Result<Reserved> },
    /// A pod that had waited is bound.
    Bound { binding: Binding, result: anyhow::Result<()> },
    /// A step of the negotiation with drivers of classic claims.
    Moved { pod: Arc<Value>, result: anyhow::Result<Written> },
    /// It is told why there is no node.
    Refused { pod: Arc<Value>, result: anyhow::Result<(Remedied, Written)> },
    /// Devices did not become ready.
    Released { binding: Binding, why: String },
}

/// How far a pod came.
struct Reserved {
    written: Written,
    bound: bool,
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
                self.tell(pod, "Unschedulable", message, Hope::of(&[Plugin::Devices].into(), false));
            }
            // Who makes the claims tells what is missing; upstream's scheduler says nothing before they are there.
            Decision::Wait(_) if !self.options.makes_claims => self.park(&pod, Hope::of_claims()),
            Decision::Wait(message) => self.tell(pod, "Unschedulable", message, Hope::of_claims()),
            Decision::Fail(message) => {
                let hope = Hope::of(&[Plugin::Devices].into(), false);
                self.tell(pod, "SchedulerError", message, hope);
            }
        }
    }

    fn park(&mut self, pod: &Arc<Value>, hope: Hope) {
        self.queue.park(pod, hope, Instant::now());
    }

    /// Sets a pod aside and says why.
    fn tell(&mut self, pod: Arc<Value>, reason: &'static str, message: String, hope: Hope) {
        self.park(&pod, hope);
        self.busy.insert(Key::of(&pod));
        let (target, reporter, now) = (self.target.clone(), self.options.scheduler_name.clone(), (self.options.now)());
        self.writes.spawn(async move {
            let told = commit::tell(&target, &pod, reason, &message, None, &reporter, now).await;
            Done::Refused { pod, result: told.map(|()| (Remedied::Nothing, Written::new())) }
        });
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Made { pod, result } => {
                let key = Key::of(&pod);
                let changed = self.free(&key);
                match result {
                    Ok(made) => {
                        made.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        // The record in the pod's status wakes it when it comes back; nothing is decided before.
                        if changed {
                            self.line_up(&key);
                        }
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::Moved { pod, result } => {
                let key = Key::of(&pod);
                self.free(&key);
                match result {
                    Ok(written) => {
                        written.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        self.queue.forgive(&key);
                        // The driver may have answered already; if not, the pod is set aside until it does.
                        self.line_up(&key);
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::Reserved { pod, placement, result } => self.finish_placement(pod, placement, result),
            Done::Bound { binding, result } => {
                let key = Key::of(&binding.pod);
                self.free(&key);
                match result {
                    Ok(()) => self.queue.forgive(&key),
                    Err(error) => {
                        self.world.unplace(meta::uid(&binding.pod));
                        self.queue.wake_for_leavings(Instant::now());
                        self.retry(key, &error);
                    }
                }
            }
            Done::Refused { pod, result } => {
                let key = Key::of(&pod);
                let changed = self.free(&key);
                match result {
                    Ok((remedied, written)) => {
                        written.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        if changed || remedied == Remedied::TryAgain {
                            self.line_up(&key);
                        }
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::Released { binding, why } => {
                let key = Key::of(&binding.pod);
                self.free(&key);
                self.world.unplace(meta::uid(&binding.pod));
                self.queue.wake_for_leavings(Instant::now());
                let message = format!("running PreBind plugin \"DynamicResources\": {why}");
                self.tell(binding.pod, "SchedulerError", message, Hope::of_claims());
                self.queue.delay(key, Instant::now());
            }
        }
    }

    /// The pod is busy no more. True: it changed while it was.
    fn free(&mut self, key: &Key) -> bool {
        self.busy.remove(key);
        self.changed.remove(key)
    }

    fn finish_placement(&mut self, pod: Arc<Value>, placement: Placement, result: anyhow::Result<Reserved>) {
        let key = Key::of(&pod);
        match result {
            Ok(Reserved { written, bound }) => {
                self.world.settle_claims(&pod, &placement, &written);
                if bound {
                    self.free(&key);
                    self.queue.forgive(&key);
                } else {
                    self.binding.insert(key.clone(), Binding { pod, placement, written });
                    // What happened while it was written has been seen already.
                    self.look_at_devices(&key);
                }
            }
            Err(error) => {
                self.free(&key);
                self.world.give_up(&pod, &placement);
                self.queue.wake_for_leavings(Instant::now());
                self.retry(key, &error);
            }
        }
    }

    fn retry(&mut self, key: Key, error: &anyhow::Error) {
        let wait = self.queue.delay(key.clone(), Instant::now());
        tracing::info!(pod = %key, error = format!("{error:#}"), ?wait, "not written; trying again");
    }

    /// A claim changed: pods may wait for its devices.
    fn devices_changed(&mut self, kind: Kind, claim: &Value) {
        if self.binding.is_empty() {
            return;
        }
        let uses = |binding: &Binding| {
            binding.written.iter().any(|(of, document)| *of == kind && meta::uid(document) == meta::uid(claim))
        };
        let keys: Vec<Key> =
            self.binding.iter().filter(|(_, binding)| uses(binding)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at_devices(key));
    }

    /// A claim of a volume changed: pods may wait for it.
    fn volume_changed(&mut self, claim: &Key) {
        let uses = |binding: &Binding| binding.placement.volumes.iter().any(|placed| Key::of(&placed.claim) == *claim);
        let keys: Vec<Key> =
            self.binding.iter().filter(|(_, binding)| uses(binding)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at_devices(key));
    }

    /// Binds a pod that waited for its devices or volumes, or gives them back, or lets it wait on.
    fn look_at_devices(&mut self, key: &Key) {
        let Some(binding) = self.binding.get(key) else { return };
        let now = (self.options.now)();
        let mut waits = false;
        let mut failure = None;
        for (kind, document) in &binding.written {
            let claim = self.world.objects().get(*kind, &Key::of(document));
            match claim.map(|claim| binding::readiness(claim, now, self.options.binding_timeout)) {
                Some(Readiness::Ready) => {}
                Some(Readiness::Waiting) => waits = true,
                Some(Readiness::Failed(why)) => failure = Some(why),
                None => failure = Some(format!("claim {} got deleted in the meantime", Key::of(document))),
            }
        }
        for placed in &binding.placement.volumes {
            let claim = self.world.objects().get(kind::PERSISTENT_VOLUME_CLAIM, &Key::of(&placed.claim));
            match claim {
                Some(claim) => waits |= !is_bound(claim),
                None => {
                    let name = machinery::field::quote(meta::name(&placed.claim));
                    failure = Some(format!("persistentvolumeclaim {name} not found"));
                }
            }
        }
        if waits && failure.is_none() {
            return;
        }
        let Some(binding) = self.binding.remove(key) else { return };
        let (target, reporter) = (self.target.clone(), self.options.scheduler_name.clone());
        self.writes.spawn(async move {
            match failure {
                None => {
                    let Binding { pod, placement, written } = &binding;
                    let result = commit::bind(&target, pod, placement, written, &reporter).await;
                    Done::Bound { binding, result }
                }
                Some(why) => {
                    // The allocation stays as it failed, so that it can be looked at until the next attempt.
                    commit::unreserve(&target, &binding.pod, &binding.written).await;
                    Done::Released { binding, why }
                }
            }
        });
    }

    /// Pods that are gone wait for nothing.
    fn drop_lost_bindings(&mut self) {
        let objects = self.world.objects();
        let is_lost = |(key, binding): &(&Key, &Binding)| {
            objects.get(kind::POD, key).is_none_or(|pod| meta::uid(pod) != meta::uid(&binding.pod))
        };
        let lost: Vec<Key> = self.binding.iter().filter(is_lost).map(|(key, _)| key.clone()).collect();
        for key in lost {
            if let Some(binding) = self.binding.remove(&key) {
                self.world.unplace(meta::uid(&binding.pod));
                self.queue.wake_for_leavings(Instant::now());
            }
            // Whoever sees to claims takes the reservation of a pod that is gone.
            if self.free(&key) {
                self.line_up(&key);
            }
        }
    }
}

/// Nodes that an Event explains.
const EXPLAINED_MAX: usize = 8;

/// Reserves what the pod gets, and binds it unless it has to wait for devices.
async fn place(
    target: &Target,
    pod: &Value,
    placement: &Placement,
    gone: &Mutex<HashSet<String>>,
    reporter: &str,
    (now, patience): (jiff::Timestamp, std::time::Duration),
) -> anyhow::Result<Reserved> {
    let written = commit::reserve(target, pod, placement, now).await?;
    let waits = |(_, claim): &(Kind, Value)| binding::readiness(claim, now, patience) != Readiness::Ready;
    let waits = written.iter().any(waits);
    if waits {
        commit::tell_of_waiting(target, pod, &placement.node, reporter);
    }
    if waits || !placement.volumes.is_empty() {
        if let Err(error) = commit::nominate(target, pod, &placement.node).await {
            tracing::info!(pod = %Key::of(pod), "not told which node it waits for: {error:#}");
        }
        return Ok(Reserved { written, bound: false });
    }
    let is_gone = gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&placement.node);
    if is_gone {
        commit::release(target, pod, placement, &written).await;
        anyhow::bail!("node {} is gone", placement.node);
    }
    commit::bind(target, pod, placement, &written, reporter).await?;
    Ok(Reserved { written, bound: true })
}

/// Whether a change of a pod can matter to where it goes. What the scheduler itself writes about it does not.
fn wants_change(before: &Value, after: &Value) -> bool {
    let members = |pod: &Value| {
        let mut status = pod["status"].clone();
        if let Some(status) = status.as_object_mut() {
            status.remove("conditions");
            status.remove("nominatedNodeName");
        }
        status
    };
    meta::uid(before) != meta::uid(after)
        || before["spec"] != after["spec"]
        || before["metadata"]["labels"] != after["metadata"]["labels"]
        || before["metadata"]["deletionTimestamp"] != after["metadata"]["deletionTimestamp"]
        || members(before) != members(after)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
