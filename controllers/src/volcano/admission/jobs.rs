//! What Volcano's webhooks fill into jobs, and what they demand of them.

use std::collections::{BTreeMap, BTreeSet};

use machinery::{meta, names};
use serde_json::{Value, json};

use super::{below, find, missing, policies};
use crate::volcano::pods::tasks;

/// Plugins of jobs.
const PLUGINS: [&str; 8] = ["env", "svc", "ssh", "tensorflow", "mpi", "pytorch", "ray", "hcclrank"];
/// Plugins that bring `svc` along.
const FRAMEWORKS: [&str; 4] = ["tensorflow", "mpi", "pytorch", "ray"];
/// How often a job, or a task, is tried where nobody says.
const MAX_RETRY: i64 = 3;

/// A job with its defaults.
pub(super) fn with_defaults(job: &Value) -> Value {
    let mut object = job.clone();
    let spec = &mut object["spec"];
    for (member, value) in [("queue", json!("default")), ("schedulerName", json!("volcano"))] {
        if spec[member].as_str().is_none_or(str::is_empty) {
            spec[member] = value;
        }
    }
    if spec["maxRetry"].as_i64().unwrap_or(0) == 0 {
        spec["maxRetry"] = json!(MAX_RETRY);
    }
    let mut sum = 0;
    for (index, task) in spec["tasks"].as_array_mut().into_iter().flatten().enumerate() {
        if task["name"].as_str().is_none_or(str::is_empty) {
            task["name"] = json!(format!("default{index}"));
        }
        if task["template"]["spec"]["hostNetwork"] == true && task["template"]["spec"]["dnsPolicy"].is_null() {
            task["template"]["spec"]["dnsPolicy"] = json!("ClusterFirstWithHostNet");
        }
        if task["minAvailable"].is_null() {
            let policy = &task["partitionPolicy"];
            let number = |member: &str| policy[member].as_i64().filter(|number| *number > 0);
            let partitions = number("minPartitions")
                .zip(number("partitionSize"))
                .map(|(count, size)| json!(count.saturating_mul(size)));
            task["minAvailable"] = partitions.unwrap_or_else(|| json!(replicas(task)));
        }
        if task["maxRetry"].as_i64().unwrap_or(0) == 0 {
            task["maxRetry"] = json!(MAX_RETRY);
        }
        sum = task["minAvailable"].as_i64().unwrap_or(0).saturating_add(sum);
    }
    if spec["minAvailable"].as_i64().unwrap_or(0) == 0 {
        spec["minAvailable"] = json!(sum);
    }
    if let Some(plugins) = spec["plugins"].as_object_mut() {
        if FRAMEWORKS.iter().any(|framework| plugins.contains_key(*framework)) {
            plugins.entry("svc").or_insert(json!([]));
        }
        if plugins.contains_key("mpi") {
            plugins.entry("ssh").or_insert(json!([]));
        }
    }
    object
}

fn replicas(task: &Value) -> i64 {
    task["replicas"].as_i64().unwrap_or(0)
}

/// What a new job must be like.
pub(super) fn check(job: &Value, queues: &[Value]) -> Result<(), String> {
    if tasks(job).next().is_none() {
        return Err("No task specified in job spec".to_owned());
    }
    let plugins = &job["spec"]["plugins"];
    if plugins.get("mpi").is_some() && !tasks(job).any(|task| task["name"] == master(plugins)) {
        return Err("The specified mpi master task was not found".to_owned());
    }
    let mut said = String::new();
    let (mut names, mut total) = (BTreeSet::new(), 0);
    for (index, task) in tasks(job).enumerate() {
        let name = task["name"].as_str().unwrap_or_default();
        if task["minAvailable"].as_i64().is_some_and(|minimum| minimum > replicas(task)) {
            said += &format!(" 'minAvailable' is greater than 'replicas' in task: {name}, job: {};", meta::name(job));
        }
        total += replicas(task);
        if !names.insert(name) {
            said += &format!(" duplicated task name {name};");
            break;
        }
        said += &policies::check(&task["policies"], "spec.tasks.policies");
        let pod = format!("{}-{name}-{index}", meta::name(job));
        let wrong = names::dns1123_subdomain_errors(&pod);
        if !wrong.is_empty() || pod.len() > 63 {
            let wrong = if wrong.is_empty() { names::too_long(63) } else { wrong.join(" ") };
            said += &format!("create pod with name {pod} validate failed [{wrong}];");
        }
        said += &template(task, index);
        said += &partitions(task, job);
    }
    if total < job["spec"]["minAvailable"].as_i64().unwrap_or(0) {
        said += " job 'minAvailable' should not be greater than total replicas in tasks;";
    }
    said += &policies::check(&job["spec"]["policies"], "spec.policies");
    for name in plugins.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !PLUGINS.contains(&name.as_str()) {
            said += &format!(" unable to find job plugin: {name};");
        }
    }
    said += &volumes(&job["spec"]["volumes"]);
    said += &queue(job["spec"]["queue"].as_str().unwrap_or_default(), queues);
    if tasks(job).any(|task| task["dependsOn"].is_object()) && !is_acyclic(job) {
        said += " job has dependencies between tasks, but doesn't form a directed acyclic graph(DAG);";
    }
    if said.is_empty() { Ok(()) } else { Err(said) }
}

