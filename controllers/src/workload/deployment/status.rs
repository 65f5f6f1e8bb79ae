//! What the status of a deployment says.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::{
    sets::{Sets, size},
    size::Wanted,
};
use crate::{conditions, workload::number};

const PROGRESSING: &str = "Progressing";
const PAUSED: &str = "DeploymentPaused";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const DONE: &str = "NewReplicaSetAvailable";

/// A status in the making.
pub(super) struct Status<'a> {
    deployment: &'a Value,
    wanted: Wanted,
    now: Timestamp,
    numbers: Numbers,
    /// The conditions, some of them new.
    pub(super) conditions: Vec<Value>,
}

/// How many pods there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
    unavailable: i64,
    terminating: i64,
}

impl Numbers {
    fn now(sets: &Sets<'_>) -> Self {
        let sum = |member: &str| sets.all().map(|set| number::at(set, member)).sum::<i64>();
        let available = sum("/status/availableReplicas");
        Self {
            replicas: sum("/status/replicas"),
            updated: sets.new.map_or(0, |set| number::at(set, "/status/replicas")),
            ready: sum("/status/readyReplicas"),
            available,
            unavailable: (sets.all().map(|set| size(set)).sum::<i64>() - available).max(0),
            terminating: sum("/status/terminatingReplicas"),
        }
    }

    fn before(status: &Value) -> Self {
        Self {
            replicas: number::at(status, "/replicas"),
            updated: number::at(status, "/updatedReplicas"),
            ready: number::at(status, "/readyReplicas"),
            available: number::at(status, "/availableReplicas"),
            unavailable: number::at(status, "/unavailableReplicas"),
            terminating: number::at(status, "/terminatingReplicas"),
        }
    }
}

/// Whether a deployment, as its status says, has what it asks for.
pub(super) fn is_complete(deployment: &Value) -> bool {
    let wanted = number::or(deployment, "/spec/replicas", 1);
    let observed = number::at(deployment, "/status/observedGeneration");
    has_all(Numbers::before(&deployment["status"]), wanted) && observed >= meta::generation(deployment)
}

fn has_all(numbers: Numbers, wanted: i64) -> bool {
    numbers.updated == wanted && numbers.replicas == wanted && numbers.available == wanted
}

/// How long a deployment may stand still; `None`: for ever.
fn deadline(deployment: &Value) -> Option<i64> {
    number::maybe(deployment, "/spec/progressDeadlineSeconds").filter(|seconds| *seconds != i64::from(i32::MAX))
}

