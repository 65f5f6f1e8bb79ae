//! Why and when a job is done.

use jiff::Timestamp;
use machinery::time;
use serde_json::Value;

use crate::conditions;

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// It has what was asked for.
    pub(super) success: bool,
    /// In one word.
    pub(super) reason: String,
    /// For people.
    pub(super) message: String,
}

impl End {
    pub(super) fn success(reason: &str, message: impl Into<String>) -> Self {
        Self { success: true, reason: reason.to_owned(), message: message.into() }
    }

    pub(super) fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self { success: false, reason: reason.to_owned(), message: message.into() }
    }

    /// What was decided before, and is still being carried out.
    pub(super) fn decided(job: &Value) -> Option<Self> {
        let list = conditions::of(&job["status"]);
        let find = |kind: &str| conditions::find(&list, kind).filter(|condition| condition["status"] == "True");
        let text = |condition: &Value, member: &str| condition[member].as_str().unwrap_or_default().to_owned();
        let end = |condition: &Value, success| Self {
            success,
            reason: text(condition, "reason"),
            message: text(condition, "message"),
        };
        find("FailureTarget")
            .map(|found| end(found, false))
            .or_else(|| find("SuccessCriteriaMet").map(|found| end(found, true)))
    }

    /// Says what was decided; `over`: and that it is carried out.
    pub(super) fn tell(&self, conditions: &mut Vec<Value>, over: bool, now: Timestamp) {
        let (first, last) = if self.success { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
        for kind in [Some(first), over.then_some(last)].into_iter().flatten() {
            if conditions::find(conditions, kind).is_none() {
                let mut condition = conditions::new(kind, "True", &self.reason, &self.message, now);
                condition["lastProbeTime"] = condition["lastTransitionTime"].clone();
                conditions.push(condition);
            }
        }
    }
}

/// When a job ended; `None`: it has not.
pub(crate) fn finished_at(job: &Value) -> Option<Timestamp> {
    let list = conditions::of(&job["status"]);
    let ended = |condition: &&Value| {
        (condition["type"] == "Complete" || condition["type"] == "Failed") && condition["status"] == "True"
    };
    let condition = list.iter().find(ended)?;
    Some(condition["lastTransitionTime"].as_str().and_then(time::parse).unwrap_or(Timestamp::UNIX_EPOCH))
}
