//! `VirtualMachine`: makes and ends instances as its strategy says.

use std::sync::Arc;

use cluster::Key;
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{
    INSTANCE, MACHINE, MACHINE_FINALIZER, is_final, machine_status, revision, strategy, with_finalizer,
    without_finalizer,
};
use crate::{
    action::{Action, Tell},
    cache::Cache,
    controller::{Moment, Plan},
};

const COMPONENT: &str = "virtualmachine-controller";
/// Longest pause between two starts of a machine that never came to run: `defaultMaxCrashLoopBackoffDelaySeconds`.
const BACKOFF_MAX: i64 = 300;
/// Pause after the first failed start; it grows with the square of their number.
const BACKOFF: i64 = 10;

/// What is to become of the instance.
#[derive(Debug, PartialEq)]
enum Step {
    Nothing,
    Start,
    Stop,
    /// End a failed instance, and ask for a new one.
    Rerun,
    /// A halted machine that is asked to start is one that always runs from then on.
    RunAlways,
    /// Start, but not before.
    Later(Timestamp),
}

/// What to write for a virtual machine.
pub(super) fn reconcile(machine: &Arc<Value>, cache: &Cache, moment: Moment<'_>) -> Plan {
    let instance = cache.get(INSTANCE, &Key::of(machine)).filter(|one| owns(machine, one));
    if meta::deletion_timestamp(machine).is_some() {
        let status = machine_status::of(machine, instance.map(|one| &**one), false, None, moment.now);
        let mut actions = shown(machine, status);
        actions.extend(end(machine, instance));
        return actions.into();
    }
    if !meta::finalizers(machine).any(|one| one == MACHINE_FINALIZER) {
        let object = with_finalizer(machine, MACHINE_FINALIZER);
        return vec![Action::Replace { kind: MACHINE, object, subresource: "" }].into();
    }
    let mut plan = Plan::default();
    let step = step(machine, instance.map(|one| &**one), moment.now);
    match (&step, instance) {
        (Step::Start, _) => {
            plan.actions.extend(revision::keep(machine, cache));
            plan.actions.push(start(machine));
        }
        (Step::Stop | Step::Rerun, Some(instance)) => plan.actions.push(stop(machine, instance)),
        (Step::RunAlways, _) => {
            let mut object = Value::clone(machine);
            if object["spec"]["runStrategy"].is_string() {
                object["spec"]["runStrategy"] = json!("Always");
            } else {
                object["spec"]["running"] = json!(true);
            }
            return vec![Action::Replace { kind: MACHINE, object, subresource: "" }].into();
        }
        (Step::Later(at), _) => plan.again = Some(*at),
        _ => {}
    }
    let changed = instance.is_some_and(|instance| revision::differs(machine, instance, cache));
    let instance = instance.map(|one| &**one);
    let mut status = machine_status::of(machine, instance, step == Step::Start, Some(changed), moment.now);
    if step == Step::Rerun {
        status["stateChangeRequests"] = json!([{"action": "Start"}]);
    }
    plan.actions.extend(shown(machine, status));
    plan
}

/// The status, when it is news.
fn shown(machine: &Arc<Value>, status: Value) -> Vec<Action> {
    if status == machine["status"] {
        return Vec::new();
    }
    let mut object = Value::clone(machine);
    object["status"] = status;
    vec![Action::status(MACHINE, object)]
}

fn owns(machine: &Value, instance: &Value) -> bool {
    meta::controller(instance).is_some_and(|owner| owner["uid"] == meta::uid(machine))
}

fn end(machine: &Arc<Value>, instance: Option<&Arc<Value>>) -> Vec<Action> {
    match instance {
        Some(instance) if meta::deletion_timestamp(instance).is_none() => vec![stop(machine, instance)],
        Some(_) => Vec::new(),
        None if meta::finalizers(machine).any(|one| one == MACHINE_FINALIZER) => {
            let object = without_finalizer(machine, MACHINE_FINALIZER);
            vec![Action::Replace { kind: MACHINE, object, subresource: "" }]
        }
        None => Vec::new(),
    }
}

/// The request that is to be looked at first.
fn request(machine: &Value) -> &Value {
    &machine["status"]["stateChangeRequests"][0]
}

/// Whether a machine is asked to start.
pub(super) fn is_asked_to_start(machine: &Value) -> bool {
    request(machine)["action"] == "Start"
}

