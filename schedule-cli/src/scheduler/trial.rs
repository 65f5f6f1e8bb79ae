//! A world to try decisions in, for tests.

use std::sync::Arc;

use cluster::{Change, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    Decision, Options, World,
    decision::{self, Remedy},
};

/// A cluster on paper.
pub(super) struct Trial {
    pub(super) world: World,
    pub(super) options: Options,
}

impl Trial {
    /// Nodes of these names in these zones, with room for many pods; none of an empty zone.
    pub(super) fn of(nodes: &[(&str, &str)]) -> Self {
        let options = Options::default();
        let mut trial = Self { world: World::new(options.features), options };
        nodes.iter().for_each(|(name, zone)| trial.put(kind::NODE, node(name, zone)));
        trial
    }

    pub(super) fn put(&mut self, kind: Kind, mut document: Value) {
        document["apiVersion"] = json!(kind.api_version());
        document["kind"] = json!(kind.kind);
        self.world.apply(&Change::Applied(kind, Arc::new(document)));
    }

    /// Puts a pod on a node.
    pub(super) fn place(&mut self, name: &str, node: &str, labels: Value, mut spec: Value) {
        spec["nodeName"] = json!(node);
        self.put(kind::POD, pod(name, labels, spec));
    }

    /// Where a pod goes: the name of the node, or the sentence that says why there is none.
    pub(super) fn decide(&mut self, pod: &Value) -> String {
        match decision::decide(pod, &mut self.world, &self.options) {
            Decision::Place(placement) => placement.node,
            Decision::Refuse(refusals) => {
                if let Some(Remedy::Preempt(preemption)) = &refusals.remedy {
                    let mut names: Vec<&str> = preemption.victims.iter().map(|victim| meta::name(victim)).collect();
                    names.sort_unstable();
                    return format!("preempts {} on {}", names.join(" "), preemption.node);
                }
                // What is said of preemption and of devices follows.
                let end = refusals.message.find(". ").map_or(refusals.message.len(), |at| at + 1);
                refusals.message[..end].to_owned()
            }
            other => format!("{other:?}"),
        }
    }
}

pub(super) fn node(name: &str, zone: &str) -> Value {
    let mut labels = json!({"kubernetes.io/hostname": name});
    if !zone.is_empty() {
        labels["topology.kubernetes.io/zone"] = json!(zone);
    }
    let room = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
    json!({"metadata": {"name": name, "uid": name, "labels": labels}, "status": {"allocatable": room}})
}

pub(super) fn pod(name: &str, labels: Value, spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "uid": name, "labels": labels},
        "spec": spec,
    })
}
