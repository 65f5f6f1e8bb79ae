//! What is wrong with the status of a Job. Controllers of others may write it, too (`managedBy`), and who reads it relies on
//! how a Job ends: most rules look only at what a write changes (KEP-4368).

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path, quote},
    time,
};
use serde_json::Value;

use crate::builtin::formats::not_negative;
use crate::builtin::go_form::{Member, NULL, go_struct, shown};
use crate::builtin::pointer::{condition_is_true, has, integer, is_true, text, texts};
use crate::format::Errors;

const UNCOUNTED: &[Member] = go_struct! { Succeeded: NULL, Failed: NULL };

/// The status of a Job after a write, next to the one before.
struct Change<'a> {
    job: &'a Value,
    old: &'a Value,
    errors: Errors,
}

/// Everything wrong with a new status of a Job.
pub(super) fn validate(job: &Value, old: &Value) -> Errors {
    let mut change = Change { job, old, errors: Vec::new() };
    change.counts();
    change.uncounted();
    change.ending();
    change.indexes();
    change.rest();
    change.transitions();
    change.errors
}

/// Whether a Job has ended, one way or the other.
fn is_finished(job: &Value) -> bool {
    condition_is_true(job, "Complete") || condition_is_true(job, "Failed")
}

impl Change<'_> {
    /// Whether one of these members of the status is not as it was.
    fn changed(&self, members: &[&str]) -> bool {
        members.iter().any(|member| {
            let of = |job: &'_ Value| job.pointer("/status").and_then(|status| status.get(*member)).cloned();
            of(self.job) != of(self.old)
        })
    }

    /// Whether one of these conditions has come or gone.
    fn turned(&self, conditions: &[&str]) -> bool {
        conditions.iter().any(|one| condition_is_true(self.job, one) != condition_is_true(self.old, one))
    }

    fn is(&self, condition: &str) -> bool {
        condition_is_true(self.job, condition)
    }

    fn say(&mut self, member: &str, detail: &str) {
        let value = self.job.pointer("/status").and_then(|status| status.get(member)).cloned().unwrap_or_default();
        self.errors.push(Error::invalid(&Path::new("status").child(member), &value, detail));
    }

    /// Conditions are not shown.
    fn say_of_conditions(&mut self, detail: &str) {
        self.errors.push(Error::invalid_without_value(&Path::new("status").child("conditions"), detail));
    }

    fn require(&mut self, member: &str, detail: &str) {
        self.errors.push(Error::required(&Path::new("status").child(member), detail));
    }

    fn counts(&mut self) {
        let status = self.job.get("status").unwrap_or(&Value::Null);
        for member in ["active", "succeeded", "failed", "ready", "terminating"] {
            not_negative(&mut self.errors, &Path::new("status"), status, member);
        }
    }

    /// A pod is counted once.
    fn uncounted(&mut self) {
        let mut seen = BTreeSet::new();
        for member in ["succeeded", "failed"] {
            let path = Path::new("status").child("uncountedTerminatedPods").child(member);
            for (index, uid) in texts(self.job, &format!("/status/uncountedTerminatedPods/{member}")).enumerate() {
                let path = path.index(index);
                if uid.is_empty() {
                    self.errors.push(Error::invalid(&path, &uid.into(), "must not be empty"));
                } else if !seen.insert(uid) {
                    self.errors.push(Error::duplicate(&path, &uid.into()));
                }
            }
        }
    }

    /// How a Job ends: with times, and with the condition that announces its end.
    fn ending(&mut self) {
        let (complete, failed) = (self.is("Complete"), self.is("Failed"));
        if self.turned(&["Complete", "Failed"]) && complete && failed {
            self.say_of_conditions("cannot set Complete=True and Failed=true conditions");
        }
        if self.turned(&["Complete", "FailureTarget"]) && complete && self.is("FailureTarget") {
            self.say_of_conditions("cannot set Complete=True and FailureTarget=true conditions");
        }
        let ends = has(self.job, "/status/completionTime");
        if self.turned(&["Complete"]) || self.changed(&["completionTime"]) {
            if ends && !complete {
                self.say("completionTime", "cannot set completionTime when there is no Complete=True condition");
            } else if !ends && complete {
                self.require("completionTime", "completionTime is required for Complete jobs");
            }
        }
        let [began, ended] = ["startTime", "completionTime"].map(|member| time_of(self.job, member));
        if self.changed(&["startTime", "completionTime"])
            && began.zip(ended).is_some_and(|(began, ended)| ended < began)
        {
            self.say("completionTime", "must be equal to or after `startTime`");
        }
        if (self.turned(&["Failed"]) || self.changed(&["failedIndexes"])) && failed && !self.is("FailureTarget") {
            self.say_of_conditions("cannot set Failed=True condition without the FailureTarget=true condition");
        }
        if self.turned(&["Complete", "SuccessCriteriaMet"]) && complete && !self.is("SuccessCriteriaMet") {
            self.say_of_conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
        }
        let just_finished = is_finished(self.job) != is_finished(self.old);
        if !is_finished(self.job) {
            return;
        }
        if (just_finished || self.changed(&["active"])) && integer(self.job, "/status/active") > 0 {
            self.say("active", "active>0 is invalid for finished job");
        }
        let never_ran =
            is_true(self.job, "/spec/suspend") && self.job.pointer("/spec/completions") == Some(&Value::from(0));
        if (just_finished || self.changed(&["startTime"])) && !never_ran && !has(self.job, "/status/startTime") {
            self.require("startTime", "startTime is required for finished job");
        }
        let uncounted = self.job.pointer("/status/uncountedTerminatedPods").unwrap_or(&Value::Null);
        let counts = ["/succeeded", "/failed"].map(|member| texts(uncounted, member).count());
        if (just_finished || self.changed(&["uncountedTerminatedPods"])) && counts != [0, 0] {
            let path = Path::new("status").child("uncountedTerminatedPods");
            let error = Error::invalid_shown(&path, &shown(UNCOUNTED, uncounted), "must be empty for finished job");
            self.errors.push(error);
        }
    }

    fn indexes(&mut self) {
        let [completed, failed] =
            ["completedIndexes", "failedIndexes"].map(|member| text(self.job, &format!("/status/{member}")).to_owned());
        let completions = self.job.pointer("/spec/completions").and_then(Value::as_i64);
        let per_index = has(self.job, "/spec/backoffLimitPerIndex");
        let [new_completed, new_failed] = ["completedIndexes", "failedIndexes"].map(|member| self.changed(&[member]));
        if let Some(why) = completions.filter(|_| new_completed).and_then(|most| index_fault(&completed, most)) {
            self.say("completedIndexes", &format!("error parsing completedIndexes: {why}"));
        }
        if let Some(why) = completions.filter(|_| new_failed && per_index).and_then(|most| index_fault(&failed, most)) {
            self.say("failedIndexes", &format!("error parsing failedIndexes: {why}"));
        }
        if new_completed && !completed.is_empty() && text(self.job, "/spec/completionMode") != "Indexed" {
            self.say("completedIndexes", "cannot set non-empty completedIndexes when non-indexed completion mode");
        }
        if new_failed && !per_index && has(self.job, "/status/failedIndexes") {
            self.say("failedIndexes", "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
        }
        let common = completions.filter(|_| new_completed || new_failed);
        if let Some(index) = common.and_then(|most| first_of_both(&completed, &failed, most)) {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            self.say("failedIndexes", &detail);
        }
    }

    fn rest(&mut self) {
        let just_finished = is_finished(self.job) != is_finished(self.old);
        let terminating = integer(self.job, "/status/terminating");
        if (just_finished || self.changed(&["terminating"])) && is_finished(self.job) && terminating > 0 {
            self.say("terminating", "terminating>0 is invalid for finished job");
        }
        let [ready, active] = ["/status/ready", "/status/active"].map(|count| integer(self.job, count));
        if self.changed(&["ready", "active"]) && has(self.job, "/status/ready") && ready > active {
            self.say("ready", "cannot set more ready pods than active");
        }
        let met = self.is("SuccessCriteriaMet");
        for other in ["Failed", "FailureTarget"] {
            if met && self.is(other) {
                self.say_of_conditions(&format!("cannot set SuccessCriteriaMet=True and {other}=true conditions"));
            }
        }
        if has(self.job, "/spec/successPolicy") && !met && self.is("Complete") {
            let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            self.say_of_conditions(detail);
        }
    }

    /// What does not go back.
    fn transitions(&mut self) {
        for condition in ["Failed", "Complete", "FailureTarget"] {
            if condition_is_true(self.old, condition) && !self.is(condition) {
                self.say_of_conditions(&format!("cannot disable the terminal {condition}=True condition"));
            }
        }
        // Where each pod has an index and as many may run at once, a Job can become smaller.
        let of_spec = |member: &str| self.job.pointer("/spec").and_then(|spec| spec.get(member));
        let shrinks =
            text(self.job, "/spec/completionMode") == "Indexed" && of_spec("completions") == of_spec("parallelism");
        for (member, may_shrink) in [("failed", false), ("succeeded", shrinks)] {
            let [count, was] = [self.job, self.old].map(|job| integer(job, &format!("/status/{member}")));
            if count < was && !may_shrink {
                let path = Path::new("status").child(member);
                let detail = format!("cannot decrease the {member} counter");
                self.errors.push(Error::invalid(&path, &count.into(), &detail));
            }
        }
        let both = |member: &str| [self.job, self.old].map(|job| has(job, &format!("/status/{member}")));
        if both("completionTime") == [true, true] && self.changed(&["completionTime"]) {
            self.say("completionTime", "field is immutable");
        }
        let suspended = |job: &Value, wanted: &str| {
            let found = crate::builtin::pointer::condition(job, "Suspended");
            found.is_some_and(|condition| text(condition, "/status") == wanted)
        };
        let resumes = suspended(self.old, "True") && suspended(self.job, "False");
        if has(self.old, "/status/startTime")
            && self.changed(&["startTime"])
            && !resumes
            && !is_true(self.job, "/spec/suspend")
        {
            self.say("startTime", "field is immutable for unsuspended job once set");
        }
        let [met, was_met] = [self.job, self.old].map(|job| condition_is_true(job, "SuccessCriteriaMet"));
        if was_met && !met {
            self.say_of_conditions("cannot disable the SuccessCriteriaMet=True condition");
        }
        if condition_is_true(self.old, "Complete") && !was_met && met {
            let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            self.say_of_conditions(detail);
        }
    }
}

