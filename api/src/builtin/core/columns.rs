//! The columns of the core group's kinds, Pod's apart.

use std::collections::{BTreeMap, BTreeSet};

use machinery::meta;
use serde_json::Value;

use crate::builtin::cells::{NONE, container_images, container_names, labels, load_balancer, or, plain};
use crate::builtin::column::{age, integer, name, text, wide};
use crate::builtin::pointer::{self, has, is_true, list, members, texts};
use crate::definition::Column;

/// ComponentStatus.
pub(super) fn component_status() -> Vec<Column> {
    vec![
        name(),
        text("Status", "Whether the component is healthy.", |object, _| {
            match healthy(object).map(|condition| pointer::text(condition, "/status")) {
                Some("True") => "Healthy".into(),
                Some("False") => "Unhealthy".into(),
                _ => "Unknown".into(),
            }
        }),
        text("Message", "What the component said.", |object, _| {
            healthy(object).map(|condition| pointer::text(condition, "/message")).unwrap_or_default().into()
        }),
        text("Error", "Why the component could not be asked.", |object, _| {
            healthy(object).map(|condition| pointer::text(condition, "/error")).unwrap_or_default().into()
        }),
    ]
}

fn healthy(object: &Value) -> Option<&Value> {
    list(object, "/conditions").iter().find(|condition| pointer::text(condition, "/type") == "Healthy")
}

/// ConfigMap.
pub(super) fn config_map() -> Vec<Column> {
    vec![
        name(),
        text("Data", "Number of entries.", |object, _| {
            (members(object, "/data").count() + members(object, "/binaryData").count()).into()
        }),
        age(),
    ]
}

/// Endpoints.
pub(super) fn endpoints() -> Vec<Column> {
    vec![name(), text("Endpoints", "Addresses and ports.", |object, _| addresses(object).into()), age()]
}

fn addresses(endpoints: &Value) -> String {
    const LISTED: usize = 3;
    let mut all = Vec::new();
    for subset in list(endpoints, "/subsets") {
        let ips = || list(subset, "/addresses").iter().map(|address| pointer::text(address, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let port = pointer::integer(port, "/port");
            all.extend(
                ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }),
            );
        }
    }
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    match more {
        0 => or(&all.join(","), NONE).to_owned(),
        more => format!("{} + {more} more...", all.join(",")),
    }
}

/// Namespace.
pub(super) fn namespace() -> Vec<Column> {
    vec![
        name(),
        text("Status", "Phase of the namespace.", |object, _| pointer::text(object, "/status/phase").into()),
        age(),
    ]
}

/// Node.
pub(super) fn node() -> Vec<Column> {
    vec![
        name(),
        text("Status", "Whether the node is ready, and takes pods.", |object, _| node_status(object).into()),
        text("Roles", "Roles of the node, from its labels.", |object, _| node_roles(object).into()),
        age(),
        text("Version", "Version of the kubelet.", |object, _| {
            pointer::text(object, "/status/nodeInfo/kubeletVersion").into()
        }),
        wide("Internal-IP", "First internal address of the node.", |object, _| address(object, "InternalIP").into()),
        wide("External-IP", "First external address of the node.", |object, _| address(object, "ExternalIP").into()),
        wide("OS-Image", "Operating system of the node.", |object, _| node_info(object, "osImage").into()),
        wide("Kernel-Version", "Kernel of the node, and its architecture.", |object, _| {
            let kernel = node_info(object, "kernelVersion");
            match pointer::text(object, "/status/nodeInfo/architecture") {
                "" => kernel.into(),
                architecture => format!("{kernel} ({architecture})").into(),
            }
        }),
        wide("Container-Runtime", "Container runtime of the node.", |object, _| {
            node_info(object, "containerRuntimeVersion").into()
        }),
    ]
}

