//! The pods of a job: what they are made of, which are missing, and which wait for others.

use std::sync::Arc;

use machinery::meta;
use serde_json::{Value, json};

use super::{GROUP_NAME, group, job_reference, plugin, request::TASK};

/// Most pods of a job.
const PODS_MAX: u64 = 10_000;
/// The label with the partition of a pod.
pub(super) const PARTITION: &str = "volcano.sh/task-partition-id";

/// The tasks of a job.
pub(super) fn tasks(job: &Value) -> impl Iterator<Item = &Value> {
    job["spec"]["tasks"].as_array().into_iter().flatten()
}

fn name_of(task: &Value) -> &str {
    task["name"].as_str().unwrap_or_default()
}

fn replicas(task: &Value) -> u64 {
    task["replicas"].as_u64().unwrap_or(0).min(PODS_MAX)
}

fn pod_name(job: &Value, task: &Value, index: u64) -> String {
    format!("{}-{}-{index}", meta::name(job), name_of(task))
}

/// Whether a pod is one of those that the job has as it is now.
pub(super) fn is_wanted(job: &Value, pod: &Value) -> bool {
    tasks(job).any(|task| {
        let prefix = format!("{}-{}-", meta::name(job), name_of(task));
        let index = meta::name(pod).strip_prefix(&prefix).and_then(|index| index.parse::<u64>().ok());
        meta::annotation(pod, TASK) == Some(name_of(task)) && index.is_some_and(|index| index < replicas(task))
    })
}

/// The pods that are to be made now. A task that depends on others waits for them.
pub(super) fn missing(job: &Value, have: &[&Arc<Value>]) -> Vec<Value> {
    let mut missing = Vec::new();
    for task in tasks(job).filter(|task| may_begin(job, task, have)) {
        for index in 0..replicas(task) {
            let name = pod_name(job, task, index);
            if !have.iter().any(|pod| meta::name(pod) == name) {
                missing.push(new_pod(job, task, index));
            }
        }
    }
    missing
}

/// Whether the tasks that a task depends on are far enough: all of them, or any, as it says.
fn may_begin(job: &Value, task: &Value, have: &[&Arc<Value>]) -> bool {
    let others = task["dependsOn"]["name"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ready = others.iter().map(|other| is_ready(job, other.as_str().unwrap_or_default(), have));
    if others.len() > 1 && task["dependsOn"]["iteration"] == "any" {
        ready.any(|ready| ready)
    } else {
        ready.all(|ready| ready)
    }
}

/// Whether as many pods of a task as must be are ready, or have succeeded.
fn is_ready(job: &Value, name: &str, have: &[&Arc<Value>]) -> bool {
    let Some(task) = tasks(job).find(|task| name_of(task) == name) else { return true };
    let is_up = |pod: &&&Arc<Value>| {
        let statuses = pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
        match pod["status"]["phase"].as_str() {
            Some("Succeeded") => true,
            Some("Running") => statuses.iter().all(|status| status["ready"] == true),
            _ => false,
        }
    };
    let of_task = have.iter().filter(|pod| meta::annotation(pod, TASK) == Some(name));
    let up = u64::try_from(of_task.filter(is_up).count()).unwrap_or(u64::MAX);
    up >= task["minAvailable"].as_u64().unwrap_or(replicas(task))
}

fn new_pod(job: &Value, task: &Value, index: u64) -> Value {
    let (name, task_name) = (meta::name(job), name_of(task));
    let queue = job["spec"]["queue"].as_str().unwrap_or("default");
    let count = |member: &str| job["status"][member].as_i64().unwrap_or(0).to_string();
    let template = &task["template"];
    let given = |member: &str| template["metadata"][member].as_object().cloned().unwrap_or_default();
    let (mut labels, mut annotations) = (given("labels"), given("annotations"));
    for (key, value) in [
        ("volcano.sh/task-index", index.to_string()),
        ("volcano.sh/job-name", name.to_owned()),
        (TASK, task_name.to_owned()),
        ("volcano.sh/job-namespace", meta::namespace(job).to_owned()),
        ("volcano.sh/queue-name", queue.to_owned()),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    if let Some(size) = task["partitionPolicy"]["partitionSize"].as_u64().filter(|size| *size > 0) {
        labels.insert(PARTITION.to_owned(), json!((index / size).to_string()));
    }
    for (key, value) in [
        ("volcano.sh/task-index", index.to_string()),
        (TASK, task_name.to_owned()),
        (GROUP_NAME, group::key(job).name),
        ("volcano.sh/job-name", name.to_owned()),
        ("volcano.sh/queue-name", queue.to_owned()),
        ("volcano.sh/job-version", count("version")),
        ("volcano.sh/template-uid", format!("{name}-{task_name}")),
        ("volcano.sh/job-retry-count", count("retryCount")),
    ] {
        annotations.insert(key.to_owned(), json!(value));
    }
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": meta::namespace(job), "name": pod_name(job, task, index), "labels": labels,
            "annotations": annotations, "ownerReferences": [job_reference(job)],
        },
        "spec": template["spec"],
    });
    if pod["spec"]["schedulerName"].as_str().is_none_or(str::is_empty) {
        pod["spec"]["schedulerName"] = job["spec"]["schedulerName"].clone();
    }
    if pod["spec"]["priorityClassName"].is_null() && job["spec"]["priorityClassName"].is_string() {
        pod["spec"]["priorityClassName"] = job["spec"]["priorityClassName"].clone();
    }
    mount(job, &mut pod);
    plugin::complete(job, &mut pod, index);
    pod
}

