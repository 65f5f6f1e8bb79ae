//! Pods of nodes that are gone, and pods that are to go before they got one.

use std::collections::HashMap;

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::meta;

use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    evict::Eviction,
    pod,
};

/// How long a node must be gone: it may come back under its name.
const QUARANTINE_SECONDS: i64 = 40;

/// The pod garbage collector.
#[derive(Default)]
pub(crate) struct PodGarbage {
    /// Nodes that pods are on and that are not there, and since when.
    gone: HashMap<String, Timestamp>,
}

impl Controller for PodGarbage {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::NODE, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        if changed.kind == kind::NODE {
            if changed.before.is_none() || changed.after.is_none() {
                due.push((kind::NODE, Key::of(object)));
            }
            return;
        }
        match pod::node_name(object).map(|node| Key::new("", node)) {
            Some(node) if cache.get(kind::NODE, &node).is_none() => due.push((kind::NODE, node)),
            None if meta::deletion_timestamp(object).is_some() => due.push((kind::POD, Key::of(object))),
            _ => {}
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        if of == kind::POD {
            let unplaced = cache.get(kind::POD, key).filter(|pod| pod::node_name(pod).is_none());
            let ending = unplaced.filter(|pod| meta::deletion_timestamp(pod).is_some());
            let delete = |object| Action::Delete { kind: kind::POD, object, grace: Some(0), tell: None };
            return ending.cloned().map(delete).into_iter().collect::<Vec<_>>().into();
        }
        let mut plan = Plan::default();
        if cache.get(kind::NODE, key).is_some() || cache.on_node(&key.name).next().is_none() {
            self.gone.remove(&key.name);
            return plan;
        }
        let since = *self.gone.entry(key.name.clone()).or_insert(moment.now);
        let ends = since.checked_add(SignedDuration::from_secs(QUARANTINE_SECONDS)).unwrap_or(since);
        if ends > moment.now {
            plan.look_again(Some(ends));
            return plan;
        }
        for pod in cache.on_node(&key.name) {
            let (reason, message) = ("DeletionByPodGC", "PodGC: node no longer exists");
            let eviction = Eviction { remark: None, reason, message, grace: Some(0) };
            let mut actions = eviction.of(pod, moment.now);
            if pod::is_terminal(pod) {
                // What has ended is not disrupted.
                drop(actions.remove(0));
            }
            plan.actions.extend(actions);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::time;
    use serde_json::json;

    #[test]
    fn pods_go_some_time_after_their_node() {
        let pod = json!({"metadata": {"namespace": "n", "name": "p", "uid": "u"}, "spec": {"nodeName": "x"}});
        let cache = Cache::of([(kind::POD, pod)]);
        let mut garbage = PodGarbage::default();
        let mut at = |text: &str| {
            let now = time::parse(text).expect("a time");
            let plan = garbage.reconcile(kind::NODE, &Key::new("", "x"), &cache, Moment { now, failure: None });
            (plan.actions.len(), plan.again.map(time::format_seconds))
        };
        assert_eq!(at("2026-01-01T00:00:00Z"), (0, Some("2026-01-01T00:00:40Z".to_owned())));
        assert_eq!(at("2026-01-01T00:00:39Z").0, 0);
        assert_eq!(at("2026-01-01T00:00:40Z"), (2, None));
    }
}
