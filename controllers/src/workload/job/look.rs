//! One look at a job: what is counted, what is made, whether it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cluster::kind;
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::{
    COMPONENT,
    finish::End,
    index::{self, Indexes},
    pods,
    policy::{self, Verdict},
    release,
};
use crate::{
    action::Action,
    conditions,
    controller::{Moment, Plan},
    event::Remark,
    node_fit::list,
    ownership::Owner,
    pod,
    workload::{number, template},
};

/// Most pods that are made, deleted or counted at once.
const BATCH: i64 = 500;

/// What is known of a job at one moment.
pub(super) struct Look<'a> {
    owner: Owner<'a>,
    job: &'a Arc<Value>,
    moment: Moment<'a>,
    pods: Vec<&'a Arc<Value>>,
    active: Vec<&'a Arc<Value>>,
    terminating: i64,
    counted: Counted<'a>,
}

/// Ends of pods. What is not counted yet is written down by uid before the pod is let go, and counted afterwards: so
/// each is counted once, whatever fails in between.
#[derive(Default)]
struct Counted<'a> {
    succeeded: i64,
    failed: i64,
    /// Ends that are written down, and not counted.
    noted: [BTreeSet<String>; 2],
    /// Pods that may go once this is written.
    release: Vec<&'a Arc<Value>>,
    completed_indexes: Indexes,
    failed_indexes: Indexes,
    /// How often each index failed.
    index_failures: BTreeMap<i64, i64>,
    /// A failed pod ends the job.
    fatal: Option<String>,
}

impl Counted<'_> {
    fn failed(&self) -> i64 {
        self.failed + i64::try_from(self.noted[1].len()).unwrap_or(i64::MAX)
    }
}

impl<'a> Look<'a> {
    pub(super) fn new(owner: Owner<'a>, pods: Vec<&'a Arc<Value>>, moment: Moment<'a>) -> Self {
        let active = pods.iter().copied().filter(|pod| pod::is_active(pod)).collect();
        let ending = |pod: &&&Arc<Value>| meta::deletion_timestamp(pod).is_some() && !pod::is_terminal(pod);
        let terminating = number::count(&pods.iter().filter(ending).collect::<Vec<_>>());
        let mut look =
            Self { owner, job: owner.object, moment, pods, active, terminating, counted: Counted::default() };
        look.counted = look.count();
        look
    }

    fn is_indexed(&self) -> bool {
        self.job["spec"]["completionMode"] == "Indexed"
    }

    fn completions(&self) -> Option<i64> {
        number::maybe(self.job, "/spec/completions")
    }

    /// How many indexes there are.
    fn bound(&self) -> i64 {
        self.completions().unwrap_or(0)
    }

    fn is_suspended(&self) -> bool {
        self.job["spec"]["suspend"] == true
    }

    fn succeeded(&self) -> i64 {
        if self.is_indexed() {
            return self.counted.completed_indexes.total();
        }
        self.counted.succeeded + i64::try_from(self.counted.noted[0].len()).unwrap_or(i64::MAX)
    }