/// Mounts the volumes of the job.
fn mount(job: &Value, pod: &mut Value) {
    let listed = job["spec"]["volumes"].as_array().into_iter().flatten();
    for (index, volume) in listed.enumerate().filter(|(_, volume)| volume["volumeClaimName"].is_string()) {
        let name = format!("{}-volume-{index}", meta::name(job));
        let spec = &mut pod["spec"];
        append(
            spec,
            "volumes",
            json!({"name": name, "persistentVolumeClaim": {"claimName": volume["volumeClaimName"]}}),
        );
        for container in spec["containers"].as_array_mut().into_iter().flatten() {
            append(container, "volumeMounts", json!({"name": name, "mountPath": volume["mountPath"]}));
        }
    }
}

fn append(object: &mut Value, member: &str, value: Value) {
    match object[member].as_array_mut() {
        Some(list) => list.push(value),
        None => object[member] = json!([value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "j", "uid": "u"},
            "spec": {"schedulerName": "volcano", "queue": "q", "tasks": [
                {"name": "a", "replicas": 2, "minAvailable": 1, "template": {"spec": {"containers": [{"name": "c"}]}}},
                {"name": "b", "replicas": 1, "dependsOn": {"name": ["a"]}, "template": {"spec": {"containers": [{"name": "c"}]}}},
            ]},
        })
    }

    fn pod(name: &str, phase: &str) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name, "annotations": {TASK: "a"}}, "status": {"phase": phase}}))
    }

    fn names(have: &[Arc<Value>]) -> Vec<String> {
        let have: Vec<&Arc<Value>> = have.iter().collect();
        missing(&job(), &have).iter().map(|pod| meta::name(pod).to_owned()).collect()
    }

    #[test]
    fn tasks_wait_for_those_they_depend_on() {
        assert_eq!(names(&[]), ["j-a-0", "j-a-1"]);
        assert_eq!(names(&[pod("j-a-0", "Pending"), pod("j-a-1", "Pending")]), Vec::<String>::new());
        assert_eq!(names(&[pod("j-a-0", "Running"), pod("j-a-1", "Pending")]), ["j-b-0"]);
        assert_eq!(names(&[pod("j-a-0", "Succeeded"), pod("j-a-1", "Failed")]), ["j-b-0"]);
    }

    #[test]
    fn pods_beyond_the_replicas_are_superfluous() {
        assert!(is_wanted(&job(), &pod("j-a-1", "Running")));
        assert!(!is_wanted(&job(), &pod("j-a-2", "Running")));
        assert!(!is_wanted(&job(), &pod("other", "Running")));
    }

    #[test]
    fn pods_know_where_they_belong() {
        let have = Vec::new();
        let made = missing(&job(), &have);
        let first = &made[0];
        assert_eq!(first["spec"]["schedulerName"], "volcano");
        assert_eq!(meta::annotation(first, GROUP_NAME), Some("j-u"));
        assert_eq!(meta::label(first, "volcano.sh/queue-name"), Some("q"));
    }
}
