//! CronJobs: jobs at their time.

mod schedule;

use std::{cmp::Reverse, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use machinery::{field::quote, meta, time};
use serde_json::{Map, Value, json};

use self::schedule::Schedule;
use super::{job, number};
use crate::{
    action::{Action, Tell},
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    event::Remark,
    node_fit::list,
    ownership,
};

const COMPONENT: &str = "cronjob-controller";
/// When a job was due.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// From so many missed times on, somebody is told.
const MISSED_MAX: usize = 100;
/// Most times that are counted.
const COUNT_MAX: usize = 1000;

/// The cron job controller.
pub(crate) struct CronJobs;

impl Controller for CronJobs {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::CRON_JOB, kind::JOB]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        if changed.kind == kind::CRON_JOB {
            due.extend(changed.after.as_ref().map(|cron| (kind::CRON_JOB, Key::of(cron))));
            return;
        }
        for job in changed.states() {
            let owner = ownership::controller_of(kind::CRON_JOB, job, cache);
            due.extend(owner.map(|cron| (kind::CRON_JOB, Key::of(cron))));
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(cron) = cache.get(kind::CRON_JOB, key) else { return Plan::default() };
        let jobs: Vec<&Arc<Value>> = cache.owned(kind::JOB, meta::uid(cron)).collect();
        Look { cron, jobs, now: moment.now }.plan()
    }
}

/// One look at a cron job.
struct Look<'a> {
    cron: &'a Arc<Value>,
    jobs: Vec<&'a Arc<Value>>,
    now: Timestamp,
}

/// What came of a job that ended.
fn end_of(job: &Value) -> Option<&'static str> {
    let list = conditions::of(&job["status"]);
    let is = |kind: &str| conditions::find(&list, kind).is_some_and(|condition| condition["status"] == "True");
    ["Complete", "Failed"].into_iter().find(|kind| is(kind))
}

