//! What Volcano demands of policies.

use std::collections::BTreeSet;

use machinery::field::quote;
use serde_json::Value;

/// Events that users may name.
const EVENTS: [&str; 7] = ["*", "PodPending", "PodFailed", "PodEvicted", "Unknown", "TaskCompleted", "TaskFailed"];
/// Actions that users may name.
const ACTIONS: [&str; 8] = [
    "AbortJob",
    "RestartJob",
    "RestartTask",
    "RestartPod",
    "RestartPartition",
    "TerminateJob",
    "CompleteJob",
    "ResumeJob",
];

/// What is wrong with the policies at a path, in Volcano's words; empty when nothing is.
pub(super) fn check(policies: &Value, path: &str) -> String {
    let mut errors = wrong(policies, path);
    let events: BTreeSet<&str> = list(policies).flat_map(events).collect();
    if events.contains("*") && events.len() > 1 {
        errors.push("if there's * here, no other policy should be here".to_owned());
    }
    if errors.is_empty() {
        return String::new();
    }
    // As hashicorp's multierror prints its errors; Volcano adds what would be right.
    let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
    let listed: Vec<String> = errors.iter().map(|error| format!("\t* {error}\n")).collect();
    let (events, actions) = (EVENTS.join(" "), ACTIONS.join(" "));
    format!("{count} occurred:\n{}\n valid events are [{events}], valid actions are [{actions}];", listed.concat())
}

fn list(policies: &Value) -> impl Iterator<Item = &Value> {
    policies.as_array().into_iter().flatten()
}

/// The events of a policy, each once.
fn events(policy: &Value) -> Vec<&str> {
    let all = policy["events"].as_array().into_iter().flatten().chain([&policy["event"]]);
    let mut events: Vec<&str> = Vec::new();
    for event in all.filter_map(Value::as_str).filter(|event| !event.is_empty()) {
        if !events.contains(&event) {
            events.push(event);
        }
    }
    events
}

/// What is wrong, up to the first policy with which something is.
fn wrong(policies: &Value, path: &str) -> Vec<String> {
    let (mut seen, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for policy in list(policies) {
        let (events, code) = (events(policy), policy["exitCode"].as_i64());
        let error = match (events.as_slice(), code) {
            ([_, ..], Some(_)) => Some("must not specify event and exitCode simultaneously".to_owned()),
            ([], None) => Some("either event and exitCode should be specified".to_owned()),
            ([], Some(0)) => Some("0 is not a valid error code".to_owned()),
            ([], Some(code)) => (!codes.insert(code)).then(|| format!("duplicate exitCode {code}")),
            (events, None) => of_events(events, policy, path, &mut seen),
        };
        if let Some(error) = error {
            return vec![error];
        }
    }
    Vec::new()
}

fn of_events<'a>(events: &[&'a str], policy: &Value, path: &str, seen: &mut BTreeSet<&'a str>) -> Option<String> {
    let action = policy["action"].as_str().unwrap_or_default();
    for event in events {
        if !EVENTS.contains(event) {
            return Some(format!("{path}: Invalid value: {}: invalid policy event", quote(event)));
        }
        if !ACTIONS.contains(&action) {
            return Some(format!("{path}: Invalid value: {}: invalid policy action", quote(action)));
        }
        if !seen.insert(*event) {
            return Some(format!("duplicate event {event}  across different policy"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_make_sense() {
        let of = |policies: Value| check(&policies, "spec.policies");
        assert_eq!(of(json!([{"event": "PodEvicted", "action": "RestartJob"}])), "");
        assert_eq!(of(json!([{"exitCode": 3, "action": "AbortJob"}])), "");
        for (policies, words) in [
            (
                json!([{"event": "PodFailed", "exitCode": 1, "action": "AbortJob"}]),
                "must not specify event and exitCode simultaneously",
            ),
            (json!([{"action": "AbortJob"}]), "either event and exitCode should be specified"),
            (
                json!([{"event": "PodRunning", "action": "AbortJob"}]),
                "spec.policies: Invalid value: \"PodRunning\": invalid policy event",
            ),
            (json!([{"event": "PodFailed", "action": "Dance"}]), "Invalid value: \"Dance\": invalid policy action"),
            (
                json!([{"event": "PodFailed", "action": "AbortJob"}, {"event": "PodFailed", "action": "RestartJob"}]),
                "duplicate event PodFailed  across different policy",
            ),
            (json!([{"exitCode": 0, "action": "AbortJob"}]), "0 is not a valid error code"),
            (
                json!([{"event": "*", "action": "AbortJob"}, {"event": "PodFailed", "action": "AbortJob"}]),
                "if there's * here, no other policy should be here",
            ),
        ] {
            let said = of(policies);
            assert!(said.contains(words) && said.contains("valid events are [*"), "{said}");
        }
    }
}
