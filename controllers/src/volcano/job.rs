//! `Job`: what is done about it, phase by phase, as vc-controller-manager's states do it.

use std::sync::Arc;

use cluster::{Key, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::{duration::Duration, meta, time};
use serde_json::{Value, json};

use super::{
    GROUP, JOB, group, job_status, plugin, pods,
    request::{Delayed, OUT_OF_SYNC, Request, TASK, Waiting},
};
use crate::{
    action::Action,
    cache::Cache,
    controller::{Moment, Plan},
    event::Remark,
};

pub(super) const COMPONENT: &str = "vc-controller-manager";

/// What to write for a job.
pub(super) fn reconcile(job: &Arc<Value>, waiting: &mut Waiting, cache: &Cache, moment: Moment<'_>) -> Plan {
    if meta::deletion_timestamp(job).is_some() {
        return Plan::default();
    }
    let mut plan = Plan::default();
    let request = next(waiting, job, moment, &mut plan);
    let work = Work { job, cache, now: moment.now };
    let (action, pod, task) = match &request {
        Some((request, action)) => (action.as_str(), request.pod.as_str(), request.task.as_str()),
        None => ("", "", ""),
    };
    if !action.is_empty() {
        let remark = Remark::normal(COMPONENT, "ExecuteAction", format!("Start to execute action {action} "));
        plan.actions.push(Action::Remark { about: job.clone(), remark });
        // What is done outright undoes what waits.
        waiting.delayed.clear();
    }
    plan.actions.extend(work.execute(action, (task, pod)));
    waiting.last = request.map(|(request, action)| Request { action, ..request });
    if !waiting.requests.is_empty() {
        plan.look_again(Some(moment.now));
    }
    plan.look_again(waiting.delayed.values().map(|delayed| delayed.due).min());
    let expires = expire(job, moment.now, &mut plan.actions);
    plan.look_again(expires);
    plan
}

/// The next thing that asks for an action, with the action; what asks for none is passed over.
fn next(waiting: &mut Waiting, job: &Arc<Value>, moment: Moment<'_>, plan: &mut Plan) -> Option<(Request, String)> {
    // What could not be carried out is tried again.
    if moment.failure.is_some()
        && let Some(last) = waiting.last.take()
    {
        let action = last.action.clone();
        return Some((last, action));
    }
    while let Some(request) = waiting.requests.pop_front() {
        waiting.delayed.retain(|_, delayed| !delayed.is_undone_by(&request));
        let decision = request.decide(job);
        let Some(delay) = decision.delay else {
            if decision.action.is_empty() {
                continue;
            }
            return Some((request, decision.action));
        };
        let known = waiting.delayed.get(&request.pod).is_some_and(|known| known.action == decision.action);
        if known {
            continue;
        }
        let message = format!("Execute action {} after {delay}", decision.action);
        let remark = Remark::normal(COMPONENT, "ExecuteAction", message);
        plan.actions.push(Action::Remark { about: job.clone(), remark });
        let due = later(moment.now, delay);
        waiting.delayed.insert(request.pod.clone(), Delayed { request, action: decision.action, due });
    }
    let due = waiting.delayed.iter().find(|(_, delayed)| delayed.due <= moment.now).map(|(pod, _)| pod.clone())?;
    let delayed = waiting.delayed.remove(&due)?;
    Some((delayed.request, delayed.action))
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(delay.whole_seconds())).unwrap_or(Timestamp::MAX)
}

/// Deletes a job whose time after its end is over; else says when that is.
fn expire(job: &Arc<Value>, now: Timestamp, actions: &mut Vec<Action>) -> Option<Timestamp> {
    let phase = job["status"]["state"]["phase"].as_str()?;
    if !matches!(phase, "Completed" | "Failed" | "Terminated") {
        return None;
    }
    let seconds = job["spec"]["ttlSecondsAfterFinished"].as_i64()?;
    let finished = time::parse(job["status"]["state"]["lastTransitionTime"].as_str()?)?;
    let at = finished.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    if at > now {
        return Some(at);
    }
    actions.push(Action::Delete { kind: JOB, object: job.clone(), grace: None, tell: None });
    None
}

/// Which pods are killed.
enum Victims<'a> {
    /// All that live.
    Live,
    /// All, what has ended as well, unless it is the last try.
    All,
    /// Those of a task, or one of them.
    Of { task: &'a str, pod: Option<&'a str>, partition: Option<&'a str> },
}

