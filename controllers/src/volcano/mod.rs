//! Volcano's controllers: jobs become PodGroups and pods, pods outside jobs get a PodGroup, queues are open.
//!
//! The scheduler `volcano` is `schedule watch --scheduler-name volcano`. `install.yaml` is what Volcano's chart installs.

mod admission;
mod group;
mod job;
mod job_status;
mod plugin;
mod pods;
mod queue;
mod request;
#[cfg(test)]
mod tests;

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

use crate::{
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
};

pub(crate) use admission::start as start_admission;
use request::{REQUESTS_MAX, Request, Requests};

/// The manifests of the chart.
pub(crate) const INSTALL: [&str; 1] = [include_str!("install.yaml")];

const JOB: Kind = kind::VOLCANO_JOB;
const GROUP: Kind = kind::POD_GROUP;
const QUEUE: Kind = kind::QUEUE;
/// `Command`: what `vcctl` asks for.
const COMMAND: Kind =
    Kind { group: "bus.volcano.sh", version: "v1alpha1", kind: "Command", plural: "commands", namespaced: true };
const SERVICE: Kind = kind::SERVICE;
const NETWORK_POLICY: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    namespaced: true,
};
/// `ConfigMap`.
pub(crate) const CONFIG_MAP: Kind =
    Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const SECRET: Kind = Kind { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/// The scheduler of Volcano.
const SCHEDULER: &str = "volcano";

/// vc-controller-manager.
#[derive(Default)]
pub(crate) struct Volcano {
    /// What happened to jobs and is not looked at yet.
    requests: Requests,
}

impl Volcano {
    fn ask(&mut self, job: &Key, request: Request) {
        let waiting = &mut self.requests.entry(job.clone()).or_default().requests;
        // A job that does not keep up is synchronized as a whole.
        if waiting.len() < REQUESTS_MAX {
            waiting.push_back(request);
        }
    }

    /// Takes note of what happened to something that belongs to a job.
    fn note(&mut self, changed: &Changed, job: &Key, cache: &Cache) {
        match changed.kind {
            kind::POD => {
                let Some(known) = cache.get(JOB, job) else { return };
                if let Some(request) = Request::of_pod(changed, known, cache) {
                    self.ask(job, request);
                }
            }
            GROUP => {
                let unknown = changed.after.as_ref().is_some_and(|group| group["status"]["phase"] == "Unknown");
                if unknown && changed.differs_at("/status/phase") {
                    let version = cache.get(JOB, job).and_then(|job| job["status"]["version"].as_i64()).unwrap_or(0);
                    self.ask(job, Request { event: "Unknown", version, ..Request::default() });
                }
            }
            _ => {}
        }
    }
}

impl Controller for Volcano {
    fn kinds(&self) -> Vec<Kind> {
        let own = [JOB, GROUP, QUEUE, COMMAND];
        let used = [kind::POD, kind::NAMESPACE, kind::PRIORITY_CLASS, SERVICE, CONFIG_MAP, SECRET, NETWORK_POLICY];
        own.into_iter().chain(used).collect()
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        let key = Key::of(object);
        let job = meta::controller(object)
            .filter(|owner| owner["kind"] == JOB.kind && owner["apiVersion"] == JOB.api_version());
        let job = job.and_then(|owner| Some(Key::new(meta::namespace(object), owner["name"].as_str()?)));
        if let Some(job) = &job {
            self.note(changed, job, cache);
        }
        match changed.kind {
            JOB if changed.after.is_none() => drop(self.requests.remove(&key)),
            JOB | QUEUE => due.push((changed.kind, key)),
            COMMAND => {
                // What a command asks for is done when the command has been deleted.
                let name = object["target"]["name"].as_str().filter(|_| object["target"]["kind"] == JOB.kind);
                due.extend(name.map(|name| (JOB, Key::new(meta::namespace(object), name))));
                due.push((COMMAND, key));
            }
            kind::POD => match job {
                Some(job) => due.push((JOB, job)),
                None if object["spec"]["schedulerName"] == SCHEDULER => due.push((kind::POD, key)),
                None => {}
            },
            GROUP => {
                // A queue that closes is closed when its last group goes.
                due.extend(object["spec"]["queue"].as_str().map(|queue| (QUEUE, Key::new("", queue))));
                due.extend(job.map(|job| (JOB, job)));
            }
            kind::NAMESPACE | kind::PRIORITY_CLASS => {}
            _ => due.extend(job.map(|job| (JOB, job))),
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(object) = cache.get(of, key) else { return Plan::default() };
        let actions = match of {
            JOB => {
                let waiting = self.requests.entry(key.clone()).or_default();
                return job::reconcile(object, waiting, cache, moment);
            }
            QUEUE => queue::reconcile(object, cache),
            COMMAND => {
                let (actions, asked) = queue::command(object, cache, moment.now);
                if let Some((job, request)) = asked.filter(|_| moment.failure.is_none()) {
                    self.ask(&job, request);
                }
                return actions.into();
            }
            kind::POD => group::of_pod(object, cache),
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

/// The reference to a job in what belongs to it.
fn job_reference(job: &Value) -> Value {
    json!({
        "apiVersion": JOB.api_version(), "kind": JOB.kind, "name": meta::name(job), "uid": meta::uid(job),
        "controller": true, "blockOwnerDeletion": true,
    })
}