/// The name of MPI's first task.
fn master(plugins: &Value) -> &str {
    let arguments = plugins["mpi"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut named = arguments.filter_map(|argument| argument.trim_start_matches('-').strip_prefix("master="));
    named.next().unwrap_or("master")
}

/// What a queue must be like to take a job.
fn queue(name: &str, queues: &[Value]) -> String {
    let Some(found) = find(queues, name) else { return format!(" unable to find job queue: {};", missing(name)) };
    let mut said = String::new();
    let state = found["status"]["state"].as_str().unwrap_or_default();
    if !matches!(state, "Open" | "") {
        said += &format!(" can only submit job to queue with state `Open`, queue `{name}` status is `{state}`;");
    }
    let children = below(queues, name).count();
    if name == "root" {
        said += " can not submit job to root queue;";
    } else if children > 0 {
        said += &format!(" can only submit job to leaf queue, queue `{name}` has {children} child queues;");
    }
    said
}

/// What the queue of a group that a user makes must be like.
pub(super) fn check_queue_of_group(name: &str, queues: &[Value]) -> Result<(), String> {
    let Some(found) = find(queues, name) else { return Err(format!("unable to find queue: {}", missing(name))) };
    match found["status"]["state"].as_str() {
        None | Some("" | "Open") => Ok(()),
        Some(state) => {
            Err(format!("can only submit PodGroup to queue with state `Open`, queue `{name}` status is `{state}`"))
        }
    }
}

/// The rules of pods that concern claims, and that there is something to run.
fn template(task: &Value, index: usize) -> String {
    let spec = &task["template"]["spec"];
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut errors = Vec::new();
    if containers.is_empty() {
        errors.push("template.spec.containers: Required value".to_owned());
    }
    let entries = spec["resourceClaims"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, entry) in entries.iter().enumerate() {
        let path = format!("template.spec.resourceClaims[{at}]");
        let given =
            ["resourceClaimName", "resourceClaimTemplateName"].iter().filter(|one| entry[**one].is_string()).count();
        match given {
            1 => {}
            0 => errors.push(format!(
                "{path}: Invalid value: {entry}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            )),
            _ => errors.push(format!(
                "{path}: Invalid value: {entry}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )),
        }
    }
    for (at, container) in containers.iter().enumerate() {
        let claims = container["resources"]["claims"].as_array().into_iter().flatten();
        for (number, claim) in claims.enumerate() {
            if !entries.iter().any(|entry| entry["name"] == claim["name"]) {
                errors.push(format!(
                    "template.spec.containers[{at}].resources.claims[{number}].name: Not found: {}",
                    claim["name"]
                ));
            }
        }
    }
    if errors.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = errors.iter().map(|error| format!("{error}. ")).collect();
    format!("spec.task[{index}].{}", listed.concat())
}

fn partitions(task: &Value, job: &Value) -> String {
    let policy = &task["partitionPolicy"];
    if !policy.is_object() {
        return String::new();
    }
    let number = |member: &str| policy[member].as_i64().unwrap_or(0);
    let (total, size, least) = (number("totalPartitions"), number("partitionSize"), number("minPartitions"));
    let minimum = task["minAvailable"].as_i64();
    let wrong = if total <= 0 {
        "'TotalPartitions' must be greater than 0"
    } else if size <= 0 {
        "'PartitionSize' must be greater than 0"
    } else if replicas(task) != total.saturating_mul(size) {
        "'Replicas' are not equal to TotalPartitions*PartitionSize"
    } else if least > 0 && minimum.is_some_and(|minimum| minimum != least.saturating_mul(size)) {
        "'MinAvailable' is not equal to MinPartitions*PartitionSize"
    } else {
        return String::new();
    };
    format!("{wrong} in task: {}, job: {}", task["name"].as_str().unwrap_or_default(), meta::name(job))
}

fn volumes(volumes: &Value) -> String {
    let mut paths = BTreeSet::new();
    for volume in volumes.as_array().into_iter().flatten() {
        let path = volume["mountPath"].as_str().unwrap_or_default();
        let named = volume["volumeClaimName"].as_str().is_some_and(|name| !name.is_empty());
        if path.is_empty() {
            return " mountPath is required;".to_owned();
        }
        if !paths.insert(path) {
            return format!(" duplicated mountPath: {path};");
        }
        match (named, volume["volumeClaim"].is_object()) {
            (false, false) => return " either VolumeClaim or VolumeClaimName must be specified;".to_owned(),
            (true, true) => {
                return "conflict: If you want to use an existing PVC, just specify VolumeClaimName.If you want to create \
                        a new PVC, you do not need to specify VolumeClaimName"
                    .to_owned();
            }
            _ => {}
        }
    }
    String::new()
}

/// Whether no task waits for itself by way of others.
fn is_acyclic(job: &Value) -> bool {
    let mut open: BTreeMap<&str, BTreeSet<&str>> = tasks(job)
        .map(|task| {
            let others = task["dependsOn"]["name"].as_array().into_iter().flatten().filter_map(Value::as_str);
            (task["name"].as_str().unwrap_or_default(), others.collect())
        })
        .collect();
    loop {
        let free: Vec<&str> = open.iter().filter(|(_, others)| others.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            return open.is_empty();
        }
        for name in free {
            open.remove(name);
            for others in open.values_mut() {
                others.remove(name);
            }
        }
    }
}

/// What of a job may change: how many pods there are, how many must be, and its priority.
pub(super) fn check_change(job: &Value, old: &Value) -> Result<(), String> {
    let mut total = 0;
    for task in tasks(job) {
        let (name, minimum) = (task["name"].as_str().unwrap_or_default(), task["minAvailable"].as_i64());
        if replicas(task) < 0 {
            return Err(format!("'replicas' must be >= 0 in task: {name}"));
        }
        match minimum {
            Some(..0) => return Err(format!("'minAvailable' must be >= 0 in task: {name}")),
            Some(minimum) if minimum > replicas(task) => {
                return Err(format!("'minAvailable' must be <= 'replicas' in task: {name}"));
            }
            _ => {}
        }
        total += replicas(task);
    }
    match job["spec"]["minAvailable"].as_i64().unwrap_or(0) {
        ..0 => return Err("job 'minAvailable' must be >= 0".to_owned()),
        minimum if minimum > total => {
            return Err("job 'minAvailable' must not be greater than total replicas".to_owned());
        }
        _ => {}
    }
    if tasks(job).count() != tasks(old).count() {
        return Err("job updates may not add or remove tasks".to_owned());
    }
    if fixed(job) != fixed(old) {
        let allowed = "`minAvailable`, `tasks[*].replicas under spec` and `PriorityClassName`";
        return Err(format!("job updates may not change fields other than {allowed}"));
    }
    Ok(())
}

/// The part of a job's spec that does not change.
fn fixed(job: &Value) -> Value {
    let mut spec = job["spec"].clone();
    let drop_from = |object: &mut Value, members: &[&str]| {
        if let Some(object) = object.as_object_mut() {
            members.iter().for_each(|member| drop(object.remove(*member)));
        }
    };
    drop_from(&mut spec, &["minAvailable", "priorityClassName"]);
    for task in spec["tasks"].as_array_mut().into_iter().flatten() {
        drop_from(task, &["replicas", "minAvailable"]);
    }
    // The controller fills in the names of claims that it makes.
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        if volume["volumeClaim"].is_object() {
            drop_from(volume, &["volumeClaimName"]);
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues() -> Vec<Value> {
        let queue = |name: &str, parent: &str, state: &str| json!({"metadata": {"name": name}, "spec": {"parent": parent}, "status": {"state": state}});
        vec![
            queue("root", "", "Open"),
            queue("default", "root", "Open"),
            queue("shut", "root", "Closed"),
            queue("tree", "root", "Open"),
            queue("leaf", "tree", "Open"),
        ]
    }

    fn said(change: impl Fn(&mut Value)) -> String {
        let mut job = json!({
            "metadata": {"name": "j"},
            "spec": {"minAvailable": 1, "queue": "default", "tasks": [
                {"name": "w", "replicas": 2, "template": {"spec": {"containers": [{"name": "c"}]}}},
            ]},
        });
        change(&mut job);
        check(&job, &queues()).err().unwrap_or_default()
    }

    #[test]
    fn jobs_are_refused_in_volcanos_words() {
        assert_eq!(said(|_| {}), "");
        assert_eq!(said(|job| job["spec"]["tasks"] = json!([])), "No task specified in job spec");
        assert_eq!(
            said(|job| job["spec"]["tasks"][0]["minAvailable"] = json!(3)),
            " 'minAvailable' is greater than 'replicas' in task: w, job: j;"
        );
        assert_eq!(
            said(|job| job["spec"]["minAvailable"] = json!(3)),
            " job 'minAvailable' should not be greater than total replicas in tasks;"
        );
        assert_eq!(said(|job| job["spec"]["plugins"] = json!({"magic": []})), " unable to find job plugin: magic;");
        assert_eq!(
            said(|job| job["spec"]["queue"] = json!("none")),
            " unable to find job queue: queues.scheduling.volcano.sh \"none\" not found;"
        );
        assert_eq!(
            said(|job| job["spec"]["queue"] = json!("shut")),
            " can only submit job to queue with state `Open`, queue `shut` status is `Closed`;"
        );
        assert!(said(|job| job["spec"]["queue"] = json!("root")).contains(" can not submit job to root queue;"));
        assert_eq!(
            said(|job| job["spec"]["queue"] = json!("tree")),
            " can only submit job to leaf queue, queue `tree` has 1 child queues;"
        );
        let twice = said(|job| {
            let task = job["spec"]["tasks"][0].clone();
            job["spec"]["tasks"] = json!([task, task]);
        });
        assert_eq!(twice, " duplicated task name w;");
        let cycle = said(|job| job["spec"]["tasks"][0]["dependsOn"] = json!({"name": ["w"]}));
        assert_eq!(cycle, " job has dependencies between tasks, but doesn't form a directed acyclic graph(DAG);");
        let claim = said(|job| {
            job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["resources"] =
                json!({"claims": [{"name": "gpu"}]})
        });
        assert_eq!(claim, "spec.task[0].template.spec.containers[0].resources.claims[0].name: Not found: \"gpu\". ");
    }

    #[test]
    fn defaults_are_filled_in() {
        let job = json!({"spec": {"plugins": {"mpi": []}, "tasks": [{"replicas": 2}, {"name": "w", "replicas": 3, "minAvailable": 1}]}});
        let spec = with_defaults(&job)["spec"].clone();
        assert_eq!(
            (&spec["queue"], &spec["schedulerName"], &spec["minAvailable"]),
            (&json!("default"), &json!("volcano"), &json!(3))
        );
        assert_eq!((&spec["tasks"][0]["name"], &spec["tasks"][0]["minAvailable"]), (&json!("default0"), &json!(2)));
        assert_eq!(spec["plugins"], json!({"mpi": [], "ssh": [], "svc": []}));
    }

    #[test]
    fn little_of_a_job_changes() {
        let old = json!({"spec": {"minAvailable": 1, "tasks": [{"name": "w", "replicas": 2, "template": {"a": 1}}]}});
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut job = old.clone();
            change(&mut job);
            check_change(&job, &old)
        };
        assert_eq!(changed(&|job| job["spec"]["tasks"][0]["replicas"] = json!(5)), Ok(()));
        assert!(
            changed(&|job| job["spec"]["tasks"][0]["template"] = json!({}))
                .is_err_and(|why| why.starts_with("job updates may not change fields other than"))
        );
        assert_eq!(
            changed(&|job| job["spec"]["minAvailable"] = json!(9)),
            Err("job 'minAvailable' must not be greater than total replicas".to_owned())
        );
    }
}
