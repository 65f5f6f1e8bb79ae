//! What a decision asks for, and how it is carried out.

use std::sync::Arc;

use cluster::{
    Key, Kind, Writer,
    write::{self, PatchKind},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;

use crate::{
    claims, classic,
    event::{Recorder, Remark},
    kubevirt,
    wait::Expected,
};

/// Most writes of one task that are under way at the same time.
const WRITES_MAX: usize = 64;

/// One thing to write.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A new object.
    Create { kind: Kind, object: Value, tell: Option<Tell> },
    /// An object as it should be, or its `subresource`. Refused when it is not any more what was decided upon.
    Replace { kind: Kind, object: Value, subresource: &'static str },
    /// A part of an object.
    Patch { kind: Kind, object: Arc<Value>, subresource: &'static str, how: PatchKind, patch: Value },
    /// The deletion of this very object, with so many seconds of grace, or with its own.
    Delete { kind: Kind, object: Arc<Value>, grace: Option<u32>, tell: Option<Tell> },
    /// An Event.
    Remark { about: Arc<Value>, remark: Remark },
    /// Several that do not need each other: one first, and after each success twice as many at once, so that what cannot
    /// work is not tried hundreds of times.
    Many(Vec<Action>),
    /// Nothing; but the task is not done, for this reason, and is tried again later.
    Retry(String),
    /// What only claims need.
    Claims(claims::Action),
    /// What drivers of classic claims do.
    Classic(classic::Action),
    /// What KubeVirt's handler does.
    KubeVirt(kubevirt::Action),
}

impl Action {
    /// An update of the status of an object.
    pub(crate) fn status(kind: Kind, object: Value) -> Self {
        Self::Replace { kind, object, subresource: "status" }
    }
}

/// The Events about what was, or was not, done to another object. `{}` stands for its name, or for what went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Tell {
    /// The object that the Events are about.
    pub(crate) about: Arc<Value>,
    /// Who says it.
    pub(crate) component: &'static str,
    /// Reason and message of the Event that says that it is done.
    pub(crate) done: (&'static str, String),
    /// Reason and message of the Event that says that it failed.
    pub(crate) failed: (&'static str, String),
}

impl Tell {
    fn done(&self, recorder: &Recorder, name: &str) {
        let (reason, message) = &self.done;
        let message = message.replace("{}", name);
        recorder.record(&self.about, Remark { reason, message, warning: false, component: self.component.into() });
    }

    fn failed(&self, recorder: &Recorder, why: &str) {
        let (reason, message) = &self.failed;
        let message = message.replace("{}", why);
        recorder.record(&self.about, Remark { reason, message, warning: true, component: self.component.into() });
    }
}

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub(crate) struct Failure {
    /// What was tried.
    pub(crate) what: String,
    /// What came of it, in the server's words where it answered.
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, error: &kube::Error) -> Self {
        Self { what: what.into(), why: write::describe(error) }
    }
}

/// What carrying out needs.
#[derive(Clone)]
pub(crate) struct Hands {
    /// Writes in the name of the controller.
    pub(crate) writer: Writer,
    /// Records Events.
    pub(crate) recorder: Recorder,
    /// When it was decided.
    pub(crate) now: Timestamp,
}

/// What came of some actions.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What the watches will tell about what was done.
    pub(crate) expected: Vec<Expected>,
    /// What went wrong.
    pub(crate) failure: Option<Failure>,
}

impl From<Result<Option<Expected>, Failure>> for Outcome {
    fn from(result: Result<Option<Expected>, Failure>) -> Self {
        match result {
            Ok(expected) => Self { expected: expected.into_iter().collect(), failure: None },
            Err(failure) => Self { expected: Vec::new(), failure: Some(failure) },
        }
    }
}

/// Carries actions out, in order, until one fails.
pub(crate) async fn perform(hands: &Hands, actions: Vec<Action>) -> Outcome {
    let mut outcome = Outcome::default();
    for action in actions {
        let done = match action {
            Action::Many(actions) => many(hands, actions).await,
            Action::Claims(action) => claims::perform(hands, action).await,
            Action::Classic(action) => classic::perform(hands, action).await,
            Action::KubeVirt(action) => kubevirt::perform(hands, action).await,
            other => one(hands, other).await.into(),
        };
        outcome.expected.extend(done.expected);
        outcome.failure = done.failure;
        if outcome.failure.is_some() {
            break;
        }
    }
    outcome
}

async fn many(hands: &Hands, actions: Vec<Action>) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut actions, mut batch) = (actions.into_iter().peekable(), 1);
    while actions.peek().is_some() && outcome.failure.is_none() {
        let these: Vec<Action> = actions.by_ref().take(batch).collect();
        let results: Vec<_> =
            stream::iter(these).map(|action| one(hands, action)).buffer_unordered(WRITES_MAX).collect().await;
        for result in results {
            match result {
                Ok(expected) => outcome.expected.extend(expected),
                Err(failure) => outcome.failure = Some(failure),
            }
        }
        batch *= 2;
    }
    outcome
}

async fn one(hands: &Hands, action: Action) -> Result<Option<Expected>, Failure> {
    let Hands { writer, recorder, .. } = hands;
    match action {
        Action::Create { kind, object, tell } => match writer.create(kind, &object).await {
            Ok(made) => {
                if let Some(tell) = tell {
                    tell.done(recorder, meta::name(&made));
                }
                Ok(Some(Expected::made(kind, &made)))
            }
            // Nothing is made any more in a namespace that ends.
            Err(error) if is_ending(&error) => Ok(None),
            Err(error) => {
                let failure = Failure::new(format!("create {}", kind.plural), &error);
                if let Some(tell) = tell {
                    tell.failed(recorder, &failure.why);
                }
                Err(failure)
            }
        },
        Action::Replace { kind, object, subresource } => match writer.replace(kind, &object, subresource).await {
            Ok(written) => Ok(Some(Expected::written(kind, &written))),
            Err(error) if write::is_not_found(&error) => Ok(None),
            Err(error) => Err(Failure::new(format!("update {} {}", kind.plural, Key::of(&object)), &error)),
        },
        Action::Patch { kind, object, subresource, how, patch } => {
            match writer.patch(kind, &Key::of(&object), subresource, how, &patch).await {
                Ok(written) => Ok(Some(Expected::written(kind, &written))),
                Err(error) if write::is_not_found(&error) => Ok(None),
                Err(error) => Err(Failure::new(format!("patch {} {}", kind.plural, Key::of(&object)), &error)),
            }
        }
        Action::Delete { kind, object, grace, tell } => {
            match writer.delete(kind, &Key::of(&object), Some(meta::uid(&object)), grace).await {
                Ok(()) => {
                    if let Some(tell) = tell {
                        tell.done(recorder, meta::name(&object));
                    }
                    Ok(Some(Expected::deleted(kind, &object)))
                }
                // Another object has the name by now.
                Err(error) if write::is_conflict(&error) => Ok(None),
                Err(error) => {
                    let failure = Failure::new(format!("delete {} {}", kind.plural, Key::of(&object)), &error);
                    if let Some(tell) = tell {
                        tell.failed(recorder, &failure.why);
                    }
                    Err(failure)
                }
            }
        }
        Action::Remark { about, remark } => {
            recorder.record(&about, remark);
            Ok(None)
        }
        Action::Retry(why) => Err(Failure { what: "finish".to_owned(), why }),
        // Not among those that are done side by side.
        Action::Many(_) | Action::Claims(_) | Action::Classic(_) | Action::KubeVirt(_) => Ok(None),
    }
}

fn is_ending(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("because it is being terminated"))
}
