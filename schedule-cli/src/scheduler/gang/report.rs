//! What Volcano tells about groups, their pods and queues.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, event::Remark, kind};
use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{Gangs, Group, queues::Queues};
use crate::scheduler::{commit, decision::NodeRefusal, pod};

/// What came of a group in a session.
pub(super) struct Verdict {
    total: usize,
    minimum: usize,
    /// Pods that have a node already.
    pub(super) placed: usize,
    /// Pending pods that ask for neither CPU nor memory.
    pub(super) tiny: usize,
    /// Pods that were bound.
    pub(super) bound: usize,
    /// Claims are just being made, or given devices.
    pub(super) unsettled: bool,
    /// Enough pods have, or get, a node.
    pub(super) ready: bool,
    fits: Vec<(Arc<Value>, String)>,
    refused: Vec<(Arc<Value>, String)>,
    skipped: Vec<Arc<Value>>,
    /// What nodes have against the first task that none took, or nothing where the queue has not enough.
    hunger: Option<Arc<Vec<NodeRefusal>>>,
}

impl Verdict {
    pub(super) fn of(total: usize, minimum: usize) -> Self {
        Self {
            total,
            minimum,
            placed: 0,
            tiny: 0,
            bound: 0,
            unsettled: false,
            ready: false,
            fits: Vec::new(),
            refused: Vec::new(),
            skipped: Vec::new(),
            hunger: None,
        }
    }

    /// A pod would fit a node.
    pub(super) fn fits(&mut self, task: &Arc<Value>, node: &str) {
        self.fits.push((task.clone(), node.to_owned()));
    }

    /// No node takes it; Volcano says so in its own words.
    pub(super) fn refuse(&mut self, task: &Arc<Value>, message: &str) {
        let first = message.split(". ").next().unwrap_or(message).trim_end_matches('.');
        let message = first.replace("nodes are available", "nodes are unavailable");
        self.refused.push((task.clone(), format!("{message}.")));
    }

    /// Others may be made to leave for its pods: `nodes` have these things against one.
    pub(super) fn hunger(&mut self, nodes: Vec<NodeRefusal>) {
        self.hunger.get_or_insert_with(|| Arc::new(nodes));
    }

    /// Pods that have no node, with what nodes have against them: all of a group that cannot start, else those that are left.
    pub(super) fn hungry(&self) -> Vec<(Arc<Value>, Arc<Vec<NodeRefusal>>)> {
        let Some(nodes) = &self.hunger else { return Vec::new() };
        let fits = self.fits.iter().filter(|_| !self.ready).map(|(task, _)| task);
        let refused = self.refused.iter().map(|(task, _)| task);
        fits.chain(refused).chain(&self.skipped).map(|task| (task.clone(), nodes.clone())).collect()
    }

    /// It was not tried.
    pub(super) fn skip(&mut self, task: &Arc<Value>) {
        self.skipped.push(task.clone());
    }

    fn pending(&self) -> usize {
        self.fits.len() + self.refused.len() + self.skipped.len()
    }

    /// `pod group is not ready, 3 Pending, 3 minAvailable; Pending: 1 Unschedulable, 2 Schedulable. Origin reason is …`
    fn reason(&self) -> String {
        let mut parts = Vec::new();
        if self.pending() > 0 {
            parts.push(format!("{} Pending", self.pending()));
        }
        if self.placed > 0 {
            parts.push(format!("{} Running", self.placed));
        }
        parts.push(format!("{} minAvailable", self.minimum));
        let mut reason = format!("pod group is not ready, {}", parts.join(", "));
        let unschedulable = self.refused.len() + self.skipped.len();
        let mut pending = Vec::new();
        if unschedulable > 0 {
            pending.push(format!("{unschedulable} Unschedulable"));
        }
        if !self.fits.is_empty() {
            pending.push(format!("{} Schedulable", self.fits.len()));
        }
        if !pending.is_empty() {
            reason.push_str(&format!("; Pending: {}", pending.join(", ")));
        }
        if let Some((task, why)) = self.refused.first() {
            reason.push_str(&format!(". Origin reason is {}: {why}", meta::name(task)));
        }
        reason
    }
}

