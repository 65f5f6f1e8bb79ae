//! The Node object of a machine, and the Lease that says it is alive.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use crate::inventory::Machine;

/// The version of kubelets that nobody names one for, beside a server that does not say which release it is.
const VERSION: &str = "v1.36.0";
/// Namespace of the leases.
pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";
/// How long a lease holds.
const LEASE_SECONDS: u32 = 40;

/// Where the kubelet of a node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `status.addresses`, type InternalIP.
    pub ip: String,
    /// `status.daemonEndpoints.kubeletEndpoint.Port`.
    pub port: u16,
}

/// The address range of a node's pods: the 10.0.0.0/8 network has 65536 of these.
pub(crate) fn pod_cidr(index: usize) -> String {
    let [a, b] = subnet(index);
    format!("10.{a}.{b}.0/24")
}

/// The address of the pod number `number` of a node. After the last one it begins anew.
pub(crate) fn pod_ip(index: usize, number: usize) -> String {
    let [a, b] = subnet(index);
    format!("10.{a}.{b}.{}", number % 253 + 2)
}

/// Machines begin at 10.244.0.0, as clusters are used to.
fn subnet(index: usize) -> [usize; 2] {
    let number = (244 * 256 + index) % 65_536;
    [number / 256, number % 256]
}

/// The version of a kubelet of a release of Kubernetes 1.
pub(crate) fn version_of(minor: u32) -> String {
    if minor == 0 { VERSION.to_owned() } else { format!("v1.{minor}.0") }
}

/// The release of Kubernetes 1 that a kubelet is of.
pub(crate) fn minor_of(machine: &Machine) -> u32 {
    let version = machine.version.as_deref().unwrap_or(VERSION);
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// The Node as the kubelet registers it.
pub(crate) fn document(machine: &Machine) -> Value {
    let mut labels = Map::new();
    for (key, value) in [
        ("kubernetes.io/hostname", machine.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    labels.extend(machine.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    let mut spec = json!({"podCIDR": pod_cidr(machine.index), "podCIDRs": [pod_cidr(machine.index)]});
    if !machine.taints.is_empty() {
        spec["taints"] = json!(machine.taints);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": machine.name, "labels": labels, "annotations": machine.annotations},
        "spec": spec,
    })
}

/// The status of a node that is well, or does not answer any more. Conditions that stay what they are in `before` keep
/// the time of their last change.
pub(crate) fn status(machine: &Machine, endpoint: &Endpoint, lost: bool, before: &Value, now: Timestamp) -> Value {
    let mut capacity = Map::new();
    for (name, amount) in [("cpu", "32"), ("memory", "128Gi"), ("ephemeral-storage", "512Gi"), ("pods", "110")] {
        capacity.insert(name.to_owned(), json!(amount));
    }
    capacity.extend(machine.capacity.iter().map(|(name, amount)| (name.clone(), amount.clone())));
    json!({
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": conditions(lost, before, now),
        "addresses": [
            {"type": "InternalIP", "address": endpoint.ip},
            {"type": "Hostname", "address": machine.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": endpoint.port}},
        "nodeInfo": {
            "machineID": identifier(&machine.name, "machine"),
            "systemUUID": identifier(&machine.name, "system"),
            "bootID": identifier(&machine.name, "boot"),
            "kernelVersion": "6.8.0",
            "osImage": "Emulated Linux",
            "containerRuntimeVersion": "containerd://2.1.0",
            "kubeletVersion": machine.version.as_deref().unwrap_or(VERSION),
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    })
}

fn identifier(name: &str, of: &str) -> String {
    api::generate::uuids(&format!("{of}/{name}"))()
}

fn conditions(lost: bool, before: &Value, now: Timestamp) -> Value {
    let list = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let unknown = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
    let one = |(kind, status, reason, message): (&str, &str, &str, &str)| {
        // What the node lifecycle controller writes about a node that is silent.
        let (status, reason, message) = if lost { unknown } else { (status, reason, message) };
        let present = before["status"]["conditions"].as_array().into_iter().flatten();
        let same = present.into_iter().find(|one| one["type"] == kind && one["status"] == status);
        let since = same.map(|one| one["lastTransitionTime"].clone()).filter(Value::is_string);
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": time::format_seconds(now),
            "lastTransitionTime": since.unwrap_or_else(|| json!(time::format_seconds(now))),
        })
    };
    list.into_iter().map(one).collect()
}

/// The lease of a node, renewed now.
pub(crate) fn lease(node: &Value, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": meta::name(node),
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": meta::name(node), "uid": meta::uid(node)},
            ],
        },
        "spec": {
            "holderIdentity": meta::name(node),
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": time::format_micros(now),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_in_their_network() {
        assert_eq!(pod_cidr(0), "10.244.0.0/24");
        assert_eq!(pod_cidr(300), "10.245.44.0/24");
        assert_eq!(pod_ip(0, 0), "10.244.0.2");
        assert_eq!(pod_ip(0, 252), "10.244.0.254");
        assert_eq!(pod_ip(usize::MAX / 2, 253), pod_ip(usize::MAX / 2, 0));
    }

    #[test]
    fn a_kubelet_is_of_the_release_of_its_server() {
        let machine = |version: &str| Machine { version: Some(version.to_owned()), ..Machine::default() };
        assert_eq!([version_of(32), version_of(0)], ["v1.32.0", VERSION]);
        assert_eq!(
            [minor_of(&machine("v1.32.0")), minor_of(&machine("v1.30.4-gke.1")), minor_of(&machine("x"))],
            [32, 30, 0]
        );
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let machine = Machine { name: "n".to_owned(), ..Machine::default() };
        let time = |text: &str| time::parse(text).expect("a time");
        let (early, late) = (time("2026-01-01T00:00:00Z"), time("2026-01-01T01:00:00Z"));
        let first = json!({"status": status(&machine, &Endpoint::default(), false, &Value::Null, early)});
        let ready = |status: &Value| status["conditions"][3].clone();
        let second = status(&machine, &Endpoint::default(), false, &first, late);
        assert_eq!(ready(&second)["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(ready(&second)["lastHeartbeatTime"], "2026-01-01T01:00:00Z");
        let third = status(&machine, &Endpoint::default(), true, &first, late);
        assert_eq!(ready(&third)["status"], "Unknown");
        assert_eq!(ready(&third)["lastTransitionTime"], "2026-01-01T01:00:00Z");
    }
}
