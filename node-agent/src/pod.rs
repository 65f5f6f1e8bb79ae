//! One pod on a node: what happens to it, and what is to be done about it.
//!
//! [`Pod::step`] is the whole kubelet for one pod, without any IO: it takes an event and gives back actions. Who runs it
//! carries the actions out and reports what came of them as further events.

mod container;
mod notice;
mod probe;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;

use crate::{container::start_error, devices::PodClaim};
pub(crate) use container::{Container, Role, Run};
pub(crate) use notice::Notice;
pub(crate) use probe::{Probe, times as probe_times};
pub(crate) use status::DeviceHealth;

/// Pauses between attempts to prepare a pod: the first, and the longest.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a pod may take to be prepared before its status says that it is at work. A kubelet says so at once, but then
/// each pod would be written twice while most are ready in a moment.
const PROMPT: Duration = Duration::from_millis(200);
/// Exit code of a process that was killed.
const KILLED: i32 = 137;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The pod was made or changed.
    Seen(Arc<Value>),
    /// It takes longer to prepare its claims than a user waits without asking.
    Slow,
    /// Its claims were prepared, or the reason why not.
    Prepared(Result<Vec<PodClaim>, String>),
    /// What was prepared was taken back, or the reason why not.
    Unprepared(Result<(), String>),
    /// A process of a container ended by itself.
    Exited {
        /// Name of the container.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// Exit code.
        code: i32,
        /// Its last words.
        message: String,
    },
    /// A probe was run.
    Probed {
        /// Name of the container.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// Which probe.
        probe: Probe,
        /// What it says when it fails.
        outcome: Result<(), String>,
    },
    /// What was to run right after the start of a container failed.
    HookFailed {
        /// Name of the container.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// What it said.
        message: String,
    },
    /// A pause is over, or something changed that makes another attempt worth while.
    Due,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Prepare the claims; `Event::Prepared` follows.
    Prepare,
    /// Take back what was prepared; `Event::Unprepared` follows.
    Unprepare,
    /// Start the process of a container.
    Start {
        /// Name of the container.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// When it began: in the past, if an earlier node agent started it.
        since: Timestamp,
    },
    /// Run a probe from now on, as its period says.
    Probe {
        /// Name of the container.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// Which probe.
        probe: Probe,
    },
    /// Stop the process of a container, and its probes.
    Kill(String),
    /// Stop all processes.
    Stop,
    /// Write this into the status of the pod.
    Report(Value),
    /// Tell the user.
    Tell(Notice),
    /// Send `Event::Due` after this time.
    Wake(Duration),
    /// Send `Event::Slow` after this time.
    Watch(Duration),
    /// Confirm that the pod has ended and may go.
    Delete,
}

/// Where the node is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// `status.hostIP`.
    pub host_ip: String,
    /// Address for the pod, if it has none yet.
    pub pod_ip: String,
    /// How many seconds of a container pass in one second.
    pub time_scale: f64,
    /// The release of Kubernetes 1 that the kubelet is of.
    pub minor: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been done yet.
    New,
    /// Its claims are being prepared.
    Preparing,
    /// They could not be prepared; another attempt follows.
    Waiting,
    /// Containers run, or wait to be restarted.
    Running,
    /// What was prepared is being taken back.
    Stopping,
    /// That failed; another attempt follows.
    StopWaiting,
    /// Nothing is left to do.
    Ended,
}

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    document: Arc<Value>,
    place: Place,
    stage: Stage,
    /// It was running when this process started.
    adopted: bool,
    containers: Vec<Container>,
    claims: Arc<Vec<PodClaim>>,
    /// `status.startTime`.
    started: Option<Timestamp>,
    /// Attempts in a row that failed.
    failures: u32,
    /// What was written into the status last.
    reported: Value,
    /// Health of its devices.
    health: Vec<DeviceHealth>,
}

impl Pod {
    /// A pod that was bound to a node. Nothing happens before the first `Event::Seen`.
    pub(crate) fn new(document: Arc<Value>, place: Place) -> Self {
        let containers = container::of_pod(&document);
        let reported = document["status"].clone();
        Self {
            document,
            place,
            stage: Stage::New,
            adopted: false,
            containers,
            claims: Arc::default(),
            started: None,
            failures: 0,
            reported,
            health: Vec::new(),
        }
    }

