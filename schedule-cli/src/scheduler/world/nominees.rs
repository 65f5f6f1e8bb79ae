//! Pods that are expected on nodes, for which others were told to leave.

use std::collections::{BTreeMap, HashMap};

use machinery::meta;
use serde_json::Value;

use super::super::{amounts::Amounts, filter::Expected, pod};

/// The pods, and where they are expected.
#[derive(Default)]
pub(in super::super) struct Nominees {
    /// By node and uid.
    by_node: BTreeMap<String, BTreeMap<String, Nominee>>,
    /// The node of each, by uid.
    nodes: HashMap<String, String>,
}

/// What is known of one.
struct Nominee {
    priority: i64,
    requested: Amounts,
}

impl Nominees {
    /// Whether there are none.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }

    /// What pods that go before one of this priority and uid are expected to take of a node.
    pub(in super::super) fn before(&self, node: &str, priority: i64, uid: &str) -> Expected {
        let mut expected = Expected::default();
        let nominees = self.by_node.get(node).into_iter().flatten();
        for (_, nominee) in nominees.filter(|(other, nominee)| *other != uid && nominee.priority >= priority) {
            expected.requested.add(&nominee.requested);
            expected.pods += 1;
        }
        expected
    }

    /// Those of less priority that are expected on a node, by uid.
    pub(in super::super) fn below(&self, node: &str, priority: i64) -> Vec<String> {
        let nominees = self.by_node.get(node).into_iter().flatten();
        nominees.filter(|(_, nominee)| nominee.priority < priority).map(|(uid, _)| uid.clone()).collect()
    }

    /// Expects a pod on a node.
    pub(super) fn put(&mut self, document: &Value, node: &str) {
        let uid = meta::uid(document);
        let nominee = Nominee { priority: pod::priority(document), requested: Amounts::of_pod(document) };
        self.by_node.entry(node.to_owned()).or_default().insert(uid.to_owned(), nominee);
        self.nodes.insert(uid.to_owned(), node.to_owned());
    }

    /// Expects a pod no more; gives back where it was expected.
    pub(super) fn remove(&mut self, uid: &str) -> Option<String> {
        let node = self.nodes.remove(uid)?;
        if let Some(nominees) = self.by_node.get_mut(&node) {
            nominees.remove(uid);
            if nominees.is_empty() {
                self.by_node.remove(&node);
            }
        }
        Some(node)
    }
}
