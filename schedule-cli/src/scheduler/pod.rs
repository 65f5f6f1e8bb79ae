//! What the scheduler reads off a pod.

use machinery::meta;
use serde_json::Value;

/// What a pod waits for before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It wants a node.
    Waiting,
    /// It waits for `spec.schedulingGates` to go (KEP-3521).
    Gated(Vec<String>),
    /// It has a node, has ended, or is being deleted.
    Settled,
    /// It waits for another scheduler.
    Foreign,
}

/// Where a pod stands, for the scheduler of this name.
pub(crate) fn standing(pod: &Value, scheduler_name: &str) -> Standing {
    let spec = &pod["spec"];
    if node_name(pod).is_some() || has_ended(pod) || meta::deletion_timestamp(pod).is_some() {
        return Standing::Settled;
    }
    let wanted = spec["schedulerName"].as_str().filter(|name| !name.is_empty()).unwrap_or(super::DEFAULT_NAME);
    if wanted != scheduler_name {
        return Standing::Foreign;
    }
    let gates = spec["schedulingGates"].as_array().into_iter().flatten();
    let gates: Vec<String> = gates.filter_map(|gate| gate["name"].as_str().map(str::to_owned)).collect();
    if gates.is_empty() { Standing::Waiting } else { Standing::Gated(gates) }
}

/// `spec.nodeName`, when there is one.
pub(crate) fn node_name(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())
}

/// `spec.priority`; 0 when absent.
pub(super) fn priority(pod: &Value) -> i64 {
    pod["spec"]["priority"].as_i64().unwrap_or(0)
}

/// Whether its containers have ended for good.
pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether the pod still holds what it was given: it has a node and has not ended.
pub(super) fn occupies_node(pod: &Value) -> bool {
    node_name(pod).is_some() && !has_ended(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gated_settled_and_foreign_pods_are_told_apart() {
        let standing = |pod: Value| standing(&pod, super::super::DEFAULT_NAME);
        assert_eq!(standing(json!({})), Standing::Waiting);
        assert_eq!(standing(json!({"spec": {"schedulingGates": [{"name": "g"}]}})), Standing::Gated(vec!["g".into()]));
        assert_eq!(standing(json!({"spec": {"nodeName": "n"}})), Standing::Settled);
        assert_eq!(standing(json!({"status": {"phase": "Succeeded"}})), Standing::Settled);
        assert_eq!(standing(json!({"spec": {"schedulerName": "other"}})), Standing::Foreign);
    }
}