    /// The pod as it was seen last.
    pub(crate) fn document(&self) -> &Arc<Value> {
        &self.document
    }

    /// Its prepared claims.
    pub(crate) fn claims(&self) -> &Arc<Vec<PodClaim>> {
        &self.claims
    }

    /// Its containers.
    pub(crate) fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// Whether it waits for another attempt.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::StopWaiting)
    }

    /// Takes an event in.
    pub(crate) fn step(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Seen(document) => self.seen(document, now, &mut actions),
            Event::Slow if self.stage == Stage::Preparing => {
                self.started.get_or_insert(now);
                self.report(now, &mut actions);
            }
            Event::Slow => {}
            Event::Prepared(outcome) => self.prepared(outcome, now, &mut actions),
            Event::Unprepared(outcome) => self.unprepared(outcome, now, &mut actions),
            Event::Exited { container, attempt, code, message } => {
                self.exited(&container, attempt, (code, message), now, &mut actions);
            }
            Event::Probed { container, attempt, probe, outcome } => {
                self.probed(&container, attempt, (probe, outcome), now, &mut actions);
            }
            Event::HookFailed { container, attempt, message } => {
                let text = format!("PostStartHook failed: {message}");
                self.kill(&container, attempt, ("FailedPostStartHook", text), now, &mut actions);
            }
            Event::Due => self.due(now, &mut actions),
        }
        actions
    }

    /// Sets what is known of the health of its devices, and reports it.
    pub(crate) fn set_health(&mut self, health: Vec<DeviceHealth>, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        self.health = health;
        if self.stage == Stage::Running {
            self.report(now, &mut actions);
        }
        actions
    }

    fn is_deleted(&self) -> bool {
        meta::deletion_timestamp(&self.document).is_some()
    }

    fn seen(&mut self, document: Arc<Value>, now: Timestamp, actions: &mut Vec<Action>) {
        self.document = document;
        let ended = matches!(self.document["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        match self.stage {
            Stage::Ended if self.is_deleted() => actions.push(Action::Delete),
            Stage::Ended | Stage::Preparing | Stage::Stopping | Stage::StopWaiting => {}
            _ if self.is_deleted() || ended => self.stop(now, actions),
            Stage::New => {
                self.adopt();
                self.stage = Stage::Preparing;
                actions.push(Action::Prepare);
                // What runs already says so.
                actions.extend((!self.adopted).then_some(Action::Watch(PROMPT)));
            }
            Stage::Waiting => {}
            Stage::Running => {
                // Readiness gates may have changed, too.
                self.add_ephemeral();
                self.advance(now, actions);
            }
        }
    }

    /// Takes in containers that were added to the pod while it runs.
    fn add_ephemeral(&mut self) {
        for spec in self.document["spec"]["ephemeralContainers"].as_array().into_iter().flatten() {
            if !self.containers.iter().any(|one| spec["name"] == one.name.as_str()) {
                self.containers.push(Container::new(Role::Ephemeral, spec.clone()));
            }
        }
    }

    /// Takes over what an earlier node agent left running.
    fn adopt(&mut self) {
        self.add_ephemeral();
        let status = &self.document["status"];
        self.started = status["startTime"].as_str().and_then(machinery::time::parse);
        if let Some(ip) = status["podIP"].as_str().filter(|ip| !ip.is_empty()) {
            self.place.pod_ip = ip.to_owned();
        }
        self.adopted = status["phase"] == "Running";
        if self.adopted {
            self.containers.iter_mut().for_each(|container| container.adopt(status));
        }
    }

    fn prepared(&mut self, outcome: Result<Vec<PodClaim>, String>, now: Timestamp, actions: &mut Vec<Action>) {
        if self.stage != Stage::Preparing {
            return;
        }
        match outcome {
            _ if self.is_deleted() => self.stop(now, actions),
            Ok(claims) => {
                self.claims = Arc::new(claims);
                self.failures = 0;
                self.stage = Stage::Running;
                self.started.get_or_insert(now);
                for container in self.containers.iter().filter(|container| container.is_running()) {
                    actions.push(container.start_action());
                    actions.extend(container.probe_actions());
                }
                self.advance(now, actions);
            }
            Err(text) => {
                self.stage = Stage::Waiting;
                self.started.get_or_insert(now);
                let text = format!("Failed to prepare dynamic resources: prepare dynamic resources: {text}");
                actions.push(Action::Tell(Notice::warning("FailedPrepareDynamicResources", text)));
                if !self.adopted {
                    self.report(now, actions);
                }
                self.retry(actions);
            }
        }
    }

    fn retry(&mut self, actions: &mut Vec<Action>) {
        actions.push(Action::Wake(doubled(RETRY_MIN, self.failures, RETRY_MAX)));
        self.failures = self.failures.saturating_add(1);
    }

    fn due(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self.stage {
            Stage::Waiting => {
                self.stage = Stage::Preparing;
                actions.push(Action::Prepare);
            }
            Stage::StopWaiting => {
                self.stage = Stage::Stopping;
                actions.push(Action::Unprepare);
            }
            Stage::Running => self.advance(now, actions),
            _ => {}
        }
    }

    /// A container whose process of this number runs.
    fn running(&mut self, name: &str, attempt: u32) -> Option<&mut Container> {
        let same = |one: &&mut Container| one.name == name && one.attempt == attempt;
        self.containers.iter_mut().find(same).filter(|one| one.is_running() && self.stage == Stage::Running)
    }

    fn exited(
        &mut self,
        name: &str,
        attempt: u32,
        (code, message): (i32, String),
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(container) = self.running(name, attempt) else { return };
        container.end(code, message, now);
        actions.push(Action::Kill(name.to_owned()));
        self.restart(name, code, actions);
        self.advance(now, actions);
    }

    /// Has a container that ended wait for its restart, if it is restarted.
    fn restart(&mut self, name: &str, code: i32, actions: &mut Vec<Action>) {
        let policy = self.document["spec"]["restartPolicy"].as_str().unwrap_or("Always").to_owned();
        let (scale, pod) = (self.place.time_scale, self.full_name());
        let Some(container) = self.containers.iter_mut().find(|one| one.name == name) else { return };
        if container.restarts_after(code, &policy) {
            let pause = container.wait(scale);
            if !pause.is_zero() {
                let text = format!("Back-off restarting failed container {name} in pod {pod}");
                actions.push(Action::Tell(Notice::warning("BackOff", text).of(container)));
                actions.push(Action::Wake(pause.max(Duration::from_millis(1))));
            }
        }
    }

    /// Takes in what a probe has found.
    fn probed(
        &mut self,
        name: &str,
        attempt: u32,
        (probe, outcome): (Probe, Result<(), String>),
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(container) = self.running(name, attempt) else { return };
        if let Err(message) = &outcome {
            let text = format!("{probe} probe failed: {message}");
            actions.push(Action::Tell(Notice::warning("Unhealthy", text).of(container)));
        }
        let before = (container.probes.started, container.probes.ready);
        if container.probes.take(probe, outcome.is_ok()) {
            let text = format!("Container {name} failed {} probe, will be restarted", probe.name());
            return self.kill(name, attempt, ("Killing", text), now, actions);
        }
        let after = (container.probes.started, container.probes.ready);
        if after.0 && !before.0 {
            actions.extend(container.probe_actions());
        }
        if after != before {
            // A sidecar that has started lets others start.
            self.advance(now, actions);
        }
    }

    /// Kills a container, which is restarted if the pod's policy says so.
    fn kill(
        &mut self,
        name: &str,
        attempt: u32,
        (reason, text): (&'static str, String),
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(container) = self.running(name, attempt) {
            let notice = Notice { warning: reason != "Killing", ..Notice::normal(reason, text) };
            actions.push(Action::Tell(notice.of(container)));
            self.exited(name, attempt, (KILLED, String::new()), now, actions);
        }
    }

    /// The pod as kubelets name it in messages.
    fn full_name(&self) -> String {
        format!("{}_{}({})", meta::name(&self.document), meta::namespace(&self.document), meta::uid(&self.document))
    }

    /// Starts what may start, and ends the pod when nothing is left to run.
    fn advance(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for index in 0..self.containers.len() {
            let may_start = {
                let earlier = &self.containers[..index];
                match self.containers[index].role {
                    Role::Ephemeral => true,
                    Role::Main => earlier.iter().all(Container::lets_main_start),
                    Role::Init | Role::Sidecar => earlier.iter().all(Container::lets_next_start),
                }
            };
            // The second attempt of one that cannot start follows at once.
            for _ in 0..2 {
                if may_start && self.containers[index].may_start(now) {
                    self.start(index, now, actions);
                }
            }
        }
        if self.final_phase().is_some() {
            self.stop(now, actions);
        } else {
            self.report(now, actions);
        }
    }

    /// Starts a container, or says why its process cannot be started.
    fn start(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
        let (container, minor) = (&mut self.containers[index], self.place.minor);
        container.start(now);
        let told = [Notice::pulled(container, minor), Notice::created(container, minor)].map(Action::Tell);
        if let Some(error) = start_error(&container.spec) {
            actions.extend(told);
            actions.push(Action::Tell(Notice::warning("Failed", format!("Error: {error}")).of(container)));
            container.fail_to_start(error, now);
            let name = container.name.clone();
            self.restart(&name, container::NOT_STARTED, actions);
            return;
        }
        actions.push(container.start_action());
        actions.extend(container.probe_actions());
        actions.extend(told);
        actions.push(Action::Tell(Notice::started(container, minor)));
    }

    /// The phase of a pod that has nothing left to run.
    fn final_phase(&self) -> Option<&'static str> {
        let failed_for_good = |container: &Container| matches!(container.run, Run::Ended { code, .. } if code != 0);
        let main = || self.containers.iter().filter(|container| container.role == Role::Main);
        if self.containers.iter().any(|container| container.role == Role::Init && failed_for_good(container)) {
            return Some("Failed");
        }
        if !main().all(|container| matches!(container.run, Run::Ended { .. })) {
            return None;
        }
        Some(if main().any(failed_for_good) { "Failed" } else { "Succeeded" })
    }

    fn stop(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.is_deleted() {
            let stopped = self.containers.iter().filter(|container| container.is_running());
            let text = |container: &Container| format!("Stopping container {}", container.name);
            let notice = |container: &Container| Notice::normal("Killing", text(container)).of(container);
            actions.extend(stopped.map(|container| Action::Tell(notice(container))));
        }
        self.containers.iter_mut().for_each(|container| container.stop(now));
        self.stage = Stage::Stopping;
        self.failures = 0;
        actions.push(Action::Stop);
        actions.push(Action::Unprepare);
    }

    fn unprepared(&mut self, outcome: Result<(), String>, now: Timestamp, actions: &mut Vec<Action>) {
        if self.stage != Stage::Stopping {
            return;
        }
        match outcome {
            Err(text) => {
                self.stage = Stage::StopWaiting;
                let text = format!("Failed to unprepare dynamic resources: unprepare dynamic resources: {text}");
                actions.push(Action::Tell(Notice::warning("FailedUnprepareDynamicResources", text)));
                self.retry(actions);
            }
            Ok(()) => {
                self.stage = Stage::Ended;
                self.claims = Arc::default();
                let ended_before = matches!(self.document["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
                if !ended_before {
                    self.report(now, actions);
                }
                if self.is_deleted() {
                    actions.push(Action::Delete);
                }
            }
        }
    }

    /// Reports what has changed.
    fn report(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let status = status::of(self, now);
        if status != self.reported {
            self.reported = status.clone();
            actions.push(Action::Report(status));
        }
    }

    fn phase(&self) -> &'static str {
        match self.stage {
            Stage::Ended | Stage::Stopping | Stage::StopWaiting => self.final_phase().unwrap_or("Failed"),
            Stage::Running => {
                let main_ran = |one: &Container| one.role == Role::Main && one.has_run();
                if self.containers.iter().any(main_ran) { "Running" } else { "Pending" }
            }
            _ if self.adopted => "Running",
            _ => "Pending",
        }
    }
}

/// `min`, doubled as often as something was repeated, at most `max`.
fn doubled(min: Duration, times: u32, max: Duration) -> Duration {
    2_u32.checked_pow(times.min(31)).and_then(|factor| min.checked_mul(factor)).unwrap_or(max).min(max)
}
