//! `PodGroup`: of a job, or of a pod outside jobs.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, kind};
use machinery::{meta, quantity::Quantity};
use serde_json::{Map, Value, json};

use super::{GROUP, GROUP_NAME, job::COMPONENT, job_reference, pods::tasks};
use crate::{action::Action, cache::Cache, event::Remark};

/// The annotation that names the queue of a pod outside jobs, or of all of a namespace.
const QUEUE_NAME: &str = "scheduling.volcano.sh/queue-name";

/// Where the group of a job is.
pub(super) fn key(job: &Value) -> Key {
    Key::new(meta::namespace(job), format!("{}-{}", meta::name(job), meta::uid(job)))
}

/// The group of a job.
pub(super) fn of_job(job: &Value, cache: &Cache) -> Value {
    json!({
        "apiVersion": GROUP.api_version(), "kind": GROUP.kind,
        "metadata": {
            "namespace": meta::namespace(job), "name": key(job).name, "labels": job["metadata"]["labels"],
            "annotations": own_annotations(job), "ownerReferences": [job_reference(job)],
        },
        "spec": spec(job, cache),
        "status": {"phase": "Pending"},
    })
}

/// A group whose job has changed.
pub(super) fn updated(job: &Value, group: &Value, cache: &Cache) -> Option<Value> {
    let wanted = spec(job, cache);
    let mut object = group.clone();
    for member in ["minMember", "minTaskMember", "minResources", "priorityClassName"] {
        if !wanted[member].is_null() {
            object["spec"][member] = wanted[member].clone();
        }
    }
    (object != *group).then_some(object)
}

fn own_annotations(job: &Value) -> Value {
    let annotations = meta::annotations(job).filter(|(key, _)| !key.starts_with("kubectl.kubernetes.io/"));
    annotations.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<String, Value>>().into()
}

fn spec(job: &Value, cache: &Cache) -> Value {
    let minima: Map<String, Value> = tasks(job)
        .map(|task| (task["name"].as_str().unwrap_or_default().to_owned(), task["minAvailable"].clone()))
        .collect();
    let mut spec = json!({
        "minMember": job["spec"]["minAvailable"], "minTaskMember": minima, "queue": job["spec"]["queue"],
        "minResources": minimum(job, cache),
    });
    if job["spec"]["priorityClassName"].is_string() {
        spec["priorityClassName"] = job["spec"]["priorityClassName"].clone();
    }
    spec
}

/// What the pods that must run ask for together: each task's minimum first, those of high priority before others, then
/// what else is needed to make the job's minimum. Devices of claims are not among it.
fn minimum(job: &Value, cache: &Cache) -> Value {
    let mut left = job["spec"]["minAvailable"].as_u64().unwrap_or(0);
    let mut sorted: Vec<&Value> = tasks(job).collect();
    sorted.sort_by_key(|task| std::cmp::Reverse(priority(task, cache)));
    let number = |task: &Value, member: &str| task[member].as_u64().unwrap_or(0);
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut counted = 0;
    for rest in [false, true] {
        for task in &sorted {
            let minimum = number(task, "minAvailable").min(number(task, "replicas"));
            let wanted = if rest { number(task, "replicas") - minimum } else { minimum };
            let taken = wanted.min(left);
            left -= taken;
            counted += taken;
            add(&mut sums, task, taken);
        }
    }
    let mut all: Map<String, Value> = sums.into_iter().map(|(name, sum)| (name, json!(sum.to_string()))).collect();
    all.insert("count/pods".to_owned(), json!(counted.to_string()));
    all.insert("pods".to_owned(), json!(counted.to_string()));
    Value::Object(all)
}

fn priority(task: &Value, cache: &Cache) -> i64 {
    let name = task["template"]["spec"]["priorityClassName"].as_str().unwrap_or_default();
    let class = cache.get(kind::PRIORITY_CLASS, &Key::new("", name));
    class.and_then(|class| class["value"].as_i64()).unwrap_or(0)
}

