//! Policies: what is done about a job when something happens to its pods.

use machinery::meta;
use serde_json::Value;

/// What happened, and the action that the first policy asks for that speaks of it. Policies of the task go before those of
/// the job.
pub(super) fn of(job: &Value, pods: &[&Value]) -> Option<(String, String)> {
    let version = job["status"]["version"].as_i64().unwrap_or(0).to_string();
    let current = pods.iter().filter(|pod| meta::annotation(pod, "volcano.sh/job-version").unwrap_or("0") == version);
    let mut happened: Vec<(&str, &str, Option<i64>)> = Vec::new();
    let pods: Vec<&&Value> = current.collect();
    for pod in &pods {
        let task = meta::annotation(pod, "volcano.sh/task-spec").unwrap_or_default();
        match pod["status"]["phase"].as_str() {
            Some("Failed") => happened.push(("PodFailed", task, exit_code(pod))),
            Some("Pending") => happened.push(("PodPending", task, None)),
            Some("Running") => happened.push(("PodRunning", task, None)),
            _ => {}
        }
        if meta::deletion_timestamp(pod).is_some() {
            happened.push(("PodEvicted", task, None));
        }
    }
    for task in job["spec"]["tasks"].as_array().into_iter().flatten() {
        let name = task["name"].as_str().unwrap_or_default();
        let of_task = pods.iter().filter(|pod| meta::annotation(pod, "volcano.sh/task-spec") == Some(name));
        let succeeded = of_task.filter(|pod| pod["status"]["phase"] == "Succeeded").count();
        let replicas = task["replicas"].as_u64().and_then(|replicas| usize::try_from(replicas).ok()).unwrap_or(0);
        if replicas > 0 && succeeded == replicas {
            happened.push(("TaskCompleted", name, None));
        }
    }
    happened.into_iter().find_map(|(event, task, code)| {
        let tasks = job["spec"]["tasks"].as_array().into_iter().flatten();
        let own = tasks.filter(|one| one["name"] == task).flat_map(policies);
        let mut all = own.chain(policies(&job["spec"]));
        let policy = all.find(|policy| speaks_of(policy, event, code))?;
        Some((policy["action"].as_str()?.to_owned(), event.to_owned()))
    })
}

fn policies(owner: &Value) -> impl Iterator<Item = &Value> {
    owner["policies"].as_array().into_iter().flatten()
}

fn speaks_of(policy: &Value, event: &str, code: Option<i64>) -> bool {
    if let Some(wanted) = policy["exitCode"].as_i64() {
        return code == Some(wanted);
    }
    let events = policy["events"].as_array().into_iter().flatten().chain([&policy["event"]]);
    events
        .filter_map(Value::as_str)
        .any(|one| one == event || one == "*" && event != "PodPending" && event != "PodRunning")
}

fn exit_code(pod: &Value) -> Option<i64> {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut codes = statuses.filter_map(|status| status["state"]["terminated"]["exitCode"].as_i64());
    codes.find(|code| *code != 0)
}
