//! Plugins of jobs: what `env`, `svc` and `ssh` add to pods and beside them.

use machinery::meta;
use serde_json::{Value, json};

use super::{CONFIG_MAP, JOB, SECRET, SERVICE};
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

/// What plugins keep beside the pods.
pub(super) fn objects(job: &Value, cache: &Cache) -> Vec<Action> {
    let (name, namespace, uid) = (meta::name(job), meta::namespace(job), meta::uid(job));
    let owner = json!({
        "apiVersion": JOB.api_version(), "kind": JOB.kind, "name": name, "uid": uid, "controller": true,
        "blockOwnerDeletion": true,
    });
    let metadata = |name: String| json!({"namespace": namespace, "name": name, "ownerReferences": [owner]});
    let mut wanted = Vec::new();
    if has(job, "svc") {
        let selector = json!({"volcano.sh/job-name": name, "volcano.sh/job-namespace": namespace});
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(name.to_owned()),
            "spec": {
                "clusterIP": "None", "selector": selector, "publishNotReadyAddresses": true,
                "ports": [{"name": "placeholder-volcano", "port": 1, "protocol": "TCP", "targetPort": 1}],
            },
        });
        wanted.push((SERVICE, service));
        let data = hosts(job);
        let hosts = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(format!("{name}-svc")), "data": data,
        });
        wanted.push((CONFIG_MAP, hosts));
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
    wanted.into_iter().filter(missing).map(|(kind, object)| Action::Create { kind, object, tell: None }).collect()
}

/// The names of all pods, task by task.
fn hosts(job: &Value) -> Value {
    let name = meta::name(job);
    let mut data = serde_json::Map::new();
    for task in job["spec"]["tasks"].as_array().into_iter().flatten() {
        let task_name = task["name"].as_str().unwrap_or_default();
        let replicas = task["replicas"].as_u64().unwrap_or(0);
        let hosts: Vec<String> = (0..replicas).map(|index| format!("{name}-{task_name}-{index}.{name}")).collect();
        let key = task_name.to_uppercase().replace('-', "_");
        data.insert(format!("VC_{key}_NUM"), json!(replicas.to_string()));
        data.insert(format!("VC_{key}_HOSTS"), json!(hosts.join(",")));
        data.insert(format!("{task_name}.host"), json!(hosts.join("\n")));
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
        pod["spec"]["hostname"] = json!(meta::name(pod));
        pod["spec"]["subdomain"] = json!(name);
        let hosts = hosts(job);
        let variables = hosts.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("VC_"));
        env.extend(variables.map(|(key, value)| json!({"name": key, "value": value})));
        let volume = format!("{name}-svc");
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
