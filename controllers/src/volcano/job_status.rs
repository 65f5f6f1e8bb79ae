//! The status of a job: its pods counted, and the phase that follows from that.

use std::collections::BTreeMap;

use jiff::Timestamp;
use machinery::{duration::Duration, meta, time};
use serde_json::{Map, Value, json};

use super::{pods, request::TASK};

/// The job in a phase. Conditions tell the phases one after the other.
pub(super) fn with_phase(job: &Value, phase: &str, now: Timestamp) -> Value {
    let now = time::format_seconds(now);
    let mut object = job.clone();
    let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let condition = json!({"status": phase, "lastTransitionTime": now});
    match conditions.last_mut().filter(|last| last["status"] == phase) {
        Some(last) => *last = condition,
        None => conditions.push(condition),
    }
    object["status"]["state"] = json!({"phase": phase, "lastTransitionTime": now});
    object["status"]["conditions"] = json!(conditions);
    object
}

/// How long the job has been there.
pub(super) fn set_running_duration(job: &mut Value, now: Timestamp) {
    let created = time::parse(meta::creation_timestamp(job));
    if let Some(created) = created {
        let seconds = now.duration_since(created).as_secs().max(0);
        job["status"]["runningDuration"] = json!(Duration::from_seconds(seconds).to_string());
    }
}

/// The job with its pods counted. Zeroes are left out.
pub(super) fn counted(job: &Value, pods: &[&Value]) -> Value {
    let mut object = job.clone();
    let mut by_task: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    for pod in pods {
        let phase = match pod["status"]["phase"].as_str() {
            _ if meta::deletion_timestamp(pod).is_some() => "Terminating",
            None | Some("") => "Pending",
            Some(phase) => phase,
        };
        *total.entry(phase).or_default() += 1;
        if phase != "Terminating" {
            let task = meta::annotation(pod, TASK).unwrap_or_default();
            *by_task.entry(task).or_default().entry(phase).or_default() += 1;
        }
    }
    let status = &mut object["status"];
    status["minAvailable"] = job["spec"]["minAvailable"].clone();
    for (member, phase) in [
        ("pending", "Pending"),
        ("running", "Running"),
        ("succeeded", "Succeeded"),
        ("failed", "Failed"),
        ("terminating", "Terminating"),
        ("unknown", "Unknown"),
    ] {
        put(status, member, total.get(phase).map(|count| json!(count)));
    }
    let tasks: Map<String, Value> =
        by_task.into_iter().map(|(task, counts)| (task.to_owned(), json!({"phase": counts}))).collect();
    put(status, "taskStatusCount", (!tasks.is_empty()).then_some(Value::Object(tasks)));
    object
}

fn put(status: &mut Value, member: &str, value: Option<Value>) {
    let Some(members) = status.as_object_mut() else { return };
    match value {
        Some(value) => drop(members.insert(member.to_owned(), value)),
        None => drop(members.remove(member)),
    }
}

/// The job with its pods counted, in the phase that follows from that.
pub(super) fn synced(job: &Value, pods: &[&Value], now: Timestamp) -> Value {
    let mut object = counted(job, pods);
    let plugins = job["spec"]["plugins"].as_object().into_iter().flatten();
    let controlled: Map<String, Value> = plugins.map(|(name, _)| (format!("plugin-{name}"), json!(name))).collect();
    put(&mut object["status"], "controlledResources", (!controlled.is_empty()).then_some(Value::Object(controlled)));
    let phase = job["status"]["state"]["phase"].as_str().unwrap_or_default();
    match next(&object, phase) {
        Some(next) => with_phase(&object, next, now),
        None => object,
    }
}

/// The phase that follows, if another one does.
fn next(job: &Value, phase: &str) -> Option<&'static str> {
    let count = |member: &str| job["status"][member].as_i64().unwrap_or(0);
    let (pending, running, succeeded, failed) =
        (count("pending"), count("running"), count("succeeded"), count("failed"));
    let available = job["spec"]["minAvailable"].as_i64().unwrap_or(0);
    let replicas: i64 = pods::tasks(job).map(|task| task["replicas"].as_i64().unwrap_or(0)).sum();
    if phase == "Pending" {
        return (available <= running + succeeded + failed && (available > 0 || replicas > 0)).then_some("Running");
    }
    if replicas == 0 {
        return None;
    }
    let wanted = job["spec"]["minSuccess"].as_i64();
    if wanted.is_some_and(|wanted| succeeded >= wanted) {
        return Some("Completed");
    }
    if succeeded + failed == replicas {
        let fails = task_falls_short(job, available) || wanted.is_some() || succeeded < available;
        return Some(if fails { "Failed" } else { "Completed" });
    }
    (pending > replicas - available).then_some("Pending")
}

