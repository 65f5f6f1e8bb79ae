//! Jobs: pods that end, so many of them, counted exactly once each.

mod finish;
mod index;
mod look;
mod pods;
mod policy;
#[cfg(test)]
mod simulation;

use std::sync::Arc;

use cluster::{Key, Kind, kind, write::PatchKind};
use machinery::meta;
use serde_json::{Value, json};

use self::look::Look;
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    ownership::{self, Owner},
    pod,
};

pub(crate) use finish::finished_at;

const COMPONENT: &str = "job-controller";
/// Keeps a pod until its end is counted.
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// The job controller.
pub(crate) struct Jobs;

impl Controller for Jobs {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::JOB, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        if changed.kind == kind::POD {
            ownership::touched_owners(kind::JOB, changed, cache, ownership::selector, due);
            let lost = |pod: &&Arc<Value>| pods::is_tracked(pod) && is_of_a_job(pod);
            let lost = changed.after.as_ref().filter(lost);
            let lost = lost.filter(|pod| ownership::controller_of(kind::JOB, pod, cache).is_none());
            due.extend(lost.map(|pod| (kind::POD, Key::of(pod))));
            return;
        }
        match &changed.after {
            Some(job) => due.push((kind::JOB, Key::of(job))),
            // Its pods are not counted any more.
            None => {
                let uid = changed.before.as_ref().map(|job| meta::uid(job)).unwrap_or_default();
                due.extend(cache.owned(kind::POD, uid).map(|pod| (kind::POD, Key::of(pod))));
            }
        }
    }

    fn reconcile(&mut self, kind: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        if kind == kind::POD {
            let lost = cache.get(kind::POD, key).filter(|pod| {
                pods::is_tracked(pod) && is_of_a_job(pod) && ownership::controller_of(kind::JOB, pod, cache).is_none()
            });
            return lost.map(release).into_iter().collect::<Vec<_>>().into();
        }
        let Some(job) = cache.get(kind::JOB, key) else { return Plan::default() };
        let other = job["spec"]["managedBy"].as_str().is_some_and(|by| by != "kubernetes.io/job-controller");
        if other {
            return Plan::default();
        }
        let selector = ownership::selector(job);
        let owner = Owner { kind: kind::JOB, object: job, selector: &selector };
        let owned = owner.owned(kind::POD, cache, pod::is_active);
        if !owned.actions.is_empty() {
            return owned.actions.into();
        }
        if finished_at(job).is_some() {
            let tracked = owned.objects.into_iter().filter(|pod| pods::is_tracked(pod) && !pod::is_active(pod));
            return tracked.map(release).collect::<Vec<_>>().into();
        }
        Look::new(owner, owned.objects, moment).plan()
    }
}

fn is_of_a_job(pod: &Value) -> bool {
    meta::controller(pod).is_some_and(|owner| owner["kind"] == "Job")
}

/// Lets a pod go whose end is counted, or need not be.
fn release(pod: &Arc<Value>) -> Action {
    let patch = json!({"metadata": {"uid": meta::uid(pod), "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
    Action::Patch { kind: kind::POD, object: pod.clone(), subresource: "", how: PatchKind::Strategic, patch }
}
