//! Volcano's controllers: jobs become PodGroups and pods, pods outside jobs get a PodGroup, queues are open.
//!
//! The scheduler `volcano` is `schedule watch --scheduler-name volcano`. `install.yaml` is what Volcano's chart installs.

mod job;
mod plugin;
mod policy;
mod queue;
#[cfg(test)]
mod tests;

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
};

/// The manifests of the chart.
pub(crate) const INSTALL: &str = include_str!("install.yaml");

const JOB: Kind = kind::VOLCANO_JOB;
const GROUP: Kind = kind::POD_GROUP;
const QUEUE: Kind = kind::QUEUE;
/// `Command`: what `vcctl` asks for.
const COMMAND: Kind =
    Kind { group: "bus.volcano.sh", version: "v1alpha1", kind: "Command", plural: "commands", namespaced: true };
const SERVICE: Kind = Kind { group: "", version: "v1", kind: "Service", plural: "services", namespaced: true };
const CONFIG_MAP: Kind = Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const SECRET: Kind = Kind { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/// The scheduler of Volcano.
const SCHEDULER: &str = "volcano";

/// vc-controller-manager.
pub(crate) struct Volcano;

impl Controller for Volcano {
    fn kinds(&self) -> Vec<Kind> {
        vec![JOB, GROUP, QUEUE, COMMAND, kind::POD, SERVICE, CONFIG_MAP, SECRET]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        let key = Key::of(object);
        let job = meta::controller(object)
            .filter(|owner| owner["kind"] == JOB.kind && owner["apiVersion"] == JOB.api_version());
        let job = job.and_then(|owner| Some(Key::new(meta::namespace(object), owner["name"].as_str()?)));
        match changed.kind {
            JOB | QUEUE | COMMAND => due.push((changed.kind, key)),
            kind::POD => match job {
                Some(job) => due.push((JOB, job)),
                None if object["spec"]["schedulerName"] == SCHEDULER => due.push((kind::POD, key)),
                None => {}
            },
            _ => due.extend(job.map(|job| (JOB, job))),
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(object) = cache.get(of, key) else { return Plan::default() };
        let actions = match of {
            JOB => job::reconcile(object, cache, moment),
            QUEUE => queue::reconcile(object, cache),
            COMMAND => queue::command(object, cache),
            kind::POD => group_of_pod(object, cache),
            _ => Vec::new(),
        };
        actions.into()
    }

    fn manager(&self) -> &'static str {
        "vc-controller-manager"
    }
}

/// The annotation that names the PodGroup of a pod.
const GROUP_NAME: &str = "scheduling.k8s.io/group-name";

/// A pod outside a job gets a PodGroup of one.
fn group_of_pod(pod: &std::sync::Arc<Value>, cache: &Cache) -> Vec<Action> {
    let settled = meta::deletion_timestamp(pod).is_some() || crate::pod::is_terminal(pod);
    if settled {
        return Vec::new();
    }
    let owner = meta::controller(pod);
    let uid = owner.and_then(|owner| owner["uid"].as_str()).unwrap_or_else(|| meta::uid(pod));
    let name = format!("podgroup-{uid}");
    let mut actions = Vec::new();
    if cache.get(GROUP, &Key::new(meta::namespace(pod), name.as_str())).is_none() {
        let reference = match owner {
            Some(owner) => owner.clone(),
            None => json!({"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": uid, "controller": true}),
        };
        let queue = meta::annotation(pod, "scheduling.volcano.sh/queue-name").unwrap_or("default");
        let minimum =
            meta::annotation(pod, "scheduling.volcano.sh/group-min-member").and_then(|text| text.parse().ok());
        let mut object = json!({
            "apiVersion": GROUP.api_version(), "kind": GROUP.kind,
            "metadata": {"namespace": meta::namespace(pod), "name": name, "ownerReferences": [reference]},
            "spec": {"minMember": minimum.unwrap_or(1_i64), "queue": queue},
            "status": {"phase": "Pending"},
        });
        if pod["spec"]["priorityClassName"].is_string() {
            object["spec"]["priorityClassName"] = pod["spec"]["priorityClassName"].clone();
        }
        actions.push(Action::Create { kind: GROUP, object, tell: None });
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