impl<'a> Look<'a> {
    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let mut active = self.active(&mut plan.actions);
        let mut last = self.last_schedule();
        if meta::deletion_timestamp(self.cron).is_none() {
            plan.actions.extend(self.clean_up());
            if self.cron["spec"]["suspend"] != true {
                self.start(&mut plan, &mut active, &mut last);
            }
        }
        let status = self.status(&active, last);
        if status != self.cron["status"] && !(status == json!({}) && self.cron["status"].is_null()) {
            let mut changed = Value::clone(self.cron);
            changed["status"] = status;
            plan.actions.push(Action::status(kind::CRON_JOB, changed));
        }
        plan
    }

    fn remark(&self, warning: bool, reason: &'static str, message: String) -> Action {
        let remark = Remark { reason, message, warning, component: COMPONENT.into() };
        Action::Remark { about: self.cron.clone(), remark }
    }

    /// The jobs that go on. Tells of those that ended, went missing, or are somebody else's.
    fn active(&self, told: &mut Vec<Action>) -> Vec<&'a Arc<Value>> {
        let listed = |job: &Value| list(self.cron, "/status/active").any(|one| one["uid"] == meta::uid(job));
        let mut active = Vec::new();
        for job in &self.jobs {
            match (end_of(job), listed(job)) {
                (Some(end), true) => {
                    let message = format!("Saw completed job: {}, condition: {end}", meta::name(job));
                    told.push(self.remark(false, "SawCompletedJob", message));
                }
                (None, true) => active.push(*job),
                (None, false) if meta::annotation(job, SCHEDULED).is_some() => active.push(*job),
                (None, false) => {
                    let message =
                        format!("Saw a job that the controller did not create or forgot: {}", meta::name(job));
                    told.push(self.remark(true, "UnexpectedJob", message));
                }
                (Some(_), false) => {}
            }
        }
        for reference in list(self.cron, "/status/active") {
            if !self.jobs.iter().any(|job| reference["uid"] == meta::uid(job)) {
                let name = reference["name"].as_str().unwrap_or_default();
                told.push(self.remark(false, "MissingJob", format!("Active job went missing: {name}")));
            }
        }
        active
    }

    /// When a job was due last.
    fn last_schedule(&self) -> Option<Timestamp> {
        let known = self.cron["status"]["lastScheduleTime"].as_str().and_then(time::parse);
        let made = self.jobs.iter().filter_map(|job| time::parse(meta::annotation(job, SCHEDULED)?));
        made.chain(known).max()
    }

    fn zone(&self) -> Result<TimeZone, String> {
        match self.cron["spec"]["timeZone"].as_str() {
            None => Ok(TimeZone::UTC),
            Some(name) => TimeZone::get(name).map_err(|_| name.to_owned()),
        }
    }

    /// Starts the job that is due, if it is, and says when to look again.
    fn start(&self, plan: &mut Plan, active: &mut Vec<&'a Arc<Value>>, last: &mut Option<Timestamp>) {
        let zone = match self.zone() {
            Ok(zone) => zone,
            Err(name) => {
                let message = format!("invalid timeZone: {}: unknown time zone {name}", quote(&name));
                return plan.actions.push(self.remark(true, "UnknownTimeZone", message));
            }
        };
        let text = self.cron["spec"]["schedule"].as_str().unwrap_or_default();
        let schedule = match Schedule::parse(text) {
            Ok(schedule) => schedule,
            Err(error) => {
                let message = format!("unparseable schedule: {} : {error}", quote(text));
                return plan.actions.push(self.remark(true, "UnparseableSchedule", message));
            }
        };
        let next = schedule.next(self.now, &zone);
        if next.is_none() {
            // The 31st of February: upstream notices by twice the same time.
            let message =
                format!("invalid schedule: {text} : time difference between two schedules is less than 1 second");
            return plan.actions.push(self.remark(true, "InvalidSchedule", message));
        }
        plan.look_again(next);
        let Some(due) = self.due(&schedule, &zone, *last, &mut plan.actions) else { return };
        let deadline = number::maybe(self.cron, "/spec/startingDeadlineSeconds");
        let ends = deadline.and_then(|seconds| due.checked_add(SignedDuration::from_secs(seconds)).ok());
        if ends.is_some_and(|ends| ends < self.now) {
            let at = due.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
            let message = format!("Missed scheduled time to start a job: {at}");
            return plan.actions.push(self.remark(true, "MissSchedule", message));
        }
        let policy = self.cron["spec"]["concurrencyPolicy"].as_str();
        if policy == Some("Forbid") && !active.is_empty() {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            return plan.actions.push(self.remark(false, "JobAlreadyActive", message.to_owned()));
        }
        if policy == Some("Replace") {
            let replaced = std::mem::take(active);
            plan.actions.extend(replaced.into_iter().map(|job| self.delete(job)));
        }
        plan.actions.push(self.make(due, &zone));
        *last = Some(due);
    }

    /// The last time that has passed since a job was due last; `None`: none has.
    fn due(
        &self,
        schedule: &Schedule,
        zone: &TimeZone,
        last: Option<Timestamp>,
        told: &mut Vec<Action>,
    ) -> Option<Timestamp> {
        let since = last.or_else(|| time::parse(meta::creation_timestamp(self.cron)))?;
        let bound = number::maybe(self.cron, "/spec/startingDeadlineSeconds")
            .and_then(|seconds| self.now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        let mut since = bound.map_or(since, |bound| bound.max(since));
        let (mut due, mut missed) = (None, 0_usize);
        while let Some(next) = schedule.next(since, zone).filter(|next| *next <= self.now) {
            (due, since) = (Some(next), next);
            missed += 1;
            if missed >= COUNT_MAX {
                // What was missed long ago is not counted: the last time of all is what matters.
                since = self.now.checked_sub(SignedDuration::from_hours(24)).map_or(since, |day| day.max(since));
                if missed >= 2 * COUNT_MAX + 1440 {
                    break;
                }
            }
        }
        if missed > MISSED_MAX {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            told.push(self.remark(true, "TooManyMissedTimes", message.to_owned()));
        }
        due
    }

    fn make(&self, due: Timestamp, zone: &TimeZone) -> Action {
        let template = &self.cron["spec"]["jobTemplate"];
        let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        let at = match zone == &TimeZone::UTC {
            true => time::format_seconds(due),
            false => due.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        };
        annotations.insert(SCHEDULED.to_owned(), json!(at));
        let labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": format!("{}-{}", meta::name(self.cron), due.as_second() / 60),
                "namespace": meta::namespace(self.cron),
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [ownership::reference(kind::CRON_JOB, self.cron)],
            },
            "spec": template["spec"],
        });
        let tell = self.tell(("SuccessfulCreate", "Created job {}"), ("FailedCreate", "Error creating job: {}"));
        Action::Create { kind: kind::JOB, object: job, tell: Some(tell) }
    }

    fn delete(&self, job: &Arc<Value>) -> Action {
        let tell = self.tell(("SuccessfulDelete", "Deleted job {}"), ("FailedDelete", "Deleted job: {}"));
        Action::Delete { kind: kind::JOB, object: job.clone(), grace: None, tell: Some(tell) }
    }

    fn tell(&self, done: (&'static str, &str), failed: (&'static str, &str)) -> Tell {
        let own = |(reason, message): (&'static str, &str)| (reason, message.to_owned());
        Tell { about: self.cron.clone(), component: COMPONENT, done: own(done), failed: own(failed) }
    }

    /// Jobs that ended beyond those that are kept for being looked at.
    fn clean_up(&self) -> Vec<Action> {
        let limits = [("Complete", "/spec/successfulJobsHistoryLimit"), ("Failed", "/spec/failedJobsHistoryLimit")];
        let mut actions = Vec::new();
        for (end, limit) in limits {
            let Some(limit) = number::maybe(self.cron, limit) else { continue };
            let mut ended: Vec<&Arc<Value>> =
                self.jobs.iter().copied().filter(|job| end_of(job) == Some(end)).collect();
            ended.retain(|job| meta::deletion_timestamp(job).is_none());
            ended
                .sort_by_key(|job| Reverse((job["status"]["startTime"].as_str().unwrap_or_default(), meta::name(job))));
            actions.extend(ended.into_iter().skip(number::length(limit)).map(|job| self.delete(job)));
        }
        actions
    }

    fn status(&self, active: &[&Arc<Value>], last: Option<Timestamp>) -> Value {
        let reference = |job: &&Arc<Value>| {
            let known = list(self.cron, "/status/active").find(|one| one["uid"] == meta::uid(job));
            known.cloned().unwrap_or_else(|| {
                json!({
                    "apiVersion": "batch/v1", "kind": "Job", "name": meta::name(job),
                    "namespace": meta::namespace(job), "resourceVersion": meta::resource_version(job), "uid": meta::uid(job),
                })
            })
        };
        let mut status = Map::new();
        if !active.is_empty() {
            status.insert("active".to_owned(), active.iter().map(reference).collect());
        }
        if let Some(last) = last {
            status.insert("lastScheduleTime".to_owned(), json!(time::format_seconds(last)));
        }
        let known = self.cron["status"]["lastSuccessfulTime"].as_str().and_then(time::parse);
        let successes =
            self.jobs.iter().filter(|job| end_of(job) == Some("Complete")).filter_map(|job| job::finished_at(job));
        if let Some(success) = successes.chain(known).max() {
            status.insert("lastSuccessfulTime".to_owned(), json!(time::format_seconds(success)));
        }
        Value::Object(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        time::parse(text).expect("a time")
    }

    fn cron(spec: Value, status: Value) -> Arc<Value> {
        let mut cron = json!({
            "metadata": {"namespace": "n", "name": "c", "uid": "c", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 1, "jobTemplate": {"spec": {}},
            },
            "status": status,
        });
        for (member, value) in spec.as_object().expect("members") {
            cron["spec"][member] = value.clone();
        }
        Arc::new(cron)
    }

    fn job(name: &str, end: Option<&str>) -> Arc<Value> {
        let conditions: Vec<Value> = end
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}))
            .into_iter()
            .collect();
        Arc::new(json!({
            "metadata": {"namespace": "n", "name": name, "uid": name,
                "annotations": {SCHEDULED: "2026-01-01T00:00:00Z"}},
            "status": {"conditions": conditions, "startTime": format!("2026-01-01T00:00:{}Z", name.len())},
        }))
    }

    /// What is written: `+job`, `-job`, reasons of Events.
    fn writes(cron: &Arc<Value>, jobs: &[Arc<Value>], now: &str) -> Vec<String> {
        let plan = Look { cron, jobs: jobs.iter().collect(), now: at(now) }.plan();
        let word = |action: Action| match action {
            Action::Create { object, .. } => format!("+{}", meta::name(&object)),
            Action::Delete { object, .. } => format!("-{}", meta::name(&object)),
            Action::Remark { remark, .. } => remark.reason.to_owned(),
            Action::Replace { .. } => "status".to_owned(),
            other => panic!("{other:?}"),
        };
        plan.actions.into_iter().map(word).collect()
    }

    #[test]
    fn jobs_start_at_their_time() {
        let fresh = || cron(json!({}), json!({}));
        assert_eq!(writes(&fresh(), &[], "2026-01-01T00:04:59Z"), Vec::<String>::new());
        assert_eq!(writes(&fresh(), &[], "2026-01-01T00:05:01Z"), ["+c-29453765", "status"]);
        let started = cron(json!({}), json!({"lastScheduleTime": "2026-01-01T00:05:00Z"}));
        assert!(writes(&started, &[], "2026-01-01T00:09:00Z").is_empty());
        assert!(writes(&cron(json!({"suspend": true}), json!({})), &[], "2026-01-01T01:00:00Z").is_empty());
        let late = cron(json!({"startingDeadlineSeconds": 10, "schedule": "0 * * * *"}), json!({}));
        assert!(writes(&late, &[], "2026-01-01T01:30:00Z").is_empty(), "what is too late is not looked at");
        assert_eq!(
            writes(&cron(json!({"timeZone": "Moon/Base"}), json!({})), &[], "2026-01-01T00:05:00Z"),
            ["UnknownTimeZone"]
        );
        let never = cron(json!({"schedule": "59 23 31 2 *"}), json!({}));
        assert_eq!(writes(&never, &[], "2026-01-01T00:05:00Z"), ["InvalidSchedule"]);
        assert_eq!(
            writes(&cron(json!({"schedule": "* * * * *"}), json!({})), &[], "2026-01-01T02:00:00Z"),
            ["TooManyMissedTimes", "+c-29453880", "status"]
        );
    }

    #[test]
    fn jobs_that_go_on_are_minded() {
        let active = json!({"active": [{"uid": "a", "name": "a"}], "lastScheduleTime": "2026-01-01T00:00:00Z"});
        let with = |policy: &str| cron(json!({"concurrencyPolicy": policy}), active.clone());
        let now = "2026-01-01T00:05:00Z";
        assert_eq!(writes(&with("Allow"), &[job("a", None)], now), ["+c-29453765", "status"]);
        assert_eq!(writes(&with("Forbid"), &[job("a", None)], now), ["JobAlreadyActive"]);
        assert_eq!(writes(&with("Replace"), &[job("a", None)], now), ["-a", "+c-29453765", "status"]);
        assert_eq!(
            writes(&with("Forbid"), &[job("a", Some("Complete"))], now),
            ["SawCompletedJob", "+c-29453765", "status"]
        );
        assert_eq!(writes(&with("Forbid"), &[], "2026-01-01T00:01:00Z"), ["MissingJob", "status"]);
        let done = [job("a", Some("Complete")), job("bb", Some("Complete")), job("c", Some("Failed"))];
        let status = json!({"lastScheduleTime": "2026-01-01T00:00:00Z", "lastSuccessfulTime": "2026-01-01T00:01:00Z"});
        assert_eq!(writes(&cron(json!({}), status), &done, "2026-01-01T00:01:00Z"), ["-a"]);
    }
}
