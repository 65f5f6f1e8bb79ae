//! What only claims need: several writes that belong together.

use std::{collections::BTreeSet, sync::Arc};

use api::convert::{self, ReservedPod};
use cluster::{
    Generation, Key, Kind, claim_reference, kind,
    write::{self, PatchKind},
};
use machinery::meta;
use serde_json::{Value, json};

use super::{claim, pod_claims};
use crate::{
    action::{Failure, Hands, Outcome},
    wait::Expected,
};

/// One thing to write.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Claims for entries of a pod, and their record in its status.
    Make { pod: Arc<Value>, entries: Vec<Entry> },
    /// A reservation in an allocated claim, for a pod that has a node.
    Reserve { kind: Kind, claim: Arc<Value>, pod: Arc<Value>, node: String },
    /// The end of reservations: of pods that are gone, and of those in `unseen` that the server does not know either.
    Release { generation: Generation, claim: Arc<Value>, gone: BTreeSet<ReservedPod>, unseen: BTreeSet<ReservedPod> },
    /// The end of the allocation and the finalizer of a claim that is being deleted.
    Unprotect { generation: Generation, claim: Arc<Value> },
}

/// What is to be recorded for an entry of a pod.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A claim that exists.
    Found { entry: String, claim: String },
    /// A claim to be created.
    Make { entry: String, kind: Kind, claim: Value },
}

/// Carries an action out.
pub(crate) async fn perform(hands: &Hands, action: Action) -> Outcome {
    match action {
        Action::Make { pod, entries } => make(hands, &pod, entries).await,
        Action::Reserve { kind, claim, pod, node } => {
            let mut claim = Value::clone(&claim);
            let consumer = convert::Consumer { pod: &pod, node: &node, now: hands.now };
            if convert::reserve(&mut claim, None, &consumer) {
                outcome(kind, replace(hands, kind, claim, "status").await)
            } else {
                Outcome::default()
            }
        }
        Action::Release { generation, claim, gone, unseen } => {
            outcome(generation.claim, release(hands, generation, &claim, gone, unseen).await)
        }
        Action::Unprotect { generation, claim } => {
            outcome(generation.claim, end(hands, generation, Value::clone(&claim)).await)
        }
    }
}

fn outcome(kind: Kind, written: Result<Option<Value>, Failure>) -> Outcome {
    written.map(|written| written.map(|written| Expected::written(kind, &written))).into()
}

async fn make(hands: &Hands, pod: &Arc<Value>, entries: Vec<Entry>) -> Outcome {
    // Server-side apply takes away what is not said again: always the full set.
    let mut record_of = claim_reference::recorded_claims(pod);
    let mut outcome = Outcome::default();
    for entry in entries {
        match entry {
            Entry::Found { entry, claim } => drop(record_of.insert(entry, json!(claim))),
            Entry::Make { entry, kind, claim } => match hands.writer.create(kind, &claim).await {
                Ok(made) => {
                    record_of.insert(entry, json!(meta::name(&made)));
                    outcome.expected.push(Expected::made(kind, &made));
                }
                Err(error) => {
                    let remark = pod_claims::failed(&entry, &write::describe(&error));
                    hands.recorder.record(pod, remark);
                    outcome.failure.get_or_insert_with(|| Failure::new("create a claim", &error));
                }
            },
        }
    }
    let status = |(entry, claim): (&String, &Value)| match claim {
        Value::Null => json!({"name": entry}),
        claim => json!({"name": entry, "resourceClaimName": claim}),
    };
    let statuses: Vec<Value> = record_of.iter().map(status).collect();
    let key = Key::of(pod);
    let patch = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": key.namespace, "name": key.name},
        "status": {"resourceClaimStatuses": statuses},
    });
    match hands.writer.patch(kind::POD, &key, "status", PatchKind::Apply, &patch).await {
        Ok(written) => outcome.expected.push(Expected::written(kind::POD, &written)),
        Err(error) if write::is_not_found(&error) => {}
        Err(error) => outcome.failure = Some(Failure::new(format!("record the claims of pod {key}"), &error)),
    }
    outcome
}

async fn release(
    hands: &Hands,
    generation: Generation,
    claim: &Value,
    mut gone: BTreeSet<ReservedPod>,
    unseen: BTreeSet<ReservedPod>,
) -> Result<Option<Value>, Failure> {
    for reserved in unseen {
        let key = Key::new(meta::namespace(claim), reserved.name.as_str());
        let found = hands.writer.get(kind::POD, &key).await;
        let found = found.map_err(|error| Failure::new(format!("read pod {key}"), &error))?;
        if !found.is_some_and(|pod| reserved.is(&pod)) {
            gone.insert(reserved);
        }
    }
    let mut claim = claim.clone();
    if !claim::release(&mut claim, generation, &gone) {
        return Ok(None);
    }
    match replace(hands, generation.claim, claim, "status").await? {
        Some(written) => unprotect(hands, generation, written).await,
        None => Ok(None),
    }
}

/// Takes allocation and finalizer off a claim that nobody uses.
async fn end(hands: &Hands, generation: Generation, mut claim: Value) -> Result<Option<Value>, Failure> {
    if convert::deallocate(&mut claim) {
        let Some(written) = replace(hands, generation.claim, claim, "status").await? else { return Ok(None) };
        claim = written;
    }
    unprotect(hands, generation, claim).await
}

async fn unprotect(hands: &Hands, generation: Generation, mut claim: Value) -> Result<Option<Value>, Failure> {
    if claim::unprotect(&mut claim, generation) {
        return replace(hands, generation.claim, claim, "").await;
    }
    Ok(Some(claim))
}

/// Replaces an object; `None` when it is gone.
async fn replace(hands: &Hands, kind: Kind, document: Value, subresource: &str) -> Result<Option<Value>, Failure> {
    match hands.writer.replace(kind, &document, subresource).await {
        Ok(written) => Ok(Some(written)),
        Err(error) if write::is_not_found(&error) => Ok(None),
        Err(error) => Err(Failure::new(format!("update {} {}", kind.plural, Key::of(&document)), &error)),
    }
}
