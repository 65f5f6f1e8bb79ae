//! What a decision asks for, and how it is carried out.

use std::{collections::BTreeSet, sync::Arc};

use api::convert::{self, ReservedPod};
use cluster::{
    Generation, Key, Kind, Writer, claim_reference, kind,
    write::{self, PatchKind},
};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use crate::{
    claim,
    event::{self, Remark},
    pod_claims,
    wait::Expected,
};

/// One thing to write.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Claims for entries of a pod, and their record in its status.
    MakeClaims { pod: Arc<Value>, entries: Vec<Entry> },
    /// A reservation in an allocated claim, for a pod that has a node.
    Reserve { kind: Kind, claim: Arc<Value>, pod: Arc<Value>, node: String },
    /// The end of reservations: of pods that are gone, and of those in `unseen` that the server does not know either.
    Release { generation: Generation, claim: Arc<Value>, gone: BTreeSet<ReservedPod>, unseen: BTreeSet<ReservedPod> },
    /// The end of the allocation and the finalizer of a claim that is being deleted.
    Unprotect { generation: Generation, claim: Arc<Value> },
    /// The deletion of this very object.
    Delete { kind: Kind, object: Arc<Value> },
    /// An Event; with `retry`, the task is not done and is tried again later.
    Remark { about: Arc<Value>, remark: Remark, retry: bool },
}

/// What is to be recorded for an entry of a pod.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A claim that exists.
    Found { entry: String, claim: String },
    /// A claim to be created.
    Make { entry: String, kind: Kind, claim: Value },
}

/// Carries actions out, in order, until one fails. Gives back what the watches will tell about them. `told` is why it
/// failed the last time: that is not recorded in an Event again.
pub(crate) async fn perform(
    writer: &Writer,
    actions: Vec<Action>,
    told: &str,
    now: Timestamp,
) -> anyhow::Result<Vec<Expected>> {
    let recorder = Recorder { writer, told, now };
    let mut expected = Vec::new();
    for action in actions {
        one(writer, action, recorder, &mut expected).await?;
    }
    Ok(expected)
}

async fn one(
    writer: &Writer,
    action: Action,
    recorder: Recorder<'_>,
    expected: &mut Vec<Expected>,
) -> anyhow::Result<()> {
    match action {
        Action::MakeClaims { pod, entries } => make_claims(writer, &pod, entries, recorder, expected).await,
        Action::Reserve { kind, claim, pod, node } => {
            let mut claim = Value::clone(&claim);
            let consumer = convert::Consumer { pod: &pod, node: &node, now: recorder.now };
            if convert::reserve(&mut claim, None, &consumer) {
                replace(writer, kind, claim, "status").await?;
            }
            Ok(())
        }
        Action::Release { generation, claim, gone, unseen } => release(writer, generation, &claim, gone, unseen).await,
        Action::Unprotect { generation, claim } => {
            let mut claim = Value::clone(&claim);
            if convert::deallocate(&mut claim) {
                let Some(written) = replace(writer, generation.claim, claim, "status").await? else { return Ok(()) };
                claim = written;
            }
            unprotect(writer, generation, claim).await
        }
        Action::Delete { kind, object } => {
            let (key, uid) = (Key::of(&object), meta::uid(&object));
            let what = || format!("delete {} {key}", kind.plural);
            match writer.delete(kind, &key, Some(uid), None).await {
                // Another object has the name by now.
                Err(error) if write::is_conflict(&error) => return Ok(()),
                other => other.map_err(|error| write::failed(what(), &error))?,
            }
            expected.push(Expected::deleted(kind, &object));
            Ok(())
        }
        Action::Remark { about, remark, retry } => {
            recorder.record(&about, &remark).await;
            if retry { Err(anyhow::anyhow!("{}", remark.message)) } else { Ok(()) }
        }
    }
}

async fn make_claims(
    writer: &Writer,
    pod: &Arc<Value>,
    entries: Vec<Entry>,
    recorder: Recorder<'_>,
    expected: &mut Vec<Expected>,
) -> anyhow::Result<()> {
    // Server-side apply takes away what is not said again: always the full set.
    let mut record_of = claim_reference::recorded_claims(pod);
    let mut failure = None;
    for entry in entries {
        match entry {
            Entry::Found { entry, claim } => drop(record_of.insert(entry, json!(claim))),
            Entry::Make { entry, kind, claim } => match writer.create(kind, &claim).await {
                Ok(made) => {
                    record_of.insert(entry, json!(meta::name(&made)));
                    expected.push(Expected::made(kind, &made));
                }
                Err(error) => {
                    let remark = pod_claims::failed(&entry, &write::describe(&error));
                    recorder.record(pod, &remark).await;
                    failure.get_or_insert(remark.message);
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
    match writer.patch(kind::POD, &key, "status", PatchKind::Apply, &patch).await {
        Err(error) if !write::is_not_found(&error) => {
            return Err(write::failed(format!("record the claims of pod {key}"), &error));
        }
        _ => {}
    }
    failure.map_or(Ok(()), |message| Err(anyhow::anyhow!(message)))
}

async fn release(
    writer: &Writer,
    generation: Generation,
    claim: &Value,
    mut gone: BTreeSet<ReservedPod>,
    unseen: BTreeSet<ReservedPod>,
) -> anyhow::Result<()> {
    for reserved in unseen {
        let key = Key::new(meta::namespace(claim), reserved.name.as_str());
        let found =
            writer.get(kind::POD, &key).await.map_err(|error| write::failed(format!("read pod {key}"), &error))?;
        if !found.is_some_and(|pod| reserved.is(&pod)) {
            gone.insert(reserved);
        }
    }
    let mut claim = claim.clone();
    if !claim::release(&mut claim, generation, &gone) {
        return Ok(());
    }
    let Some(written) = replace(writer, generation.claim, claim, "status").await? else { return Ok(()) };
    unprotect(writer, generation, written).await
}

async fn unprotect(writer: &Writer, generation: Generation, mut claim: Value) -> anyhow::Result<()> {
    if claim::unprotect(&mut claim, generation) {
        replace(writer, generation.claim, claim, "").await?;
    }
    Ok(())
}

/// Replaces an object; `None` when it is gone.
async fn replace(writer: &Writer, kind: Kind, document: Value, subresource: &str) -> anyhow::Result<Option<Value>> {
    match writer.replace(kind, &document, subresource).await {
        Ok(written) => Ok(Some(written)),
        Err(error) if write::is_not_found(&error) => Ok(None),
        Err(error) => Err(write::failed(format!("update {} {}", kind.plural, Key::of(&document)), &error)),
    }
}

/// Records Events.
#[derive(Clone, Copy)]
struct Recorder<'a> {
    writer: &'a Writer,
    told: &'a str,
    now: Timestamp,
}

impl Recorder<'_> {
    /// That an Event is not recorded stops nothing.
    async fn record(self, about: &Value, remark: &Remark) {
        if remark.message == self.told {
            return;
        }
        if let Err(error) = self.writer.create(kind::EVENT, &event::about(about, remark, self.now)).await {
            tracing::warn!(error = write::describe(&error), reason = remark.reason, "an event was not recorded");
        }
    }
}
