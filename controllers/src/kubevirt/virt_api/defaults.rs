//! What KubeVirt's webhooks fill in.

use jiff::Timestamp;
use machinery::{meta, quantity::Quantity, time};
use serde_json::{Value, json};

use crate::kubevirt::{Configuration, with_finalizer};

/// The architecture of all nodes.
const ARCHITECTURE: &str = "amd64";
/// The machine type where none is given.
const MACHINE_TYPE: &str = "q35";
/// Sockets and memory that may be plugged in later, as a multiple of what is there.
const HOTPLUG_RATIO: i64 = 4;
/// Memory can be plugged into guests that have at least so much.
const MEMORY_HOTPLUG_MIN: i64 = 1 << 30;

/// A new machine with its defaults.
pub(super) fn machine(machine: &Value) -> Value {
    let mut object = machine.clone();
    let spec = &mut object["spec"]["template"]["spec"];
    if spec.is_object() {
        set(spec, "architecture", json!(ARCHITECTURE));
        machine_type(&mut spec["domain"]);
    }
    object
}

/// A new instance with its defaults, in phase Pending.
pub(super) fn instance(instance: &Value, configuration: &Configuration, now: Timestamp) -> Value {
    let mut object = with_finalizer(instance, configuration.release.instance_finalizer());
    let mut annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    for key in ["kubevirt.io/latest-observed-api-version", "kubevirt.io/storage-observed-api-version"] {
        annotations.insert(key.to_owned(), json!("v1"));
    }
    if configuration.release.has_image_volumes() {
        annotations.entry("kubevirt.io/pci-topology-version").or_insert(json!("v3"));
    }
    meta::set(&mut object, "annotations", annotations);
    let spec = &mut object["spec"];
    set(spec, "architecture", json!(ARCHITECTURE));
    domain(&mut spec["domain"]);
    networks(spec);
    volumes(spec);
    let now = time::format_seconds(now);
    let mut status = json!({
        "phase": "Pending",
        "phaseTransitionTimestamps": [{"phase": "Pending", "phaseTransitionTimestamp": now}],
        "runtimeUser": 107,
    });
    let cpu = &spec["domain"]["cpu"];
    let number = |member: &str| cpu[member].as_i64().unwrap_or(0);
    let topology = [("cores", number("cores")), ("sockets", number("sockets")), ("threads", number("threads"))];
    status["currentCPUTopology"] = topology
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), json!(count)))
        .collect();
    let revision = &instance["status"]["virtualMachineRevisionName"];
    if revision.is_string() {
        status["virtualMachineRevisionName"] = revision.clone();
    }
    let guest = &spec["domain"]["memory"]["guest"];
    if !guest.is_null() {
        status["memory"] = json!({"guestAtBoot": guest, "guestCurrent": guest, "guestRequested": guest});
    }
    object["status"] = status;
    object
}

/// Fills a member in that is absent or empty.
fn set(object: &mut Value, member: &str, value: Value) {
    if object[member].is_null() || object[member] == "" {
        object[member] = value;
    }
}

fn machine_type(domain: &mut Value) {
    if !domain.is_object() {
        *domain = json!({});
    }
    let machine = &mut domain["machine"];
    if !machine.is_object() {
        *machine = json!({});
    }
    set(machine, "type", json!(MACHINE_TYPE));
}

fn domain(domain: &mut Value) {
    machine_type(domain);
    for member in ["devices", "resources"] {
        set(domain, member, json!({}));
    }
    memory(domain);
    cpu(domain);
    let firmware = &mut domain["firmware"];
    if !firmware.is_object() {
        *firmware = json!({});
    }
    set(firmware, "uuid", json!(uuid::Uuid::new_v4().to_string()));
    let features = &mut domain["features"];
    if !features.is_object() {
        *features = json!({});
    }
    set(features, "acpi", json!({"enabled": true}));
    for device in domain["devices"]["disks"].as_array_mut().into_iter().flatten() {
        let kinds = ["disk", "lun", "cdrom"];
        if kinds.iter().all(|kind| device[*kind].is_null()) {
            device["disk"] = json!({});
        }
        for kind in kinds {
            if device[kind].is_object() {
                set(&mut device[kind], "bus", json!("sata"));
            }
        }
    }
}

