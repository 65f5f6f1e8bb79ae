//! What the status of a DeviceTaintRule says.

use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use crate::{conditions, workload::number};

const CONDITION: &str = "EvictionInProgress";
const NO_EFFECT: &str = "NoEffect";

/// What a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Devices that are published and that it selects.
    pub(super) published: usize,
    /// Devices that are allocated and that it selects.
    pub(super) allocated: usize,
    /// Pods that have to go, or would.
    pub(super) pods: usize,
    /// Their namespaces.
    pub(super) namespaces: usize,
    /// Pods that had to go.
    pub(super) evicted: usize,
}

/// Whether nothing more will be said of the rule.
pub(super) fn is_final(rule: &Value) -> bool {
    let list = conditions::of(&rule["status"]);
    rule["spec"]["taint"]["effect"] == "None"
        && conditions::find(&list, CONDITION).is_some_and(|known| {
            known["reason"] == NO_EFFECT && number::at(known, "/observedGeneration") == meta::generation(rule)
        })
}

/// The condition, when it is another than before.
pub(super) fn condition(rule: &Value, count: &Count, now: Timestamp) -> Option<Value> {
    let (status, reason, mut message) = match rule["spec"]["taint"]["effect"].as_str() {
        Some("NoExecute") if count.pods > 0 => ("True", "PodsPendingEviction", pending(count)),
        Some("NoExecute") if count.evicted > 0 => ("False", "Completed", String::new()),
        Some("NoExecute") => ("False", "NotStarted", String::new()),
        Some("None") => ("False", NO_EFFECT, would_be(count)),
        _ => ("False", "OtherEffect", "Eviction only happens for the NoExecute effect.".to_owned()),
    };
    if count.evicted > 0 {
        let space = if message.is_empty() { "" } else { " " };
        let pods = plural(count.evicted, "pod");
        message.push_str(&format!("{space}{pods} evicted since starting the controller."));
    }
    let mut condition = conditions::new(CONDITION, status, reason, &message, now);
    condition["message"] = json!(message);
    condition["observedGeneration"] = json!(meta::generation(rule));
    let known = conditions::of(&rule["status"]);
    let mut list = known.clone();
    conditions::set(&mut list, condition);
    (list != known).then(|| conditions::find(&list, CONDITION).cloned()).flatten()
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn namespaces(count: usize) -> String {
    if count == 1 { "1 namespace".to_owned() } else { format!("{count} different namespaces") }
}

fn pending(count: &Count) -> String {
    let need = if count.pods == 1 { "needs" } else { "need" };
    format!("{} {need} to be evicted in {}.", plural(count.pods, "pod"), namespaces(count.namespaces))
}

fn would_be(count: &Count) -> String {
    format!(
        "{} selected. {} selected. {} would be evicted in {} if the effect was NoExecute. This information will not be \
         updated again. Recreate the DeviceTaintRule to trigger an update.",
        plural(count.published, "published device"),
        plural(count.allocated, "allocated device"),
        plural(count.pods, "pod"),
        namespaces(count.namespaces),
    )
}
