//! What is wrong with the kinds of `batch`.

use machinery::field::{Error, Path};
use serde_json::{Map, Value};

use super::job_policy;
use crate::builtin::formats::{label_selector, not_negative, present_one_of, selects};
use crate::builtin::go_form::pod::shown_template;
use crate::builtin::pod::validate_template;
use crate::builtin::pointer::{condition_is_true, has, list, list_mut, text};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

/// Job.
pub(super) fn job(job: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = job.get("spec").unwrap_or(&Value::Null);
    job_spec(&mut errors, &path, spec);
    let selector = spec.get("selector").filter(|selector| !selector.is_null());
    let before = errors.len();
    match selector {
        None => errors.push(Error::required(&path.child("selector"), "")),
        Some(selector) => label_selector(&mut errors, &path.child("selector"), selector),
    }
    let readable = selector.is_none() || errors.len() == before;
    let none = Value::Null;
    let labels = spec.pointer("/template/metadata/labels").unwrap_or(&none);
    // No selector selects nothing.
    if readable && !selector.is_some_and(|selector| selects(selector, labels)) {
        let path = path.child("template").child("metadata").child("labels");
        errors.push(Error::invalid(&path, labels, "`selector` does not match template `labels`"));
    }
    errors
}

pub(super) fn job_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    for member in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(errors, path, spec, member);
    }
    if has(spec, "/maxFailedIndexes") && !has(spec, "/backoffLimitPerIndex") {
        errors.push(Error::required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    job_policy::managed_by(errors, &path.child("managedBy"), spec);
    completion_mode(errors, path, spec);
    job_policy::failure_policy(errors, &path.child("podFailurePolicy"), spec);
    job_policy::success_policy(errors, &path.child("successPolicy"), spec);
    job_policy::replacement_policy(errors, &path.child("podReplacementPolicy"), spec);
    let path = path.child("template");
    let Some(template) = spec.get("template").filter(|template| !template.is_null()) else {
        return errors.push(Error::required(&path, ""));
    };
    validate_template(errors, &path, template);
    let path = path.child("spec").child("restartPolicy");
    match text(template, "/spec/restartPolicy") {
        "Always" => errors.push(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        policy if !["OnFailure", "Never"].contains(&policy) => {
            errors.push(Error::not_supported(&path, &policy.into(), &["OnFailure", "Never"]));
        }
        "OnFailure" if has(spec, "/podFailurePolicy") => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(Error::invalid(&path, &"OnFailure".into(), detail));
        }
        _ => {}
    }
}

/// What the completion mode asks of other members.
fn completion_mode(errors: &mut Errors, path: &Path, spec: &Value) {
    const PARALLEL_MAX: i64 = 100_000;
    const FAILED_MAX: i64 = 100_000;
    /// Above so many completions fewer pods may run and fail.
    const MANY: i64 = 100_000;
    const OF_MANY_MAX: i64 = 10_000;
    let completions = spec.get("completions").and_then(Value::as_i64);
    let modes = ["NonIndexed", "Indexed"];
    present_one_of(errors, &path.child("completionMode"), spec.get("completionMode"), &modes);
    match text(spec, "/completionMode") {
        "Indexed" => {
            if completions.is_none() {
                errors.push(Error::required(&path.child("completions"), "when completion mode is Indexed"));
            }
            at_most(errors, path, spec, "parallelism", PARALLEL_MAX, " when completion mode is Indexed");
            let failed = spec.get("maxFailedIndexes").and_then(Value::as_i64);
            if let Some((failed, _)) = failed.zip(completions).filter(|(failed, all)| failed > all) {
                let detail = "must be less than or equal to completions";
                errors.push(Error::invalid(&path.child("maxFailedIndexes"), &failed.into(), detail));
            }
            at_most(errors, path, spec, "maxFailedIndexes", FAILED_MAX, "");
            if completions.is_some_and(|all| all > MANY) && has(spec, "/backoffLimitPerIndex") {
                if failed.is_none() {
                    let detail = format!("must be specified when completions is above {MANY}");
                    errors.push(Error::required(&path.child("maxFailedIndexes"), &detail));
                }
                let when = format!(" when completions are above {MANY} and used with backoff limit per index");
                at_most(errors, path, spec, "parallelism", OF_MANY_MAX, &when);
                at_most(errors, path, spec, "maxFailedIndexes", OF_MANY_MAX, &when);
            }
        }
        "NonIndexed" | "" if has(spec, "/completionMode") == (text(spec, "/completionMode") == "NonIndexed") => {
            for member in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                if let Some(value) = spec.get(member).filter(|value| !value.is_null()) {
                    let detail = "requires indexed completion mode";
                    errors.push(Error::invalid(&path.child(member), value, detail));
                }
            }
        }
        _ => {}
    }
}

fn at_most(errors: &mut Errors, path: &Path, spec: &Value, member: &str, most: i64, when: &str) {
    let value = spec.get(member).unwrap_or(&Value::Null);
    if value.as_i64().is_some_and(|value| value > most) {
        let detail = format!("must be less than or equal to {most}{when}");
        errors.push(Error::invalid(&path.child(member), value, &detail));
    }
}

