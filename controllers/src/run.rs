//! Controllers at work: follow the cluster, decide, write.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use cluster::{Change, Informers, Kind, Writer, kind};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    action::{self, Hands, Outcome},
    cache::{Cache, Changed},
    controller::{Controller, Moment, Options},
    event::Recorder,
    task::Task,
    timers::Timers,
    wait::Waits,
};

/// In whose name Events are written.
const RECORDER: &str = "kube-controller-manager";
/// Most tasks whose writes are under way at the same time.
const WRITES_MAX: usize = 64;
/// Most changes that are taken in before tasks are started.
const CHANGES_MAX: usize = 256;
/// First and longest pause before a failed task is tried again.
const RETRY_MIN: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A watch that has not shown by then what was written is not waited for any longer.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs the chosen controllers against a cluster until `shutdown`. Kinds that the cluster does not serve when this
/// starts are left out. An error means that the cluster could not be asked what it serves; later failures are tried
/// again for ever.
pub async fn run(informers: Informers, options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client = informers.client().clone();
    let controllers = options.controllers();
    let wanted: BTreeSet<Kind> = controllers.iter().flat_map(|controller| controller.kinds()).collect();
    let wanted: Vec<Kind> = wanted.into_iter().collect();
    let kinds = tokio::select! {
        served = kind::served(&client, &wanted) => {
            served.map_err(|error| cluster::write::failed("find out what the server has", &error))?
        }
        () = shutdown.cancelled() => return Ok(()),
    };
    let changes = informers.watch(&kinds).ready_chunks(CHANGES_MAX);
    let mut changes = std::pin::pin!(changes);
    let (recorder, recording) = Recorder::start(Writer::new(client.clone(), RECORDER));
    let mut runner = Runner::new(controllers, &client, &recorder, &kinds);
    drop(recorder);
    loop {
        let due = runner.timers.next();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(written) = runner.writes.join_next_with_id(), if !runner.writes.is_empty() => runner.written(written),
            Some(batch) = changes.next(), if !kinds.is_empty() => {
                for change in batch {
                    runner.take_in(change);
                }
            }
            () = sleep_until(due) => runner.wake(Instant::now()),
        }
        runner.start();
    }
    recording.abort();
    Ok(())
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A task that fails.
#[derive(Default)]
struct Failing {
    /// How often in a row.
    times: u32,
    /// Why, the last time.
    reason: String,
}

/// A controller that runs.
struct Running {
    controller: Box<dyn Controller>,
    writer: Writer,
}

struct Runner {
    controllers: Vec<Running>,
    /// Controllers by the kinds that they look at.
    interested: HashMap<Kind, Vec<usize>>,
    recorder: Recorder,
    cache: Cache,
    /// Kinds that have not been listed yet; nothing is decided before all have been.
    unlisted: BTreeSet<Kind>,
    ready: VecDeque<Task>,
    queued: HashSet<Task>,
    waits: Waits,
    timers: Timers,
    /// Tasks that failed and have not succeeded since.
    failures: HashMap<Task, Failing>,
    writes: JoinSet<(Outcome, Option<Timestamp>)>,
    busy: HashMap<tokio::task::Id, Task>,
    /// Tasks that are being written.
    writing: HashSet<Task>,
    /// Tasks that are to be looked at once their writes are done.
    again: HashSet<Task>,
}