impl Gangs {
    /// Tells a group and its pods.
    pub(super) async fn report(&mut self, group: &Group, verdict: Verdict) {
        let now = (self.options.now)();
        let reason = verdict.reason();
        if !verdict.ready && verdict.pending() > 0 {
            for (task, node) in &verdict.fits {
                let key = Key::of(task);
                let message = format!("Pod {key} can possibly be assigned to {node}, once minAvailable is satisfied");
                self.tell(task, "Schedulable", &message, now).await;
            }
            for (task, why) in &verdict.refused {
                self.tell(task, "Unschedulable", why, now).await;
            }
            for task in &verdict.skipped {
                self.tell(task, "Unschedulable", &reason, now).await;
            }
        } else {
            for (task, why) in &verdict.refused {
                self.tell(task, "Unschedulable", why, now).await;
            }
        }
        let document = self.with_status(group, &verdict, &reason, now);
        if document["status"] == group.document["status"] {
            return;
        }
        let news = verdict.ready != is_scheduled(&group.document) || !verdict.ready;
        let remark = if verdict.ready {
            Remark::normal(Gangs::NAME, "Scheduled", "pod group is ready")
        } else {
            let pending = verdict.pending();
            let message = format!("{pending}/{} tasks in gang unschedulable: {reason}", verdict.total);
            Remark::warning(Gangs::NAME, "Unschedulable", message)
        };
        if self.write_group(document).await.is_some() && news {
            self.target.tell(&group.document, remark);
        }
    }

    async fn tell(&self, task: &Value, reason: &str, message: &str, now: Timestamp) {
        let reporter = self.options.scheduler_name.as_str();
        if let Err(error) = commit::tell(&self.target, task, reason, message, None, reporter, now).await {
            tracing::debug!("{error:#}");
        }
    }

    fn with_status(&self, group: &Group, verdict: &Verdict, reason: &str, now: Timestamp) -> Value {
        let mut document = Value::clone(&group.document);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for pod in &group.pods {
            let phase = match pod["status"]["phase"].as_str() {
                Some("Succeeded") => "succeeded",
                Some("Failed") => "failed",
                Some("Running") => "running",
                _ => continue,
            };
            *counts.entry(phase).or_default() += 1;
        }
        let status = &mut document["status"];
        for member in ["running", "succeeded", "failed"] {
            match (counts.get(member), status.as_object_mut()) {
                (Some(count), Some(members)) => drop(members.insert(member.to_owned(), json!(count))),
                (None, Some(members)) => drop(members.remove(member)),
                _ => {}
            }
        }
        let scheduled = verdict.placed + verdict.bound;
        let ended = group.pods.iter().filter(|pod| pod::has_ended(pod)).count();
        status["phase"] = json!(if scheduled >= verdict.minimum && verdict.ready && !group.pods.is_empty() {
            if ended == group.pods.len() { "Completed" } else { "Running" }
        } else if scheduled > 0 && !verdict.ready {
            "Unknown"
        } else {
            "Inqueue"
        });
        if group.pods.is_empty() {
            return document;
        }
        let short = verdict.minimum.saturating_sub(verdict.fits.len() + verdict.placed);
        let condition = if verdict.ready {
            json!({"type": "Scheduled", "status": "True", "reason": "tasks in gang are ready to be scheduled"})
        } else {
            let message = format!("{short}/{} tasks in gang unschedulable: {reason}", verdict.total);
            json!({"type": "Unschedulable", "status": "True", "reason": "NotEnoughResources", "message": message})
        };
        let known = status["conditions"].as_array().cloned().unwrap_or_default();
        let same = |one: &Value| {
            ["type", "status", "reason", "message"].iter().all(|member| one[*member] == condition[*member])
        };
        if known.last().is_some_and(same) {
            return document;
        }
        let mut condition = condition;
        condition["lastTransitionTime"] = json!(time::format_seconds(now));
        condition["transitionID"] = json!(uuid::Uuid::new_v4().to_string());
        let kept = known.into_iter().filter(|one| one["type"] != condition["type"]);
        let conditions: Vec<Value> = kept.chain([condition.clone()]).collect();
        status["conditions"] = json!(conditions);
        document
    }

    /// Writes what queues have.
    pub(super) async fn report_queues(&mut self, queues: &Queues) {
        let news: Vec<(Arc<Value>, Value)> = queues
            .allocated()
            .filter(|(queue, allocated)| {
                let known = &queue["status"]["allocated"];
                known != allocated && !(known.is_null() && *allocated == json!({}))
            })
            .map(|(queue, allocated)| (queue.clone(), allocated))
            .collect();
        for (queue, allocated) in news {
            let mut document = Value::clone(&queue);
            document["status"]["allocated"] = allocated;
            match self.target.replace(kind::QUEUE, document, "status").await {
                Ok(written) => self.world.note(kind::QUEUE, &written),
                Err(error) => tracing::debug!(%error, "a Queue was not written"),
            }
        }
    }
}

fn is_scheduled(group: &Value) -> bool {
    let conditions = group["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().last().is_some_and(|one| one["type"] == "Scheduled")
}
