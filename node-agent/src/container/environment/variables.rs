//! The variables that a container itself names.

use machinery::{meta, quantity::Quantity};
use serde_json::Value;

use super::{Surroundings, sources::Sources};

/// Adds them, in the order of the kubelet: those of whole objects first, those that name services behind.
pub(super) fn add(surroundings: &mut Surroundings, pod: &Value, container: &Value, sources: &Sources) {
    for from in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = from["prefix"].as_str().unwrap_or_default();
        for member in ["configMapRef", "secretRef"] {
            for (key, value) in sources.of(from, member).into_iter().flatten() {
                surroundings.set(&format!("{prefix}{key}"), value.clone());
            }
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let Some(name) = variable["name"].as_str() else { continue };
        let from = &variable["valueFrom"];
        let keyed = |member: &str| sources.of(from, member)?.get(from[member]["key"].as_str()?).cloned();
        let value = match variable["value"].as_str() {
            Some(value) => Some(expand_with(value, |name| {
                surroundings.variable(name).or_else(|| sources.services.get(name).map(String::as_str))
            })),
            None if from.is_null() => Some(String::new()),
            None => field(pod, from["fieldRef"]["fieldPath"].as_str().unwrap_or_default())
                .or_else(|| keyed("configMapKeyRef"))
                .or_else(|| keyed("secretKeyRef"))
                .or_else(|| resource(pod, container, &from["resourceFieldRef"])),
        };
        if let Some(value) = value {
            surroundings.set(name, value);
        }
    }
    for (name, value) in &sources.services {
        if surroundings.variable(name).is_none() {
            surroundings.set(name, value.clone());
        }
    }
}

/// `$(NAME)` becomes the value of the variable, `$$` a dollar sign; what is unknown stays.
pub(crate) fn expand(text: &str, surroundings: &Surroundings) -> String {
    expand_with(text, |name| surroundings.variable(name))
}

fn expand_with<'a>(text: &str, find: impl Fn(&str) -> Option<&'a str>) -> String {
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
                match find(name) {
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
pub(super) fn field(pod: &Value, path: &str) -> Option<String> {
    let keyed = |member: &str, path: &str| {
        let key = path.strip_prefix(member)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(pod["metadata"][member][key].as_str().unwrap_or_default().to_owned())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ips = |list: &Value| {
        let all = list.as_array().into_iter().flatten().filter_map(|one| one["ip"].as_str());
        all.collect::<Vec<_>>().join(",")
    };
    match path {
        "metadata.name" => Some(meta::name(pod).to_owned()),
        "metadata.namespace" => Some(meta::namespace(pod).to_owned()),
        "metadata.uid" => Some(meta::uid(pod).to_owned()),
        "metadata.labels" => Some(map(&pod["metadata"]["labels"])),
        "metadata.annotations" => Some(map(&pod["metadata"]["annotations"])),
        "spec.nodeName" => Some(text(&pod["spec"]["nodeName"])),
        "spec.serviceAccountName" => Some(pod["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned()),
        "status.podIP" => Some(text(&pod["status"]["podIP"])),
        "status.podIPs" => Some(ips(&pod["status"]["podIPs"])),
        "status.hostIP" => Some(text(&pod["status"]["hostIP"])),
        "status.hostIPs" => Some(ips(&pod["status"]["hostIPs"])),
        _ => {
            let path = path.strip_prefix("metadata.")?;
            keyed("labels", path).or_else(|| keyed("annotations", path))
        }
    }
}

/// Labels or annotations, one a line, as files of the downward API have them.
fn map(entries: &Value) -> String {
    let line = |(key, value): (&String, &Value)| format!("{key}={:?}", value.as_str().unwrap_or_default());
    entries.as_object().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// A limit or request of a container, in units of the divisor, rounded up. A limit that is not there is what the node
/// has, which is as good as none.
pub(super) fn resource(pod: &Value, container: &Value, reference: &Value) -> Option<String> {
    let (part, name) = reference["resource"].as_str()?.split_once('.')?;
    let named = reference["containerName"].as_str().filter(|name| !name.is_empty());
    let container = match named {
        Some(name) => pod["spec"]["containers"].as_array()?.iter().find(|one| one["name"] == name)?,
        None => container,
    };
    let resources = &container["resources"];
    let amount = resources[part].get(name).or_else(|| resources["limits"].get(name).filter(|_| part == "requests"));
    let amount = match amount {
        Some(amount) => Quantity::from_json(amount).ok()?,
        None if part == "requests" => return Some("0".to_owned()),
        None => Quantity::from_json(&Value::from(if name == "cpu" { "32" } else { "128Gi" })).ok()?,
    };
    let divisor = reference.get("divisor").and_then(|divisor| Quantity::from_json(divisor).ok());
    let (amount, divisor) = (amount.milli_value(), divisor.map_or(1000, |divisor| divisor.milli_value()).max(1));
    let divisor = if divisor == 0 { 1000 } else { divisor };
    Some(amount.saturating_add(divisor - 1).div_euclid(divisor).to_string())
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
            "status": {"podIPs": [{"ip": "1.2.3.4"}, {"ip": "::1"}]},
        });
        let container = json!({
            "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "c"}}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(NONE)-$$(A)-$(X_SERVICE_HOST)"},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                {"name": "KI", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Ki"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
                {"name": "MILLI", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
                {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "resources": {"limits": {"memory": "1500"}, "requests": {"cpu": "1500m"}},
        });
        let mut sources = Sources::default();
        sources.data.insert(("ConfigMap", "c".to_owned()), [("k".to_owned(), "v".to_owned())].into());
        sources.services.insert("X_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned());
        let mut surroundings = Surroundings::default();
        add(&mut surroundings, &pod, &container, &sources);
        for (name, value) in [
            ("CM_k", Some("v")),
            ("B", Some("1-$(NONE)-$(A)-10.0.0.1")),
            ("NODE", Some("node")),
            ("APP", Some("x")),
            ("IPS", Some("1.2.3.4,::1")),
            ("KEY", Some("v")),
            ("MEM", Some("1500")),
            ("KI", Some("2")),
            ("CPU", Some("2")),
            ("MILLI", Some("1500")),
            ("GONE", None),
            ("X_SERVICE_HOST", Some("10.0.0.1")),
        ] {
            assert_eq!(surroundings.variable(name), value, "{name}");
        }
    }
}
