//! `VirtualMachineInstance`: its pod, its phases, its conditions.

use std::sync::Arc;

use cluster::{kind, write::PatchKind};
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{
    Action as Sync, INSTANCE, INSTANCE_FINALIZER, INSTANCE_FINALIZER_BEFORE_1_8, MACHINE_FINALIZER, condition,
    device_status, launcher, remove_condition, set_condition,
};
use crate::{
    action::{Action, Tell},
    cache::Cache,
    controller::Moment,
    event::Remark,
};

const COMPONENT: &str = "virtualmachine-controller";

/// What to write for an instance.
pub(super) fn reconcile(instance: &Arc<Value>, cache: &Cache, moment: Moment<'_>) -> Vec<Action> {
    let configuration = super::configuration(cache);
    let pods: Vec<&Arc<Value>> = cache.owned(kind::POD, meta::uid(instance)).collect();
    let now = time::format_seconds(moment.now);
    if meta::deletion_timestamp(instance).is_some() {
        return end(instance, &pods);
    }
    let pod = pods.iter().find(|pod| meta::deletion_timestamp(pod).is_none()).or(pods.first()).copied();
    let phase = instance["status"]["phase"].as_str().unwrap_or_default();
    let mut actions = Vec::new();
    if pod.is_none() && matches!(phase, "" | "Pending") {
        let tell = Tell {
            about: instance.clone(),
            component: COMPONENT,
            done: ("SuccessfulCreate", "Created virtual machine pod {}".to_owned()),
            failed: ("FailedCreate", "Error creating pod: {}".to_owned()),
        };
        let object = launcher::pod(instance, &configuration);
        actions.push(Action::Create { kind: kind::POD, object, tell: Some(tell) });
        return actions;
    }
    if let Some(pod) = pod {
        actions.extend(pause(instance, pod, &now));
    }
    let mut object = follow(instance, pod.map(|pod| &**pod), &now);
    if let Some(pod) = pod
        && configuration.release.tells_devices_in_status()
        && phase != "Running"
    {
        match device_status::of(instance, pod, cache) {
            Ok(Some(status)) => object["status"]["deviceStatus"] = status,
            Ok(None) => {}
            Err(why) => {
                let remark = Remark::warning(device_status::COMPONENT, "VMIUpdateStatusFailedForDRADevices", why);
                actions.push(Action::Remark { about: instance.clone(), remark });
            }
        }
    }
    if object["status"] != instance["status"] || object["metadata"] != instance["metadata"] {
        let told = object["status"]["deviceStatus"] != instance["status"]["deviceStatus"];
        actions.push(Action::Replace { kind: INSTANCE, object, subresource: "" });
        if told {
            let message = "VMI status updated with device information";
            let remark = Remark::normal(device_status::COMPONENT, "VMIUpdatedForDRADevices", message);
            actions.push(Action::Remark { about: instance.clone(), remark });
        }
        return actions;
    }
    let synchronized = condition(instance, "Synchronized").is_some_and(|one| one["status"] == "False");
    if let (Some(pod), "Scheduled", false) = (pod, phase, synchronized) {
        actions.push(Action::KubeVirt(Sync::Synchronize { instance: instance.clone(), pod: pod.clone() }));
    }
    actions
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
    let own = [INSTANCE_FINALIZER, INSTANCE_FINALIZER_BEFORE_1_8, MACHINE_FINALIZER];
    if !meta::finalizers(instance).any(|one| own.contains(&one)) {
        return Vec::new();
    }
    let object = own.iter().fold(Value::clone(instance), |object, one| super::without_finalizer(&object, one));
    vec![Action::Replace { kind: INSTANCE, object, subresource: "" }]
}

/// The readiness gate of the pod: the machine is not paused.
fn pause(instance: &Value, pod: &Arc<Value>, now: &str) -> Option<Action> {
    let paused = condition(instance, "Paused").is_some_and(|one| one["status"] == "True");
    let known = condition(pod, launcher::UNPAUSED).and_then(|one| one["status"].as_str());
    let (status, reason, message) = match paused {
        true => ("False", "Paused", "the virtual machine is paused"),
        false => ("True", "NotPaused", "the virtual machine is not paused"),
    };
    if known == Some(status) || (paused && known != Some("True")) {
        return None;
    }
    let gate = json!({
        "type": launcher::UNPAUSED, "status": status, "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now,
    });
    Some(Action::Patch {
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
    set_condition(status, readiness(phase, pod), now);
    if let Some(pod) = pod {
        status["activePods"] = json!({meta::uid(pod): pod["spec"]["nodeName"].as_str().unwrap_or_default()});
        let version = pod["spec"]["containers"][0]["image"].as_str().and_then(|image| image.rsplit(':').next());
        if let Some(version) = version {
            status["launcherContainerImageVersion"] = json!(version);
        }
        if !pod["status"]["qosClass"].is_null() {
            status["qosClass"] = pod["status"]["qosClass"].clone();
        }
    }
    if let (Some(pod), "Scheduled" | "Running") = (pod, phase) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        status["nodeName"] = json!(node);
        status["migrationTransport"] = json!("Unix");
        let mut labels = object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        labels.insert("kubevirt.io/nodeName".to_owned(), json!(node));
        meta::set(&mut object, "labels", labels);
    }
    object
}

/// Whether the instance is of use, and why not, as its pod tells.
fn readiness(phase: &str, pod: Option<&Value>) -> Value {
    let no =
        |reason: &str, message: &str| json!({"type": "Ready", "status": "False", "reason": reason, "message": message});
    let Some(pod) = pod else { return no("PodNotExists", "virt-launcher pod has not yet been scheduled") };
    if meta::deletion_timestamp(pod).is_some() || crate::pod::is_terminal(pod) {
        return no("PodTerminating", "virt-launcher pod is terminating");
    }
    if phase != "Running" {
        return no("GuestNotRunning", "Guest VM is not reported as running");
    }
    let Some(ready) = condition(pod, "Ready") else {
        return no("PodConditionMissing", "virt-launcher pod is missing the Ready condition");
    };
    let mut copied = json!({"type": "Ready", "status": ready["status"]});
    for member in ["reason", "message"] {
        if !ready[member].is_null() {
            copied[member] = ready[member].clone();
        }
    }
    copied
}

/// The phase that follows, as far as the pod decides it. That a scheduled instance runs is for virt-handler to say.
fn next_phase<'a>(phase: &'a str, pod: Option<&Value>) -> &'a str {
    let of_pod = pod.and_then(|pod| pod["status"]["phase"].as_str());
    match (phase, of_pod) {
        ("Succeeded" | "Failed", _) => phase,
        (_, Some("Failed")) => "Failed",
        (_, Some("Succeeded")) => "Succeeded",
        ("Scheduling" | "Scheduled" | "Running", None) if pod.is_none() => "Failed",
        ("" | "Pending", _) if pod.is_some() => "Scheduling",
        ("Scheduling", _) if pod.is_some_and(|pod| meta::deletion_timestamp(pod).is_some()) => "Failed",
        ("Scheduling", Some("Running")) if pod.is_some_and(compute_runs) => "Scheduled",
        _ => phase,
    }
}

fn compute_runs(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut compute = statuses.filter(|status| status["name"] == "compute");
    compute.any(|status| status["ready"] == true)
}
