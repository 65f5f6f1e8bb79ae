//! `VirtualMachine`: makes and ends instances as its strategy says.

use std::sync::Arc;

use cluster::Key;
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{INSTANCE, MACHINE, MACHINE_FINALIZER, condition, set_condition, with_finalizer, without_finalizer};
use crate::{
    action::{Action, Tell},
    cache::Cache,
    controller::Moment,
};

const COMPONENT: &str = "virtualmachine-controller";

/// What to write for a virtual machine.
pub(super) fn reconcile(machine: &Arc<Value>, cache: &Cache, moment: Moment<'_>) -> Vec<Action> {
    let instance = cache.get(INSTANCE, &Key::of(machine)).filter(|one| owns(machine, one));
    if meta::deletion_timestamp(machine).is_some() {
        return end(machine, instance);
    }
    if !meta::finalizers(machine).any(|one| one == MACHINE_FINALIZER) {
        let object = with_finalizer(machine, MACHINE_FINALIZER);
        return vec![Action::Replace { kind: MACHINE, object, subresource: "" }];
    }
    let strategy = strategy(machine);
    let mut actions = Vec::new();
    let runs = wants_to_run(machine, strategy, instance.map(|one| &**one));
    match (instance, runs) {
        (None, true) => actions.push(start(machine)),
        (Some(instance), false) if meta::deletion_timestamp(instance).is_none() => {
            actions.push(stop(machine, instance));
        }
        _ => {}
    }
    let status = status(machine, strategy, instance.map(|one| &**one), runs, &time::format_seconds(moment.now));
    if status != machine["status"] {
        let mut object = Value::clone(machine);
        object["status"] = status;
        actions.push(Action::status(MACHINE, object));
    }
    actions
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

/// `runStrategy`, or what `running` stands for.
fn strategy(machine: &Value) -> &str {
    match (machine["spec"]["runStrategy"].as_str(), machine["spec"]["running"].as_bool()) {
        (Some(strategy), _) => strategy,
        (None, Some(true)) => "Always",
        (None, _) => "Halted",
    }
}

/// Whether there is to be an instance. One that has ended is to go before another comes.
fn wants_to_run(machine: &Value, strategy: &str, instance: Option<&Value>) -> bool {
    let phase = instance.map(|one| one["status"]["phase"].as_str().unwrap_or_default());
    let requested = || {
        let requests = machine["status"]["stateChangeRequests"].as_array().into_iter().flatten();
        requests.last().and_then(|request| request["action"].as_str())
    };
    match (strategy, phase) {
        ("Always", Some("Succeeded" | "Failed")) | ("RerunOnFailure", Some("Failed")) => false,
        ("Always" | "RerunOnFailure", _) => true,
        ("Once", _) => true,
        ("Manual", Some(_)) => requested() != Some("Stop"),
        ("Manual", None) => requested() == Some("Start"),
        _ => false,
    }
}

fn start(machine: &Arc<Value>) -> Action {
    let template = &machine["spec"]["template"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("kubevirt.io/vm-generation".to_owned(), json!(meta::generation(machine).to_string()));
    let owner = json!({
        "apiVersion": MACHINE.api_version(), "kind": MACHINE.kind, "name": meta::name(machine), "uid": meta::uid(machine),
        "controller": true, "blockOwnerDeletion": true,
    });
    let object = json!({
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
    });
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

fn status(machine: &Value, strategy: &str, instance: Option<&Value>, runs: bool, now: &str) -> Value {
    let mut status = machine["status"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    let ready = instance.and_then(|one| condition(one, "Ready")).cloned();
    status["printableStatus"] = json!(printable(machine, instance, runs));
    status["runStrategy"] = json!(strategy);
    status["observedGeneration"] = json!(meta::generation(machine));
    status["desiredGeneration"] = json!(meta::generation(machine));
    let mut flag = |name: &str, holds: bool| match (holds, status.as_object_mut()) {
        (true, Some(members)) => drop(members.insert(name.to_owned(), json!(true))),
        (false, Some(members)) => drop(members.remove(name)),
        (_, None) => {}
    };
    flag("created", instance.is_some());
    flag("ready", ready.as_ref().is_some_and(|ready| ready["status"] == "True"));
    let ready = match (instance, ready) {
        (None, _) => {
            json!({"type": "Ready", "status": "False", "reason": "VMINotExists", "message": "VMI does not exist"})
        }
        (Some(_), Some(ready)) => {
            let mut copied = json!({"type": "Ready", "status": ready["status"]});
            for member in ["reason", "message"] {
                if !ready[member].is_null() {
                    copied[member] = ready[member].clone();
                }
            }
            copied
        }
        (Some(_), None) => {
            json!({"type": "Ready", "status": "False", "reason": "GuestNotRunning", "message": "Guest VM is not reported as running"})
        }
    };
    set_condition(&mut status, ready, now);
    for kind in ["PodScheduled", "LiveMigratable"] {
        super::remove_condition(&mut status, kind);
        if let Some(found) = instance.and_then(|one| condition(one, kind)) {
            set_condition(&mut status, found.clone(), now);
        }
    }
    status
}

/// The first word that applies.
fn printable(machine: &Value, instance: Option<&Value>, runs: bool) -> &'static str {
    let Some(instance) = instance else {
        return if meta::deletion_timestamp(machine).is_some() {
            "Terminating"
        } else if runs {
            "Starting"
        } else {
            "Stopped"
        };
    };
    let unschedulable = condition(instance, "PodScheduled")
        .is_some_and(|one| one["status"] == "False" && one["reason"] == "Unschedulable");
    match instance["status"]["phase"].as_str() {
        _ if meta::deletion_timestamp(machine).is_some() => "Terminating",
        _ if meta::deletion_timestamp(instance).is_some() || !runs => "Stopping",
        Some("Running") => "Running",
        _ if unschedulable => "ErrorUnschedulable",
        Some("Succeeded" | "Failed") => "Stopped",
        _ => "Starting",
    }
}