fn node_status(node: &Value) -> String {
    let ready = match pointer::condition(node, "Ready").map(|condition| pointer::text(condition, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if is_true(node, "/spec/unschedulable") { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn node_roles(node: &Value) -> String {
    let roles: BTreeSet<_> = meta::labels(node)
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None => (key == "kubernetes.io/role").then_some(value),
        })
        .filter(|role| !role.is_empty())
        .collect();
    or(&roles.into_iter().collect::<Vec<_>>().join(","), NONE).to_owned()
}

fn address<'a>(node: &'a Value, type_: &str) -> &'a str {
    let found = list(node, "/status/addresses").iter().find(|address| pointer::text(address, "/type") == type_);
    found.map(|address| pointer::text(address, "/address")).unwrap_or(NONE)
}

fn node_info<'a>(node: &'a Value, member: &str) -> &'a str {
    or(pointer::text(node, &format!("/status/nodeInfo/{member}")), "<unknown>")
}

/// PersistentVolumeClaim.
pub(super) fn persistent_volume_claim() -> Vec<Column> {
    vec![
        name(),
        text("Status", "Phase of the claim.", |object, _| volume_phase(object).into()),
        text("Volume", "Volume that the claim is bound to.", |object, _| {
            pointer::text(object, "/spec/volumeName").into()
        }),
        text("Capacity", "Size of the bound volume.", |object, _| {
            if is_bound(object) { plain(object, "/status/capacity/storage", "0").into() } else { "".into() }
        }),
        text("Access Modes", "Access modes of the bound volume.", |object, _| {
            if is_bound(object) { access_modes(object, "/status/accessModes").into() } else { "".into() }
        }),
        text("StorageClass", "Storage class of the claim.", |object, _| storage_class(object).into()),
        attributes_class(),
        age(),
        volume_mode(),
    ]
}

/// PersistentVolume.
pub(super) fn persistent_volume() -> Vec<Column> {
    vec![
        name(),
        text("Capacity", "Size of the volume.", |object, _| plain(object, "/spec/capacity/storage", "0").into()),
        text("Access Modes", "Access modes of the volume.", |object, _| {
            access_modes(object, "/spec/accessModes").into()
        }),
        text("Reclaim Policy", "What becomes of the volume when its claim goes.", |object, _| {
            pointer::text(object, "/spec/persistentVolumeReclaimPolicy").into()
        }),
        text("Status", "Phase of the volume.", |object, _| volume_phase(object).into()),
        text("Claim", "Claim that the volume is bound to.", |object, _| {
            if !has(object, "/spec/claimRef") {
                return "".into();
            }
            let part = |member: &str| pointer::text(object, &format!("/spec/claimRef/{member}")).to_owned();
            format!("{}/{}", part("namespace"), part("name")).into()
        }),
        text("StorageClass", "Storage class of the volume.", |object, _| storage_class(object).into()),
        attributes_class(),
        text("Reason", "Why the volume is in its phase.", |object, _| pointer::text(object, "/status/reason").into()),
        age(),
        volume_mode(),
    ]
}

fn attributes_class() -> Column {
    text("VolumeAttributesClass", "Attributes class of the volume.", |object, _| {
        or(pointer::text(object, "/spec/volumeAttributesClassName"), "<unset>").into()
    })
}

fn volume_mode() -> Column {
    wide("VolumeMode", "Whether the volume is a file system or a block device.", |object, _| {
        or(pointer::text(object, "/spec/volumeMode"), "<unset>").into()
    })
}

fn volume_phase(object: &Value) -> &str {
    if meta::deletion_timestamp(object).is_some() { "Terminating" } else { pointer::text(object, "/status/phase") }
}

fn is_bound(claim: &Value) -> bool {
    !pointer::text(claim, "/spec/volumeName").is_empty()
}

fn storage_class(object: &Value) -> &str {
    meta::annotation(object, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| pointer::text(object, "/spec/storageClassName"))
}

