//! Controllers at work: follow the cluster, decide, write.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use cluster::{Change, Key, Kind, Objects, Writer, claim_reference, kind};
use futures::StreamExt;
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    action,
    task::{self, Task},
    wait::{Expected, Waits},
};

/// Which controllers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The claims of pods in every generation of the device API: making, recording, reservations, deallocation, deletion.
    pub claims: bool,
}

/// All of them.
impl Default for Options {
    fn default() -> Self {
        Self { claims: true }
    }
}

/// The field manager of what is applied, as upstream's controller is called.
const FIELD_MANAGER: &str = "ResourceClaimController";
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
pub async fn run(client: kube::Client, options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let wanted = task::kinds(options);
    let kinds = tokio::select! {
        served = cluster::kind::served(&client, &wanted) => {
            served.map_err(|error| cluster::write::failed("find out what the server has", &error))?
        }
        () = shutdown.cancelled() => return Ok(()),
    };
    let changes = cluster::watch(client.clone(), &kinds).ready_chunks(CHANGES_MAX);
    let mut changes = std::pin::pin!(changes);
    let mut runner = Runner::new(Writer::new(client, FIELD_MANAGER), options, &kinds);
    loop {
        let due = runner.due.first().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            Some(written) = runner.writes.join_next(), if !runner.writes.is_empty() => runner.written(written),
            Some(batch) = changes.next(), if !kinds.is_empty() => {
                for change in batch {
                    runner.take_in(change);
                }
            }
            () = sleep_until(due) => runner.wake(Instant::now()),
        }
        runner.start();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

type Written = (Task, anyhow::Result<Vec<Expected>>);

/// A task that fails.
#[derive(Default)]
struct Failure {
    /// How often in a row.
    times: u32,
    /// Why, the last time.
    reason: String,
}

struct Runner {
    writer: Writer,
    options: Options,
    objects: Objects,
    /// Kinds that have not been listed yet; nothing is decided before all have been.
    unlisted: BTreeSet<Kind>,
    /// Pods by the claims and templates that they name.
    users: HashMap<Key, BTreeSet<Key>>,
    ready: VecDeque<Task>,
    queued: HashSet<Task>,
    waits: Waits,
    /// Tasks to be looked at again at a time: after a failure, or when waiting took too long.
    due: BTreeSet<(Instant, Task)>,
    /// Tasks that failed and have not succeeded since.
    failures: HashMap<Task, Failure>,
    writes: JoinSet<Written>,
    busy: HashMap<tokio::task::Id, Task>,
    /// Tasks that are being written.
    writing: HashSet<Task>,
    /// Tasks that are to be looked at once their writes are done.
    again: HashSet<Task>,
}

impl Runner {
    fn new(writer: Writer, options: Options, kinds: &[Kind]) -> Self {
        Self {
            writer,
            options,
            objects: Objects::new(),
            unlisted: kinds.iter().copied().collect(),
            users: HashMap::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            waits: Waits::default(),
            due: BTreeSet::new(),
            failures: HashMap::new(),
            writes: JoinSet::new(),
            busy: HashMap::new(),
            writing: HashSet::new(),
            again: HashSet::new(),
        }
    }

    fn take_in(&mut self, change: Change) {
        let before = self.objects.apply(&change);
        let (kind, after) = match change {
            Change::Listed(kind, documents) => {
                self.unlisted.remove(&kind);
                (kind, documents)
            }
            Change::Applied(kind, document) => (kind, vec![document]),
            // The last state is in what was there before, or else tells who has to know.
            Change::Deleted(kind, document) => {
                self.index(kind, std::slice::from_ref(&document), false);
                self.touch(kind, &document);
                (kind, Vec::new())
            }
            Change::Lost(kind, reason) => {
                tracing::info!(kind = kind.plural, reason, "connection lost");
                return;
            }
        };
        self.index(kind, &before, false);
        self.index(kind, &after, true);
        for document in before.iter().chain(&after) {
            self.touch(kind, document);
        }
    }

    fn touch(&mut self, kind: Kind, document: &Value) {
        if let Some(task) = self.waits.observe(kind, document, &self.objects, !self.writing.is_empty()) {
            self.line_up(task);
        }
        let users = &self.users;
        let of = |key: &Key| users.get(key).into_iter().flatten().cloned().collect();
        for task in task::touched(self.options, kind, document, &of) {
            self.line_up(task);
        }
    }

    /// Keeps in mind, or forgets, which claims and templates pods name.
    fn index(&mut self, kind: Kind, documents: &[Arc<Value>], keep: bool) {
        if kind != kind::POD {
            return;
        }
        for document in documents {
            let (pod, namespace) = (Key::of(document), meta::namespace(document));
            for name in
                claim_reference::claim_names(document).into_iter().chain(claim_reference::template_names(document))
            {
                let key = Key::new(namespace, name);
                if keep {
                    self.users.entry(key).or_default().insert(pod.clone());
                } else if let Some(users) = self.users.get_mut(&key) {
                    users.remove(&pod);
                    if users.is_empty() {
                        self.users.remove(&key);
                    }
                }
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
        while let Some((due, task)) = self.due.pop_first() {
            if due > now {
                self.due.insert((due, task));
                return;
            }
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
            let actions = task.reconcile(&self.objects);
            if actions.is_empty() {
                self.failures.remove(&task);
                continue;
            }
            let (writer, of) = (self.writer.clone(), task.clone());
            let told = self.failures.get(&task).map(|failure| failure.reason.clone()).unwrap_or_default();
            let write = async move { (of, action::perform(&writer, actions, &told, Timestamp::now()).await) };
            let handle = self.writes.spawn(write);
            self.busy.insert(handle.id(), task.clone());
            self.writing.insert(task);
        }
    }

    fn written(&mut self, joined: Result<Written, tokio::task::JoinError>) {
        let (task, result) = match joined {
            Ok(written) => written,
            Err(error) => {
                let Some(task) = self.busy.get(&error.id()).cloned() else { return };
                (task, Err(anyhow::Error::new(error)))
            }
        };
        self.busy.retain(|_, busy| *busy != task);
        self.writing.remove(&task);
        let again = self.again.remove(&task);
        let now = Instant::now();
        match result {
            Ok(expected) => {
                self.failures.remove(&task);
                if self.waits.add(&task, expected, &self.objects) {
                    self.due.insert((now + WAIT_MAX, task));
                } else if again {
                    self.line_up(task);
                }
            }
            Err(error) => {
                let failure = self.failures.entry(task.clone()).or_default();
                let wait = RETRY_MIN.saturating_mul(1 << failure.times.min(16)).min(RETRY_MAX);
                failure.times = failure.times.saturating_add(1);
                failure.reason = format!("{error:#}");
                tracing::info!(?task, error = failure.reason, ?wait, "not done; trying again");
                self.due.insert((now + wait, task));
            }
        }
    }
}