    fn count(&self) -> Counted<'a> {
        let status = &self.job["status"];
        let mut counted = Counted {
            succeeded: number::at(status, "/succeeded"),
            failed: number::at(status, "/failed"),
            completed_indexes: Indexes::parse(status["completedIndexes"].as_str().unwrap_or_default(), self.bound()),
            failed_indexes: Indexes::parse(status["failedIndexes"].as_str().unwrap_or_default(), self.bound()),
            ..Counted::default()
        };
        let tracked: BTreeSet<&str> =
            self.pods.iter().filter(|pod| pods::is_tracked(pod)).map(|pod| meta::uid(pod)).collect();
        for (which, member) in
            ["/uncountedTerminatedPods/succeeded", "/uncountedTerminatedPods/failed"].iter().enumerate()
        {
            for uid in list(status, member).filter_map(Value::as_str) {
                if tracked.contains(uid) {
                    counted.noted[which].insert(uid.to_owned());
                } else if which == 0 {
                    counted.succeeded += 1;
                } else {
                    counted.failed += 1;
                }
            }
        }
        for pod in &self.pods {
            self.count_pod(pod, &mut counted);
        }
        let limit = number::maybe(self.job, "/spec/backoffLimitPerIndex");
        for (index, failures) in &counted.index_failures {
            if limit.is_some_and(|limit| *failures > limit) {
                counted.failed_indexes.0.insert(*index);
            }
        }
        // What succeeded in the end has not failed.
        counted.failed_indexes.0.retain(|index| !counted.completed_indexes.has(*index));
        counted
    }

    fn count_pod(&self, pod: &'a Arc<Value>, counted: &mut Counted<'a>) {
        let (succeeded, failed) = (pod::phase(pod) == "Succeeded", pods::has_failed(self.job, pod));
        let index = index::of(pod).filter(|index| self.is_indexed() && *index < self.bound());
        let verdict = if failed { policy::verdict(self.job, pod) } else { Verdict::Count };
        if let Verdict::FailJob(why) = &verdict {
            counted.fatal.get_or_insert_with(|| why.clone());
        }
        if let Some(index) = index.filter(|_| failed) {
            let own = i64::from(verdict != Verdict::Ignore);
            let failures = counted.index_failures.entry(index).or_default();
            *failures = (*failures).max(policy::failures_before(pod) + own);
            if verdict == Verdict::FailIndex {
                counted.failed_indexes.0.insert(index);
            }
        }
        if !pods::is_tracked(pod) || !(succeeded || failed) || counted.release.len() >= number::length(BATCH) {
            return;
        }
        let uid = meta::uid(pod).to_owned();
        match index {
            Some(index) if succeeded => drop(counted.completed_indexes.0.insert(index)),
            _ if succeeded && !self.is_indexed() => drop(counted.noted[0].insert(uid)),
            _ if failed && verdict != Verdict::Ignore => drop(counted.noted[1].insert(uid)),
            _ => {}
        }
        counted.release.push(pod);
    }

    /// What to write, and when to look again.
    pub(super) fn plan(&self) -> Plan {
        let now = self.moment.now;
        let mut status = Draft::new(self);
        let mut plan = Plan::default();
        if self.job["status"]["startTime"].is_null() && !self.is_suspended() {
            status.started = Some(now);
        }
        let mut end = End::decided(self.job).or_else(|| self.failure(status.started)).or_else(|| self.early());
        plan.look_again(self.deadline(status.started).filter(|_| end.is_none()));
        let mut writes = Vec::new();
        if end.is_some() {
            writes = self.active.iter().map(|pod| self.delete(pod)).collect();
        } else if meta::deletion_timestamp(self.job).is_none() {
            let (next, again) = self.manage();
            writes = next;
            plan.look_again(again);
            if self.is_complete() && writes.is_empty() {
                end = Some(End::success("CompletionsReached", "Reached expected number of succeeded pods"));
            } else {
                plan.actions.extend(status.suspend(self));
            }
        }
        for write in &writes {
            match write {
                Action::Create { .. } => status.active += 1,
                Action::Delete { object, .. } => {
                    status.active -= 1;
                    status.terminating += 1;
                    status.ready -= i64::from(pod::is_ready(object));
                }
                _ => {}
            }
        }
        if let Some(end) = &end {
            let over =
                status.active == 0 && status.terminating == 0 && self.counted.noted.iter().all(BTreeSet::is_empty);
            end.tell(&mut status.conditions, over, now);
            if over {
                plan.actions.push(self.tell_end(end));
                status.completed = end.success.then_some(now);
            }
        }
        self.finish(plan, writes, status)
    }

    fn finish(&self, mut plan: Plan, writes: Vec<Action>, status: Draft) -> Plan {
        let status = status.finish(self);
        let status = (status != self.job["status"]).then(|| {
            let mut changed = Value::clone(self.job);
            changed["status"] = status;
            Action::status(kind::JOB, changed)
        });
        let writes = (!writes.is_empty()).then_some(Action::Many(writes));
        // What fails must not keep the status back.
        if self.moment.failure.is_some() {
            plan.actions.extend(status.into_iter().chain(writes));
        } else {
            plan.actions.extend(writes.into_iter().chain(status));
        }
        let release: Vec<Action> = self.counted.release.iter().map(|pod| release(pod)).collect();
        if !release.is_empty() {
            plan.actions.push(Action::Many(release));
        }
        plan
    }

    fn delete(&self, pod: &Arc<Value>) -> Action {
        template::delete(pod, self.job, COMPONENT)
    }

    fn tell_end(&self, end: &End) -> Action {
        let remark = if end.success {
            Remark::normal(COMPONENT, "Completed", "Job completed")
        } else {
            let reason = REASONS.iter().find(|known| **known == end.reason).copied().unwrap_or("Failed");
            Remark::warning(COMPONENT, reason, end.message.clone())
        };
        Action::Remark { about: self.job.clone(), remark }
    }

    /// Why the job has failed.
    fn failure(&self, started: Option<Timestamp>) -> Option<End> {
        if let Some(why) = &self.counted.fatal {
            return Some(End::failure("PodFailurePolicy", why.as_str()));
        }
        let limit = number::or(self.job, "/spec/backoffLimit", 6);
        let restarts = pods::restarts(&self.active);
        let restarted_too_often = self.job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
            && (limit == 0 && restarts > 0 || limit > 0 && restarts >= limit);
        if self.counted.failed() > limit || restarted_too_often {
            return Some(End::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        if self.deadline(started).is_some_and(|deadline| deadline <= self.moment.now) {
            return Some(End::failure("DeadlineExceeded", "Job was active longer than specified deadline"));
        }
        let failed = self.counted.failed_indexes.total();
        if !self.is_indexed() || failed == 0 {
            return None;
        }
        if number::maybe(self.job, "/spec/maxFailedIndexes").is_some_and(|most| failed > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(End::failure("MaxFailedIndexesExceeded", message));
        }
        let all_done = self.counted.completed_indexes.total() + failed >= self.bound();
        (all_done && self.active.is_empty()).then(|| End::failure("FailedIndexes", "Job has failed indexes"))
    }

    fn early(&self) -> Option<End> {
        let why = policy::early_success(self.job, &self.counted.completed_indexes, self.bound());
        why.filter(|_| self.is_indexed()).map(|why| End::success("SuccessPolicy", why))
    }

    fn is_complete(&self) -> bool {
        self.active.is_empty()
            && match self.completions() {
                Some(completions) => self.succeeded() >= completions,
                None => self.succeeded() > 0,
            }
    }

    /// When the job may not be active any more.
    fn deadline(&self, started: Option<Timestamp>) -> Option<Timestamp> {
        let seconds = number::maybe(self.job, "/spec/activeDeadlineSeconds").filter(|_| !self.is_suspended())?;
        let started = started.or_else(|| time::parse(self.job["status"]["startTime"].as_str()?))?;
        started.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// The pods to make or to delete, and when to look again.
    fn manage(&self) -> (Vec<Action>, Option<Timestamp>) {
        let active = number::count(&self.active);
        if self.is_suspended() {
            return (self.active.iter().map(|pod| self.delete(pod)).collect(), None);
        }
        let parallelism = number::or(self.job, "/spec/parallelism", 1).max(0);
        let wanted = match self.completions() {
            None if self.succeeded() > 0 => active,
            None => parallelism,
            Some(completions) => completions.saturating_sub(self.succeeded()).clamp(0, parallelism),
        };
        let surplus = self.surplus((active - wanted).max(0));
        if !surplus.is_empty() {
            return (surplus, None);
        }
        let ending = if pods::waits_for_end(self.job) { self.terminating } else { 0 };
        let missing = (wanted - ending - active).min(BATCH);
        if missing <= 0 {
            return (Vec::new(), None);
        }
        let failed: Vec<&Arc<Value>> =
            self.pods.iter().copied().filter(|pod| pods::has_failed(self.job, pod)).collect();
        let succeeded: Vec<&Arc<Value>> =
            self.pods.iter().copied().filter(|pod| pod::phase(pod) == "Succeeded").collect();
        if self.job["spec"]["backoffLimitPerIndex"].is_null()
            && let Some(at) = pods::may_make_at(&failed, &succeeded).filter(|at| *at > self.moment.now)
        {
            return (Vec::new(), Some(at));
        }
        if !self.is_indexed() {
            return ((0..missing).map(|_| pods::make(&self.owner, None)).collect(), None);
        }
        self.make_indexes(missing, &failed)
    }

    /// Pods for the first indexes that have none.
    fn make_indexes(&self, missing: i64, failed: &[&Arc<Value>]) -> (Vec<Action>, Option<Timestamp>) {
        let busy: BTreeSet<i64> =
            self.pods.iter().filter(|pod| self.holds_index(pod)).filter_map(|pod| index::of(pod)).collect();
        let free = (0..self.bound()).filter(|index| {
            !busy.contains(index)
                && !self.counted.completed_indexes.has(*index)
                && !self.counted.failed_indexes.has(*index)
        });
        let (mut made, mut again) = (Vec::new(), None::<Timestamp>);
        for index in free {
            if made.len() >= number::length(missing) {
                break;
            }
            let own: Vec<&Arc<Value>> = failed.iter().copied().filter(|pod| index::of(pod) == Some(index)).collect();
            let per_index = !self.job["spec"]["backoffLimitPerIndex"].is_null();
            if per_index && let Some(at) = pods::may_make_at(&own, &[]).filter(|at| *at > self.moment.now) {
                again = Some(again.map_or(at, |one| one.min(at)));
                continue;
            }
            let failures = self.counted.index_failures.get(&index).copied().unwrap_or(0);
            made.push(pods::make(&self.owner, Some((index, failures))));
        }
        (made, again)
    }

    /// Whether a pod keeps its index from being given to another.
    fn holds_index(&self, pod: &Value) -> bool {
        pod::is_active(pod)
            || pods::waits_for_end(self.job) && meta::deletion_timestamp(pod).is_some() && !pod::is_terminal(pod)
    }

    fn surplus(&self, at_least: i64) -> Vec<Action> {
        let mut chosen = if self.is_indexed() { pods::needless(&self.active, self.bound()) } else { Vec::new() };
        let mut others: Vec<&Arc<Value>> = self.active.clone();
        others.retain(|pod| !chosen.iter().any(|one| meta::uid(one) == meta::uid(pod)));
        // As replica sets choose: what has come least far goes first.
        others.sort_by_key(|pod| {
            (
                pod::node_name(pod).is_some(),
                pod::phase(pod) == "Running",
                pod::is_ready(pod),
                std::cmp::Reverse(meta::creation_timestamp(pod)),
            )
        });
        let more = number::length(at_least).saturating_sub(chosen.len());
        chosen.extend(others.into_iter().take(more));
        chosen.into_iter().take(number::length(BATCH)).map(|pod| self.delete(pod)).collect()
    }
}

/// The reasons for which jobs fail.
const REASONS: [&str; 5] =
    ["PodFailurePolicy", "BackoffLimitExceeded", "DeadlineExceeded", "MaxFailedIndexesExceeded", "FailedIndexes"];

/// A status in the making.
struct Draft {
    active: i64,
    ready: i64,
    terminating: i64,
    started: Option<Timestamp>,
    /// It has just been suspended: since 1.36 such a job has not started (KEP-5440).
    stopped: bool,
    completed: Option<Timestamp>,
    conditions: Vec<Value>,
}

impl Draft {
    fn new(look: &Look<'_>) -> Self {
        Self {
            active: number::count(&look.active),
            ready: number::count(&look.active.iter().filter(|pod| pod::is_ready(pod)).collect::<Vec<_>>()),
            terminating: look.terminating,
            started: None,
            stopped: false,
            completed: None,
            conditions: conditions::of(&look.job["status"]),
        }
    }

    /// Says that the job is suspended, or not any more.
    fn suspend(&mut self, look: &Look<'_>) -> Option<Action> {
        let known = conditions::find(&self.conditions, "Suspended").map(|condition| condition["status"] == "True");
        let (status, reason, event, message) = match (look.is_suspended(), known) {
            (true, None | Some(false)) => ("True", "JobSuspended", "Suspended", "Job suspended"),
            (false, Some(true)) => ("False", "JobResumed", "Resumed", "Job resumed"),
            _ => return None,
        };
        let mut condition = conditions::new("Suspended", status, reason, message, look.moment.now);
        condition["lastProbeTime"] = condition["lastTransitionTime"].clone();
        conditions::set(&mut self.conditions, condition);
        if look.is_suspended() {
            self.stopped = true;
        } else {
            self.started = Some(look.moment.now);
        }
        let remark = Remark::normal(COMPONENT, event, message);
        Some(Action::Remark { about: look.job.clone(), remark })
    }

    fn finish(self, look: &Look<'_>) -> Value {
        let counted = &look.counted;
        let mut status = Map::new();
        let succeeded = if look.is_indexed() { counted.completed_indexes.total() } else { counted.succeeded };
        number::put(&mut status, &[("active", self.active), ("succeeded", succeeded), ("failed", counted.failed)]);
        status.insert("ready".to_owned(), json!(self.ready));
        status.insert("terminating".to_owned(), json!(self.terminating));
        let mut noted = Map::new();
        for (member, uids) in ["succeeded", "failed"].into_iter().zip(&counted.noted) {
            if !uids.is_empty() {
                noted.insert(member.to_owned(), json!(uids));
            }
        }
        status.insert("uncountedTerminatedPods".to_owned(), Value::Object(noted));
        for (member, at, stays) in
            [("startTime", self.started, !self.stopped), ("completionTime", self.completed, true)]
        {
            let before = look.job["status"].get(member).filter(|time| time.is_string() && stays);
            if let Some(at) = at.map(|at| json!(time::format_seconds(at))).or_else(|| before.cloned()) {
                status.insert(member.to_owned(), at);
            }
        }
        if look.is_indexed() && counted.completed_indexes.total() > 0 {
            status.insert("completedIndexes".to_owned(), json!(counted.completed_indexes.to_string()));
        }
        let per_index = !look.job["spec"]["backoffLimitPerIndex"].is_null();
        if look.is_indexed() && (per_index || counted.failed_indexes.total() > 0) {
            status.insert("failedIndexes".to_owned(), json!(counted.failed_indexes.to_string()));
        }
        if !self.conditions.is_empty() {
            status.insert("conditions".to_owned(), json!(self.conditions));
        }
        Value::Object(status)
    }
}
