//! The status of a machine: what its instance shows, in the machine's words.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{condition, is_final, machine, remove_condition, set_condition, strategy};

/// Conditions that a machine does not take over from its instance.
const OWN: [&str; 3] = ["Ready", "Failure", "RestartRequired"];

/// The status of a machine. `starts`: an instance is just being made; `changed`: the template is not any more the one that
/// the instance was made from, where that is known.
pub(super) fn of(
    machine: &Value,
    instance: Option<&Value>,
    starts: bool,
    changed: Option<bool>,
    now: Timestamp,
) -> Value {
    let mut status = machine["status"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    let text = time::format_seconds(now);
    status["runStrategy"] = json!(strategy(machine));
    status["observedGeneration"] = json!(observed(machine, instance));
    status["desiredGeneration"] = json!(meta::generation(machine));
    let ready = instance.and_then(|one| condition(one, "Ready"));
    keep(&mut status, "created", instance.is_some().then_some(Value::Bool(true)));
    keep(&mut status, "ready", ready.filter(|ready| ready["status"] == "True").map(|_| json!(true)));
    keep(&mut status, "stateChangeRequests", remaining(machine, instance));
    keep(&mut status, "startFailure", machine::start_failure(machine, instance, now));
    set_condition(&mut status, readiness(instance, ready), &text);
    take_over(&mut status, instance, &text);
    match changed {
        Some(true) => {
            let message = "a non-live-updatable field was changed in the template spec";
            set_condition(&mut status, json!({"type": "RestartRequired", "status": "True", "message": message}), &text);
        }
        Some(false) => remove_condition(&mut status, "RestartRequired"),
        None => {}
    }
    status["printableStatus"] = json!(printable(machine, &status, instance, starts));
    status
}

/// The generation that the instance was made from.
fn observed(machine: &Value, instance: Option<&Value>) -> i64 {
    let annotated = instance.and_then(|one| meta::annotation(one, "kubevirt.io/vm-generation")?.parse().ok());
    annotated.unwrap_or_else(|| meta::generation(machine))
}

fn keep(status: &mut Value, member: &str, value: Option<Value>) {
    let Some(members) = status.as_object_mut() else { return };
    match value {
        Some(value) => drop(members.insert(member.to_owned(), value)),
        None => drop(members.remove(member)),
    }
}

/// Requests without the first, when that has been done.
fn remaining(machine: &Value, instance: Option<&Value>) -> Option<Value> {
    let requests = machine["status"]["stateChangeRequests"].as_array()?;
    let done = requests.first().is_some_and(|first| match first["action"].as_str() {
        Some("Stop") => instance.is_none_or(|one| !machine::is_asked_to_stop(machine, one)),
        Some("Start") => instance.is_some_and(|one| meta::deletion_timestamp(one).is_none() && !is_final(one)),
        _ => true,
    });
    let rest = requests.get(usize::from(done)..).unwrap_or_default();
    (!rest.is_empty()).then(|| json!(rest))
}

fn readiness(instance: Option<&Value>, ready: Option<&Value>) -> Value {
    let no =
        |reason: &str, message: &str| json!({"type": "Ready", "status": "False", "reason": reason, "message": message});
    match (instance, ready) {
        (None, _) => no("VMINotExists", "VMI does not exist"),
        (Some(_), None) => no("VMIConditionMissing", "VMI is missing the Ready condition"),
        (Some(_), Some(ready)) => {
            let mut copied = json!({"type": "Ready", "status": ready["status"]});
            for member in ["reason", "message"] {
                if !ready[member].is_null() {
                    copied[member] = ready[member].clone();
                }
            }
            copied
        }
    }
}

/// Takes the conditions of the instance over.
fn take_over(status: &mut Value, instance: Option<&Value>, now: &str) {
    let Some(instance) = instance else { return };
    let kind = |one: &Value| one["type"].as_str().unwrap_or_default().to_owned();
    let list = |object: &Value| object["conditions"].as_array().cloned().unwrap_or_default();
    let theirs = list(&instance["status"]);
    for known in list(status).iter().map(kind).filter(|known| !OWN.contains(&known.as_str())) {
        if !theirs.iter().any(|one| one["type"] == known.as_str()) {
            remove_condition(status, &known);
        }
    }
    for one in theirs.into_iter().filter(|one| !OWN.contains(&kind(one).as_str())) {
        set_condition(status, one, now);
    }
}

/// The first word that applies: the order is KubeVirt's.
fn printable(machine: &Value, status: &Value, instance: Option<&Value>, starts: bool) -> &'static str {
    if meta::deletion_timestamp(machine).is_some() {
        return "Terminating";
    }
    let fails = status["startFailure"].is_object();
    let Some(instance) = instance else {
        return match (starts, fails) {
            (true, _) => "Starting",
            (_, true) => "CrashLoopBackOff",
            _ => "Stopped",
        };
    };
    let holds = |kind: &str, status: &str| condition(instance, kind).is_some_and(|one| one["status"] == status);
    let unschedulable = condition(instance, "PodScheduled")
        .is_some_and(|one| one["status"] == "False" && one["reason"] == "Unschedulable");
    match instance["status"]["phase"].as_str() {
        _ if !is_final(instance) && meta::deletion_timestamp(instance).is_some() => "Stopping",
        Some("Running") if holds("Paused", "True") => "Paused",
        Some("Running") => "Running",
        _ if unschedulable => "ErrorUnschedulable",
        None | Some("" | "Pending" | "Scheduling" | "Scheduled") => "Starting",
        Some("Succeeded" | "Failed") if fails => "CrashLoopBackOff",
        Some("Succeeded" | "Failed") => "Stopped",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(machine: Value, instance: Option<Value>, starts: bool) -> String {
        let status = of(&machine, instance.as_ref(), starts, None, Timestamp::UNIX_EPOCH);
        status["printableStatus"].as_str().unwrap_or_default().to_owned()
    }

    fn machine() -> Value {
        json!({"metadata": {"uid": "m"}, "spec": {"runStrategy": "Always"}, "status": {}})
    }

    fn instance(phase: &str, conditions: Value) -> Option<Value> {
        Some(json!({"metadata": {"uid": "i"}, "status": {"phase": phase, "conditions": conditions}}))
    }

    #[test]
    fn machines_show_one_word() {
        assert_eq!(shown(machine(), None, false), "Stopped");
        assert_eq!(shown(machine(), None, true), "Starting");
        assert_eq!(shown(machine(), instance("Scheduling", json!([])), false), "Starting");
        assert_eq!(shown(machine(), instance("Running", json!([])), false), "Running");
        assert_eq!(
            shown(machine(), instance("Running", json!([{"type": "Paused", "status": "True"}])), false),
            "Paused"
        );
        let unschedulable = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
        assert_eq!(shown(machine(), instance("Scheduling", unschedulable), false), "ErrorUnschedulable");
        assert_eq!(shown(machine(), instance("Failed", json!([])), false), "CrashLoopBackOff");
        let mut gone = machine();
        gone["metadata"]["deletionTimestamp"] = json!("x");
        assert_eq!(shown(gone, instance("Running", json!([])), false), "Terminating");
        let mut stopping = instance("Running", json!([])).expect("an instance");
        stopping["metadata"]["deletionTimestamp"] = json!("x");
        assert_eq!(shown(machine(), Some(stopping), false), "Stopping");
    }

    #[test]
    fn requests_go_when_they_are_done() {
        let asked = |requests: Value| {
            let mut machine = machine();
            machine["status"]["stateChangeRequests"] = requests;
            machine
        };
        let of = |machine: Value, instance: Option<Value>| remaining(&machine, instance.as_ref());
        let running = || instance("Running", json!([]));
        let both = json!([{"action": "Stop", "uid": "i"}, {"action": "Start"}]);
        assert_eq!(of(asked(both.clone()), running()), Some(both.clone()));
        assert_eq!(of(asked(both), None), Some(json!([{"action": "Start"}])));
        assert_eq!(of(asked(json!([{"action": "Start"}])), running()), None);
        assert_eq!(of(asked(json!([{"action": "Start"}])), None), Some(json!([{"action": "Start"}])));
    }

    #[test]
    fn conditions_are_taken_over() {
        let mut machine = machine();
        machine["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False"}]);
        let migratable =
            json!([{"type": "LiveMigratable", "status": "False", "reason": "HostDeviceNotLiveMigratable"}]);
        let status = of(&machine, instance("Running", migratable).as_ref(), false, Some(true), Timestamp::UNIX_EPOCH);
        let wrapped = json!({"status": status});
        assert!(condition(&wrapped, "PodScheduled").is_none());
        assert!(condition(&wrapped, "LiveMigratable").is_some());
        assert_eq!(condition(&wrapped, "RestartRequired").map(|one| one["status"].clone()), Some(json!("True")));
        assert_eq!(condition(&wrapped, "Ready").map(|one| one["reason"].clone()), Some(json!("VMIConditionMissing")));
    }
}
