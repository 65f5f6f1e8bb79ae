//! The containers of a pod and their lives.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Action, doubled,
    probe::{Probe, Probes},
};

/// Exit code of a process that was asked to stop.
const STOPPED: i32 = 143;
/// Exit code of a process that could not be started.
pub(super) const NOT_STARTED: i32 = 128;
/// Pauses before a container is restarted again, as kubelets have them: the first, and the longest.
const RESTART_MIN: Duration = Duration::from_secs(10);
const RESTART_MAX: Duration = Duration::from_secs(300);
/// Who has run that long starts with the first pause again.
const STEADY: Duration = Duration::from_secs(600);

/// What part a container plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Must end before the next one starts.
    Init,
    /// An init container that keeps running (KEP-753).
    Sidecar,
    /// One of `spec.containers`.
    Main,
    /// One of `spec.ephemeralContainers`, which come later and count for nothing.
    Ephemeral,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    /// It has never run.
    Waiting,
    /// It runs.
    Running {
        /// Since then.
        since: Timestamp,
    },
    /// It waits to be restarted.
    BackOff {
        /// Until then.
        until: Timestamp,
        /// For how long.
        pause: Duration,
    },
    /// It has ended and will not be restarted.
    Ended {
        /// Exit code.
        code: i32,
        /// When it began.
        since: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// Its last words.
        message: String,
    },
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Last {
    /// Exit code.
    pub code: i32,
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Its last words.
    pub message: String,
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Its name.
    pub name: String,
    /// Its entry in the pod's spec.
    pub spec: Arc<Value>,
    /// What part it plays.
    pub role: Role,
    /// What it does.
    pub run: Run,
    /// How often it was restarted.
    pub attempt: u32,
    /// The end of its last process.
    pub last: Option<Last>,
    /// What its probes have found.
    pub probes: Probes,
    /// How often in a row it ended soon.
    crashes: u32,
}

/// The containers of a pod, init containers first.
pub(super) fn of_pod(pod: &Value) -> Vec<Container> {
    let list = |member: &str| pod["spec"][member].as_array().cloned().unwrap_or_default();
    let init = list("initContainers").into_iter().map(|spec| {
        let role = if spec["restartPolicy"] == "Always" { Role::Sidecar } else { Role::Init };
        (role, spec)
    });
    let main = list("containers").into_iter().map(|spec| (Role::Main, spec));
    init.chain(main).map(|(role, spec)| Container::new(role, spec)).collect()
}

impl Container {
    /// One that has not run.
    pub(super) fn new(role: Role, spec: Value) -> Self {
        Self {
            name: spec["name"].as_str().unwrap_or_default().to_owned(),
            probes: Probes::of(&spec),
            spec: Arc::new(spec),
            role,
            run: Run::Waiting,
            attempt: 0,
            last: None,
            crashes: 0,
        }
    }

