//! Writes why no node takes a pod, and does what is to be done about it.

use api::convert;
use cluster::{Key, event::Remark, generation, kind};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use super::{
    super::{
        condition,
        decision::{Refusals, Remedy},
        preemption::Preemption,
        target::Target,
    },
    Written,
    release::{change, discard},
};

/// What was done about a pod that has no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedied {
    /// Nothing: it waits.
    Nothing,
    /// It may be tried again at once.
    TryAgain,
}

/// Writes why no node takes a pod, and does what is to be done about it. Gives back claims that changed.
pub async fn refuse(
    target: &Target,
    pod: &Value,
    refusals: &Refusals,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<(Remedied, Written)> {
    let nominate = match &refusals.remedy {
        Some(Remedy::Preempt(preemption)) => Some(json!(preemption.node)),
        _ => refusals.gives_up_nomination.then_some(Value::Null),
    };
    tell(target, pod, "Unschedulable", &refusals.message, nominate, reporter, now).await?;
    match &refusals.remedy {
        None => Ok((Remedied::Nothing, Vec::new())),
        Some(Remedy::Deallocate(kind, claim)) => {
            let changed = change(target, *kind, claim, |document| {
                let released = convert::release(document, &|reserved| reserved.is(pod));
                !convert::has_consumers(document) && (convert::deallocate(document) || released)
            })
            .await?;
            let written = changed.into_iter().map(|document| (*kind, document));
            Ok((Remedied::TryAgain, written.collect()))
        }
        Some(Remedy::Delete(claim)) => {
            discard(target, generation::GA, claim).await?;
            Ok((Remedied::TryAgain, Vec::new()))
        }
        Some(Remedy::Preempt(preemption)) => {
            preempt(target, pod, preemption, reporter, now).await?;
            Ok((Remedied::Nothing, Vec::new()))
        }
    }
}

/// Writes why a pod has no node: an Event, and its condition unless that says so already.
/// `nominate` also writes the node that is kept for it, or takes it away.
pub async fn tell(
    target: &Target,
    pod: &Value,
    reason: &str,
    message: &str,
    nominate: Option<Value>,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let told = condition::cut(message, condition::NOTE_BYTES_MAX);
    target.record(pod, Remark::warning(reporter.to_owned(), "FailedScheduling", told), "Scheduling");
    let condition = condition::unscheduled(pod, reason, message, now);
    let mut patch = json!({});
    if let Some(condition) = condition {
        patch["conditions"] = json!([condition]);
    }
    if let Some(nominate) = nominate
        && pod["status"]["nominatedNodeName"] != nominate
    {
        patch["nominatedNodeName"] = nominate;
    }
    if patch.as_object().is_some_and(|patch| !patch.is_empty()) {
        target.patch_pod_status(&Key::of(pod), &patch).await?;
    }
    Ok(())
}

/// Makes the victims leave, and pods of less priority give up the node.
async fn preempt(
    target: &Target,
    pod: &Value,
    preemption: &Preemption,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let message = format!("Preempted by pod {} on node {}", meta::uid(pod), preemption.node);
    for victim in &preemption.victims {
        let key = Key::of(victim);
        let condition = condition::disruption(victim, reporter, now);
        target.patch_pod_status(&key, &json!({"conditions": [condition]})).await?;
        target.delete(kind::POD, &key, meta::uid(victim)).await?;
        target.record(victim, Remark::normal(reporter.to_owned(), "Preempted", message.clone()), "Preempting");
    }
    for displaced in &preemption.displaced {
        target.patch_pod_status(displaced, &json!({"nominatedNodeName": null})).await?;
    }
    Ok(())
}
