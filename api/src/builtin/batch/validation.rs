//! What is wrong with the kinds of `batch`.

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::schedule;
use crate::builtin::formats::{label_selector, not_negative, one_of, optional_one_of, selects};
use crate::builtin::pod::validate_template;
use crate::builtin::pointer::{has, integer, list, text};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

/// Longest name of a CronJob: those of its jobs have eleven characters more.
const CRON_JOB_NAME_MAX: usize = 52;

/// Job.
pub(super) fn job(job: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = job.get("spec").unwrap_or(&Value::Null);
    job_spec(&mut errors, &path, spec);
    let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        errors.push(Error::required(&path.child("selector"), ""));
        return errors;
    };
    label_selector(&mut errors, &path.child("selector"), selector);
    let none = Value::Null;
    let labels = spec.pointer("/template/metadata/labels").unwrap_or(&none);
    if !selects(selector, labels) {
        let path = path.child("template").child("metadata").child("labels");
        errors.push(Error::invalid(&path, labels, "`selector` does not match template `labels`"));
    }
    errors
}

fn job_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    for member in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ] {
        not_negative(errors, path, spec, member);
    }
    let modes = ["Indexed", "NonIndexed"];
    optional_one_of(errors, &path.child("completionMode"), text(spec, "/completionMode"), &modes);
    if text(spec, "/completionMode") == "Indexed" && !has(spec, "/completions") {
        let detail = "when completion mode is Indexed";
        errors.push(Error::required(&path.child("completions"), detail));
    }
    if text(spec, "/completionMode") != "Indexed" {
        for member in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(value) = spec.get(member).filter(|value| !value.is_null()) {
                let detail = "requires indexed completion mode";
                errors.push(Error::invalid(&path.child(member), value, detail));
            }
        }
    }
    failure_policy(errors, &path.child("podFailurePolicy"), spec);
    let replacement = text(spec, "/podReplacementPolicy");
    optional_one_of(errors, &path.child("podReplacementPolicy"), replacement, &["Failed", "TerminatingOrFailed"]);
    let path = path.child("template");
    let Some(template) = spec.get("template").filter(|template| !template.is_null()) else {
        return errors.push(Error::required(&path, ""));
    };
    validate_template(errors, &path, template);
    let path = path.child("spec").child("restartPolicy");
    match text(template, "/spec/restartPolicy") {
        "Always" => errors.push(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if has(spec, "/podFailurePolicy") => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(Error::invalid(&path, &"OnFailure".into(), detail));
        }
        _ => {}
    }
}

fn failure_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    const RULES_MAX: usize = 20;
    let rules = list(spec, "/podFailurePolicy/rules");
    if rules.len() > RULES_MAX {
        return errors.push(Error::too_many(&path.child("rules"), rules.len(), RULES_MAX));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(index);
        one_of(errors, &path.child("action"), text(rule, "/action"), &["Count", "FailIndex", "FailJob", "Ignore"]);
        let (codes, conditions) = (has(rule, "/onExitCodes"), !list(rule, "/onPodConditions").is_empty());
        if codes == conditions {
            let detail = if codes {
                "specifying both OnExitCodes and OnPodConditions is not supported"
            } else {
                "specifying one of OnExitCodes and OnPodConditions is required"
            };
            errors.push(Error::invalid(&path, rule, detail));
        }
        if codes {
            let path = path.child("onExitCodes");
            one_of(errors, &path.child("operator"), text(rule, "/onExitCodes/operator"), &["In", "NotIn"]);
            if list(rule, "/onExitCodes/values").is_empty() {
                let detail = "at least one value is required";
                errors.push(Error::invalid(&path.child("values"), &Value::Array(Vec::new()), detail));
            }
        }
    }
}

/// What of a job never changes.
pub(super) fn job_change(job: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let at = |job: &Value, member: &str| job.pointer(&format!("/spec/{member}")).cloned();
    let mut keeps = |member: &str| {
        immutable(&mut errors, &path.child(member), at(job, member).as_ref(), at(old, member).as_ref());
    };
    let elastic = text(job, "/spec/completionMode") == "Indexed"
        && integer(job, "/spec/completions") == integer(job, "/spec/parallelism");
    if !elastic {
        keeps("completions");
    }
    keeps("selector");
    for member in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        keeps(member);
    }
    let mut template = at(job, "template").unwrap_or_default();
    let old_template = at(old, "template").unwrap_or_default();
    if was_suspended(old) {
        free_scheduling(&mut template, &old_template);
    }
    if !same(Some(&template), Some(&old_template)) {
        errors.push(Error::invalid(&path.child("template"), &template, "field is immutable"));
    }
    errors
}

fn was_suspended(job: &Value) -> bool {
    job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) && !has(job, "/status/startTime")
}

/// While a job waits to start, where its pods go may still be decided.
fn free_scheduling(template: &mut Value, old: &Value) {
    for (parent, members) in [
        ("/spec", ["nodeSelector", "affinity", "tolerations", "schedulingGates"].as_slice()),
        ("/metadata", ["labels", "annotations"].as_slice()),
    ] {
        let Some(target) = template.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        for member in members {
            match old.pointer(parent).and_then(|source| source.get(*member)) {
                Some(value) => drop(target.insert((*member).to_owned(), value.clone())),
                None => drop(target.remove(*member)),
            }
        }
    }
}

/// CronJob.
pub(super) fn cron_job(cron_job: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = cron_job.get("spec").unwrap_or(&Value::Null);
    let schedule = text(spec, "/schedule");
    if schedule.is_empty() {
        errors.push(Error::required(&path.child("schedule"), ""));
    } else if let Err(detail) = schedule::check(schedule) {
        errors.push(Error::invalid(&path.child("schedule"), &schedule.into(), &detail));
    }
    let zone = text(spec, "/timeZone");
    if has(spec, "/timeZone") && zone.is_empty() {
        let detail = "timeZone must be nil or non-empty string";
        errors.push(Error::invalid(&path.child("timeZone"), &zone.into(), detail));
    } else if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(Error::invalid(&path.child("timeZone"), &zone.into(), detail));
    }
    not_negative(&mut errors, &path, spec, "startingDeadlineSeconds");
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(&mut errors, &path.child("concurrencyPolicy"), text(spec, "/concurrencyPolicy"), &policies);
    not_negative(&mut errors, &path, spec, "successfulJobsHistoryLimit");
    not_negative(&mut errors, &path, spec, "failedJobsHistoryLimit");
    let job = spec.pointer("/jobTemplate/spec").unwrap_or(&Value::Null);
    job_spec(&mut errors, &path.child("jobTemplate").child("spec"), job);
    if job.get("manualSelector").and_then(Value::as_bool) == Some(true) {
        let path = path.child("jobTemplate").child("spec").child("manualSelector");
        errors.push(Error::not_supported(&path, &Value::Bool(true), &["nil", "false"]));
    }
    let name = meta::name(cron_job);
    if name.len() > CRON_JOB_NAME_MAX {
        let detail = format!("must be no more than {CRON_JOB_NAME_MAX} characters");
        errors.push(Error::invalid(&Path::new("metadata").child("name"), &name.into(), &detail));
    }
    errors
}
