//! `VirtualMachineInstance`: its pod, its phases, its conditions.

use std::sync::Arc;

use cluster::{kind, write::PatchKind};
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{
    Action as Sync, INSTANCE, INSTANCE_FINALIZER, MACHINE_FINALIZER, condition, launcher, remove_condition,
    set_condition,
};
use crate::{
    action::{Action, Tell},
    cache::Cache,
    controller::Moment,
};

const COMPONENT: &str = "virtualmachine-controller";

/// What to write for an instance.
pub(super) fn reconcile(instance: &Arc<Value>, cache: &Cache, moment: Moment<'_>) -> Vec<Action> {
    let pods: Vec<&Arc<Value>> = cache.owned(kind::POD, meta::uid(instance)).collect();
    let now = time::format_seconds(moment.now);
    if meta::deletion_timestamp(instance).is_some() {
        return end(instance, &pods);
    }
    if instance["status"]["phase"].is_null() {
        return vec![Action::Replace { kind: INSTANCE, object: admitted(instance, &now), subresource: "" }];
    }
    let pod = pods.iter().find(|pod| meta::deletion_timestamp(pod).is_none()).copied();
    let phase = instance["status"]["phase"].as_str().unwrap_or_default();
    let mut actions = Vec::new();
    if pod.is_none() && phase == "Pending" {
        let tell = Tell {
            about: instance.clone(),
            component: COMPONENT,
            done: ("SuccessfulCreate", "Created virtual machine pod {}".to_owned()),
            failed: ("FailedCreate", "Error creating pod: {}".to_owned()),
        };
        actions.push(Action::Create { kind: kind::POD, object: launcher::pod(instance), tell: Some(tell) });
        return actions;
    }
    if let Some(pod) = pod {
        actions.extend(unpause(pod, &now));
    }
    let object = follow(instance, pod.map(|pod| &**pod), &now);
    if object["status"] != instance["status"] || object["metadata"] != instance["metadata"] {
        actions.push(Action::Replace { kind: INSTANCE, object, subresource: "" });
        return actions;
    }
    let synchronized = condition(instance, "Synchronized").is_some_and(|one| one["status"] == "False");
    if let (Some(pod), "Scheduled", false) = (pod, phase, synchronized) {
        actions.push(Action::KubeVirt(Sync::Synchronize { instance: instance.clone(), pod: pod.clone() }));
    }
    actions
}

/// The instance as the webhooks of KubeVirt leave it.
fn admitted(instance: &Value, now: &str) -> Value {
    let mut object = super::with_finalizer(instance, INSTANCE_FINALIZER);
    let mut annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    for key in ["kubevirt.io/latest-observed-api-version", "kubevirt.io/storage-observed-api-version"] {
        annotations.insert(key.to_owned(), json!("v1"));
    }
    annotations.insert("kubevirt.io/pci-topology-version".to_owned(), json!("v3"));
    meta::set(&mut object, "annotations", annotations);
    let spec = &mut object["spec"];
    default(spec, "architecture", json!("amd64"));
    let domain = &mut spec["domain"];
    if !domain["machine"]["type"].is_string() {
        domain["machine"] = json!({"type": "q35"});
    }
    let cpu = &mut domain["cpu"];
    if !cpu.is_object() {
        *cpu = json!({"sockets": 1, "cores": 1, "threads": 1});
    }
    default(cpu, "model", json!("host-model"));
    let sockets = cpu["sockets"].as_i64().filter(|sockets| *sockets > 0).unwrap_or(1);
    default(cpu, "maxSockets", json!(sockets * 4));
    let requested = domain["resources"]["requests"]["memory"].clone();
    if domain["memory"]["guest"].is_null() && !requested.is_null() {
        domain["memory"] = json!({"guest": requested});
    }
    object["status"] = json!({
        "phase": "Pending",
        "phaseTransitionTimestamps": [{"phase": "Pending", "phaseTransitionTimestamp": now}],
        "runtimeUser": 107,
    });
    object
}

fn default(object: &mut Value, member: &str, value: Value) {
    if object[member].is_null() {
        object[member] = value;
    }
}

