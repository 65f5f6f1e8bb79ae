//! The virt-launcher pod of an instance.

use machinery::{
    meta,
    quantity::{Format, Quantity},
};
use serde_json::{Map, Value, json};

use super::{Configuration, INSTANCE, LAUNCHER_LABEL, Release};

/// The command of the container that runs the machine; node agents know it.
const COMMAND: &str = "/usr/bin/virt-launcher-monitor";

/// A new pod for an instance.
pub(super) fn pod(instance: &Value, configuration: &Configuration) -> Value {
    let release = configuration.release;
    let (name, uid) = (meta::name(instance), meta::uid(instance));
    let mut labels: Map<String, Value> =
        meta::labels(instance).map(|(key, value)| (key.to_owned(), json!(value))).collect();
    for (key, value) in [LAUNCHER_LABEL, ("kubevirt.io/created-by", uid), ("vm.kubevirt.io/name", hostname(instance))] {
        labels.insert(key.to_owned(), json!(value));
    }
    if release.has_image_volumes() {
        labels.insert("vmi.kubevirt.io/id".to_owned(), json!(label_of(name)));
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
    if let Some(architecture) = spec["architecture"].as_str() {
        selector.insert("kubernetes.io/arch".to_owned(), json!(architecture));
    }
    let Disks { init, sidecars, volumes } = disks(spec, release);
    let containers: Vec<Value> = [compute(instance, configuration)].into_iter().chain(sidecars).collect();
    let console = (spec["domain"]["devices"]["logSerialConsole"] != false).then(|| console(release));
    let init: Vec<Value> = init.into_iter().chain(console).collect();
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
            "initContainers": init,
            "containers": containers,
            "volumes": volumes,
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

/// A name as a label has it: cut, where it is too long.
fn label_of(name: &str) -> &str {
    const LABEL_BYTES_MAX: usize = 63;
    name.get(..LABEL_BYTES_MAX).unwrap_or(name).trim_end_matches(['-', '.'])
}

fn image(name: &str, release: Release) -> String {
    format!("quay.io/kubevirt/{name}:{release}")
}

/// Shows the serial console; a sidecar since it restarts always.
fn console(release: Release) -> Value {
    json!({
        "name": "guest-console-log", "image": image("virt-launcher", release), "restartPolicy": "Always",
        "command": ["/usr/bin/virt-tail"], "args": ["--logfile", "/var/run/kubevirt-private/virt-serial0-log"],
        "resources": {"requests": {"cpu": "5m", "memory": "35M"}, "limits": {"cpu": "15m", "memory": "60M"}},
    })
}

/// What container disks bring into the pod.
#[derive(Default)]
struct Disks {
    init: Vec<Value>,
    sidecars: Vec<Value>,
    volumes: Vec<Value>,
}

/// Since 1.8 the disk is an image volume, and a container that ends at once tells its digest; before, a sidecar holds it.
fn disks(spec: &Value, release: Release) -> Disks {
    let mut disks = Disks::default();
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let (Some(name), Some(image)) = (volume["name"].as_str(), volume["containerDisk"]["image"].as_str()) else {
            continue;
        };
        let policy = &volume["containerDisk"]["imagePullPolicy"];
        let mut container = json!({
            "name": format!("volume{name}"), "image": image, "command": ["/usr/bin/container-disk"],
            "resources": {"requests": {"cpu": "1m", "memory": "1M"}, "limits": {"cpu": "10m", "memory": "40M"}},
        });
        let mut reference = json!({"reference": image});
        if policy.is_string() {
            container["imagePullPolicy"] = policy.clone();
            reference["pullPolicy"] = policy.clone();
        }
        if release.has_image_volumes() {
            container["args"] = json!(["--no-op"]);
            disks.init.push(container);
            disks.volumes.push(json!({"name": format!("volume{name}"), "image": reference}));
        } else {
            let path = format!("/var/run/kubevirt-ephemeral-disks/container-disk-data/disk_{name}");
            container["args"] = json!(["--copy-path", path]);
            disks.sidecars.push(container);
        }
    }
    disks
}

/// What QEMU needs of its node, from KubeVirt's device plugins.
pub(super) const NODE_RESOURCES: [&str; 3] =
    ["devices.kubevirt.io/kvm", "devices.kubevirt.io/tun", "devices.kubevirt.io/vhost-net"];

/// What the machine and its launcher ask for: what the user says, and for memory what goes beside the guest.
fn resources(spec: &Value) -> Value {
    let given = |list: &str| spec["domain"]["resources"][list].as_object().cloned().unwrap_or_default();
    let (mut requests, mut limits) = (given("requests"), given("limits"));
    let overhead = overhead(spec);
    let guest = requests.get("memory").or(limits.get("memory")).unwrap_or(&spec["domain"]["memory"]["guest"]);
    let guest = Quantity::from_json(guest).unwrap_or_else(|_| Quantity::new(0, Format::BinarySi));
    requests.insert("memory".to_owned(), json!(guest.add(&overhead).to_string()));
    if let Some(limit) = limits.get("memory").and_then(|limit| Quantity::from_json(limit).ok()) {
        limits.insert("memory".to_owned(), json!(limit.add(&overhead).to_string()));
    }
    requests.entry("cpu").or_insert(json!("100m"));
    for name in NODE_RESOURCES {
        requests.insert(name.to_owned(), json!("1"));
        limits.insert(name.to_owned(), json!("1"));
    }
    json!({"requests": requests, "limits": limits})
}

/// Memory besides the guest's: page tables, the launcher's processes, video memory, each vCPU, and what is pinned for devices that
/// are passed through (`CalculateMemoryOverhead`).
fn overhead(spec: &Value) -> Quantity {
    const MEBIBYTE: i64 = 1 << 20;
    let domain = &spec["domain"];
    let number = |member: &str| domain["cpu"][member].as_i64().filter(|number| *number > 0).unwrap_or(1);
    let processors = number("sockets").saturating_mul(number("cores")).saturating_mul(number("threads")).min(1024);
    let guest = Quantity::from_json(&domain["memory"]["guest"]).map_or(0, |guest| guest.value());
    let mut bytes = guest / 512 + (25 + 100 + 25 + 40 + 30 + 8 + 32) * MEBIBYTE + processors * 8 * MEBIBYTE;
    let lists = ["gpus", "hostDevices"]
        .iter()
        .any(|list| domain["devices"][*list].as_array().is_some_and(|all| !all.is_empty()));
    if lists {
        bytes += 1024 * MEBIBYTE;
    }
    Quantity::new(bytes, Format::BinarySi)
}

fn compute(instance: &Value, configuration: &Configuration) -> Value {
    let mut resources = resources(&instance["spec"]);
    let claims = claims(instance, configuration);
    if !claims.is_empty() {
        resources["claims"] = json!(claims);
    }
    json!({
        "name": "compute",
        "image": image("virt-launcher", configuration.release),
        "command": [COMMAND],
        "args": [
            "--name", meta::name(instance), "--uid", meta::uid(instance), "--namespace", meta::namespace(instance),
            "--hook-sidecars", "0", "--run-as-nonroot",
        ],
        // What virt-handler would send to the launcher; virt-launcher reads it where it runs alone.
        "env": [{"name": "STANDALONE_VMI", "value": standalone(instance, configuration.release)}],
        "resources": resources,
    })
}

/// The part of an instance that makes its domain.
fn standalone(instance: &Value, release: Release) -> String {
    let spec = &instance["spec"];
    json!({
        "apiVersion": INSTANCE.api_version(), "kind": INSTANCE.kind,
        "metadata": {
            "name": meta::name(instance), "namespace": meta::namespace(instance), "uid": meta::uid(instance),
            // How the launcher finds out about devices.
            "annotations": {"kubevirt.io/devices-from": devices_from(release)},
        },
        "spec": {"domain": spec["domain"], "resourceClaims": spec["resourceClaims"]},
    })
    .to_string()
}

/// Where a launcher of a release learns what was allocated: the directory of drivers' metadata, or the instance's status.
fn devices_from(release: Release) -> &'static str {
    if release.tells_devices_in_status() { "status" } else { release.metadata_directory() }
}

/// What the container uses of the claims: the requests that devices name. A machine of the first proposal has no devices
/// that name any; it may use all claims.
fn claims(instance: &Value, configuration: &Configuration) -> Vec<Value> {
    let spec = &instance["spec"];
    let mut used: Vec<Value> = Vec::new();
    for list in ["gpus", "hostDevices"].into_iter().filter(|list| configuration.admits(list)) {
        for device in spec["domain"]["devices"][list].as_array().into_iter().flatten() {
            if device["claimName"].is_string() {
                used.push(json!({"name": device["claimName"], "request": device["requestName"]}));
            }
        }
    }
    for network in spec["networks"].as_array().into_iter().flatten().filter(|_| configuration.networks) {
        let claim = &network["resourceClaim"];
        if claim["claimName"].is_string() {
            used.push(json!({"name": claim["claimName"], "request": claim["requestName"]}));
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