/// Whether a task has not succeeded as often as it must, where tasks have minima that count.
fn task_falls_short(job: &Value, available: i64) -> bool {
    let minimum = |task: &Value| task["minAvailable"].as_i64().or(task["replicas"].as_i64()).unwrap_or(0);
    if available < pods::tasks(job).map(minimum).sum() {
        return false;
    }
    pods::tasks(job).any(|task| {
        let name = task["name"].as_str().unwrap_or_default();
        let counts = &job["status"]["taskStatusCount"][name]["phase"];
        let succeeded = counts["Succeeded"].as_i64().unwrap_or(0);
        counts.is_object() && task["minAvailable"].as_i64().is_some_and(|minimum| succeeded < minimum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(task: &str, phase: &str) -> Value {
        json!({"metadata": {"annotations": {TASK: task}}, "status": {"phase": phase}})
    }

    fn phase(spec: Value, before: &str, pods: &[Value]) -> String {
        let job = json!({"spec": spec, "status": {"state": {"phase": before}}});
        let pods: Vec<&Value> = pods.iter().collect();
        let object = synced(&job, &pods, Timestamp::UNIX_EPOCH);
        object["status"]["state"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn phases_follow_the_pods() {
        let spec = || json!({"minAvailable": 2, "tasks": [{"name": "w", "replicas": 3, "minAvailable": 3}]});
        let w = |phases: &[&str]| phases.iter().map(|phase| pod("w", phase)).collect::<Vec<_>>();
        assert_eq!(phase(spec(), "Pending", &w(&["Running", "Pending", "Pending"])), "Pending");
        assert_eq!(phase(spec(), "Pending", &w(&["Running", "Running", "Pending"])), "Running");
        assert_eq!(phase(spec(), "Running", &w(&["Running", "Pending", "Pending"])), "Pending");
        assert_eq!(phase(spec(), "Running", &w(&["Succeeded", "Succeeded", "Succeeded"])), "Completed");
        assert_eq!(phase(spec(), "Running", &w(&["Succeeded", "Succeeded", "Failed"])), "Completed");
        assert_eq!(phase(spec(), "Running", &w(&["Succeeded", "Failed", "Failed"])), "Failed");
    }

    #[test]
    fn minima_of_success_count() {
        let w = |phases: &[&str]| phases.iter().map(|phase| pod("w", phase)).collect::<Vec<_>>();
        let spec =
            |success: Value| json!({"minAvailable": 2, "minSuccess": success, "tasks": [{"name": "w", "replicas": 2}]});
        assert_eq!(phase(spec(json!(1)), "Running", &w(&["Succeeded", "Running"])), "Completed");
        assert_eq!(phase(spec(json!(2)), "Running", &w(&["Succeeded", "Failed"])), "Failed");
        // With minima that add up to the job's, each task's counts.
        let tasks = json!({"minAvailable": 3, "tasks": [
            {"name": "a", "replicas": 1, "minAvailable": 1}, {"name": "b", "replicas": 3, "minAvailable": 2},
        ]});
        let pods = [pod("a", "Failed"), pod("b", "Succeeded"), pod("b", "Succeeded"), pod("b", "Succeeded")];
        assert_eq!(phase(tasks, "Running", &pods), "Failed");
    }

    #[test]
    fn counts_leave_zeroes_out() {
        let object = counted(&json!({"spec": {}, "status": {"running": 3}}), &[&pod("w", "Pending")]);
        assert_eq!(object["status"]["pending"], 1);
        assert!(object["status"].get("running").is_none());
        assert_eq!(object["status"]["taskStatusCount"], json!({"w": {"phase": {"Pending": 1}}}));
    }
}