fn memory(domain: &mut Value) {
    if domain["memory"]["guest"].is_null() {
        let given = ["requests", "limits"].into_iter().map(|list| domain["resources"][list]["memory"].clone());
        let given = given.chain([domain["memory"]["hugepages"]["pageSize"].clone()]).find(|amount| !amount.is_null());
        let Some(guest) = given else { return };
        if !domain["memory"].is_object() {
            domain["memory"] = json!({});
        }
        domain["memory"]["guest"] = guest;
    }
    let guest = Quantity::from_json(&domain["memory"]["guest"]).ok().and_then(|guest| guest.as_i64());
    if let Some(bytes) = guest.filter(|bytes| *bytes >= MEMORY_HOTPLUG_MIN && *bytes % (1 << 20) == 0) {
        let most = bytes.saturating_mul(HOTPLUG_RATIO) >> 20;
        let shown = if most % 1024 == 0 { format!("{}Gi", most / 1024) } else { format!("{most}Mi") };
        set(&mut domain["memory"], "maxGuest", json!(shown));
    }
}

fn cpu(domain: &mut Value) {
    let asked = ["limits", "requests"].into_iter().find_map(|list| {
        let amount = Quantity::from_json(&domain["resources"][list]["cpu"]).ok()?;
        Some(amount.value()).filter(|count| *count > 0)
    });
    let cpu = &mut domain["cpu"];
    if !cpu.is_object() {
        *cpu = json!({});
    }
    if ["sockets", "cores", "threads"].iter().all(|member| cpu[*member].as_i64().unwrap_or(0) == 0) {
        cpu["sockets"] = json!(asked.unwrap_or(1));
        cpu["cores"] = json!(1);
        cpu["threads"] = json!(1);
    }
    set(cpu, "model", json!("host-model"));
    let sockets = cpu["sockets"].as_i64().filter(|sockets| *sockets > 0).unwrap_or(1);
    set(cpu, "maxSockets", json!(sockets.saturating_mul(HOTPLUG_RATIO)));
}

/// An interface to the pod's network, unless there is any or none is wanted.
fn networks(spec: &mut Value) {
    let devices = &spec["domain"]["devices"];
    let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    if devices["autoattachPodInterface"] == false || some(&devices["interfaces"]) || some(&spec["networks"]) {
        return;
    }
    spec["domain"]["devices"]["interfaces"] = json!([{"name": "default", "masquerade": {}}]);
    spec["networks"] = json!([{"name": "default", "pod": {}}]);
}

fn volumes(spec: &mut Value) {
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        let Some(image) = volume["containerDisk"]["image"].as_str() else { continue };
        let always = image.ends_with(":latest") || !image.contains([':', '@']);
        let policy = json!(if always { "Always" } else { "IfNotPresent" });
        set(&mut volume["containerDisk"], "imagePullPolicy", policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_gets_what_the_webhook_gives() {
        let given = json!({
            "metadata": {"name": "vm"},
            "spec": {
                "domain": {
                    "resources": {"requests": {"memory": "128Mi"}}, "cpu": {"cores": 1},
                    "devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"}}, {"name": "e"}]},
                },
                "volumes": [
                    {"name": "d", "containerDisk": {"image": "quay.io/kubevirt/cirros-container-disk-demo"}},
                    {"name": "e", "emptyDisk": {"capacity": "1Gi"}},
                ],
            },
        });
        let object = instance(&given, &Configuration::of(None), Timestamp::UNIX_EPOCH);
        let domain = &object["spec"]["domain"];
        assert_eq!(domain["memory"], json!({"guest": "128Mi"}));
        assert_eq!(domain["cpu"], json!({"cores": 1, "model": "host-model", "maxSockets": 4}));
        assert_eq!(domain["machine"]["type"], "q35");
        assert_eq!(domain["devices"]["disks"][1]["disk"]["bus"], "sata");
        assert_eq!(object["spec"]["volumes"][0]["containerDisk"]["imagePullPolicy"], "Always");
        assert!(object["spec"]["volumes"][1].get("containerDisk").is_none());
        assert_eq!(object["spec"]["networks"], json!([{"name": "default", "pod": {}}]));
        assert_eq!(object["status"]["phase"], "Pending");
        assert_eq!(object["metadata"]["finalizers"], json!(["kubevirt.io/foregroundDeleteVirtualMachine"]));
        assert_eq!(object["metadata"]["annotations"]["kubevirt.io/pci-topology-version"], "v3");
    }

    #[test]
    fn large_guests_may_get_more_memory_later() {
        let given = json!({"spec": {"domain": {"memory": {"guest": "2Gi"}}}});
        let object = instance(&given, &Configuration::of(None), Timestamp::UNIX_EPOCH);
        assert_eq!(object["spec"]["domain"]["memory"], json!({"guest": "2Gi", "maxGuest": "8Gi"}));
        assert_eq!(object["spec"]["domain"]["cpu"]["sockets"], 1);
    }
}