/// What is known when something is done about a job.
struct Work<'a> {
    job: &'a Arc<Value>,
    cache: &'a Cache,
    now: Timestamp,
}

impl<'a> Work<'a> {
    fn pods(&self) -> Vec<&'a Arc<Value>> {
        self.cache.owned(kind::POD, meta::uid(self.job)).collect()
    }

    fn phase(&self) -> &str {
        self.job["status"]["state"]["phase"].as_str().unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.job.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Does what the job's phase makes of an action; an empty one is a look.
    fn execute(&self, action: &str, (task, pod): (&'a str, &'a str)) -> Vec<Action> {
        let target = || match action {
            "RestartTask" => Some(Victims::Of { task, pod: None, partition: None }),
            "RestartPod" => Some(Victims::Of { task, pod: Some(pod), partition: None }),
            "RestartPartition" => {
                let found = self.cache.get(kind::POD, &Key::new(meta::namespace(self.job), pod));
                let partition = found.and_then(|pod| meta::label(pod, pods::PARTITION));
                Some(Victims::Of { task, pod: None, partition })
            }
            _ => None,
        };
        match self.phase() {
            "" => self.begin(),
            "Pending" | "Running" => match (action, target()) {
                (_, Some(victims)) => self.kill(victims, Some("Restarting"), true),
                ("RestartJob", _) => self.kill(Victims::All, Some("Restarting"), true),
                ("AbortJob", _) => self.kill(Victims::Live, Some("Aborting"), false),
                ("TerminateJob", _) => self.kill(Victims::Live, Some("Terminating"), false),
                ("CompleteJob", _) => self.kill(Victims::Live, Some("Completing"), false),
                _ => self.sync(),
            },
            "Restarting" => match target() {
                Some(victims) => self.kill(victims, None, false),
                None => self.restart(),
            },
            "Aborting" | "Aborted" if action == "ResumeJob" => self.kill(Victims::Live, Some("Restarting"), true),
            "Aborting" => self.wind_up("Aborted"),
            "Completing" => self.wind_up("Completed"),
            "Terminating" => self.wind_up("Terminated"),
            // What has finished keeps no pods that live, and no group.
            _ => {
                let mut actions = self.delete(&Victims::Live);
                actions.extend(self.delete_group());
                actions
            }
        }
    }

    fn begin(&self) -> Vec<Action> {
        let mut object = job_status::with_phase(self.job, "Pending", self.now);
        object["status"]["minAvailable"] = self.job["spec"]["minAvailable"].clone();
        vec![Action::status(JOB, object)]
    }

    /// Keeps the group, the pods and the counts of a job as they should be.
    fn sync(&self) -> Vec<Action> {
        let mut actions = plugin::objects(self.job, self.cache);
        let Some(known) = self.cache.get(GROUP, &group::key(self.job)) else {
            actions.push(Action::Create { kind: GROUP, object: group::of_job(self.job, self.cache), tell: None });
            return actions;
        };
        if let Some(object) = group::updated(self.job, known, self.cache) {
            actions.push(Action::Replace { kind: GROUP, object, subresource: "" });
        }
        let mut fresh = Vec::new();
        // Pods are made when the group may have them, so that a full queue is not full of pods as well.
        if !matches!(known["status"]["phase"].as_str(), None | Some("" | "Pending")) {
            actions.extend(group::unschedulable(self.job, known));
            let have = self.pods();
            let superfluous = have.iter().filter(|pod| !pods::is_wanted(self.job, pod) || is_marked(pod));
            actions.extend(superfluous.filter(|pod| !ends(pod)).map(|pod| delete(pod)));
            fresh = pods::missing(self.job, &have);
            if !fresh.is_empty() {
                let create = |object: &Value| Action::Create { kind: kind::POD, object: object.clone(), tell: None };
                actions.push(Action::Many(fresh.iter().map(create).collect()));
            }
        }
        let have = self.pods();
        let counted: Vec<&Value> = have.iter().map(|pod| &***pod).chain(fresh.iter()).collect();
        actions.extend(self.shown(job_status::synced(self.job, &counted, self.now)));
        actions
    }

    fn shown(&self, object: Value) -> Option<Action> {
        (object["status"] != self.job["status"]).then(|| Action::status(JOB, object))
    }

    /// A job that starts again goes on when enough of it is gone, unless it has been tried often enough.
    fn restart(&self) -> Vec<Action> {
        let max = self.job["spec"]["maxRetry"].as_i64().filter(|max| *max != 0).unwrap_or(3);
        if self.number("/status/retryCount") >= max {
            return vec![Action::status(JOB, job_status::with_phase(self.job, "Failed", self.now))];
        }
        let leaving = self.pods().iter().filter(|pod| ends(pod) || is_marked(pod)).count();
        let total: i64 = pods::tasks(self.job).map(|task| task["replicas"].as_i64().unwrap_or(0)).sum();
        if total - i64::try_from(leaving).unwrap_or(i64::MAX) >= self.number("/status/minAvailable") {
            return vec![Action::status(JOB, job_status::with_phase(self.job, "Pending", self.now))];
        }
        Vec::new()
    }

    /// Kills what lives, and when nothing does, the job is what it was to become.
    fn wind_up(&self, next: &str) -> Vec<Action> {
        let mut actions = self.delete(&Victims::Live);
        let alive = self.pods().iter().any(|pod| ends(pod) || !crate::pod::is_terminal(pod));
        if !alive {
            actions.extend(self.delete_group());
            let counted = self.pods();
            let counted: Vec<&Value> = counted.iter().map(|pod| &***pod).collect();
            let object = job_status::counted(&job_status::with_phase(self.job, next, self.now), &counted);
            actions.push(Action::status(JOB, object));
        }
        actions
    }

    /// Kills pods, and takes a phase.
    fn kill(&self, victims: Victims<'_>, phase: Option<&str>, again: bool) -> Vec<Action> {
        let whole = !matches!(victims, Victims::Of { .. });
        let mut actions = self.delete(&victims);
        let mut object = match phase {
            Some(phase) => job_status::with_phase(self.job, phase, self.now),
            None => Value::clone(self.job),
        };
        if whole {
            // Pods of earlier versions decide nothing any more.
            object["status"]["version"] = json!(self.number("/status/version") + 1);
            actions.extend(self.delete_group());
            job_status::set_running_duration(&mut object, self.now);
        }
        if again {
            object["status"]["retryCount"] = json!(self.number("/status/retryCount") + 1);
        }
        let stays = self.pods().into_iter().filter(|pod| !self.is_victim(pod, &victims) && !ends(pod));
        let stays: Vec<&Value> = stays.map(|pod| &**pod).collect();
        let terminating = self.pods().len() - stays.len();
        object = job_status::counted(&object, &stays);
        if terminating > 0 {
            object["status"]["terminating"] = json!(terminating);
        }
        actions.extend(self.shown(object));
        actions
    }

    fn is_victim(&self, pod: &Value, victims: &Victims<'_>) -> bool {
        match victims {
            Victims::Live => !crate::pod::is_terminal(pod),
            Victims::All => {
                let max = self.job["spec"]["maxRetry"].as_i64().filter(|max| *max != 0).unwrap_or(3);
                let last = self.number("/status/retryCount") >= max - 1;
                !(last && crate::pod::is_terminal(pod))
            }
            Victims::Of { task, pod: name, partition } => {
                meta::annotation(pod, TASK) == Some(task)
                    && name.is_none_or(|name| meta::name(pod) == name)
                    && partition.is_none_or(|partition| meta::label(pod, pods::PARTITION) == Some(partition))
            }
        }
    }

    /// Marks victims, so that their end is no event, and deletes them.
    fn delete(&self, victims: &Victims<'_>) -> Vec<Action> {
        let chosen = self.pods().into_iter().filter(|pod| self.is_victim(pod, victims) && !ends(pod));
        chosen
            .flat_map(|pod| {
                let patch = json!({"metadata": {"annotations": {OUT_OF_SYNC: "true"}}});
                let mark = Action::Patch {
                    kind: kind::POD,
                    object: pod.clone(),
                    subresource: "",
                    how: cluster::write::PatchKind::Merge,
                    patch,
                };
                let mark = (!is_marked(pod)).then_some(mark);
                mark.into_iter().chain([delete(pod)])
            })
            .collect()
    }

    fn delete_group(&self) -> Option<Action> {
        let object = self.cache.get(GROUP, &group::key(self.job))?.clone();
        Some(Action::Delete { kind: GROUP, object, grace: None, tell: None })
    }
}

fn ends(pod: &Value) -> bool {
    meta::deletion_timestamp(pod).is_some()
}

fn is_marked(pod: &Value) -> bool {
    meta::annotation(pod, OUT_OF_SYNC).is_some()
}

fn delete(pod: &Arc<Value>) -> Action {
    Action::Delete { kind: kind::POD, object: pod.clone(), grace: None, tell: None }
}
