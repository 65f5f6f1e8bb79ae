//! The pods of a job: how they are made, and when one has ended.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{
    COMPONENT, FINALIZER,
    index::{self, INDEX},
};
use crate::{
    action::Action,
    node_fit::list,
    ownership::Owner,
    pod,
    workload::{number, template},
};

/// The annotation that says how often the index of a pod had failed before.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// First and longest pause after failures.
const BACKOFF_SECONDS: i64 = 10;
const BACKOFF_SECONDS_MAX: i64 = 600;

/// Whether its end has not been counted yet.
pub(super) fn is_tracked(pod: &Value) -> bool {
    meta::finalizers(pod).any(|finalizer| finalizer == FINALIZER)
}

/// Whether a pod counts as failed: it has, or it was told to go, unless only pods that ended are replaced.
pub(super) fn has_failed(job: &Value, pod: &Value) -> bool {
    match pod::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => meta::deletion_timestamp(pod).is_some() && !waits_for_end(job),
    }
}

/// Whether a pod is replaced only once it has ended.
pub(super) fn waits_for_end(job: &Value) -> bool {
    job["spec"]["podReplacementPolicy"] == "Failed" || job["spec"]["podFailurePolicy"].is_object()
}

/// When a pod ended.
fn ended_at(pod: &Value) -> Option<Timestamp> {
    let finished = list(pod, "/status/containerStatuses")
        .filter_map(|status| time::parse(status.pointer("/state/terminated/finishedAt")?.as_str()?));
    finished.max().or_else(|| time::parse(meta::deletion_timestamp(pod).unwrap_or(meta::creation_timestamp(pod))))
}

/// When the next pod may be made: ever later, the more failed since the last success.
pub(super) fn may_make_at(failed: &[&Arc<Value>], succeeded: &[&Arc<Value>]) -> Option<Timestamp> {
    let last_success = succeeded.iter().filter_map(|pod| ended_at(pod)).max();
    let failures: Vec<Timestamp> = failed
        .iter()
        .filter_map(|pod| ended_at(pod))
        .filter(|at| last_success.is_none_or(|success| *at > success))
        .collect();
    let doublings = u32::try_from(failures.len().checked_sub(1)?).unwrap_or(u32::MAX);
    let pause = BACKOFF_SECONDS.saturating_mul(1_i64.checked_shl(doublings.min(40)).unwrap_or(i64::MAX));
    failures.into_iter().max()?.checked_add(SignedDuration::from_secs(pause.min(BACKOFF_SECONDS_MAX))).ok()
}

/// How often containers of pods that go on were started again.
pub(super) fn restarts(pods: &[&Arc<Value>]) -> i64 {
    let statuses = pods
        .iter()
        .flat_map(|pod| list(pod, "/status/containerStatuses").chain(list(pod, "/status/initContainerStatuses")));
    statuses.map(|status| number::at(status, "/restartCount")).sum()
}

/// A pod for a job; `index` and how often that failed already, where completions have indexes.
pub(super) fn make(owner: &Owner<'_>, index: Option<(i64, i64)>) -> Action {
    let job = owner.object;
    let mut pod = template::pod(&job["spec"]["template"], meta::namespace(job), owner.reference());
    let mut finalizers: Vec<Value> = meta::finalizers(&pod).map(Value::from).collect();
    finalizers.push(json!(FINALIZER));
    meta::set(&mut pod, "finalizers", finalizers);
    let Some((index, failures)) = index else {
        meta::set(&mut pod, "generateName", format!("{}-", meta::name(job)));
        return template::create(pod, job, COMPONENT);
    };
    meta::set(&mut pod, "generateName", format!("{}-{index}-", meta::name(job)));
    template::set_annotation(&mut pod, INDEX, &index.to_string());
    template::set_label(&mut pod, INDEX, &index.to_string());
    if !job["spec"]["backoffLimitPerIndex"].is_null() {
        template::set_annotation(&mut pod, INDEX_FAILURES, &failures.to_string());
    }
    pod["spec"]["hostname"] = json!(format!("{}-{index}", meta::name(job)));
    let field = format!("metadata.labels['{INDEX}']");
    let variable = json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": field}}});
    for containers in ["containers", "initContainers"] {
        for container in pod["spec"][containers].as_array_mut().into_iter().flatten() {
            let mut variables = container["env"].as_array().cloned().unwrap_or_default();
            if !variables.iter().any(|known| known["name"] == variable["name"]) {
                variables.push(variable.clone());
                container["env"] = json!(variables);
            }
        }
        if pod["spec"][containers].is_null() {
            drop(pod["spec"].as_object_mut().map(|spec| spec.remove(containers)));
        }
    }
    template::create(pod, job, COMPONENT)
}

/// Active pods whose index is none, or is that of another active pod.
pub(super) fn needless<'a>(active: &[&'a Arc<Value>], completions: i64) -> Vec<&'a Arc<Value>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut by_age = active.to_vec();
    by_age.sort_by_key(|pod| (pod::node_name(pod).is_none(), meta::creation_timestamp(pod), meta::name(pod)));
    let superfluous =
        |pod: &&Arc<Value>| index::of(pod).is_none_or(|index| index >= completions || !seen.insert(index));
    by_age.into_iter().filter(superfluous).collect()
}