impl Runner {
    fn new(controllers: Vec<Box<dyn Controller>>, client: &kube::Client, recorder: &Recorder, kinds: &[Kind]) -> Self {
        let mut interested: HashMap<Kind, Vec<usize>> = HashMap::new();
        for (index, controller) in controllers.iter().enumerate() {
            for kind in controller.kinds() {
                interested.entry(kind).or_default().push(index);
            }
        }
        let running = |controller: Box<dyn Controller>| {
            let writer = Writer::new(client.clone(), controller.manager());
            Running { controller, writer }
        };
        Self {
            controllers: controllers.into_iter().map(running).collect(),
            interested,
            recorder: recorder.clone(),
            cache: Cache::default(),
            unlisted: kinds.iter().copied().collect(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            waits: Waits::default(),
            timers: Timers::default(),
            failures: HashMap::new(),
            writes: JoinSet::new(),
            busy: HashMap::new(),
            writing: HashSet::new(),
            again: HashSet::new(),
        }
    }

    fn take_in(&mut self, change: Change) {
        if let Change::Listed(kind, _) = &change {
            self.unlisted.remove(kind);
        }
        for changed in self.cache.apply(change, Timestamp::now()) {
            self.touch(&changed);
        }
    }

    fn touch(&mut self, changed: &Changed) {
        if let Some(object) = changed.latest() {
            let busy = !self.writing.is_empty();
            for task in self.waits.observe(changed.kind, object, self.cache.objects(), busy) {
                self.line_up(task);
            }
        }
        let mut due = Vec::new();
        for controller in self.interested.get(&changed.kind).cloned().unwrap_or_default() {
            let Some(running) = self.controllers.get_mut(controller) else { continue };
            running.controller.touched(changed, &self.cache, &mut due);
            for (kind, key) in due.drain(..) {
                self.line_up(Task { controller, kind, key });
            }
        }
    }

    fn line_up(&mut self, task: Task) {
        if self.writing.contains(&task) {
            self.again.insert(task);
        } else if !self.waits.holds(&task) && self.queued.insert(task.clone()) {
            self.ready.push_back(task);
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(task) = self.timers.take_due(now) {
            self.waits.forget(&task);
            self.line_up(task);
        }
    }

    fn start(&mut self) {
        if !self.unlisted.is_empty() {
            return;
        }
        while self.writes.len() < WRITES_MAX {
            let Some(task) = self.ready.pop_front() else { return };
            self.queued.remove(&task);
            self.timers.clear(&task);
            let now = Timestamp::now();
            let Some(running) = self.controllers.get_mut(task.controller) else { continue };
            let failure = self.failures.get(&task).map(|failing| failing.reason.as_str());
            let moment = Moment { now, failure };
            let plan = running.controller.reconcile(task.kind, &task.key, &self.cache, moment);
            if plan.actions.is_empty() {
                self.failures.remove(&task);
                self.look_again(&task, plan.again);
                continue;
            }
            let hands = Hands { writer: running.writer.clone(), recorder: self.recorder.clone(), now };
            let write = async move { (action::perform(&hands, plan.actions).await, plan.again) };
            let handle = self.writes.spawn(write);
            self.busy.insert(handle.id(), task.clone());
            self.writing.insert(task);
        }
    }

    fn look_again(&mut self, task: &Task, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let wait = at.duration_since(Timestamp::now());
        self.timers.set(task, Instant::now() + Duration::try_from(wait).unwrap_or_default());
    }

    fn written(&mut self, joined: Result<(tokio::task::Id, (Outcome, Option<Timestamp>)), tokio::task::JoinError>) {
        let (id, done) = match joined {
            Ok((id, done)) => (id, Ok(done)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(task) = self.busy.remove(&id) else { return };
        self.writing.remove(&task);
        let again = self.again.remove(&task);
        let (expected, failure) = match done {
            Ok((outcome, at)) => {
                self.look_again(&task, at);
                (outcome.expected, outcome.failure.map(|failure| (failure.to_string(), failure.why)))
            }
            Err(error) => (Vec::new(), Some((error.to_string(), error.to_string()))),
        };
        let waits = self.waits.add(&task, expected, self.cache.objects());
        if waits {
            self.timers.set(&task, Instant::now() + WAIT_MAX);
        }
        match failure {
            Some((told, reason)) => self.failed(task, &told, reason),
            None => {
                self.failures.remove(&task);
                if again && !waits {
                    self.line_up(task);
                }
            }
        }
    }

    fn failed(&mut self, task: Task, told: &str, reason: String) {
        let failing = self.failures.entry(task.clone()).or_default();
        let wait = RETRY_MIN.saturating_mul(1 << failing.times.min(16)).min(RETRY_MAX);
        failing.times = failing.times.saturating_add(1);
        failing.reason = reason;
        tracing::debug!(kind = task.kind.kind, key = %task.key, error = told, ?wait, "not done; trying again");
        self.timers.set(&task, Instant::now() + wait);
    }
}
