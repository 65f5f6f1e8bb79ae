//! Which pods are in which PodGroup, kept up to date change by change.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cluster::{Change, Key, kind};
use machinery::meta;
use serde_json::{Value, json};

use crate::scheduler::pod;

/// The annotation that names the PodGroup of a pod.
const GROUP_NAME: &str = "scheduling.k8s.io/group-name";

/// Pods by their group.
#[derive(Default)]
pub(super) struct Members {
    pods: HashMap<Key, BTreeSet<Key>>,
    groups: HashMap<Key, Key>,
    /// Pods that we bound, by uid, and their nodes, until they are seen there. A session in between would bind them anew,
    /// and give away what they have.
    bound: HashMap<String, String>,
}

impl Members {
    /// Takes a change in. Only pods of this scheduler are members.
    pub(super) fn apply(&mut self, change: &Change, scheduler_name: &str) {
        match change {
            Change::Listed(of, pods) if *of == kind::POD => {
                *self = Self::default();
                pods.iter().for_each(|pod| self.learn(pod, scheduler_name));
            }
            Change::Applied(of, pod) if *of == kind::POD => {
                self.forget(&Key::of(pod));
                self.learn(pod, scheduler_name);
                if pod::node_name(pod).is_some() {
                    self.bound.remove(meta::uid(pod));
                }
            }
            Change::Deleted(of, pod) if *of == kind::POD => {
                self.forget(&Key::of(pod));
                self.bound.remove(meta::uid(pod));
            }
            _ => {}
        }
    }

    fn learn(&mut self, pod: &Value, scheduler_name: &str) {
        if pod["spec"]["schedulerName"] != scheduler_name {
            return;
        }
        let Some(name) = meta::annotation(pod, GROUP_NAME) else { return };
        let (pod, group) = (Key::of(pod), Key::new(meta::namespace(pod), name));
        self.pods.entry(group.clone()).or_default().insert(pod.clone());
        self.groups.insert(pod, group);
    }

    fn forget(&mut self, pod: &Key) {
        let Some(group) = self.groups.remove(pod) else { return };
        if let Some(pods) = self.pods.get_mut(&group) {
            pods.remove(pod);
            if pods.is_empty() {
                self.pods.remove(&group);
            }
        }
    }

    /// A pod is bound to a node.
    pub(super) fn bind(&mut self, pod: &Value, node: &str) {
        self.bound.insert(meta::uid(pod).to_owned(), node.to_owned());
    }

    /// A pod with the node that it is bound to, whether that has been seen or not.
    pub(super) fn as_bound(&self, pod: &Arc<Value>) -> Arc<Value> {
        match self.bound.get(meta::uid(pod)).filter(|_| pod::node_name(pod).is_none()) {
            Some(node) => {
                let mut bound = Value::clone(pod);
                bound["spec"]["nodeName"] = json!(node);
                Arc::new(bound)
            }
            None => pod.clone(),
        }
    }

    /// The pods of a group.
    pub(super) fn of(&self, group: &Key) -> impl Iterator<Item = &Key> {
        self.pods.get(group).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_found_by_their_group() {
        let pod = |name: &str, group: &str| {
            Arc::new(json!({
                "metadata": {"namespace": "n", "name": name, "annotations": {GROUP_NAME: group}},
                "spec": {"schedulerName": "volcano"},
            }))
        };
        let mut members = Members::default();
        let count = |members: &Members, group: &str| members.of(&Key::new("n", group)).count();
        for name in ["a", "b"] {
            members.apply(&Change::Applied(kind::POD, pod(name, "g")), "volcano");
        }
        members.apply(&Change::Applied(kind::POD, pod("c", "g")), "another");
        assert_eq!(count(&members, "g"), 2);
        members.apply(&Change::Applied(kind::POD, pod("a", "h")), "volcano");
        assert_eq!((count(&members, "g"), count(&members, "h")), (1, 1));
        members.apply(&Change::Deleted(kind::POD, pod("b", "g")), "volcano");
        assert_eq!(count(&members, "g"), 0);
        assert!(members.pods.len() == 1 && members.groups.len() == 1);
    }

    #[test]
    fn a_pod_has_its_node_before_that_is_seen() {
        let pod = |node: &str| {
            Arc::new(json!({
                "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": {GROUP_NAME: "g"}},
                "spec": {"schedulerName": "volcano", "nodeName": node},
            }))
        };
        let mut members = Members::default();
        members.apply(&Change::Applied(kind::POD, pod("")), "volcano");
        members.bind(&pod(""), "n1");
        // Something else about it is told first.
        members.apply(&Change::Applied(kind::POD, pod("")), "volcano");
        assert_eq!(members.as_bound(&pod(""))["spec"]["nodeName"], "n1");
        members.apply(&Change::Applied(kind::POD, pod("n1")), "volcano");
        assert!(members.bound.is_empty());
        members.bind(&pod(""), "n1");
        members.apply(&Change::Deleted(kind::POD, pod("")), "volcano");
        assert!(members.bound.is_empty());
    }
}
