//! `Job`: its PodGroup, its pods, its phase.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, kind};
use machinery::{meta, quantity::Quantity, time};
use serde_json::{Map, Value, json};

use super::{GROUP, GROUP_NAME, JOB, QUEUE, plugin, policy};
use crate::{action::Action, cache::Cache, controller::Moment, event::Remark};

const COMPONENT: &str = "vc-controller-manager";
/// Most pods of a job.
const PODS_MAX: u64 = 10_000;

/// What to write for a job.
pub(super) fn reconcile(job: &Arc<Value>, cache: &Cache, moment: Moment<'_>) -> Vec<Action> {
    if meta::deletion_timestamp(job).is_some() {
        return Vec::new();
    }
    if let Some(object) = admitted(job) {
        return vec![Action::Replace { kind: JOB, object, subresource: "" }];
    }
    let now = time::format_seconds(moment.now);
    let phase = job["status"]["state"]["phase"].as_str().unwrap_or_default();
    let pods: Vec<&Arc<Value>> = cache.owned(kind::POD, meta::uid(job)).collect();
    let plain: Vec<&Value> = pods.iter().map(|pod| &***pod).collect();
    if matches!(phase, "Completed" | "Aborted" | "Terminated" | "Failed") {
        return Vec::new();
    }
    if phase.is_empty() {
        let queue = job["spec"]["queue"].as_str().unwrap_or("default");
        if let Err(why) = submit(queue, cache) {
            let mut object = with_phase(job, "Failed", &now);
            object["status"]["state"]["message"] = json!(why);
            let remark = Remark::warning(COMPONENT, "FailedSubmit", why);
            return vec![Action::status(JOB, object), Action::Remark { about: job.clone(), remark }];
        }
        let mut object = with_phase(job, "Pending", &now);
        object["status"]["minAvailable"] = job["spec"]["minAvailable"].clone();
        return vec![Action::status(JOB, object)];
    }
    if ends(phase) {
        return wind_up(job, &pods, phase, &now);
    }
    if let Some((action, event)) = policy::of(job, &plain) {
        let actions = act(job, &action, &event);
        if !actions.is_empty() {
            return actions;
        }
    }
    let group_name = group_name(job);
    let Some(group) = cache.get(GROUP, &Key::new(meta::namespace(job), group_name.as_str())) else {
        return vec![Action::Create { kind: GROUP, object: group(job), tell: None }];
    };
    let mut actions = plugin::objects(job, cache);
    // Pods are made when the group may have them, so that a full queue is not full of pods as well.
    if !matches!(group["status"]["phase"].as_str(), None | Some("" | "Pending")) {
        let missing =
            wanted_pods(job).into_iter().filter(|pod| !plain.iter().any(|one| meta::name(one) == meta::name(pod)));
        let create = |object| Action::Create { kind: kind::POD, object, tell: None };
        let create: Vec<Action> = missing.map(create).collect();
        if !create.is_empty() {
            actions.push(Action::Many(create));
        }
    }
    let object = with_counts(job, &plain, &now);
    if object["status"] != job["status"] {
        actions.push(Action::status(JOB, object));
    }
    actions
}

/// Whether a queue takes jobs.
fn submit(queue: &str, cache: &Cache) -> Result<(), String> {
    let Some(found) = cache.get(QUEUE, &Key::new("", queue)) else {
        return Err(format!("unable to find job queue: queues.scheduling.volcano.sh \"{queue}\" not found"));
    };
    match found["status"]["state"].as_str() {
        None | Some("" | "Open") => Ok(()),
        Some(state) => {
            Err(format!("can only submit job to queue with state `Open`, queue `{queue}` status is `{state}`;"))
        }
    }
}

/// The job as Volcano's webhook completes it; `None` when it is complete.
fn admitted(job: &Value) -> Option<Value> {
    let mut object = job.clone();
    let mut sum = 0;
    for (index, task) in object["spec"]["tasks"].as_array_mut().into_iter().flatten().enumerate() {
        if task["name"].as_str().is_none_or(str::is_empty) {
            task["name"] = json!(format!("default{index}"));
        }
        if task["replicas"].is_null() {
            task["replicas"] = json!(1);
        }
        if task["minAvailable"].is_null() {
            task["minAvailable"] = task["replicas"].clone();
        }
        sum += task["minAvailable"].as_i64().unwrap_or(0);
    }
    if object["spec"]["minAvailable"].as_i64().unwrap_or(0) == 0 {
        object["spec"]["minAvailable"] = json!(sum);
    }
    (object != *job).then_some(object)
}

fn ends(phase: &str) -> bool {
    matches!(phase, "Aborting" | "Restarting" | "Completing" | "Terminating")
}

