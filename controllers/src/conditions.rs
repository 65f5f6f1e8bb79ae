//! Lists of conditions, as statuses have them.

use jiff::Timestamp;
use machinery::time;
use serde_json::{Value, json};

/// A condition that changed just now.
pub(crate) fn new(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": time::format_seconds(now)});
    for (member, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[member] = json!(text);
        }
    }
    condition
}

/// The conditions of a status.
pub(crate) fn of(status: &Value) -> Vec<Value> {
    status["conditions"].as_array().cloned().unwrap_or_default()
}

/// One of them.
pub(crate) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition: one that keeps its status keeps the time of its last change and its place.
pub(crate) fn set(conditions: &mut Vec<Value>, mut condition: Value) {
    match conditions.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => {
            if known["status"] == condition["status"] && known["lastTransitionTime"].is_string() {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

/// Takes a condition out.
pub(crate) fn remove(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|condition| condition["type"] != kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let mut conditions = Vec::new();
        set(&mut conditions, new("A", "True", "One", "", at(0)));
        set(&mut conditions, new("A", "True", "Two", "why", at(1)));
        assert_eq!(conditions[0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(conditions[0]["reason"], "Two");
        set(&mut conditions, new("A", "False", "Two", "", at(2)));
        assert_eq!(conditions[0]["lastTransitionTime"], "1970-01-01T00:00:02Z");
        remove(&mut conditions, "A");
        assert!(conditions.is_empty());
    }
}
