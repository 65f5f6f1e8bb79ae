//! Pods that must go from where they are: what is told, noted in their status, and then done.

use std::sync::Arc;

use cluster::{kind, write::PatchKind};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use crate::{action::Action, conditions, event::Remark};

/// Why a pod has to go.
pub(crate) struct Eviction<'a> {
    /// What is told of it.
    pub(crate) remark: Option<Remark>,
    /// Reason of the condition `DisruptionTarget`.
    pub(crate) reason: &'a str,
    /// Its message.
    pub(crate) message: &'a str,
    /// So many seconds are left to it; `None`: its own.
    pub(crate) grace: Option<u32>,
}

impl Eviction<'_> {
    /// Tells it, notes it, deletes the pod.
    pub(crate) fn of(self, pod: &Arc<Value>, now: Timestamp) -> Vec<Action> {
        let remark = self.remark.map(|remark| Action::Remark { about: pod.clone(), remark });
        let condition = conditions::new("DisruptionTarget", "True", self.reason, self.message, now);
        let patch = json!({"metadata": {"uid": meta::uid(pod)}, "status": {"conditions": [condition]}});
        let note = Action::Patch {
            kind: kind::POD,
            object: pod.clone(),
            subresource: "status",
            how: PatchKind::Strategic,
            patch,
        };
        let delete = Action::Delete { kind: kind::POD, object: pod.clone(), grace: self.grace, tell: None };
        remark.into_iter().chain([note, delete]).collect()
    }
}
