//! Queues, which are open until a command closes them.

use std::sync::Arc;

use cluster::Key;
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Value, json};

use super::{COMMAND, GROUP, JOB, QUEUE, job::COMPONENT, request::Request};
use crate::{action::Action, cache::Cache, event::Remark};

/// What to write for a queue.
pub(super) fn reconcile(queue: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let state = queue["status"]["state"].as_str().unwrap_or_default();
    let next = match state {
        "" => "Open",
        "Closing" if !is_busy(queue, cache) => "Closed",
        other => other,
    };
    if next == state {
        return Vec::new();
    }
    let mut object = Value::clone(queue);
    object["status"]["state"] = json!(next);
    if object["status"]["allocated"].is_null() {
        object["status"]["allocated"] = json!({});
    }
    vec![Action::status(QUEUE, object)]
}

/// How long a command waits for a queue that was made just before it, and that nobody has seen yet. vc-controller-manager
/// tries 15 times, with pauses that double from 5 ms: about as long.
const QUEUE_PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// Does what a command asks for, once, and deletes it. What it asks of a job is given back.
pub(super) fn command(command: &Arc<Value>, cache: &Cache, now: Timestamp) -> (Vec<Action>, Option<(Key, Request)>) {
    let target = &command["target"];
    let name = target["name"].as_str().unwrap_or_default();
    let mut actions = vec![Action::Delete { kind: COMMAND, object: command.clone(), grace: None, tell: None }];
    let wanted = command["action"].as_str().unwrap_or_default();
    if target["kind"] == QUEUE.kind {
        // It stays until the queue has been written.
        let mut turn = match cache.get(QUEUE, &Key::new("", name)) {
            Some(queue) => turned(queue, wanted, cache),
            None if is_new(command, now) => return (vec![Action::Retry(format!("queue {name} not found"))], None),
            None => Vec::new(),
        };
        turn.append(&mut actions);
        return (turn, None);
    }
    let key = Key::new(meta::namespace(command), name);
    let Some(job) = cache.get(JOB, &key) else { return (actions, None) };
    let message =
        format!("Start to execute command {wanted}, and clean it up to make sure executed not more than once.");
    actions.push(Action::Remark { about: job.clone(), remark: Remark::normal(COMPONENT, "CommandIssued", message) });
    let request = Request { event: "CommandIssued", action: wanted.to_owned(), ..Request::default() };
    (actions, Some((key, request)))
}

fn is_new(command: &Value, now: Timestamp) -> bool {
    let created = command["metadata"]["creationTimestamp"].as_str().and_then(time::parse);
    created.is_some_and(|created| now.duration_since(created) < QUEUE_PATIENCE)
}

/// Opens or closes a queue, and those below one that is closed.
fn turned(queue: &Arc<Value>, wanted: &str, cache: &Cache) -> Vec<Action> {
    let state = match wanted {
        "OpenQueue" => "Open",
        "CloseQueue" if is_busy(queue, cache) => "Closing",
        "CloseQueue" => "Closed",
        _ => return Vec::new(),
    };
    let mut object = Value::clone(queue);
    object["status"]["state"] = json!(state);
    let mut actions = vec![Action::status(QUEUE, object)];
    if wanted == "CloseQueue" {
        let below = cache.all(QUEUE).filter(|child| child["spec"]["parent"] == meta::name(queue));
        let open = below.filter(|child| matches!(child["status"]["state"].as_str(), None | Some("" | "Open")));
        actions.extend(open.flat_map(|child| {
            let mut object = Value::clone(child);
            object["status"]["state"] = json!(if is_busy(child, cache) { "Closing" } else { "Closed" });
            [Action::status(QUEUE, object)]
        }));
    }
    actions
}

fn is_busy(queue: &Value, cache: &Cache) -> bool {
    cache.all(GROUP).any(|group| group["spec"]["queue"] == meta::name(queue))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, parent: &str, state: &str) -> (cluster::Kind, Value) {
        (QUEUE, json!({"metadata": {"name": name}, "spec": {"parent": parent}, "status": {"state": state}}))
    }

    fn states(actions: &[Action]) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |action: &Action| match action {
            Action::Replace { object, .. } => {
                Some((text(&object["metadata"]["name"]), text(&object["status"]["state"])))
            }
            _ => None,
        };
        actions.iter().filter_map(of).collect()
    }

    #[test]
    fn a_closed_queue_closes_those_below_it() {
        let group = json!({"metadata": {"namespace": "n", "name": "g"}, "spec": {"queue": "b"}});
        let objects = [queue("a", "root", "Open"), queue("b", "a", "Open"), queue("c", "a", "Open"), (GROUP, group)];
        let cache = Cache::of(objects);
        let a = cache.get(QUEUE, &Key::new("", "a")).expect("a queue").clone();
        let closed = states(&turned(&a, "CloseQueue", &cache));
        let pair = |name: &str, state: &str| (name.to_owned(), state.to_owned());
        assert_eq!(closed, [pair("a", "Closed"), pair("b", "Closing"), pair("c", "Closed")]);
        assert_eq!(states(&turned(&a, "OpenQueue", &cache)), [pair("a", "Open")]);
        let new = Arc::new(queue("d", "root", "").1);
        assert_eq!(states(&reconcile(&new, &cache)), [pair("d", "Open")]);
        let closing = Arc::new(queue("c", "a", "Closing").1);
        assert_eq!(states(&reconcile(&closing, &cache)), [pair("c", "Closed")]);
    }

    #[test]
    fn a_command_waits_for_a_queue_that_is_new_too() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
        let close = |created: &str| {
            Arc::new(json!({
                "metadata": {"namespace": "n", "name": "c", "creationTimestamp": created},
                "action": "CloseQueue", "target": {"kind": "Queue", "name": "late"},
            }))
        };
        let (waits, _) = command(&close("2026-01-01T00:00:59Z"), &Cache::of(Vec::new()), now);
        assert!(matches!(waits.as_slice(), [Action::Retry(_)]), "{waits:?}");
        let (given_up, _) = command(&close("2025-12-31T23:00:00Z"), &Cache::of(Vec::new()), now);
        assert!(matches!(given_up.as_slice(), [Action::Delete { .. }]), "{given_up:?}");
        let (done, _) = command(&close("2026-01-01T00:00:59Z"), &Cache::of(vec![queue("late", "", "Open")]), now);
        assert_eq!(states(&done), [("late".to_owned(), "Closed".to_owned())]);
    }
}