/// Deletes pods, then takes the phase that follows.
fn wind_up(job: &Arc<Value>, pods: &[&Arc<Value>], phase: &str, now: &str) -> Vec<Action> {
    let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    // What has ended may be looked at afterwards, except by a job that starts again.
    let goes: Vec<&&Arc<Value>> = pods.iter().filter(|pod| phase == "Restarting" || !ended(pod)).collect();
    if !goes.is_empty() {
        let live = goes.into_iter().filter(|pod| meta::deletion_timestamp(pod).is_none());
        let delete =
            |pod: &&Arc<Value>| Action::Delete { kind: kind::POD, object: Arc::clone(pod), grace: Some(0), tell: None };
        return live.map(delete).collect();
    }
    let next = match phase {
        "Aborting" => "Aborted",
        "Completing" => "Completed",
        "Terminating" => "Terminated",
        _ => "Pending",
    };
    vec![Action::status(JOB, with_phase(job, next, now))]
}

/// What an action makes of a job. Nothing, where the action does not apply.
pub(super) fn act(job: &Arc<Value>, action: &str, event: &str) -> Vec<Action> {
    let retries = job["status"]["retryCount"].as_i64().unwrap_or(0);
    let max = job["spec"]["maxRetry"].as_i64().unwrap_or(3);
    let phase = match action {
        "AbortJob" => "Aborting",
        "TerminateJob" => "Terminating",
        "CompleteJob" => "Completing",
        "RestartJob" | "RestartTask" | "RestartPod" | "RestartPartition" | "ResumeJob" if retries < max => "Restarting",
        "RestartJob" | "RestartTask" | "RestartPod" | "RestartPartition" => "Failed",
        _ => return Vec::new(),
    };
    let now = time::format_seconds(jiff::Timestamp::now());
    let mut object = with_phase(job, phase, &now);
    object["status"]["version"] = json!(job["status"]["version"].as_i64().unwrap_or(0) + 1);
    if phase == "Restarting" {
        object["status"]["retryCount"] = json!(retries + 1);
    }
    let message = format!("Start to execute action {action} ");
    let remark = Remark::normal(COMPONENT, "ExecuteAction", message);
    let _ = event;
    vec![Action::Remark { about: job.clone(), remark }, Action::status(JOB, object)]
}

fn with_phase(job: &Value, phase: &str, now: &str) -> Value {
    let mut object = job.clone();
    let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(json!({"status": phase, "lastTransitionTime": now}));
    object["status"]["state"] = json!({"phase": phase, "lastTransitionTime": now});
    object["status"]["conditions"] = json!(conditions);
    object
}

fn group_name(job: &Value) -> String {
    format!("{}-{}", meta::name(job), meta::uid(job))
}

fn tasks(job: &Value) -> impl Iterator<Item = &Value> {
    job["spec"]["tasks"].as_array().into_iter().flatten()
}