fn add(sums: &mut BTreeMap<String, Quantity>, task: &Value, count: u64) {
    let Ok(count) = i64::try_from(count) else { return };
    if count == 0 {
        return;
    }
    let mut put = |name: String, amount: &Quantity| {
        let more = amount.mul_i64(count);
        let sum = sums.get(&name).map_or_else(|| more.clone(), |sum| sum.add(&more));
        sums.insert(name, sum);
    };
    for container in task["template"]["spec"]["containers"].as_array().into_iter().flatten() {
        for (list, prefix) in [("requests", "requests."), ("limits", "limits.")] {
            for (name, amount) in container["resources"][list].as_object().into_iter().flatten() {
                let Ok(amount) = Quantity::from_json(amount) else { continue };
                if list == "requests" {
                    put(name.clone(), &amount);
                }
                put(format!("{prefix}{name}"), &amount);
            }
        }
    }
}

/// What a job is told of its group when that is not scheduled.
pub(super) fn unschedulable(job: &Arc<Value>, group: &Value) -> Option<Action> {
    let conditions = group["status"]["conditions"].as_array()?;
    let latest = conditions.iter().rfind(|one| one["status"] == "True")?;
    if latest["type"] == "Scheduled" {
        return None;
    }
    let why = latest["message"].as_str().unwrap_or_default();
    let message = format!("PodGroup {}:{} unschedulable, reason: {why}", meta::namespace(job), meta::name(job));
    Some(Action::Remark { about: job.clone(), remark: Remark::warning(COMPONENT, "PodGroupPending", message) })
}

/// A pod outside a job gets a PodGroup of one.
pub(super) fn of_pod(pod: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let settled = meta::deletion_timestamp(pod).is_some() || crate::pod::is_terminal(pod);
    // Whoever names a group has made one.
    let named = meta::annotation(pod, GROUP_NAME).is_some_and(|name| !name.starts_with("podgroup-"));
    if settled || named {
        return Vec::new();
    }
    let owner = meta::controller(pod);
    let uid = owner.and_then(|owner| owner["uid"].as_str()).unwrap_or_else(|| meta::uid(pod));
    let name = format!("podgroup-{uid}");
    let mut actions = Vec::new();
    if cache.get(GROUP, &Key::new(meta::namespace(pod), name.as_str())).is_none() {
        actions.push(Action::Create { kind: GROUP, object: for_pod(pod, owner, &name, cache), tell: None });
    }
    if meta::annotation(pod, GROUP_NAME).is_none() {
        actions.push(Action::Patch {
            kind: kind::POD,
            object: pod.clone(),
            subresource: "",
            how: cluster::write::PatchKind::Merge,
            patch: json!({"metadata": {"annotations": {GROUP_NAME: name}}}),
        });
    }
    actions
}

fn for_pod(pod: &Value, owner: Option<&Value>, name: &str, cache: &Cache) -> Value {
    let own = || {
        json!({
            "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod), "controller": true,
            "blockOwnerDeletion": true,
        })
    };
    let reference = owner.cloned().unwrap_or_else(own);
    let namespace = cache.get(kind::NAMESPACE, &Key::new("", meta::namespace(pod)));
    let of_namespace = namespace.and_then(|namespace| meta::annotation(namespace, QUEUE_NAME));
    let queue = meta::annotation(pod, QUEUE_NAME).or(of_namespace).unwrap_or("default");
    let minimum = meta::annotation(pod, "scheduling.volcano.sh/group-min-member").and_then(|text| text.parse().ok());
    let task = json!({"template": {"spec": pod["spec"]}});
    let mut sums = BTreeMap::new();
    add(&mut sums, &task, 1);
    let mut resources: Map<String, Value> =
        sums.into_iter().map(|(name, sum)| (name, json!(sum.to_string()))).collect();
    resources.insert("count/pods".to_owned(), json!("1"));
    resources.insert("pods".to_owned(), json!("1"));
    let mut object = json!({
        "apiVersion": GROUP.api_version(), "kind": GROUP.kind,
        "metadata": {"namespace": meta::namespace(pod), "name": name, "ownerReferences": [reference]},
        "spec": {"minMember": minimum.unwrap_or(1_i64), "queue": queue, "minResources": resources},
        "status": {"phase": "Pending"},
    });
    if pod["spec"]["priorityClassName"].is_string() {
        object["spec"]["priorityClassName"] = pod["spec"]["priorityClassName"].clone();
    }
    object
}
