//! The plug-in `PodTopologyLabels`: a pod is told in which zone and region its node is.

use std::sync::Arc;

use futures::future::BoxFuture;
use machinery::{meta, status::Status};
use serde_json::{Value, json};

use super::is;
use crate::{
    registry::{Admission, Admitted, Operation, Registry},
    storage::Stored,
};

const GATE: &str = "PodTopologyLabelsAdmission";
const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// Copies labels of a node to the pods that are put there.
pub(crate) struct PodTopologyLabels;

impl PodTopologyLabels {
    /// The name by which it can be left out.
    pub(crate) const NAME: &str = "PodTopologyLabels";
}

impl Admission for PodTopologyLabels {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let is_placed = write.operation == Operation::Create
            && is(write.endpoint, "", "pods")
            && write.registry.feature_gates.enabled(GATE);
        let pointer = match (write.subresource, write.kind) {
            ("", None) => "/spec/nodeName",
            // What a Binding says goes to its pod.
            ("binding", _) => "/target/name",
            _ => "",
        };
        if is_placed && let Some(node) = node_at(write.registry, object, pointer) {
            copy(node.value(), object);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The node that an object names at a place, if it is known.
pub(super) fn node_at(registry: &Registry, object: &Value, pointer: &str) -> Option<Arc<Stored>> {
    let name = object.pointer(pointer)?.as_str().filter(|name| !name.is_empty())?;
    registry.catalog.endpoint("", "v1", "nodes")?.resource.space().get(name)
}

fn copy(node: &Value, object: &mut Value) {
    for key in LABELS {
        if let Some(value) = meta::label(node, key) {
            let mut labels =
                object.pointer("/metadata/labels").filter(|it| it.is_object()).cloned().unwrap_or(json!({}));
            labels[key] = value.into();
            meta::set(object, "labels", labels);
        }
    }
}