/// What of a job never changes.
pub(super) fn job_change(job: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let at = |job: &Value, member: &str| job.pointer(&format!("/spec/{member}")).cloned();
    let keeps = |errors: &mut Errors, member: &str| {
        immutable(errors, &path.child(member), at(job, member).as_ref(), at(old, member).as_ref());
    };
    completions_change(&mut errors, &path.child("completions"), job, old);
    keeps(&mut errors, "selector");
    let template = at(job, "template").unwrap_or_default();
    let old_template = at(old, "template").unwrap_or_default();
    let mut bound = template.clone();
    if was_suspended(old) {
        free_waiting(&mut bound, &old_template);
    }
    if !same(Some(&bound), Some(&old_template)) {
        errors.push(Error::invalid_shown(&path.child("template"), &shown_template(&template), "field is immutable"));
    }
    for member in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        keeps(&mut errors, member);
    }
    errors
}

/// How many pods of a Job must succeed stays, unless each has an index and as many may run at once.
fn completions_change(errors: &mut Errors, path: &Path, job: &Value, old: &Value) {
    let at = |job: &Value, member: &str| job.pointer(&format!("/spec/{member}")).and_then(Value::as_i64);
    let (new, was) = (at(job, "completions"), at(old, "completions"));
    let shown = new.map_or(Value::Null, Value::from);
    if text(job, "/spec/completionMode") != "Indexed" {
        immutable(errors, path, Some(&shown), was.map(Value::from).as_ref());
    } else if new != was && new.is_some() && new != at(job, "parallelism") {
        errors.push(Error::invalid(path, &shown, "can only be modified in tandem with spec.parallelism"));
    }
}

/// Whether a job waits, and no pod of it runs: it never started, or the controller says that it was suspended (KEP-5440).
fn was_suspended(job: &Value) -> bool {
    let asked = job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
    let active = job.pointer("/status/active").and_then(Value::as_i64).unwrap_or_default();
    asked && active == 0 && (!has(job, "/status/startTime") || condition_is_true(job, "Suspended"))
}

/// While a job waits to start, where its pods go (KEP-2926) and what its containers ask for (KEP-5440) may still be decided: takes
/// that from the old template.
fn free_waiting(template: &mut Value, old: &Value) {
    for (parent, members) in [
        ("/spec", ["nodeSelector", "tolerations", "schedulingGates"].as_slice()),
        ("/metadata", ["labels", "annotations"].as_slice()),
    ] {
        if let Some(target) = template.pointer_mut(parent) {
            members.iter().for_each(|member| take(target, old.pointer(parent), member));
        }
    }
    // Of the affinity only what is about nodes; one that is about nothing else may come and go.
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        let affinity = spec.entry("affinity").or_insert_with(|| Value::Object(Map::new()));
        take(affinity, old.pointer("/spec/affinity"), "nodeAffinity");
    }
    for containers in ["/spec/containers", "/spec/initContainers"] {
        for (container, was) in list_mut(template, containers).zip(list(old, containers)) {
            take(container, Some(was), "resources");
        }
    }
}

/// Gives an object the member that another has, or has not.
fn take(target: &mut Value, source: Option<&Value>, member: &str) {
    let Some(target) = target.as_object_mut() else { return };
    match source.and_then(|source| source.get(member)) {
        Some(value) => drop(target.insert(member.to_owned(), value.clone())),
        None => drop(target.remove(member)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::format::said;

    fn job(suspend: bool, status: &Value, spec: &Value) -> Value {
        let mut pod = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]});
        for (member, value) in spec.as_object().into_iter().flatten() {
            pod[member] = value.clone();
        }
        json!({"spec": {"suspend": suspend, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}, "status": status})
    }

    /// What upstream's strategy tests of the two features ask, and its rules about affinity.
    #[test]
    fn a_job_that_waits_may_go_elsewhere_and_ask_for_more() {
        let more = json!({"containers": [{"name": "c", "image": "i", "resources": {"limits": {"gpu": "2"}, "claims": [{"name": "c"}]}}]});
        let other_image = json!({"containers": [{"name": "c", "image": "j"}]});
        let elsewhere = json!({"nodeSelector": {"zone": "z"}, "tolerations": [{"operator": "Exists"}]});
        let node = json!({"affinity": {"nodeAffinity": {"required": 1}}});
        let pods = json!({"affinity": {"podAffinity": {"required": 1}}});
        let both = json!({"affinity": {"podAffinity": {"required": 1}, "nodeAffinity": {"required": 2}}});
        let none = json!({});
        let started = json!({"startTime": "2026-01-01T00:00:00Z"});
        let suspended =
            json!({"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]});
        let stopping = json!({"active": 1, "conditions": [{"type": "Suspended", "status": "True"}]});
        for (suspend, status, old, new, allowed) in [
            (true, &none, &none, &more, true),
            (true, &none, &none, &elsewhere, true),
            (true, &none, &none, &other_image, false),
            (true, &none, &none, &node, true),
            (true, &none, &node, &none, true),
            (true, &none, &pods, &both, true),
            (true, &none, &none, &pods, false),
            (true, &none, &both, &node, false),
            (false, &none, &none, &more, false),
            (false, &none, &none, &elsewhere, false),
            (true, &started, &none, &more, false),
            (true, &started, &none, &elsewhere, false),
            (true, &suspended, &none, &more, true),
            (true, &suspended, &none, &elsewhere, true),
            (true, &stopping, &none, &more, false),
        ] {
            let errors = said(&job_change(&job(suspend, status, new), &job(suspend, status, old)));
            let named: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
            let expected: &[&str] = if allowed { &[] } else { &["spec.template"] };
            assert_eq!(named, expected, "{suspend} {status} {old} {new}");
        }
    }
}