fn time_of(job: &Value, member: &str) -> Option<jiff::Timestamp> {
    time::parse(text(job, &format!("/status/{member}")))
}

/// Why a text is no list of growing indexes like `1,3-5` below a bound.
fn index_fault(indexes: &str, completions: i64) -> Option<String> {
    let mut last = None;
    for part in indexes.split(',').filter(|_| !indexes.is_empty()) {
        let (first, end) = match interval(part, completions) {
            Ok(interval) => interval,
            Err(why) => return Some(why),
        };
        if let Some(last) = last.filter(|last| *last >= first) {
            return Some(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        last = Some(end);
    }
    None
}

/// The first and the last index of `3-5`, or twice that of `3`.
fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let index = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!("cannot convert string to integer for index: {}", quote(text))),
        Ok(index) if index >= completions => Err(format!("too large index: {}", quote(text))),
        Ok(index) => Ok(index),
    };
    let mut limits = text.split('-');
    let (first, last) = (limits.next().unwrap_or_default(), limits.next());
    if limits.next().is_some() {
        return Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(text)
        ));
    }
    let first = index(first)?;
    let Some(last) = last else { return Ok((first, first)) };
    let last = index(last)?;
    if first >= last {
        return Err(format!("non-increasing order, previous: {first}, current: {last}"));
    }
    Ok((first, last))
}

