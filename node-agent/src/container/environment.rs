//! The environment of a container: its variables, files and devices, out of the pod and what its claims give.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Key, Kind, Writer};
use machinery::meta;
use serde_json::Value;

use super::Surroundings;
use crate::devices::{NodeDevices, PodClaim, cdi::Edits, devices_of};

/// `v1 ConfigMap` and `v1 Secret`.
const CONFIG_MAP: Kind = Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const SECRET: Kind = Kind { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/// `v1 Service`.
const SERVICE: Kind = Kind { group: "", version: "v1", kind: "Service", plural: "services", namespaced: true };
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Largest file that a mount shows.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Objects that variables are taken from: kind and name, and its data.
type Sources = BTreeMap<(&'static str, String), BTreeMap<String, String>>;

/// What a process in a container of a pod sees now.
pub(crate) async fn of(
    writer: &Writer,
    devices: &NodeDevices,
    pod: &Value,
    claims: &[PodClaim],
    container: &Value,
) -> Surroundings {
    let sources = sources(writer, pod, container).await;
    let edits = devices.edits(claims, container).unwrap_or_else(|error| {
        tracing::warn!(pod = meta::name(pod), error, "the devices of a container are incomplete");
        Edits::default()
    });
    let mut surroundings = Surroundings { hostname: hostname(pod), ..Surroundings::default() };
    surroundings.env.push(("PATH".to_owned(), PATH.to_owned()));
    surroundings.env.push(("HOSTNAME".to_owned(), surroundings.hostname.clone()));
    for (name, value) in sources.get(&(SERVICE.kind, "kubernetes".to_owned())).into_iter().flatten() {
        surroundings.set(name, value.clone());
    }
    add_own(&mut surroundings, pod, container, &sources);
    for (name, value) in edits.env.iter().filter_map(|entry| entry.split_once('=')) {
        surroundings.set(name, value.to_owned());
    }
    surroundings.set("HOME", "/root".to_owned());
    surroundings.devices = edits.device_nodes.iter().map(|node| node.path.clone()).collect();
    surroundings.devices.extend(["/dev/null", "/dev/zero", "/dev/urandom"].map(str::to_owned));
    surroundings.devices.sort();
    for mount in &edits.mounts {
        let small =
            std::fs::metadata(&mount.host_path).is_ok_and(|file| file.is_file() && file.len() <= FILE_BYTES_MAX);
        if let Some(text) = small.then(|| std::fs::read_to_string(&mount.host_path).ok()).flatten() {
            surroundings.files.insert(mount.container_path.clone(), text);
        }
    }
    let ip = pod["status"]["podIP"].as_str().unwrap_or("127.0.0.1");
    let hosts = format!("127.0.0.1\tlocalhost\n{ip}\t{}\n", surroundings.hostname);
    surroundings.files.insert("/etc/hostname".to_owned(), format!("{}\n", surroundings.hostname));
    surroundings.files.insert("/etc/hosts".to_owned(), hosts);
    let mut seen = BTreeSet::new();
    for (_, driver, device) in devices_of(claims, container) {
        if let Some((id, published)) = devices.published(driver, device)
            && seen.insert(id.clone())
        {
            surroundings.published.push((id, published));
        }
    }
    surroundings
}

fn hostname(pod: &Value) -> String {
    pod["spec"]["hostname"].as_str().filter(|name| !name.is_empty()).unwrap_or(meta::name(pod)).to_owned()
}

/// The variables that the container itself names, in the order of the kubelet: those of whole objects first.
fn add_own(surroundings: &mut Surroundings, pod: &Value, container: &Value, sources: &Sources) {
    for from in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = from["prefix"].as_str().unwrap_or_default();
        for (kind, member) in [(CONFIG_MAP.kind, "configMapRef"), (SECRET.kind, "secretRef")] {
            let name = from[member]["name"].as_str().unwrap_or_default().to_owned();
            for (key, value) in sources.get(&(kind, name)).into_iter().flatten() {
                surroundings.set(&format!("{prefix}{key}"), value.clone());
            }
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let Some(name) = variable["name"].as_str() else { continue };
        let from = &variable["valueFrom"];
        let keyed = |kind: &'static str, member: &str| {
            let name = from[member]["name"].as_str()?.to_owned();
            sources.get(&(kind, name))?.get(from[member]["key"].as_str()?).cloned()
        };
        let value = match variable["value"].as_str() {
            Some(value) => Some(expand(value, surroundings)),
            None if from.is_null() => Some(String::new()),
            None => field(pod, from["fieldRef"]["fieldPath"].as_str().unwrap_or_default())
                .or_else(|| keyed(CONFIG_MAP.kind, "configMapKeyRef"))
                .or_else(|| keyed(SECRET.kind, "secretKeyRef"))
                .or_else(|| resource(container, from["resourceFieldRef"]["resource"].as_str()?)),
        };
        if let Some(value) = value {
            surroundings.set(name, value);
        }
    }
}

/// `$(NAME)` becomes the value of the variable, `$$` a dollar sign; what is unknown stays.
pub(crate) fn expand(text: &str, surroundings: &Surroundings) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let name = behind.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        match (behind.starts_with('$'), name) {
            (true, _) => {
                expanded.push('$');
                rest = &behind[1..];
            }
            (false, Some((name, after))) => {
                match surroundings.variable(name) {
                    Some(value) => expanded.push_str(value),
                    None => expanded.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            (false, None) => {
                expanded.push('$');
                rest = behind;
            }
        }
    }
    expanded + rest
}

/// A field of the pod that the downward API gives.
fn field(pod: &Value, path: &str) -> Option<String> {
    let keyed = |member: &str, path: &str| {
        let key = path.strip_prefix(member)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(pod["metadata"][member][key].as_str().unwrap_or_default().to_owned())
    };
    match path {
        "metadata.name" => Some(meta::name(pod).to_owned()),
        "metadata.namespace" => Some(meta::namespace(pod).to_owned()),
        "metadata.uid" => Some(meta::uid(pod).to_owned()),
        "spec.nodeName" => Some(pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()),
        "spec.serviceAccountName" => Some(pod["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned()),
        "status.podIP" | "status.podIPs" => Some(pod["status"]["podIP"].as_str().unwrap_or_default().to_owned()),
        "status.hostIP" | "status.hostIPs" => Some(pod["status"]["hostIP"].as_str().unwrap_or_default().to_owned()),
        _ => {
            let path = path.strip_prefix("metadata.")?;
            keyed("labels", path).or_else(|| keyed("annotations", path))
        }
    }
}

/// A limit or request of the container, in whole units.
fn resource(container: &Value, path: &str) -> Option<String> {
    let (part, name) = path.split_once('.')?;
    let amount = machinery::quantity::Quantity::from_json(container["resources"].get(part)?.get(name)?).ok()?;
    Some(amount.value().to_string())
}

/// Reads the objects that the container's variables come from.
async fn sources(writer: &Writer, pod: &Value, container: &Value) -> Sources {
    let mut wanted: BTreeSet<(&'static str, String)> = BTreeSet::new();
    let from_all = container["envFrom"].as_array().into_iter().flatten();
    let from_each = container["env"].as_array().into_iter().flatten().map(|variable| &variable["valueFrom"]);
    for from in from_all.chain(from_each) {
        for (kind, member) in [
            (CONFIG_MAP.kind, "configMapRef"),
            (CONFIG_MAP.kind, "configMapKeyRef"),
            (SECRET.kind, "secretRef"),
            (SECRET.kind, "secretKeyRef"),
        ] {
            if let Some(name) = from[member]["name"].as_str() {
                wanted.insert((kind, name.to_owned()));
            }
        }
    }
    let mut sources = Sources::new();
    for (kind, name) in wanted {
        let of = if kind == SECRET.kind { SECRET } else { CONFIG_MAP };
        if let Ok(Some(object)) = writer.get(of, &Key::new(meta::namespace(pod), &name)).await {
            sources.insert((kind, name), data(&object));
        }
    }
    if pod["spec"]["enableServiceLinks"] != false
        && let Ok(Some(service)) = writer.get(SERVICE, &Key::new("default", "kubernetes")).await
    {
        sources.insert((SERVICE.kind, "kubernetes".to_owned()), service_variables(&service));
    }
    sources
}

fn data(object: &Value) -> BTreeMap<String, String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let secret = meta::kind(object) == SECRET.kind;
    let text = |value: &Value| {
        let text = value.as_str()?;
        if secret { String::from_utf8(STANDARD.decode(text).ok()?).ok() } else { Some(text.to_owned()) }
    };
    let all = object["data"].as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

/// The variables that tell every container where the API server is.
fn service_variables(service: &Value) -> BTreeMap<String, String> {
    let (Some(ip), Some(port)) = (service["spec"]["clusterIP"].as_str(), service["spec"]["ports"][0]["port"].as_u64())
    else {
        return BTreeMap::new();
    };
    let tcp = format!("KUBERNETES_PORT_{port}_TCP");
    [
        ("KUBERNETES_SERVICE_HOST".to_owned(), ip.to_owned()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), port.to_string()),
        ("KUBERNETES_PORT".to_owned(), format!("tcp://{ip}:{port}")),
        (tcp.clone(), format!("tcp://{ip}:{port}")),
        (format!("{tcp}_PROTO"), "tcp".to_owned()),
        (format!("{tcp}_PORT"), port.to_string()),
        (format!("{tcp}_ADDR"), ip.to_owned()),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_come_from_everywhere() {
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p", "uid": "u", "labels": {"app": "x"}},
            "spec": {"nodeName": "node"},
        });
        let container = json!({
            "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "c"}}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(NONE)-$$(A)"},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "resources": {"limits": {"memory": "1Ki"}},
        });
        let sources = Sources::from([((CONFIG_MAP.kind, "c".to_owned()), [("k".to_owned(), "v".to_owned())].into())]);
        let mut surroundings = Surroundings::default();
        add_own(&mut surroundings, &pod, &container, &sources);
        for (name, value) in [
            ("CM_k", Some("v")),
            ("B", Some("1-$(NONE)-$(A)")),
            ("NODE", Some("node")),
            ("APP", Some("x")),
            ("KEY", Some("v")),
            ("MEM", Some("1024")),
            ("GONE", None),
        ] {
            assert_eq!(surroundings.variable(name), value, "{name}");
        }
    }
}
