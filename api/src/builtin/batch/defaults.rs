//! What the kinds of `batch` read as where their author said nothing.

use machinery::meta;
use serde_json::{Map, Value, json};

use crate::builtin::pod::default_template;
use crate::builtin::pointer::{default_text, default_to, has, is_true, list_mut, object_mut};

/// The default of `backoffLimit` where each index has its own: no bound of the whole.
const UNBOUNDED: i32 = i32::MAX;

/// Job.
pub(super) fn job(job: &mut Value) {
    default_template(job, "/spec/template");
    if !has(job, "/spec/completions") && !has(job, "/spec/parallelism") {
        default_to(job, "/spec", "completions", 1);
    }
    default_to(job, "/spec", "parallelism", 1);
    let backoff_limit = if has(job, "/spec/backoffLimitPerIndex") { UNBOUNDED } else { 6 };
    default_to(job, "/spec", "backoffLimit", backoff_limit);
    default_to(job, "/spec", "completionMode", "NonIndexed");
    default_to(job, "/spec", "suspend", false);
    default_to(job, "/spec", "manualSelector", false);
    default_failure_policy(job, "/spec");
    let replacement = if has(job, "/spec/podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default_to(job, "/spec", "podReplacementPolicy", replacement);
    // Where a selector is made, labels are too: `select_own_pods` comes back to it.
    if has(job, "/spec/selector") || is_true(job, "/spec/manualSelector") {
        label_like_template(job);
    }
}

fn default_failure_policy(object: &mut Value, spec: &str) {
    for rule in list_mut(object, &format!("{spec}/podFailurePolicy/rules")) {
        list_mut(rule, "/onPodConditions").for_each(|pattern| default_text(pattern, "", "status", "True"));
    }
}

/// A job without labels has those of its pods.
fn label_like_template(job: &mut Value) {
    let labels = job.pointer("/spec/template/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    if !labels.is_empty() && meta::labels(job).next().is_none() {
        meta::set(job, "labels", labels);
    }
}

/// Gives a new job the selector and labels that tell its pods from those of every other job, made from its uid.
pub(super) fn select_own_pods(job: &mut Value) {
    if is_true(job, "/spec/manualSelector") {
        return;
    }
    let (uid, name) = (meta::uid(job).to_owned(), meta::name(job).to_owned());
    let labels = job.pointer_mut("/spec/template").and_then(meta::metadata_mut).and_then(|metadata| {
        let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
        if labels.is_null() {
            *labels = json!({});
        }
        labels.as_object_mut()
    });
    let Some(labels) = labels else { return };
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        labels.insert(label.to_owned(), value.clone().into());
    }
    default_to(job, "/spec", "selector", json!({}));
    default_to(job, "/spec/selector", "matchLabels", json!({}));
    if let Some(selected) = object_mut(job, "/spec/selector/matchLabels") {
        selected.insert("batch.kubernetes.io/controller-uid".to_owned(), uid.into());
    }
    label_like_template(job);
}

/// CronJob.
pub(super) fn cron_job(cron_job: &mut Value) {
    default_template(cron_job, "/spec/jobTemplate/spec/template");
    default_failure_policy(cron_job, "/spec/jobTemplate/spec");
    default_to(cron_job, "/spec", "concurrencyPolicy", "Allow");
    default_to(cron_job, "/spec", "suspend", false);
    default_to(cron_job, "/spec", "successfulJobsHistoryLimit", 3);
    default_to(cron_job, "/spec", "failedJobsHistoryLimit", 1);
}
