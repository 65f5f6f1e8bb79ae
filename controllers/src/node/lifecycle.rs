//! Nodes that do not renew their lease are not ready, and what a node's conditions say is put into its taints.

use std::sync::Arc;

use cluster::{Key, Kind, kind, write::PatchKind};
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Value, json};

use crate::{
    action::Action,
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    event::Remark,
    node_fit::list,
    pod,
};

const COMPONENT: &str = "node-controller";
/// How long a node may be silent: `--node-monitor-grace-period`.
const SILENCE_SECONDS: i64 = 50;
/// Where the leases of nodes are.
const LEASES: &str = "kube-node-lease";
/// The conditions of a node that only its kubelet knows.
const CONDITIONS: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
/// The taints that say what conditions say; the last for nodes that nothing is to be put on.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The node lifecycle controller.
pub(crate) struct NodeLifecycle;

impl Controller for NodeLifecycle {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::NODE, kind::LEASE, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        match changed.kind {
            kind::NODE => due.push((kind::NODE, Key::of(object))),
            // A lease that is renewed says nothing about a node that is well: its timer looks at the lease.
            kind::LEASE if meta::namespace(object) == LEASES && changed.before.is_none() => {
                let node = Key::new("", meta::name(object));
                due.extend(cache.get(kind::NODE, &node).map(|_| (kind::NODE, node.clone())));
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(node) = cache.get(kind::NODE, key) else { return Plan::default() };
        let mut plan = Plan::default();
        // A node without a lease has no kubelet that could fall silent: somebody made it by hand.
        let ends = cache.seen(&Key::new(LEASES, key.name.as_str()));
        let ends = ends.and_then(|seen| seen.checked_add(SignedDuration::from_secs(SILENCE_SECONDS)).ok());
        match ends {
            Some(ends) if ends > moment.now => plan.look_again(Some(ends)),
            Some(_) => {
                let silent = silence(node, cache, moment.now);
                if !silent.is_empty() {
                    return silent.into();
                }
            }
            None => {}
        }
        plan.actions = taint(node, moment.now).into_iter().chain(unready_pods(node, cache, moment.now)).collect();
        plan
    }
}

fn condition_status<'a>(node: &'a Value, kind: &str) -> Option<&'a str> {
    pod::condition(node, kind).and_then(|condition| condition["status"].as_str())
}

