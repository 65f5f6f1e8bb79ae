//! Taints of nodes with which pods cannot stay.

use std::{collections::HashMap, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::Value;

use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    evict::Eviction,
    node_fit::{list, tolerates},
    pod,
};

const COMPONENT: &str = "taint-eviction-controller";

/// The taint eviction controller.
#[derive(Default)]
pub(crate) struct TaintEviction {
    /// Pods that are to go at a time, unless something changes; by uid.
    waiting: HashMap<String, Timestamp>,
}

impl Controller for TaintEviction {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::NODE, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        if changed.kind == kind::NODE {
            if changed.differs_at("/spec/taints") {
                due.extend(cache.on_node(meta::name(object)).map(|pod| (kind::POD, Key::of(pod))));
            }
        } else if changed.after.is_none() {
            self.waiting.remove(meta::uid(object));
        } else if changed.differs_at("/spec/nodeName") || changed.differs_at("/spec/tolerations") {
            due.push((kind::POD, Key::of(object)));
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let mut plan = Plan::default();
        let Some(pod) = cache.get(kind::POD, key).filter(|pod| meta::deletion_timestamp(pod).is_none()) else {
            return plan;
        };
        let node = pod::node_name(pod).and_then(|node| cache.get(kind::NODE, &Key::new("", node)));
        let Some(at) = node.and_then(|node| leaves_at(pod, node, moment.now)) else {
            if self.waiting.remove(meta::uid(pod)).is_some() {
                plan.actions.push(tell(pod, format!("Cancelling deletion of Pod {key}")));
            }
            return plan;
        };
        if at > moment.now {
            self.waiting.insert(meta::uid(pod).to_owned(), at);
            plan.look_again(Some(at));
            return plan;
        }
        self.waiting.remove(meta::uid(pod));
        let message = format!("Marking for deletion Pod {key}");
        let eviction = Eviction {
            remark: Some(Remark::normal(COMPONENT, "TaintManagerEviction", message)),
            reason: "DeletionByTaintManager",
            message: "Taint manager: deleting due to NoExecute taint",
            grace: None,
        };
        eviction.of(pod, moment.now).into()
    }
}

fn tell(pod: &Arc<Value>, message: String) -> Action {
    Action::Remark { about: pod.clone(), remark: Remark::normal(COMPONENT, "TaintManagerEviction", message) }
}

/// When a pod has to leave its node; `None`: it may stay.
fn leaves_at(pod: &Value, node: &Value, now: Timestamp) -> Option<Timestamp> {
    let taints = list(node, "/spec/taints").filter(|taint| taint["effect"] == "NoExecute");
    let leaves = |taint: &Value| {
        let mut about = list(pod, "/spec/tolerations").filter(|toleration| tolerates(toleration, taint)).peekable();
        if about.peek().is_none() {
            return Some(now);
        }
        // The shortest of all that are about it.
        let seconds = about.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min()?;
        let since = taint["timeAdded"].as_str().and_then(time::parse).unwrap_or(now);
        since.checked_add(SignedDuration::from_secs(seconds.max(0))).ok()
    };
    taints.filter_map(leaves).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_leave_when_their_toleration_ends() {
        let now = time::parse("2026-01-01T00:00:10Z").expect("a time");
        let node = json!({"spec": {"taints": [
            {"key": "a", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}, {"key": "b", "effect": "NoSchedule"},
        ]}});
        let leaves = |tolerations: Value| {
            leaves_at(&json!({"spec": {"tolerations": tolerations}}), &node, now).map(time::format_seconds)
        };
        assert_eq!(leaves(json!([])).as_deref(), Some("2026-01-01T00:00:10Z"));
        assert_eq!(leaves(json!([{"key": "a", "operator": "Exists"}])), None);
        let seconds = |seconds: i64| json!({"operator": "Exists", "tolerationSeconds": seconds});
        assert_eq!(leaves(json!([seconds(300), seconds(30)])).as_deref(), Some("2026-01-01T00:00:30Z"));
        assert_eq!(leaves_at(&json!({}), &json!({}), now), None);
    }
}