/// Takes the pod away, then lets the instance go.
fn end(instance: &Arc<Value>, pods: &[&Arc<Value>]) -> Vec<Action> {
    if !pods.is_empty() {
        let live = pods.iter().filter(|pod| meta::deletion_timestamp(pod).is_none());
        let delete = |pod: &&Arc<Value>| {
            let tell = Tell {
                about: instance.clone(),
                component: COMPONENT,
                done: ("SuccessfulDelete", "Deleted virtual machine pod {}".to_owned()),
                failed: ("FailedDelete", "Error deleting pod: {}".to_owned()),
            };
            Action::Delete { kind: kind::POD, object: Arc::clone(pod), grace: None, tell: Some(tell) }
        };
        return live.map(delete).collect();
    }
    let own = [INSTANCE_FINALIZER, MACHINE_FINALIZER];
    if !meta::finalizers(instance).any(|one| own.contains(&one)) {
        return Vec::new();
    }
    let object = own.iter().fold(Value::clone(instance), |object, one| super::without_finalizer(&object, one));
    vec![Action::Replace { kind: INSTANCE, object, subresource: "" }]
}

/// The readiness gate of the pod: the machine is not paused.
fn unpause(pod: &Arc<Value>, now: &str) -> Option<Action> {
    let set = condition(pod, launcher::UNPAUSED).is_some();
    let gate = json!({
        "type": launcher::UNPAUSED, "status": "True", "reason": "NotPaused",
        "message": "the virtual machine is not paused", "lastTransitionTime": now,
    });
    (!set).then(|| Action::Patch {
        kind: kind::POD,
        object: pod.clone(),
        subresource: "status",
        how: PatchKind::Strategic,
        patch: json!({"status": {"conditions": [gate]}}),
    })
}

/// The instance as its pod makes it.
fn follow(instance: &Value, pod: Option<&Value>, now: &str) -> Value {
    let mut object = instance.clone();
    let before = object["status"]["phase"].as_str().unwrap_or_default().to_owned();
    let phase = next_phase(&before, pod);
    let status = &mut object["status"];
    if phase != before {
        status["phase"] = json!(phase);
        let mut transitions = status["phaseTransitionTimestamps"].as_array().cloned().unwrap_or_default();
        transitions.push(json!({"phase": phase, "phaseTransitionTimestamp": now}));
        status["phaseTransitionTimestamps"] = json!(transitions);
    }
    let unscheduled = pod.and_then(|pod| condition(pod, "PodScheduled")).filter(|one| one["status"] == "False");
    match unscheduled {
        Some(found) => {
            let copied = json!({
                "type": "PodScheduled", "status": "False", "reason": found["reason"], "message": found["message"],
            });
            set_condition(status, copied, now);
        }
        None => remove_condition(status, "PodScheduled"),
    }
    let ready = pod.and_then(|pod| condition(pod, "Ready")).is_some_and(|one| one["status"] == "True");
    let ready = match (pod, phase) {
        (None, _) => {
            json!({"type": "Ready", "status": "False", "reason": "PodNotExists", "message": "virt-launcher pod has not yet been scheduled"})
        }
        (Some(_), "Running") if ready => json!({"type": "Ready", "status": "True"}),
        _ => {
            json!({"type": "Ready", "status": "False", "reason": "GuestNotRunning", "message": "Guest VM is not reported as running"})
        }
    };
    set_condition(status, ready, now);
    if let Some(pod) = pod {
        status["activePods"] = json!({meta::uid(pod): pod["spec"]["nodeName"].as_str().unwrap_or_default()});
        if !pod["status"]["qosClass"].is_null() {
            status["qosClass"] = pod["status"]["qosClass"].clone();
        }
    }
    if let (Some(pod), "Scheduled" | "Running") = (pod, phase) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        status["nodeName"] = json!(node);
        let mut labels = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        labels.insert("kubevirt.io/nodeName".to_owned(), json!(node));
        meta::set(&mut object, "labels", labels);
    }
    object
}

/// The phase that follows, as far as the pod decides it. That a scheduled instance runs is for virt-handler to say.
fn next_phase<'a>(phase: &'a str, pod: Option<&Value>) -> &'a str {
    let of_pod = pod.and_then(|pod| pod["status"]["phase"].as_str());
    match (phase, of_pod) {
        ("Succeeded" | "Failed", _) => phase,
        (_, Some("Failed")) => "Failed",
        (_, Some("Succeeded")) => "Succeeded",
        ("Scheduling" | "Scheduled" | "Running", None) if pod.is_none() => "Failed",
        ("Pending", _) if pod.is_some() => "Scheduling",
        ("Scheduling", Some("Running")) if pod.is_some_and(compute_runs) => "Scheduled",
        _ => phase,
    }
}

fn compute_runs(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut compute = statuses.filter(|status| status["name"] == "compute");
    compute.any(|status| status["ready"] == true)
}
