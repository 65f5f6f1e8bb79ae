//! The status of a pod, as its kubelet reports it.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Container, Pod, Role, Run, Stage, container::Last};
use crate::devices::{PodClaim, devices_of};

/// Health of a device that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceHealth {
    /// Name of the driver, pool and device.
    pub id: api::hub::DeviceId,
    /// `Healthy`, `Unhealthy` or `Unknown`.
    pub health: &'static str,
    /// Why; may be empty.
    pub message: String,
}

/// What is written into the status of a pod.
pub(super) fn of(pod: &Pod, now: Timestamp) -> Value {
    let phase = pod.phase();
    let mut status = Map::new();
    let mut put = |name: &str, value: Value| status.insert(name.to_owned(), value);
    put("phase", json!(phase));
    put("conditions", conditions(pod, phase, now));
    put("hostIP", json!(pod.place.host_ip));
    put("hostIPs", json!([{"ip": pod.place.host_ip}]));
    if pod.containers.iter().any(Container::has_run) {
        let ip = if pod.document["spec"]["hostNetwork"] == true { &pod.place.host_ip } else { &pod.place.pod_ip };
        put("podIP", json!(ip));
        put("podIPs", json!([{"ip": ip}]));
    }
    if let Some(generation) = observed_generation(pod) {
        put("observedGeneration", generation.clone());
    }
    if let Some(started) = pod.started {
        put("startTime", json!(time::format_seconds(started)));
    }
    let of =
        |roles: &[Role]| pod.containers.iter().filter(|one| roles.contains(&one.role)).collect::<Vec<&Container>>();
    let (main, init, ephemeral) = (of(&[Role::Main]), of(&[Role::Init, Role::Sidecar]), of(&[Role::Ephemeral]));
    let list = |containers: Vec<&Container>| containers.into_iter().map(|one| container(pod, one)).collect::<Vec<_>>();
    if !init.is_empty() {
        put("initContainerStatuses", json!(list(init)));
    }
    put("containerStatuses", json!(list(main)));
    if !ephemeral.is_empty() {
        put("ephemeralContainerStatuses", json!(list(ephemeral)));
    }
    Value::Object(status)
}

/// The generation of the pod that the status is of (KEP-5067, on by default since 1.34).
fn observed_generation(pod: &Pod) -> Option<&Value> {
    let generation = &pod.document["metadata"]["generation"];
    (pod.place.minor >= 34 && generation.is_number()).then_some(generation)
}