/// The first index that two lists have in common; what of them cannot be read is told elsewhere.
fn first_of_both(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| {
        let parts = text.split(',').filter(|_| !text.is_empty());
        parts.filter_map(|part| interval(part, completions).ok()).collect::<Vec<_>>().into_iter().peekable()
    };
    let (mut completed, mut failed) = (read(completed), read(failed));
    while let (Some(one), Some(other)) = (completed.peek(), failed.peek()) {
        if one.0 <= other.1 && other.0 <= one.1 {
            return Some(one.0.max(other.0));
        }
        if one.0 <= other.0 {
            completed.next()
        } else {
            failed.next()
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_of_indexes_grow() {
        for (text, fault) in [
            ("", None),
            ("0,2-4", None),
            ("5", Some("too large index: \"5\"")),
            ("1-1", Some("non-increasing order, previous: 1, current: 1")),
            ("1,1", Some("non-increasing order, previous: 1, current: 1")),
            ("1-", Some("cannot convert string to integer for index: \"\"")),
            ("x", Some("cannot convert string to integer for index: \"x\"")),
            (
                "1-2-3",
                Some(
                    "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts \
                     separated by '-'",
                ),
            ),
        ] {
            assert_eq!(index_fault(text, 5).as_deref(), fault, "{text}");
        }
        assert_eq!(first_of_both("0,3-4", "1,4", 5), Some(4));
        assert_eq!(first_of_both("0,x,3", "1,y,4", 5), None);
        assert_eq!(first_of_both("", "1", 5), None);
    }

    #[test]
    fn a_job_ends_with_times_and_an_announcement() {
        let old = json!({"spec": {"completions": 1}, "status": {"active": 1}});
        let said = |status: Value| -> Vec<String> {
            let job = json!({"spec": {"completions": 1}, "status": status});
            validate(&job, &old).iter().map(Error::to_string).collect()
        };
        let done = json!([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]);
        assert_eq!(
            said(json!({"conditions": done})),
            [
                "status.completionTime: Required value: completionTime is required for Complete jobs",
                "status.startTime: Required value: startTime is required for finished job",
            ]
        );
        let times = json!({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-02T00:00:00Z"});
        let mut good = times.clone();
        good["conditions"] = done;
        assert_eq!(said(good.clone()), [""; 0]);
        good["active"] = 1.into();
        // It was so before, but the Job was not finished.
        assert_eq!(said(good), ["status.active: Invalid value: 1: active>0 is invalid for finished job"]);
        assert_eq!(
            said(times),
            [
                "status.completionTime: Invalid value: \"2026-01-02T00:00:00Z\": cannot set completionTime when there is no \
                 Complete=True condition"
            ]
        );
    }
}