fn owner(job: &Value) -> Value {
    json!({
        "apiVersion": JOB.api_version(), "kind": JOB.kind, "name": meta::name(job), "uid": meta::uid(job),
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn group(job: &Value) -> Value {
    let minima: Map<String, Value> = tasks(job)
        .map(|task| (task["name"].as_str().unwrap_or_default().to_owned(), task["minAvailable"].clone()))
        .collect();
    let mut spec = json!({
        "minMember": job["spec"]["minAvailable"], "minTaskMember": minima, "queue": job["spec"]["queue"],
        "minResources": minimum(job),
    });
    if job["spec"]["priorityClassName"].is_string() {
        spec["priorityClassName"] = job["spec"]["priorityClassName"].clone();
    }
    json!({
        "apiVersion": GROUP.api_version(), "kind": GROUP.kind,
        "metadata": {
            "namespace": meta::namespace(job), "name": group_name(job), "labels": job["metadata"]["labels"],
            "ownerReferences": [owner(job)],
        },
        "spec": spec,
        "status": {"phase": "Pending"},
    })
}

/// What the first pods ask for together. Devices of claims are not among it.
fn minimum(job: &Value) -> Value {
    let available = job["spec"]["minAvailable"].as_u64().unwrap_or(0);
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut add = |name: String, amount: &Quantity| {
        let sum = sums.get(&name).map_or_else(|| amount.clone(), |sum| sum.add(amount));
        sums.insert(name, sum);
    };
    let mut counted = 0;
    'tasks: for task in tasks(job) {
        for _ in 0..task["replicas"].as_u64().unwrap_or(0).min(PODS_MAX) {
            if counted == available {
                break 'tasks;
            }
            counted += 1;
            for container in task["template"]["spec"]["containers"].as_array().into_iter().flatten() {
                for (list, prefix) in [("requests", "requests."), ("limits", "limits.")] {
                    for (name, amount) in container["resources"][list].as_object().into_iter().flatten() {
                        let Ok(amount) = Quantity::from_json(amount) else { continue };
                        if list == "requests" {
                            add(name.clone(), &amount);
                        }
                        add(format!("{prefix}{name}"), &amount);
                    }
                }
            }
        }
    }
    let mut all: Map<String, Value> = sums.into_iter().map(|(name, sum)| (name, json!(sum.to_string()))).collect();
    all.insert("count/pods".to_owned(), json!(counted.to_string()));
    all.insert("pods".to_owned(), json!(counted.to_string()));
    Value::Object(all)
}

/// All pods of the job in its present version.
fn wanted_pods(job: &Value) -> Vec<Value> {
    let mut pods = Vec::new();
    for task in tasks(job) {
        for index in 0..task["replicas"].as_u64().unwrap_or(0).min(PODS_MAX) {
            pods.push(pod(job, task, index));
        }
    }
    pods
}

fn pod(job: &Value, task: &Value, index: u64) -> Value {
    let (name, task_name) = (meta::name(job), task["name"].as_str().unwrap_or_default());
    let queue = job["spec"]["queue"].as_str().unwrap_or("default");
    let count = |member: &str| job["status"][member].as_i64().unwrap_or(0).to_string();
    let template = &task["template"];
    let given = |member: &str| template["metadata"][member].as_object().cloned().unwrap_or_default();
    let (mut labels, mut annotations) = (given("labels"), given("annotations"));
    for (key, value) in [
        ("volcano.sh/task-index", index.to_string()),
        ("volcano.sh/job-name", name.to_owned()),
        ("volcano.sh/task-spec", task_name.to_owned()),
        ("volcano.sh/job-namespace", meta::namespace(job).to_owned()),
        ("volcano.sh/queue-name", queue.to_owned()),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    for (key, value) in [
        ("volcano.sh/task-index", index.to_string()),
        ("volcano.sh/task-spec", task_name.to_owned()),
        (GROUP_NAME, group_name(job)),
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
            "namespace": meta::namespace(job), "name": format!("{name}-{task_name}-{index}"), "labels": labels,
            "annotations": annotations, "ownerReferences": [owner(job)],
        },
        "spec": template["spec"],
    });
    if pod["spec"]["schedulerName"].as_str().is_none_or(str::is_empty) {
        pod["spec"]["schedulerName"] = job["spec"]["schedulerName"].clone();
    }
    if pod["spec"]["priorityClassName"].is_null() && job["spec"]["priorityClassName"].is_string() {
        pod["spec"]["priorityClassName"] = job["spec"]["priorityClassName"].clone();
    }
    plugin::complete(job, &mut pod, index);
    pod
}

/// The job with its pods counted, in the phase that follows from that.
fn with_counts(job: &Value, pods: &[&Value], now: &str) -> Value {
    let mut object = job.clone();
    let mut by_task: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    for pod in pods {
        let task = meta::annotation(pod, "volcano.sh/task-spec").unwrap_or_default();
        let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
        *by_task.entry(task).or_default().entry(phase).or_default() += 1;
        *total.entry(phase).or_default() += 1;
    }
    let count = |phase: &str| total.get(phase).copied().unwrap_or(0);
    let status = &mut object["status"];
    status["minAvailable"] = job["spec"]["minAvailable"].clone();
    for (member, phase) in [
        ("pending", "Pending"),
        ("running", "Running"),
        ("succeeded", "Succeeded"),
        ("failed", "Failed"),
        ("unknown", "Unknown"),
    ] {
        match (count(phase), status.as_object_mut()) {
            (0, Some(members)) => drop(members.remove(member)),
            (number, Some(members)) => drop(members.insert(member.to_owned(), json!(number))),
            _ => {}
        }
    }
    if !by_task.is_empty() {
        let counts = |counts: BTreeMap<&str, u64>| json!({"phase": counts});
        status["taskStatusCount"] =
            by_task.into_iter().map(|(task, one)| (task.to_owned(), counts(one))).collect::<Map<_, _>>().into();
    }
    let phase = status["state"]["phase"].as_str().unwrap_or_default().to_owned();
    let available = job["spec"]["minAvailable"].as_u64().unwrap_or(0);
    let replicas: u64 = tasks(job).map(|task| task["replicas"].as_u64().unwrap_or(0)).sum();
    let (pending, running, succeeded, failed) =
        (count("Pending"), count("Running"), count("Succeeded"), count("Failed"));
    let enough = job["spec"]["minSuccess"].as_u64().is_some_and(|minimum| succeeded >= minimum);
    let next = match phase.as_str() {
        "Running" if enough => "Completed",
        "Running" if succeeded + failed == replicas && succeeded >= available.min(replicas) => "Completed",
        "Running" if succeeded + failed == replicas => "Failed",
        "Running" if pending > replicas.saturating_sub(available) => "Pending",
        "Pending" if running + succeeded + failed >= available && available > 0 => "Running",
        other => other,
    };
    if next != phase { with_phase(&object, next, now) } else { object }
}
