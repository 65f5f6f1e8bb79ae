//! The virt-launcher pod of an instance.

use machinery::meta;
use serde_json::{Map, Value, json};

use super::{INSTANCE, LAUNCHER_LABEL};

/// The command of the container that runs the machine; node agents know it.
const COMMAND: &str = "/usr/bin/virt-launcher-monitor";

/// A new pod for an instance.
pub(super) fn pod(instance: &Value) -> Value {
    let (name, uid) = (meta::name(instance), meta::uid(instance));
    let mut labels: Map<String, Value> =
        meta::labels(instance).map(|(key, value)| (key.to_owned(), json!(value))).collect();
    for (key, value) in [
        LAUNCHER_LABEL,
        ("kubevirt.io/created-by", uid),
        ("vm.kubevirt.io/name", hostname(instance)),
        ("vmi.kubevirt.io/id", name),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    let kept = |key: &str| !key.starts_with("kubectl.kubernetes.io/") && !key.ends_with("-observed-api-version");
    let mut annotations: Map<String, Value> = meta::annotations(instance)
        .filter(|(key, _)| kept(key))
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    for (key, value) in [
        ("kubevirt.io/domain", name),
        ("kubectl.kubernetes.io/default-container", "compute"),
        ("kubevirt.io/migrationTransportUnix", "true"),
        ("descheduler.alpha.kubernetes.io/request-evict-only", ""),
    ] {
        annotations.insert(key.to_owned(), json!(value));
    }
    let owner = json!({
        "apiVersion": INSTANCE.api_version(), "kind": INSTANCE.kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    });
    let spec = &instance["spec"];
    let mut selector = spec["nodeSelector"].as_object().cloned().unwrap_or_default();
    selector.insert("kubevirt.io/schedulable".to_owned(), json!("true"));
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("virt-launcher-{name}-"),
            "namespace": meta::namespace(instance),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": {
            "restartPolicy": "Never",
            "readinessGates": [{"conditionType": UNPAUSED}],
            "enableServiceLinks": false,
            "automountServiceAccountToken": false,
            "hostname": hostname(instance),
            "nodeSelector": selector,
            "terminationGracePeriodSeconds": spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30) + 15,
            "initContainers": [console()],
            "containers": [compute(instance)],
        },
    });
    for member in ["affinity", "tolerations", "schedulerName", "priorityClassName", "resourceClaims"] {
        if !spec[member].is_null() {
            pod["spec"][member] = spec[member].clone();
        }
    }
    pod
}

/// The readiness gate of launcher pods.
pub(super) const UNPAUSED: &str = "kubevirt.io/virtual-machine-unpaused";

fn hostname(instance: &Value) -> &str {
    instance["spec"]["hostname"].as_str().unwrap_or_else(|| meta::name(instance))
}

fn image(name: &str) -> String {
    format!("quay.io/kubevirt/{name}:{}", super::VERSION)
}

/// Shows the serial console; a sidecar since it restarts always.
fn console() -> Value {
    json!({
        "name": "guest-console-log", "image": image("virt-launcher"), "restartPolicy": "Always",
        "command": ["/usr/bin/virt-tail"], "args": ["--logfile", "/var/run/kubevirt-private/virt-serial0-log"],
        "resources": {"requests": {"cpu": "5m", "memory": "35M"}, "limits": {"cpu": "15m", "memory": "60M"}},
    })
}

fn compute(instance: &Value) -> Value {
    let spec = &instance["spec"];
    // What the machine and its launcher take besides the memory of the guest.
    let mut requests = spec["domain"]["resources"]["requests"].as_object().cloned().unwrap_or_default();
    requests.entry("cpu").or_insert(json!("100m"));
    requests.entry("memory").or_insert_with(|| {
        let guest = &spec["domain"]["memory"]["guest"];
        if guest.is_null() { json!("256Mi") } else { guest.clone() }
    });
    let mut resources = json!({"requests": requests});
    let claims = claims(instance);
    if !claims.is_empty() {
        resources["claims"] = json!(claims);
    }
    json!({
        "name": "compute",
        "image": image("virt-launcher"),
        "command": [COMMAND],
        "args": [
            "--name", meta::name(instance), "--uid", meta::uid(instance), "--namespace", meta::namespace(instance),
            "--hook-sidecars", "0", "--run-as-nonroot",
        ],
        // What virt-handler would send to the launcher; virt-launcher reads it where it runs alone.
        "env": [{"name": "STANDALONE_VMI", "value": standalone(instance)}],
        "resources": resources,
    })
}

/// The part of an instance that makes its domain.
fn standalone(instance: &Value) -> String {
    let spec = &instance["spec"];
    json!({
        "apiVersion": INSTANCE.api_version(), "kind": INSTANCE.kind,
        "metadata": {
            "name": meta::name(instance), "namespace": meta::namespace(instance), "uid": meta::uid(instance),
        },
        "spec": {"domain": spec["domain"], "resourceClaims": spec["resourceClaims"]},
    })
    .to_string()
}

/// What the container uses of the claims: the requests that devices name. A machine of the first proposal has no devices
/// that name any; it may use all claims.
fn claims(instance: &Value) -> Vec<Value> {
    let spec = &instance["spec"];
    let mut used: Vec<Value> = Vec::new();
    for list in ["gpus", "hostDevices"] {
        for device in spec["domain"]["devices"][list].as_array().into_iter().flatten() {
            if device["claimName"].is_string() {
                used.push(json!({"name": device["claimName"], "request": device["requestName"]}));
            }
        }
    }
    if used.is_empty() && names_no_device(spec) {
        let all = spec["resourceClaims"].as_array().into_iter().flatten();
        used.extend(all.map(|claim| json!({"name": claim["name"]})));
    }
    used
}

fn names_no_device(spec: &Value) -> bool {
    ["gpus", "hostDevices"].iter().all(|list| spec["domain"]["devices"][*list].is_null())
}