/// What is written about a node that has been silent too long.
fn silence(node: &Arc<Value>, cache: &Cache, now: Timestamp) -> Vec<Action> {
    if condition_status(node, "Ready") == Some("Unknown") {
        return Vec::new();
    }
    let unknown = |kind: &str| {
        let known = pod::condition(node, kind);
        let (reason, message) = match known {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let mut condition = conditions::new(kind, "Unknown", reason, message, now);
        condition["lastHeartbeatTime"] = known.map_or(Value::Null, |known| known["lastHeartbeatTime"].clone());
        condition
    };
    let patch = json!({"status": {"conditions": CONDITIONS.map(unknown)}});
    let message = format!("Node {} status is now: NodeNotReady", meta::name(node));
    let mut actions = vec![
        Action::Patch {
            kind: kind::NODE,
            object: node.clone(),
            subresource: "status",
            how: PatchKind::Strategic,
            patch,
        },
        Action::Remark { about: node.clone(), remark: Remark::normal(COMPONENT, "NodeNotReady", message) },
    ];
    let told = |pod: &Arc<Value>| Action::Remark {
        about: pod.clone(),
        remark: Remark::warning(COMPONENT, "NodeNotReady", "Node is not ready"),
    };
    actions.extend(cache.on_node(meta::name(node)).filter(|pod| pod::is_ready(pod)).map(told));
    actions
}

/// Pods of a node that does not answer are not ready, whatever they said last.
fn unready_pods(node: &Arc<Value>, cache: &Cache, now: Timestamp) -> Vec<Action> {
    if condition_status(node, "Ready").is_none_or(|ready| ready != "Unknown") {
        return Vec::new();
    }
    let unready = |pod: &Arc<Value>| {
        let condition = json!({
            "type": "Ready", "status": "False", "lastTransitionTime": time::format_seconds(now),
        });
        let patch = json!({"metadata": {"uid": meta::uid(pod)}, "status": {"conditions": [condition]}});
        Action::Patch { kind: kind::POD, object: pod.clone(), subresource: "status", how: PatchKind::Strategic, patch }
    };
    let ready = cache.on_node(meta::name(node)).filter(|pod| pod::is_ready(pod));
    let all: Vec<Action> = ready.map(unready).collect();
    if all.is_empty() { Vec::new() } else { vec![Action::Many(all)] }
}

/// The taints that a node's conditions ask for.
fn wanted(node: &Value) -> Vec<(&'static str, &'static str)> {
    let mut taints = Vec::new();
    for (kind, status, key) in BY_CONDITION {
        if condition_status(node, kind) == Some(status) {
            taints.push((key, "NoSchedule"));
            if kind == "Ready" {
                taints.push((key, "NoExecute"));
            }
        }
    }
    if node["spec"]["unschedulable"] == true {
        taints.push((UNSCHEDULABLE, "NoSchedule"));
    }
    taints
}

/// Whether a taint is one that this controller gives and takes.
fn is_ours(taint: &Value) -> bool {
    let key = taint["key"].as_str().unwrap_or_default();
    let effect = taint["effect"].as_str().unwrap_or_default();
    let by_ready = |known: &(&str, &str, &str)| known.0 == "Ready" && known.2 == key && effect == "NoExecute";
    let by_any = BY_CONDITION.iter().any(|known| known.2 == key) || key == UNSCHEDULABLE;
    by_any && effect == "NoSchedule" || BY_CONDITION.iter().any(by_ready)
}

fn taint(node: &Arc<Value>, now: Timestamp) -> Option<Action> {
    // Without a word of its kubelet nothing is known of a node but what people say.
    if pod::condition(node, "Ready").is_none() && node["spec"]["unschedulable"] != true {
        let stale = list(node, "/spec/taints").any(|taint| taint["key"] == UNSCHEDULABLE);
        if !stale {
            return None;
        }
    }
    let silent = pod::condition(node, "Ready").is_none();
    let wanted = wanted(node);
    let is_wanted =
        |taint: &Value| wanted.iter().any(|(key, effect)| taint["key"] == *key && taint["effect"] == *effect);
    let kept = |taint: &&Value| !is_ours(taint) || is_wanted(taint) || silent && taint["key"] != UNSCHEDULABLE;
    let mut taints: Vec<Value> = list(node, "/spec/taints").filter(kept).cloned().collect();
    for (key, effect) in &wanted {
        if !taints.iter().any(|taint| taint["key"] == *key && taint["effect"] == *effect) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": time::format_seconds(now)}));
        }
    }
    if taints.iter().eq(list(node, "/spec/taints")) {
        return None;
    }
    let mut changed = Value::clone(node);
    if taints.is_empty() {
        drop(changed["spec"].as_object_mut().map(|spec| spec.remove("taints")));
    } else {
        changed["spec"]["taints"] = json!(taints);
    }
    Some(Action::Replace { kind: kind::NODE, object: changed, subresource: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, spec: Value) -> Arc<Value> {
        Arc::new(json!({
            "metadata": {"name": "x", "uid": "x"}, "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
    }

    fn taints(node: &Arc<Value>) -> Option<Vec<String>> {
        let now = Timestamp::UNIX_EPOCH;
        let Some(Action::Replace { object, .. }) = taint(node, now) else { return None };
        let text = |taint: &Value| {
            format!("{}:{}", taint["key"].as_str().unwrap_or_default(), taint["effect"].as_str().unwrap_or_default())
        };
        Some(list(&object, "/spec/taints").map(text).collect())
    }

    #[test]
    fn taints_say_what_conditions_say() {
        assert_eq!(taints(&node("True", json!({}))), None);
        let unreachable = ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"];
        assert_eq!(taints(&node("Unknown", json!({}))), Some(unreachable.map(str::to_owned).to_vec()));
        let old = json!({"taints": [
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}, {"key": "mine", "effect": "NoSchedule"},
        ]});
        assert_eq!(taints(&node("True", old)), Some(vec!["mine:NoSchedule".to_owned()]));
        let cordoned = node("True", json!({"unschedulable": true}));
        assert_eq!(taints(&cordoned), Some(vec!["node.kubernetes.io/unschedulable:NoSchedule".to_owned()]));
        let by_hand =
            Arc::new(json!({"spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}}));
        assert_eq!(taints(&by_hand), None);
    }

    #[test]
    fn a_silent_node_is_unknown() {
        let cache = Cache::of([
            (kind::NODE, Value::clone(&node("True", json!({})))),
            (kind::LEASE, json!({"metadata": {"namespace": LEASES, "name": "x", "resourceVersion": "1"}})),
        ]);
        let at = |seconds| {
            let now = Timestamp::from_second(seconds).expect("a time");
            NodeLifecycle.reconcile(kind::NODE, &Key::new("", "x"), &cache, Moment { now, failure: None })
        };
        let (well, silent) = (at(49), at(50));
        assert!(well.actions.is_empty() && well.again.is_some());
        let [Action::Patch { patch, .. }, Action::Remark { .. }] = silent.actions.as_slice() else {
            panic!("{silent:?}")
        };
        assert_eq!(patch["status"]["conditions"][3]["reason"], "NodeStatusUnknown");
    }
}
