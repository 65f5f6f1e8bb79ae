//! Conditions of pods, as the default scheduler writes them.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};

/// Longest message of an Event: core validation's limit for `note`.
pub(super) const NOTE_BYTES_MAX: usize = 1024;

/// A condition that says `False` of a pod having a node, and why. Unchanged since `pod` was read: none.
pub(super) fn unscheduled(pod: &Value, reason: &str, message: &str, now: Timestamp) -> Option<Value> {
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
    Some(condition(pod, ["PodScheduled", "False", reason, message], since))
}

/// The condition of a pod that leaves for another.
pub(super) fn disruption(victim: &Value, reporter: &str, now: Timestamp) -> Value {
    let message = format!("{reporter}: preempting to accommodate a higher priority pod");
    let since = json!(time::format_seconds(now));
    condition(victim, ["DisruptionTarget", "True", "PreemptionByScheduler", &message], since)
}

fn condition(pod: &Value, [kind, status, reason, message]: [&str; 4], since: Value) -> Value {
    let mut condition = json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": since,
    });
    // Servers number the generations of pods since they know the member (KEP-5067).
    let generation = meta::generation(pod);
    if generation > 0 {
        condition["observedGeneration"] = json!(generation);
    }
    condition
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
        let pod = json!({"metadata": {"generation": 3}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m", "lastTransitionTime": "x"}
        ]}});
        assert_eq!(unscheduled(&pod, "Unschedulable", "m", now), None);
        let other = unscheduled(&pod, "Unschedulable", "n", now).expect("a change");
        assert_eq!((&other["lastTransitionTime"], &other["observedGeneration"]), (&json!("x"), &json!(3)));
    }
}
