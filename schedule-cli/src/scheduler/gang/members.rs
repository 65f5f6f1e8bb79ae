//! Which pods are in which PodGroup, kept up to date change by change.

use std::collections::{BTreeSet, HashMap};

use cluster::{Change, Key, kind};
use machinery::meta;
use serde_json::Value;

/// The annotation that names the PodGroup of a pod.
const GROUP_NAME: &str = "scheduling.k8s.io/group-name";

/// Pods by their group.
#[derive(Default)]
pub(super) struct Members {
    pods: HashMap<Key, BTreeSet<Key>>,
    groups: HashMap<Key, Key>,
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
            }
            Change::Deleted(of, pod) if *of == kind::POD => self.forget(&Key::of(pod)),
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

    /// The pods of a group.
    pub(super) fn of(&self, group: &Key) -> impl Iterator<Item = &Key> {
        self.pods.get(group).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

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
}