/// Whether it is asked to stop this instance.
pub(super) fn is_asked_to_stop(machine: &Value, instance: &Value) -> bool {
    request(machine)["action"] == "Stop" && request(machine)["uid"] == meta::uid(instance)
}

/// What the strategy of a machine asks for.
fn step(machine: &Value, instance: Option<&Value>, now: Timestamp) -> Step {
    let stays = instance.is_some_and(|one| meta::deletion_timestamp(one).is_some());
    let phase = instance.map(|one| one["status"]["phase"].as_str().unwrap_or_default());
    let stop = instance.is_some_and(|one| is_asked_to_stop(machine, one));
    let start = || match retry_after(machine).filter(|at| *at > now) {
        Some(at) => Step::Later(at),
        None => Step::Start,
    };
    if stays {
        return Step::Nothing;
    }
    match (strategy(machine), instance) {
        ("Always", Some(instance)) if stop || is_final(instance) => Step::Stop,
        ("Always", None) => start(),
        ("RerunOnFailure", Some(_)) if phase == Some("Failed") => Step::Rerun,
        ("RerunOnFailure", Some(_)) if stop || phase == Some("Succeeded") => Step::Stop,
        // A machine whose strategy is new is started once.
        ("RerunOnFailure", None)
            if is_asked_to_start(machine) || machine["status"]["runStrategy"] != "RerunOnFailure" =>
        {
            start()
        }
        ("Manual", Some(_)) if stop => Step::Stop,
        ("Manual", None) if is_asked_to_start(machine) => Step::Start,
        ("Halted", Some(_)) => Step::Stop,
        ("Halted", None) if is_asked_to_start(machine) => Step::RunAlways,
        ("Once", None) => Step::Start,
        _ => Step::Nothing,
    }
}

fn retry_after(machine: &Value) -> Option<Timestamp> {
    time::parse(machine["status"]["startFailure"]["retryAfterTimestamp"].as_str()?)
}

/// The record of an instance that failed before it ran, after those before it.
pub(super) fn start_failure(machine: &Value, instance: Option<&Value>, now: Timestamp) -> Option<Value> {
    let known = &machine["status"]["startFailure"];
    let restarts = matches!(strategy(machine), "Always" | "RerunOnFailure" | "Once");
    let ran = |instance: &Value| {
        let transitions = instance["status"]["phaseTransitionTimestamps"].as_array().into_iter().flatten();
        transitions.into_iter().any(|one| one["phase"] == "Running")
    };
    if !restarts || instance.is_some_and(ran) {
        return None;
    }
    let present = known.is_object().then(|| known.clone());
    let Some(failed) = instance.filter(|one| is_final(one)) else { return present };
    if known["lastFailedVMIUID"] == meta::uid(failed) {
        return present;
    }
    let count = known["consecutiveFailCount"].as_i64().unwrap_or(0) + 1;
    let pause = count.saturating_mul(count).saturating_mul(BACKOFF).min(BACKOFF_MAX);
    let retry = now.checked_add(SignedDuration::from_secs(pause)).unwrap_or(Timestamp::MAX);
    Some(json!({
        "consecutiveFailCount": count, "lastFailedVMIUID": meta::uid(failed),
        "retryAfterTimestamp": time::format_seconds(retry),
    }))
}

