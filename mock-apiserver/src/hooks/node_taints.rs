//! A new node takes no pods until somebody has seen that it is ready (`TaintNodesByCondition`). Off unless it is asked for:
//! who takes the taint away again is a controller, and most nodes of a laboratory have nobody who reports on them.

use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::{Value, json};

use super::is;
use crate::registry::{Admission, Admitted, Operation};

/// Taints new nodes.
pub(crate) struct NodeTaints;

impl NodeTaints {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "TaintNodesByCondition";
}

impl Admission for NodeTaints {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        if write.operation == Operation::Create && is(write.endpoint, "", "nodes") {
            taint(object);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn taint(node: &mut Value) {
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    let Some(members) = node.as_object_mut() else { return };
    let spec = members.entry("spec").or_insert_with(|| json!({}));
    let Some(spec) = spec.as_object_mut() else { return };
    let taints = spec.entry("taints").or_insert_with(|| json!([]));
    if taints.is_null() {
        *taints = json!([]);
    }
    let Some(taints) = taints.as_array_mut() else { return };
    let is_there = |known: &Value| known["key"] == taint["key"] && known["effect"] == taint["effect"];
    if !taints.iter().any(is_there) {
        taints.push(taint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_is_tainted_once() {
        let mut node = json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}});
        taint(&mut node);
        taint(&mut node);
        assert_eq!(
            node["spec"]["taints"],
            json!([{"key": "a", "effect": "NoExecute"}, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
        );
        let mut bare = json!({});
        taint(&mut bare);
        assert_eq!(bare["spec"]["taints"].as_array().map(Vec::len), Some(1));
    }
}
