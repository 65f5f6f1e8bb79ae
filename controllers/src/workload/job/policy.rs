//! What the failure of a pod means for its job, and when a job has succeeded early.

use cluster::Key;
use machinery::meta;
use serde_json::Value;

use super::index::Indexes;
use crate::{node_fit::list, workload::number};

/// What the failure of a pod means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts.
    Count,
    /// It does not.
    Ignore,
    /// The index of the pod has failed.
    FailIndex,
    /// The job has failed, for this reason.
    FailJob(String),
}

/// What the policy of a job says of a failed pod: the first rule that matches.
pub(super) fn verdict(job: &Value, pod: &Value) -> Verdict {
    for (number, rule) in list(job, "/spec/podFailurePolicy/rules").enumerate() {
        let action = rule["action"].as_str().unwrap_or_default();
        let Some(why) = exit_code(rule, pod).or_else(|| condition(rule, pod)) else { continue };
        return match action {
            "Ignore" => Verdict::Ignore,
            "FailIndex" => Verdict::FailIndex,
            "FailJob" => Verdict::FailJob(format!("{why} matching FailJob rule at index {number}")),
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

fn exit_code(rule: &Value, pod: &Value) -> Option<String> {
    let codes = rule.get("onExitCodes").filter(|codes| codes.is_object())?;
    let containers = list(pod, "/status/containerStatuses").chain(list(pod, "/status/initContainerStatuses"));
    let meant = |container: &&Value| codes["containerName"].is_null() || codes["containerName"] == container["name"];
    for container in containers.filter(meant) {
        let Some(code) = number::maybe(container, "/state/terminated/exitCode").filter(|code| *code != 0) else {
            continue;
        };
        let listed = list(codes, "/values").any(|value| value.as_i64() == Some(code));
        if listed == (codes["operator"] == "In") {
            let name = container["name"].as_str().unwrap_or_default();
            return Some(format!("Container {name} for pod {} failed with exit code {code}", Key::of(pod)));
        }
    }
    None
}

fn condition(rule: &Value, pod: &Value) -> Option<String> {
    let patterns = || list(rule, "/onPodConditions");
    let matches =
        |condition: &&Value| patterns().any(|pattern| ["type", "status"].iter().all(|of| pattern[of] == condition[of]));
    let condition = list(pod, "/status/conditions").find(matches)?;
    let kind = condition["type"].as_str().unwrap_or_default();
    Some(format!("Pod {} has condition {kind}", Key::of(pod)))
}

/// Why a job has succeeded although not all of its indexes have.
pub(super) fn early_success(job: &Value, succeeded: &Indexes, completions: i64) -> Option<String> {
    let met = |rule: &Value| {
        let count = number::maybe(rule, "/succeededCount");
        match rule["succeededIndexes"].as_str() {
            Some(text) => {
                let needed = Indexes::parse(text, completions);
                let done = Indexes(needed.0.intersection(&succeeded.0).copied().collect()).total();
                done >= count.unwrap_or(needed.total())
            }
            None => count.is_some_and(|count| succeeded.total() >= count),
        }
    };
    let rule = list(job, "/spec/successPolicy/rules").position(met)?;
    Some(format!("Matched rules at index {rule}"))
}

/// How often the index of a pod had failed before this pod.
pub(super) fn failures_before(pod: &Value) -> i64 {
    meta::annotation(pod, super::pods::INDEX_FAILURES).and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_matching_rule_decides() {
        let job = json!({"spec": {"podFailurePolicy": {"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}},
        ]}}});
        let pod = |container: &str, code: i64| {
            json!({
                "metadata": {"namespace": "n", "name": "p"},
                "status": {"containerStatuses": [{"name": container, "state": {"terminated": {"exitCode": code}}}]},
            })
        };
        let message = "Container main for pod n/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(verdict(&job, &pod("main", 42)), Verdict::FailJob(message.to_owned()));
        assert_eq!(verdict(&job, &pod("side", 42)), Verdict::FailIndex);
        assert_eq!(verdict(&job, &pod("main", 1)), Verdict::Count);
        assert_eq!(verdict(&job, &pod("main", 0)), Verdict::Count);
        let mut disrupted = pod("main", 42);
        disrupted["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True"}]);
        assert_eq!(verdict(&job, &disrupted), Verdict::Ignore);
    }

    #[test]
    fn a_job_may_succeed_early() {
        let early = |rule: Value, succeeded: &str| {
            let job = json!({"spec": {"successPolicy": {"rules": [rule]}}});
            early_success(&job, &Indexes::parse(succeeded, 10), 10).is_some()
        };
        assert!(early(json!({"succeededIndexes": "0,2-3"}), "0,2,3"));
        assert!(!early(json!({"succeededIndexes": "0,2-3"}), "0,2"));
        assert!(early(json!({"succeededIndexes": "0,2-3", "succeededCount": 2}), "0,2"));
        assert!(early(json!({"succeededCount": 2}), "7,8"));
        assert!(!early(json!({"succeededCount": 2}), "7"));
    }
}
