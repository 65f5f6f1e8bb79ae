//! Events and conditions, as the default scheduler writes them.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};

/// Longest message of an Event: core validation's limit for `note`.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What an Event says about a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remark<'a> {
    /// In one CamelCase word.
    pub(super) reason: &'a str,
    /// What was being done.
    pub(super) action: &'a str,
    /// For people.
    pub(super) message: &'a str,
    /// `Warning` instead of `Normal`.
    pub(super) warning: bool,
}

/// A new Event about a pod.
pub(super) fn about_pod(pod: &Value, remark: Remark<'_>, reporter: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": meta::namespace(pod), "name": name(pod, now)},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": meta::namespace(pod),
            "name": meta::name(pod),
            "uid": meta::uid(pod),
            "resourceVersion": meta::resource_version(pod),
        },
        "reason": remark.reason,
        "action": remark.action,
        "message": cut(remark.message, MESSAGE_BYTES_MAX),
        "type": if remark.warning { "Warning" } else { "Normal" },
        "source": {"component": reporter},
        "reportingComponent": reporter,
        "reportingInstance": "",
        "firstTimestamp": time::format_seconds(now),
        "lastTimestamp": time::format_seconds(now),
        "count": 1,
    })
}

/// `<pod>.<nanoseconds in hexadecimal>`, as client-go's recorder names events.
fn name(pod: &Value, now: Timestamp) -> String {
    format!("{}.{:x}", meta::name(pod), now.as_nanosecond())
}

/// A condition that says `False` of a pod having a node, and why. Unchanged since `pod` was read: none.
pub(super) fn unscheduled_condition(pod: &Value, reason: &str, message: &str, now: Timestamp) -> Option<Value> {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let present = conditions.iter().find(|condition| condition["type"] == "PodScheduled");
    if present.is_some_and(|one| one["status"] == "False" && one["reason"] == reason && one["message"] == message) {
        return None;
    }
    let since = match present {
        Some(one) if one["status"] == "False" && one["lastTransitionTime"].is_string() => {
            one["lastTransitionTime"].clone()
        }
        _ => json!(time::format_seconds(now)),
    };
    Some(condition("PodScheduled", "False", reason, message, since))
}

/// The condition of a pod that leaves for another.
pub(super) fn disruption_condition(reporter: &str, now: Timestamp) -> Value {
    let message = format!("{reporter}: preempting to accommodate a higher priority pod");
    let since = json!(time::format_seconds(now));
    condition("DisruptionTarget", "True", "PreemptionByScheduler", &message, since)
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, since: Value) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": since,
    })
}

/// At most `max` bytes of a text, cut at a character, with an ellipsis where something is missing.
pub(super) fn cut(text: &str, max: usize) -> String {
    const ELLIPSIS: &str = " ...";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max - ELLIPSIS.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ELLIPSIS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("abcdefghij", 8), "abcd ...");
        assert_eq!(cut("äääää", 8), "ää ...");
    }

    #[test]
    fn a_condition_that_says_the_same_is_not_written_again() {
        let now = time::parse("2026-01-01T00:00:00Z").expect("a time");
        let pod = json!({"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m", "lastTransitionTime": "x"}
        ]}});
        assert_eq!(unscheduled_condition(&pod, "Unschedulable", "m", now), None);
        let other = unscheduled_condition(&pod, "Unschedulable", "n", now).expect("a change");
        assert_eq!(other["lastTransitionTime"], "x");
    }
}
