//! The plug-in `PodResizeValidator`: a pod is resized only to what its node can give.

use api::builtin;
use futures::future::BoxFuture;
use machinery::{
    quantity::Quantity,
    status::{Cause, Status},
};
use serde_json::Value;

use super::{is, pod_topology::node_at};
use crate::registry::{Admission, Admitted, Operation};

/// Refuses to resize pods beyond their node.
pub(crate) struct PodResize;

impl PodResize {
    /// The name by which it can be left out.
    pub(crate) const NAME: &str = "PodResizeValidator";
}

impl Admission for PodResize {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let is_resize =
            write.operation == Operation::Update && write.subresource == "resize" && is(write.endpoint, "", "pods");
        let checked = match (write.old, object) {
            (Some(old), Some(pod)) if is_resize && old.get("spec") != pod.get("spec") => check(write, pod),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(checked))
    }
}

fn check(write: &Admitted<'_>, pod: &Value) -> Result<(), Status> {
    let name = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Ok(());
    }
    let Some(node) = node_at(write.registry, pod, "/spec/nodeName") else {
        return Err(write.forbidden(Some(pod), &format!("node {name:?} not found")));
    };
    let refuse = |reason: &str, why: &str| {
        let mut status = write.forbidden(Some(pod), why);
        let cause = Cause { reason: reason.to_owned(), message: String::new(), field: String::new() };
        status.details.get_or_insert_default().causes.push(cause);
        Err(status)
    };
    let system = machinery::meta::label(node.value(), "kubernetes.io/os").unwrap_or("linux");
    if system != "linux" {
        let why = format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}");
        return refuse("UnsupportedPlatform", &why);
    }
    let usage = builtin::usage("pods", pod, &|_| None);
    let amounts = |resource: &str| -> (Quantity, Quantity) {
        let allocatable = node.value().pointer(&format!("/status/allocatable/{resource}"));
        let allocatable = allocatable.and_then(|amount| Quantity::from_json(amount).ok()).unwrap_or_default();
        (usage.get(&format!("requests.{resource}")).cloned().unwrap_or_default(), allocatable)
    };
    let mut lacking = Vec::new();
    let (wanted, there) = amounts("cpu");
    if wanted > there {
        let (wanted, there) = (wanted.milli_value(), there.milli_value());
        lacking.push(format!("cpu, requested: {wanted}, allocatable: {there}"));
    }
    let (wanted, there) = amounts("memory");
    if wanted > there {
        lacking.push(format!("memory, requested: {}, allocatable: {}", wanted.value(), there.value()));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    refuse("NodeCapacity", &format!("node didn't have enough allocatable resources: {}", lacking.join("; ")))
}