fn access_modes(object: &Value, at: &str) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has_mode = |mode: &str| texts(object, at).any(|found| found == mode);
    SHORT.iter().filter(|(mode, _)| has_mode(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// PodTemplate.
pub(super) fn pod_template() -> Vec<Column> {
    vec![
        name(),
        text("Containers", "Names of the template's containers.", |object, _| {
            container_names(object, "/template/spec")
        }),
        text("Images", "Images of the template's containers.", |object, _| container_images(object, "/template/spec")),
        text("Pod Labels", "Labels of the template.", |object, _| labels(object, "/template/metadata/labels").into()),
    ]
}

/// ReplicationController.
pub(super) fn replication_controller() -> Vec<Column> {
    vec![
        name(),
        integer("Desired", "How many pods are wanted.", |object, _| pointer::integer(object, "/spec/replicas").into()),
        integer("Current", "How many pods exist.", |object, _| pointer::integer(object, "/status/replicas").into()),
        integer("Ready", "How many pods are ready.", |object, _| {
            pointer::integer(object, "/status/readyReplicas").into()
        }),
        age(),
        wide("Containers", "Names of the template's containers.", |object, _| {
            container_names(object, "/spec/template/spec")
        }),
        wide("Images", "Images of the template's containers.", |object, _| {
            container_images(object, "/spec/template/spec")
        }),
        wide("Selector", "Labels of the pods that count.", |object, _| labels(object, "/spec/selector").into()),
    ]
}

/// ResourceQuota.
pub(super) fn resource_quota() -> Vec<Column> {
    vec![
        name(),
        text("Request", "Use and bound of requests and counts.", |object, _| quota(object, false).into()),
        text("Limit", "Use and bound of limits.", |object, _| quota(object, true).into()),
        age(),
    ]
}

fn quota(object: &Value, limits: bool) -> String {
    let resources: BTreeMap<_, _> = members(object, "/status/hard").collect();
    resources
        .into_iter()
        .filter(|(resource, _)| resource.starts_with("limits") == limits)
        .map(|(resource, hard)| {
            let used = object.pointer("/status/used").and_then(|used| used.get(resource));
            format!("{resource}: {}/{}", used.map_or("0".to_owned(), |used| plain(used, "", "0")), plain(hard, "", "0"))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Secret.
pub(super) fn secret() -> Vec<Column> {
    vec![
        name(),
        text("Type", "Type of the secret.", |object, _| pointer::text(object, "/type").into()),
        text("Data", "Number of entries.", |object, _| members(object, "/data").count().into()),
        age(),
    ]
}

/// Service.
pub(super) fn service() -> Vec<Column> {
    vec![
        name(),
        text("Type", "How the service is exposed.", |object, _| pointer::text(object, "/spec/type").into()),
        text("Cluster-IP", "Address of the service inside the cluster.", |object, _| {
            let first = texts(object, "/spec/clusterIPs").next().unwrap_or_default();
            or(or(first, pointer::text(object, "/spec/clusterIP")), NONE).into()
        }),
        text("External-IP", "Addresses of the service outside the cluster.", |object, _| external_ip(object).into()),
        text("Port(s)", "Ports of the service.", |object, _| service_ports(object).into()),
        age(),
        wide("Selector", "Labels of the pods behind the service.", |object, _| labels(object, "/spec/selector").into()),
    ]
}

fn external_ip(service: &Value) -> String {
    let external = texts(service, "/spec/externalIPs").collect::<Vec<_>>().join(",");
    match pointer::text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or(&external, NONE).to_owned(),
        "LoadBalancer" => {
            let balancer = load_balancer(service);
            let both: Vec<_> = [balancer.as_str(), &external].into_iter().filter(|part| !part.is_empty()).collect();
            or(&both.join(","), "<pending>").to_owned()
        }
        "ExternalName" => pointer::text(service, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn service_ports(service: &Value) -> String {
    let ports: Vec<_> = list(service, "/spec/ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (pointer::integer(port, "/port"), pointer::text(port, "/protocol"));
            match pointer::integer(port, "/nodePort") {
                0 => format!("{number}/{protocol}"),
                node_port => format!("{number}:{node_port}/{protocol}"),
            }
        })
        .collect();
    or(&ports.join(","), NONE).to_owned()
}