/// The conditions that kubelets keep. A condition that stays what it is keeps the time of its last change.
fn conditions(pod: &Pod, phase: &str, now: Timestamp) -> Value {
    let ended = matches!(phase, "Succeeded" | "Failed");
    let main = || pod.containers.iter().filter(|container| container.role == Role::Main);
    let first = || pod.containers.iter().filter(|one| matches!(one.role, Role::Init | Role::Sidecar));
    let init_done = first().all(Container::lets_main_start);
    // Sidecars are looked at as long as the pod runs.
    let counted = || main().chain(pod.containers.iter().filter(|one| one.role == Role::Sidecar));
    let all_ready = !ended && pod.stage == Stage::Running && counted().all(Container::is_ready);
    let unready: Vec<&str> = counted().filter(|one| !one.is_ready()).map(|one| one.name.as_str()).collect();
    let gates = pod.document["spec"]["readinessGates"].as_array().into_iter().flatten();
    let closed: Vec<&str> = gates
        .filter_map(|gate| gate["conditionType"].as_str())
        .filter(|wanted| !present(&pod.document["status"], wanted).is_some_and(|one| one["status"] == "True"))
        .collect();
    let not_ready = || match phase {
        "Succeeded" => ("PodCompleted", String::new()),
        "Failed" => ("PodFailed", String::new()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let incomplete = || {
        let names = first().filter(|one| !one.lets_main_start());
        let names: Vec<&str> = names.map(|one| one.name.as_str()).collect();
        ("ContainersNotInitialized", format!("containers with incomplete status: [{}]", names.join(" ")))
    };
    let running = pod.containers.iter().any(Container::is_running);
    let initialized = match (init_done, phase) {
        (true, "Succeeded") => Ok(Some("PodCompleted")),
        (true, _) => Ok(None),
        (false, _) => Err(incomplete()),
    };
    let containers_ready = if all_ready { Ok(None) } else { Err(not_ready()) };
    let ready = match (all_ready, closed.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(("ReadinessGatesNotReady", closed_gates(&closed))),
        (false, _) => Err(not_ready()),
    };
    let sandbox = if running { Ok(None) } else { Err(("", String::new())) };
    let list = [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", initialized),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
        ("PodScheduled", Ok(None)),
    ];
    list.into_iter().map(|(kind, state)| condition(pod, kind, state, now)).collect()
}

fn closed_gates(closed: &[&str]) -> String {
    let one = |kind: &&str| format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.");
    closed.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn present<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

type State = Result<Option<&'static str>, (&'static str, String)>;

fn condition(pod: &Pod, kind: &str, state: State, now: Timestamp) -> Value {
    let (status, reason, message) = match state {
        Ok(reason) => ("True", reason.unwrap_or_default(), String::new()),
        Err((reason, message)) => ("False", reason, message),
    };
    let before = present(&pod.reported, kind).filter(|one| one["status"] == status);
    let since = before.map(|one| one["lastTransitionTime"].clone()).unwrap_or_else(|| json!(time::format_seconds(now)));
    // Null removes what an earlier report said: the report is a strategic merge patch.
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let mut condition = json!({
        "type": kind,
        "status": status,
        "lastProbeTime": null,
        "lastTransitionTime": since,
        "reason": text(reason),
        "message": text(&message),
    });
    if let Some(generation) = observed_generation(pod) {
        condition["observedGeneration"] = generation.clone();
    }
    condition
}

fn container(pod: &Pod, container: &Container) -> Value {
    let image = container.spec["image"].as_str().unwrap_or_default();
    let id = |attempt: u32| container_id(pod, &container.name, attempt);
    let ended = |last: &Last, attempt: u32| {
        let mut state = json!({"terminated": {
            "exitCode": last.code,
            "reason": match last.code {
                0 => "Completed",
                _ if last.since == Timestamp::UNIX_EPOCH => "StartError",
                _ => "Error",
            },
            "startedAt": time::format_seconds(last.since),
            "finishedAt": time::format_seconds(last.at),
            "containerID": id(attempt),
        }});
        if !last.message.is_empty() {
            state["terminated"]["message"] = json!(last.message);
        }
        state
    };
    let running = container.is_running();
    // An init container is ready when it has done its work.
    let completed = container.role == Role::Init && matches!(container.run, Run::Ended { code: 0, .. });
    let mut status = json!({
        "name": container.name,
        "image": image,
        "imageID": "",
        "ready": container.is_ready() && matches!(container.role, Role::Main | Role::Sidecar) || completed,
        "started": running && container.probes.started,
        "restartCount": container.attempt,
        "lastState": {},
    });
    if container.has_run() {
        status["imageID"] = json!(image_id(image));
        status["containerID"] = json!(id(container.attempt));
    }
    status["state"] = match &container.run {
        Run::Waiting => json!({"waiting": {"reason": waiting_reason(pod, container)}}),
        Run::Running { since } => json!({"running": {"startedAt": time::format_seconds(*since)}}),
        Run::Ended { code, since, at, message } => {
            ended(&Last { code: *code, since: *since, at: *at, message: message.clone() }, container.attempt)
        }
        Run::BackOff { pause, .. } => json!({"waiting": {
            "reason": "CrashLoopBackOff",
            "message": format!(
                "back-off {} restarting failed container={} pod={}",
                pause_text(pause.as_secs()),
                container.name,
                pod.full_name()
            ),
        }}),
    };
    if let Some(last) = &container.last {
        let attempt = if matches!(container.run, Run::BackOff { .. }) {
            container.attempt
        } else {
            container.attempt.saturating_sub(1)
        };
        status["lastState"] = ended(last, attempt);
    }
    show_allocation(&mut status, &container.spec, pod.place.minor);
    let resources = allocated_resources(&pod.claims, &pod.health, &container.spec);
    if container.role == Role::Main && !resources.is_empty() {
        status["allocatedResourcesStatus"] = json!(resources);
    }
    status
}

/// What a container was given of what its spec asks for: volumes (KEP-3857, by default since 1.31) and resources
/// (KEP-1287, since 1.33).
fn show_allocation(status: &mut Value, spec: &Value, minor: u32) {
    let mounts: Vec<Value> = spec["volumeMounts"].as_array().into_iter().flatten().map(mounted).collect();
    if minor >= 31 && !mounts.is_empty() {
        status["volumeMounts"] = json!(mounts);
    }
    if minor < 33 {
        return;
    }
    let resources = &spec["resources"];
    status["resources"] = if resources.is_object() { resources.clone() } else { json!({}) };
    if resources["requests"].is_object() {
        status["allocatedResources"] = resources["requests"].clone();
    }
}

/// How a volume is mounted.
fn mounted(mount: &Value) -> Value {
    let mut status = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
    if mount["readOnly"] == true {
        status["readOnly"] = json!(true);
        // Unless it has to be so, what is mounted below stays writable.
        let recursive = mount["recursiveReadOnly"].as_str().filter(|mode| *mode == "Enabled");
        status["recursiveReadOnly"] = json!(recursive.unwrap_or("Disabled"));
    }
    status
}

/// Seconds as Go prints a duration.
fn pause_text(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// Why a container has not started: it waits for init containers, or for its pod.
fn waiting_reason(pod: &Pod, container: &Container) -> &'static str {
    let waits_for_init = pod.stage == Stage::Running
        || pod
            .containers
            .iter()
            .any(|one| matches!(one.role, Role::Init | Role::Sidecar) && one.name != container.name);
    if waits_for_init { "PodInitializing" } else { "ContainerCreating" }
}

/// `status.containerStatuses[].allocatedResourcesStatus` (KEP-4680): each device once, under its first CDI ID.
fn allocated_resources(claims: &[PodClaim], health: &[DeviceHealth], spec: &Value) -> Vec<Value> {
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    for (label, driver, device) in devices_of(claims, spec) {
        let name = format!("claim:{label}");
        let is = |one: &&DeviceHealth| {
            one.id.driver == driver && one.id.pool == device.pool_name && one.id.device == device.device_name
        };
        let known = health.iter().find(is);
        let own = || format!("{driver}/{}/{}", device.pool_name, device.device_name);
        let id = device.cdi_device_ids.first().cloned().unwrap_or_else(own);
        let mut resource = json!({"resourceID": id, "health": known.map_or("Unknown", |one| one.health)});
        if let Some(message) = known.map(|one| one.message.as_str()).filter(|message| !message.is_empty()) {
            resource["message"] = json!(message);
        }
        match found.iter_mut().find(|(present, _)| *present == name) {
            Some((_, resources)) if resources.iter().any(|one| one["resourceID"] == id.as_str()) => {}
            Some((_, resources)) => resources.push(resource),
            None => found.push((name, vec![resource])),
        }
    }
    found.into_iter().map(|(name, resources)| json!({"name": name, "resources": resources})).collect()
}

fn hex_digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn container_id(pod: &Pod, container: &str, attempt: u32) -> String {
    format!("containerd://{}", hex_digest(&[meta::uid(&pod.document), container, &attempt.to_string()]))
}

/// `repository@digest`; a name without a registry is of Docker Hub.
fn image_id(image: &str) -> String {
    let without_digest = image.split('@').next().unwrap_or_default();
    let tag = without_digest.rfind(':').filter(|colon| !without_digest[*colon..].contains('/'));
    let repository = &without_digest[..tag.unwrap_or(without_digest.len())];
    let first = repository.split('/').next().unwrap_or_default();
    let registry = repository.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let full = match (registry, repository.contains('/')) {
        (true, _) => repository.to_owned(),
        (false, true) => format!("docker.io/{repository}"),
        (false, false) => format!("docker.io/library/{repository}"),
    };
    format!("{full}@sha256:{}", hex_digest(&[image]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_completed() {
        let repository = |image: &str| image_id(image).split('@').next().map(str::to_owned).unwrap_or_default();
        for (image, full) in [
            ("ubuntu:22.04", "docker.io/library/ubuntu"),
            ("alpine/ollama:0.11.10", "docker.io/alpine/ollama"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause"),
            ("localhost:5000/x", "localhost:5000/x"),
            ("nginx@sha256:abc", "docker.io/library/nginx"),
            ("", "docker.io/library/"),
        ] {
            assert_eq!(repository(image), full);
        }
    }
}