    /// Takes over what the status of its pod says about it.
    pub(super) fn adopt(&mut self, status: &Value) {
        let member = match self.role {
            Role::Main => "containerStatuses",
            Role::Init | Role::Sidecar => "initContainerStatuses",
            Role::Ephemeral => "ephemeralContainerStatuses",
        };
        let statuses = status[member].as_array().into_iter().flatten();
        let Some(own) = statuses.into_iter().find(|one| one["name"] == self.name.as_str()) else { return };
        self.attempt = own["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let time = |value: &Value| value.as_str().and_then(machinery::time::parse);
        let state = &own["state"];
        if let Some(since) = time(&state["running"]["startedAt"]) {
            self.run = Run::Running { since };
            self.probes.adopt(own["started"] == true, own["ready"] == true);
        } else if let (Some(since), Some(at)) =
            (time(&state["terminated"]["startedAt"]), time(&state["terminated"]["finishedAt"]))
        {
            let code = state["terminated"]["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
            let message = state["terminated"]["message"].as_str().unwrap_or_default().to_owned();
            self.run = Run::Ended { code, since, at, message };
        }
    }

    /// Whether a process of it runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }

    /// When its present or last process began, and ended.
    pub(crate) fn span(&self) -> Option<(Timestamp, Option<Timestamp>)> {
        match self.run {
            Run::Running { since } => Some((since, None)),
            Run::Ended { since, at, .. } => Some((since, Some(at))),
            Run::Waiting | Run::BackOff { .. } => self.last.as_ref().map(|last| (last.since, Some(last.at))),
        }
    }

    /// Whether a process of it ran ever.
    pub(super) fn has_run(&self) -> bool {
        self.is_running() || self.last.is_some() || matches!(self.run, Run::Ended { .. })
    }

    /// Whether an init container behind it may start.
    pub(super) fn lets_next_start(&self) -> bool {
        match self.role {
            Role::Init => matches!(self.run, Run::Ended { code: 0, .. }),
            Role::Sidecar => (self.is_running() || self.last.is_some()) && self.probes.started,
            Role::Main | Role::Ephemeral => true,
        }
    }

    /// Whether the main containers may start, as far as it is concerned.
    pub(super) fn lets_main_start(&self) -> bool {
        self.lets_next_start()
    }

    /// Whether it waits for nothing but its turn.
    pub(super) fn may_start(&self, now: Timestamp) -> bool {
        match self.run {
            Run::Waiting => true,
            Run::BackOff { until, .. } => until <= now,
            Run::Running { .. } | Run::Ended { .. } => false,
        }
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        if matches!(self.run, Run::BackOff { .. }) {
            self.attempt = self.attempt.saturating_add(1);
        }
        self.probes = Probes::of(&self.spec);
        self.run = Run::Running { since: now };
    }

    /// Ends it before it has begun: its process cannot be started. The runtime gives the beginning of time for its start.
    pub(super) fn fail_to_start(&mut self, message: String, now: Timestamp) {
        self.run = Run::Ended { code: NOT_STARTED, since: Timestamp::UNIX_EPOCH, at: now, message };
    }

    /// What starts the probes that may run now.
    pub(super) fn probe_actions(&self) -> impl Iterator<Item = Action> {
        let action = |probe: Probe| Action::Probe { container: self.name.clone(), attempt: self.attempt, probe };
        self.probes.due().map(action)
    }

    /// Whether it is ready for others.
    pub(super) fn is_ready(&self) -> bool {
        self.is_running() && self.probes.started && self.probes.ready
    }

    /// What starts its process.
    pub(super) fn start_action(&self) -> Action {
        let since = match self.run {
            Run::Running { since } => since,
            _ => Timestamp::UNIX_EPOCH,
        };
        Action::Start { container: self.name.clone(), attempt: self.attempt, since }
    }

    pub(super) fn end(&mut self, code: i32, message: String, now: Timestamp) {
        if let Run::Running { since } = self.run {
            self.run = Run::Ended { code, since, at: now, message };
        }
    }

    /// Whether it is started again after it ended with a code.
    pub(super) fn restarts_after(&self, code: i32, pod_policy: &str) -> bool {
        match (self.role, pod_policy) {
            (Role::Sidecar, _) => true,
            (Role::Ephemeral, _) => false,
            // The rule of a pod that always restarts does not hold for containers that must end.
            (Role::Init, "Always") | (_, "OnFailure") => code != 0,
            (_, "Always") => true,
            _ => false,
        }
    }

    /// Makes it wait for a restart, and says for how long: not at all the first time.
    pub(super) fn wait(&mut self, scale: f64) -> Duration {
        let Run::Ended { code, since, at, message } = self.run.clone() else { return Duration::ZERO };
        let ran = match since == Timestamp::UNIX_EPOCH {
            true => Duration::ZERO,
            false => Duration::try_from(at.duration_since(since)).unwrap_or_default(),
        };
        if ran.mul_f64(scale.clamp(0.001, 1e9)) >= STEADY {
            self.crashes = 0;
        }
        let pause = match self.crashes.checked_sub(1) {
            Some(times) => doubled(RESTART_MIN, times, RESTART_MAX),
            None => Duration::ZERO,
        };
        self.crashes = self.crashes.saturating_add(1);
        let real = pause.div_f64(scale.max(f64::MIN_POSITIVE));
        let wait = jiff::SignedDuration::try_from(real).unwrap_or_default();
        self.last = Some(Last { code, since, at, message });
        self.run = Run::BackOff { until: at.saturating_add(wait).unwrap_or(at), pause };
        real
    }

    /// Ends it from outside.
    pub(super) fn stop(&mut self, now: Timestamp) {
        match self.run {
            Run::Running { .. } => self.end(STOPPED, String::new(), now),
            Run::BackOff { .. } => {
                if let Some(Last { code, since, at, message }) = self.last.clone() {
                    self.run = Run::Ended { code, since, at, message };
                }
            }
            Run::Waiting | Run::Ended { .. } => {}
        }
    }
}