impl<'a> Status<'a> {
    pub(super) fn new(deployment: &'a Value, wanted: Wanted, sets: &Sets<'_>, now: Timestamp) -> Self {
        let conditions = conditions::of(&deployment["status"]);
        let mut status = Self { deployment, wanted, now, numbers: Numbers::now(sets), conditions };
        let (value, reason, message) = if status.numbers.available >= wanted.least_available() {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        status.set("Available", value, reason, message);
        status
    }

    /// Sets a condition, unless it has this status for this reason already.
    fn set(&mut self, kind: &str, value: &str, reason: &str, message: &str) {
        let known = conditions::find(&self.conditions, kind);
        if known.is_some_and(|known| known["status"] == value && known["reason"] == reason) {
            return;
        }
        self.replace(kind, value, reason, message);
    }

    fn replace(&mut self, kind: &str, value: &str, reason: &str, message: &str) {
        let mut condition = conditions::new(kind, value, reason, message, self.now);
        condition["lastUpdateTime"] = json!(time::format_seconds(self.now));
        let known = conditions::find(&self.conditions, kind).filter(|known| known["status"] == value);
        if let Some(known) = known {
            condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
        }
        conditions::remove(&mut self.conditions, kind);
        self.conditions.push(condition);
    }

    fn progressing(&self) -> Option<&Value> {
        conditions::find(&self.conditions, PROGRESSING)
    }

    fn progress_reason(&self) -> &str {
        self.progressing().and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
    }

    /// Says that the deployment is paused, or not any more. True: that is news.
    pub(super) fn pause(&mut self, paused: bool) -> bool {
        if deadline(self.deployment).is_none() || self.progress_reason() == TIMED_OUT {
            return false;
        }
        let was_paused = self.progress_reason() == PAUSED;
        match (paused, was_paused) {
            (true, false) => self.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused"),
            (false, true) => self.set(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed"),
            _ => return false,
        }
        true
    }

    /// Says that a replica set was made for the template.
    pub(super) fn made(&mut self, set: &str) {
        if deadline(self.deployment).is_some() {
            self.set(PROGRESSING, "True", "NewReplicaSetCreated", &format!("Created new replica set \"{set}\""));
        }
    }

    /// Says that there was one already, unless more is known. True: that is news.
    pub(super) fn found(&mut self, set: &str) -> bool {
        let news = deadline(self.deployment).is_some() && self.progressing().is_none();
        if news {
            self.set(PROGRESSING, "True", "FoundNewReplicaSet", &format!("Found new replica set \"{set}\""));
        }
        news
    }

    /// Says that the replica set cannot be made.
    pub(super) fn not_made(&mut self, set: &str, why: &str) {
        let message = format!("Failed to create new replica set \"{set}\": {why}");
        self.set(PROGRESSING, "False", "ReplicaSetCreateError", &message);
    }

    /// Says how the rollout goes.
    pub(super) fn roll(&mut self, sets: &Sets<'_>) {
        let subject = sets.new.map_or_else(
            || format!("Deployment \"{}\"", meta::name(self.deployment)),
            |set| format!("ReplicaSet \"{}\"", meta::name(set)),
        );
        let settled = self.numbers.replicas == self.numbers.updated && self.progress_reason() == DONE;
        if deadline(self.deployment).is_none() {
            conditions::remove(&mut self.conditions, PROGRESSING);
        } else if !settled {
            self.progress(&subject);
        }
        let failure = |set: &Arc<Value>| {
            conditions::of(&set["status"]).into_iter().find(|condition| condition["type"] == "ReplicaFailure")
        };
        match sets.new.and_then(failure).or_else(|| sets.old.iter().copied().find_map(failure)) {
            Some(failure) => {
                let text = |member: &str| failure[member].as_str().unwrap_or_default();
                self.set("ReplicaFailure", text("status"), text("reason"), text("message"));
            }
            None => conditions::remove(&mut self.conditions, "ReplicaFailure"),
        }
    }

    fn progress(&mut self, subject: &str) {
        let (before, now) = (Numbers::before(&self.deployment["status"]), self.numbers);
        let moves = now.updated > before.updated
            || now.replicas - now.updated < before.replicas - before.updated
            || now.ready > before.ready
            || now.available > before.available;
        if has_all(now, self.wanted.replicas) {
            self.set(PROGRESSING, "True", DONE, &format!("{subject} has successfully progressed."));
        } else if moves {
            self.replace(PROGRESSING, "True", "ReplicaSetUpdated", &format!("{subject} is progressing."));
        } else if self.is_late() {
            self.set(PROGRESSING, "False", TIMED_OUT, &format!("{subject} has timed out progressing."));
        }
    }

    /// When the deadline passes, while it may.
    fn ends(&self) -> Option<Timestamp> {
        let condition = self.progressing()?;
        let seconds = deadline(self.deployment)?;
        let since = time::parse(condition["lastUpdateTime"].as_str()?)?;
        since.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    fn is_late(&self) -> bool {
        match self.progress_reason() {
            DONE => false,
            TIMED_OUT => true,
            _ => self.ends().is_some_and(|ends| ends < self.now),
        }
    }

    /// When it is to be seen whether the deployment is late.
    pub(super) fn look_again(&self) -> Option<Timestamp> {
        let waits = !has_all(self.numbers, self.wanted.replicas) && !matches!(self.progress_reason(), TIMED_OUT | DONE);
        let ends = self.ends().filter(|_| waits)?;
        // Times have whole seconds.
        ends.checked_add(SignedDuration::from_secs(1)).ok()
    }

    /// The status; `collisions` is how many hashes of the template were taken by others.
    pub(super) fn finish(self, collisions: Option<i64>) -> Value {
        let mut status = Map::new();
        number::put(
            &mut status,
            &[
                ("observedGeneration", meta::generation(self.deployment)),
                ("replicas", self.numbers.replicas),
                ("updatedReplicas", self.numbers.updated),
                ("readyReplicas", self.numbers.ready),
                ("availableReplicas", self.numbers.available),
                ("unavailableReplicas", self.numbers.unavailable),
            ],
        );
        status.insert("terminatingReplicas".to_owned(), json!(self.numbers.terminating));
        if let Some(collisions) = collisions {
            status.insert("collisionCount".to_owned(), json!(collisions));
        }
        if !self.conditions.is_empty() {
            status.insert("conditions".to_owned(), json!(self.conditions));
        }
        Value::Object(status)
    }
}
