//! Queues, which are open until a command closes them.

use std::sync::Arc;

use cluster::Key;
use machinery::meta;
use serde_json::{Value, json};

use super::{COMMAND, GROUP, JOB, QUEUE};
use crate::{action::Action, cache::Cache};

/// What to write for a queue.
pub(super) fn reconcile(queue: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let state = queue["status"]["state"].as_str().unwrap_or_default();
    let busy = || cache.all(GROUP).any(|group| group["spec"]["queue"] == meta::name(queue));
    let next = match state {
        "" => "Open",
        "Closing" if !busy() => "Closed",
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

/// Does what a command asks for, once, and deletes it.
pub(super) fn command(command: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let target = &command["target"];
    let name = target["name"].as_str().unwrap_or_default();
    let mut actions = vec![Action::Delete { kind: COMMAND, object: command.clone(), grace: None, tell: None }];
    let wanted = command["action"].as_str().unwrap_or_default();
    if target["kind"] == QUEUE.kind {
        let Some(queue) = cache.get(QUEUE, &Key::new("", name)) else { return actions };
        let busy = cache.all(GROUP).any(|group| group["spec"]["queue"] == name);
        let state = match wanted {
            "CloseQueue" if busy => "Closing",
            "CloseQueue" => "Closed",
            "OpenQueue" => "Open",
            _ => return actions,
        };
        let mut object = Value::clone(queue);
        object["status"]["state"] = json!(state);
        actions.push(Action::status(QUEUE, object));
    } else if let Some(job) = cache.get(JOB, &Key::new(meta::namespace(command), name)) {
        actions.extend(super::job::act(job, wanted, "CommandIssued"));
    }
    actions
}
