//! A running scheduler: follows the cluster, decides, writes.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Instant,
};

use cluster::{Change, Key, Kind, kind};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Options, commit,
    decision::{self, Decision, Placement},
    pod::{self, Standing},
    queue::{Hope, Queue},
    target::Target,
    world::World,
};

/// Most decisions whose writes are under way at the same time.
const WRITES_MAX: usize = 64;

/// A scheduler at work.
pub struct Runner {
    world: World,
    queue: Queue,
    target: Target,
    options: Options,
    /// Kinds that have not been listed yet; nothing is decided before all have been.
    unlisted: BTreeSet<Kind>,
    writes: JoinSet<Written>,
    /// Pods whose decision is being written.
    busy: HashSet<Key>,
    /// Busy pods that changed meanwhile.
    changed: HashSet<Key>,
}

/// A decision that was written, or could not be.
struct Written {
    pod: Arc<Value>,
    effect: Effect,
    result: anyhow::Result<Vec<(Kind, Value)>>,
}

/// What was to be written.
enum Effect {
    Placed(Placement),
    Refused,
    Claims,
}

impl Runner {
    /// A scheduler that will see changes of `kinds` and write to `target`.
    pub fn new(options: Options, target: Target, kinds: &[Kind]) -> Self {
        Self {
            world: World::new(options.features),
            queue: Queue::default(),
            target,
            options,
            unlisted: kinds.iter().copied().collect(),
            writes: JoinSet::new(),
            busy: HashSet::new(),
            changed: HashSet::new(),
        }
    }

    /// Works until `changes` ends.
    pub async fn run(mut self, changes: impl Stream<Item = Change> + Send) {
        let mut changes = std::pin::pin!(changes.ready_chunks(CHANGES_MAX));
        loop {
            self.decide_all();
            let due = self.queue.next_due();
            tokio::select! {
                // What happened in the cluster comes before what was written: later decisions rest on it.
                biased;
                batch = changes.next() => match batch {
                    Some(batch) => batch.into_iter().for_each(|change| self.take(&change)),
                    None => return,
                },
                Some(written) = self.writes.join_next() => match written {
                    Ok(written) => self.finish(written),
                    Err(error) => tracing::error!(%error, "a write ended early"),
                },
                () = sleep_until(due) => {
                    for key in self.queue.take_due(Instant::now()) {
                        self.line_up(&key);
                    }
                }
            }
        }
    }

    fn take(&mut self, change: &Change) {
        if let Change::Lost(kind, error) = change {
            tracing::info!(kind = kind.plural, error, "the connection is lost; waiting for the server");
            return;
        }
        self.world.apply(change);
        if let Change::Listed(kind, documents) = change {
            self.unlisted.remove(kind);
            if *kind == kind::POD {
                self.queue = Queue::default();
                documents.iter().for_each(|document| self.line_up(&Key::of(document)));
            }
        }
        match change {
            Change::Applied(kind, document) if *kind == kind::POD => self.line_up(&Key::of(document)),
            Change::Deleted(kind, document) if *kind == kind::POD => self.queue.remove(&Key::of(document)),
            _ => {}
        }
        self.queue.wake(change);
    }

    /// Puts a pod in line, if it wants a node and is not being given one.
    fn line_up(&mut self, key: &Key) {
        if self.busy.contains(key) {
            self.changed.insert(key.clone());
            return;
        }
        self.queue.remove(key);
        let Some(document) = self.world.objects().get(kind::POD, key) else { return };
        if pod::standing(document, &self.options.scheduler_name) == Standing::Waiting {
            self.queue.push(document);
        }
    }

    fn decide_all(&mut self) {
        while self.unlisted.is_empty() && self.writes.len() < WRITES_MAX {
            let Some(key) = self.queue.pop() else { return };
            let Some(document) = self.world.objects().get(kind::POD, &key).cloned() else { continue };
            let decision = decision::decide(&document, &self.world, self.options.preference);
            self.write(document, decision);
        }
    }

    /// Starts to write a decision, and takes it for granted meanwhile.
    fn write(&mut self, document: Arc<Value>, decision: Decision) {
        if matches!(decision, Decision::MakeClaims(_)) && !self.options.makes_claims {
            // The controller records them in the pod's status, which wakes the pod.
            self.queue.park(&document, Hope { claims: true, ..Hope::default() });
            return;
        }
        let (target, reporter) = (self.target.clone(), self.options.scheduler_name.clone());
        let pod = document.clone();
        self.busy.insert(Key::of(&document));
        match decision {
            Decision::Place(placement) => {
                self.world.assume(&document, &placement);
                self.writes.spawn(async move {
                    let result = commit::commit(&target, &pod, &placement, &reporter, Timestamp::now()).await;
                    Written { pod, effect: Effect::Placed(placement), result }
                });
            }
            Decision::MakeClaims(missing) => {
                self.writes.spawn(async move {
                    let result = commit::make_claims(&target, &pod, &missing).await;
                    Written { pod, effect: Effect::Claims, result }
                });
            }
            Decision::Refuse(refusals) => {
                let claims = !cluster::claim_references(&document).is_empty();
                let hope = Hope { room: true, devices: claims, claims };
                self.refuse(pod, refusals.message, "Unschedulable", hope);
            }
            Decision::Wait(message) => {
                self.refuse(pod, message, "Unschedulable", Hope { claims: true, ..Hope::default() });
            }
            Decision::Fail(message) => {
                self.refuse(pod, message, "SchedulerError", Hope { room: false, devices: true, claims: true });
            }
        }
    }

    fn refuse(&mut self, pod: Arc<Value>, message: String, reason: &'static str, hope: Hope) {
        let (target, reporter) = (self.target.clone(), self.options.scheduler_name.clone());
        self.queue.park(&pod, hope);
        self.writes.spawn(async move {
            let result = commit::refuse(&target, &pod, reason, &message, &reporter, Timestamp::now()).await;
            Written { pod, effect: Effect::Refused, result: result.map(|()| Vec::new()) }
        });
    }

    fn finish(&mut self, written: Written) {
        let Written { pod, effect, result } = written;
        let key = Key::of(&pod);
        self.busy.remove(&key);
        let changed = self.changed.remove(&key);
        match (effect, result) {
            (Effect::Placed(placement), result) => {
                self.world.settle(&pod, &placement, result.as_deref().ok());
                match result {
                    Ok(_) => self.queue.forgive(&key),
                    Err(error) => self.retry(key, &error),
                }
            }
            (Effect::Claims, Ok(made)) => {
                made.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                // The record in the pod's status wakes it when it comes back; nothing is decided before.
                self.queue.forgive(&key);
                if changed {
                    self.line_up(&key);
                }
            }
            (Effect::Refused, Ok(_)) => {
                if changed {
                    self.line_up(&key);
                }
            }
            (Effect::Claims | Effect::Refused, Err(error)) => self.retry(key, &error),
        }
    }

    fn retry(&mut self, key: Key, error: &anyhow::Error) {
        let wait = self.queue.delay(key.clone(), Instant::now());
        tracing::info!(pod = %key, error = format!("{error:#}"), ?wait, "not written; trying again");
    }
}

/// Most changes that are taken in before the next decision.
const CHANGES_MAX: usize = 256;

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