fn start(machine: &Arc<Value>) -> Action {
    let template = &machine["spec"]["template"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("kubevirt.io/vm-generation".to_owned(), json!(meta::generation(machine).to_string()));
    let owner = json!({
        "apiVersion": MACHINE.api_version(), "kind": MACHINE.kind, "name": meta::name(machine), "uid": meta::uid(machine),
        "controller": true, "blockOwnerDeletion": true,
    });
    let mut object = json!({
        "apiVersion": INSTANCE.api_version(),
        "kind": INSTANCE.kind,
        "metadata": {
            "namespace": meta::namespace(machine),
            "name": meta::name(machine),
            "labels": template["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            "annotations": annotations,
            "ownerReferences": [owner],
            "finalizers": [MACHINE_FINALIZER],
        },
        "spec": template["spec"],
        "status": {"virtualMachineRevisionName": revision::name(machine)},
    });
    if request(machine)["data"]["paused"] == "true" {
        object["spec"]["startStrategy"] = json!("Paused");
    }
    let tell = Tell {
        about: machine.clone(),
        component: COMPONENT,
        done: (
            "SuccessfulCreate",
            "Started the virtual machine by creating the new virtual machine instance {}".to_owned(),
        ),
        failed: ("FailedCreate", "Error creating virtual machine instance: {}".to_owned()),
    };
    Action::Create { kind: INSTANCE, object, tell: Some(tell) }
}

fn stop(machine: &Arc<Value>, instance: &Arc<Value>) -> Action {
    let uid = meta::uid(instance);
    let tell = Tell {
        about: machine.clone(),
        component: COMPONENT,
        done: (
            "SuccessfulDelete",
            format!("Stopped the virtual machine by deleting the virtual machine instance {uid}"),
        ),
        failed: ("FailedDelete", format!("Error deleting virtual machine instance {uid}: {{}}")),
    };
    Action::Delete { kind: INSTANCE, object: instance.clone(), grace: None, tell: Some(tell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(strategy: &str, status: Value) -> Value {
        json!({"metadata": {"uid": "m"}, "spec": {"runStrategy": strategy}, "status": status})
    }

    fn instance(phase: &str) -> Value {
        json!({"metadata": {"uid": "i"}, "status": {"phase": phase}})
    }

    #[test]
    fn strategies_decide() {
        let stop = || json!({"stateChangeRequests": [{"action": "Stop", "uid": "i"}, {"action": "Start"}]});
        let start = || json!({"stateChangeRequests": [{"action": "Start"}]});
        let known = |mut status: Value| {
            status["runStrategy"] = json!("RerunOnFailure");
            status
        };
        let cases: Vec<(&str, Value, Option<&str>, Step)> = vec![
            ("Always", json!({}), None, Step::Start),
            ("Always", json!({}), Some("Running"), Step::Nothing),
            ("Always", json!({}), Some("Succeeded"), Step::Stop),
            ("Always", stop(), Some("Running"), Step::Stop),
            (
                "Always",
                json!({"stateChangeRequests": [{"action": "Stop", "uid": "j"}]}),
                Some("Running"),
                Step::Nothing,
            ),
            ("RerunOnFailure", json!({}), None, Step::Start),
            ("RerunOnFailure", known(json!({})), None, Step::Nothing),
            ("RerunOnFailure", known(start()), None, Step::Start),
            ("RerunOnFailure", json!({}), Some("Failed"), Step::Rerun),
            ("RerunOnFailure", json!({}), Some("Succeeded"), Step::Stop),
            ("RerunOnFailure", stop(), Some("Running"), Step::Stop),
            ("Manual", json!({}), None, Step::Nothing),
            ("Manual", start(), None, Step::Start),
            ("Manual", stop(), Some("Running"), Step::Stop),
            ("Manual", json!({}), Some("Failed"), Step::Nothing),
            ("Halted", json!({}), Some("Running"), Step::Stop),
            ("Halted", start(), None, Step::RunAlways),
            ("Once", json!({}), None, Step::Start),
            ("Once", json!({}), Some("Succeeded"), Step::Nothing),
        ];
        for (strategy, status, phase, expected) in cases {
            let instance = phase.map(instance);
            let got = step(&machine(strategy, status.clone()), instance.as_ref(), Timestamp::UNIX_EPOCH);
            assert_eq!(got, expected, "{strategy} {status} {phase:?}");
        }
    }

    #[test]
    fn failed_starts_are_followed_by_pauses() {
        let always = machine("Always", json!({}));
        let failed = start_failure(&always, Some(&instance("Failed")), Timestamp::UNIX_EPOCH).expect("a failure");
        assert_eq!(failed["retryAfterTimestamp"], "1970-01-01T00:00:10Z");
        let waits = machine("Always", json!({"startFailure": failed}));
        assert!(matches!(step(&waits, None, Timestamp::UNIX_EPOCH), Step::Later(_)));
        let mut next = instance("Failed");
        next["metadata"]["uid"] = json!("j");
        let again = start_failure(&waits, Some(&next), Timestamp::UNIX_EPOCH).expect("a failure");
        assert_eq!(
            (&again["consecutiveFailCount"], &again["retryAfterTimestamp"]),
            (&json!(2), &json!("1970-01-01T00:00:40Z"))
        );
        let mut ran = instance("Failed");
        ran["status"]["phaseTransitionTimestamps"] = json!([{"phase": "Running"}]);
        assert_eq!(start_failure(&waits, Some(&ran), Timestamp::UNIX_EPOCH), None);
    }
}
