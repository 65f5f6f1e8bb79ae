//! Plugins of jobs: what `env`, `svc` and `ssh` add to pods and beside them.

use machinery::meta;
use serde_json::{Value, json};

use super::{CONFIG_MAP, NETWORK_POLICY, SECRET, SERVICE, job_reference};
use crate::{action::Action, cache::Cache};

/// Whether a job has a plugin. The frameworks bring `svc` along, and MPI `ssh`.
fn has(job: &Value, plugin: &str) -> bool {
    let listed = |name: &str| job["spec"]["plugins"].get(name).is_some();
    match plugin {
        "svc" => ["svc", "tensorflow", "mpi", "pytorch", "ray"].into_iter().any(listed),
        "ssh" => listed("ssh") || listed("mpi"),
        other => listed(other),
    }
}

/// Whether an argument of a plugin, `--name` or `--name=value`, says yes; `None` when it is not given.
fn flag(job: &Value, plugin: &str, name: &str) -> Option<bool> {
    let arguments = job["spec"]["plugins"][plugin].as_array().into_iter().flatten().filter_map(Value::as_str);
    let given = |argument: &str| {
        let rest = argument.trim_start_matches('-').strip_prefix(name)?;
        if rest.is_empty() { Some(true) } else { rest.strip_prefix('=').map(|value| value == "true") }
    };
    arguments.filter_map(given).next_back()
}

/// What plugins keep beside the pods.
pub(super) fn objects(job: &Value, cache: &Cache) -> Vec<Action> {
    let (name, namespace) = (meta::name(job), meta::namespace(job));
    let owner = job_reference(job);
    let metadata = |name: String| json!({"namespace": namespace, "name": name, "ownerReferences": [owner]});
    let mut wanted = Vec::new();
    let mut changed = None;
    if has(job, "svc") {
        let selector = json!({"volcano.sh/job-name": name, "volcano.sh/job-namespace": namespace});
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(name.to_owned()),
            "spec": {"clusterIP": "None", "selector": selector},
        });
        if flag(job, "svc", "publish-not-ready-addresses") == Some(true) {
            service["spec"]["publishNotReadyAddresses"] = json!(true);
        }
        wanted.push((SERVICE, service));
        let hosts = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(format!("{name}-svc")), "data": hosts(job),
        });
        // A job that has more replicas or less has other hosts.
        let known = cache.get(CONFIG_MAP, &cluster::Key::of(&hosts)).filter(|known| known["data"] != hosts["data"]);
        changed = known.map(|known| {
            let mut object = Value::clone(known);
            object["data"] = hosts["data"].clone();
            Action::Replace { kind: CONFIG_MAP, object, subresource: "" }
        });
        wanted.push((CONFIG_MAP, hosts));
        if flag(job, "svc", "disable-network-policy") != Some(true) {
            let pods = json!({"matchLabels": selector});
            let policy = json!({
                "apiVersion": NETWORK_POLICY.api_version(), "kind": NETWORK_POLICY.kind,
                "metadata": metadata(name.to_owned()),
                "spec": {"podSelector": pods, "ingress": [{"from": [{"podSelector": pods}]}], "policyTypes": ["Ingress"]},
            });
            wanted.push((NETWORK_POLICY, policy));
        }
    }
    if has(job, "ssh") {
        // No process speaks SSH here: the files are there, their keys open nothing.
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata(format!("{name}-ssh")),
            "stringData": {
                "id_rsa": "emulated\n", "id_rsa.pub": "ssh-rsa emulated\n", "authorized_keys": "ssh-rsa emulated\n",
                "config": "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n",
            },
        });
        wanted.push((SECRET, secret));
    }
    let missing = |(kind, object): &(cluster::Kind, Value)| cache.get(*kind, &cluster::Key::of(object)).is_none();
    let create = |(kind, object)| Action::Create { kind, object, tell: None };
    wanted.into_iter().filter(missing).map(create).chain(changed).collect()
}

/// The names of all pods, task by task.
fn hosts(job: &Value) -> Value {
    let name = meta::name(job);
    let mut data = serde_json::Map::new();
    for task in job["spec"]["tasks"].as_array().into_iter().flatten() {
        let task_name = task["name"].as_str().unwrap_or_default();
        let given = |member: &str| task["template"]["spec"][member].as_str().filter(|text| !text.is_empty());
        let domain = given("subdomain").unwrap_or(name);
        let hosts: Vec<String> = match given("hostname") {
            Some(host) => vec![format!("{host}.{domain}")],
            None => {
                let all = 0..task["replicas"].as_u64().unwrap_or(0);
                all.map(|index| format!("{name}-{task_name}-{index}.{domain}")).collect()
            }
        };
        let key = task_name.replace('-', "_");
        let upper = key.to_uppercase();
        data.insert(format!("{key}.host"), json!(hosts.join("\n")));
        data.insert(format!("VC_{upper}_HOSTS"), json!(hosts.join(",")));
        data.insert(format!("VC_{upper}_NUM"), json!(hosts.len().to_string()));
    }
    Value::Object(data)
}

/// What plugins change in a pod.
pub(super) fn complete(job: &Value, pod: &mut Value, index: u64) {
    let name = meta::name(job);
    let mut env = Vec::new();
    if has(job, "env") {
        env.extend(
            ["VK_TASK_INDEX", "VC_TASK_INDEX"].map(|variable| json!({"name": variable, "value": index.to_string()})),
        );
    }
    let mut mounts = Vec::new();
    if has(job, "svc") {
        for (member, value) in [("hostname", meta::name(pod).to_owned()), ("subdomain", name.to_owned())] {
            if pod["spec"][member].as_str().is_none_or(str::is_empty) {
                pod["spec"][member] = json!(value);
            }
        }
        let volume = format!("{name}-svc");
        if flag(job, "svc", "inject-hosts-env") != Some(false) {
            let hosts = hosts(job);
            let variables = hosts.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("VC_"));
            env.extend(
                variables.map(
                    |(key, _)| json!({"name": key, "valueFrom": {"configMapKeyRef": {"name": volume, "key": key}}}),
                ),
            );
        }
        mounts.push((
            json!({"name": volume, "configMap": {"name": volume}}),
            json!({"name": volume, "mountPath": "/etc/volcano"}),
        ));
    }
    if has(job, "ssh") {
        let volume = format!("{name}-ssh");
        mounts.push((
            json!({"name": volume, "secret": {"secretName": volume}}),
            json!({"name": volume, "mountPath": "/root/.ssh"}),
        ));
    }
    let spec = &mut pod["spec"];
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    volumes.extend(mounts.iter().map(|(volume, _)| volume.clone()));
    if !volumes.is_empty() {
        spec["volumes"] = json!(volumes);
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            extend(container, "env", &env);
            extend(container, "volumeMounts", &mounts.iter().map(|(_, mount)| mount.clone()).collect::<Vec<_>>());
        }
    }
}

fn extend(container: &mut Value, member: &str, more: &[Value]) {
    if more.is_empty() {
        return;
    }
    let mut all = container[member].as_array().cloned().unwrap_or_default();
    all.extend(more.iter().cloned());
    container[member] = json!(all);
}
