//! The columns of `apps`.

use machinery::{meta, names};
use serde_json::Value;

use crate::builtin::cells::{NONE, container_images, container_names, labels, selector, selector_or_none};
use crate::builtin::column::{age, integer, name, text, wide};
use crate::builtin::pointer;
use crate::definition::Column;

const TEMPLATE: &str = "/spec/template/spec";

/// ControllerRevision.
pub(super) fn controller_revision() -> Vec<Column> {
    vec![
        name(),
        text("Controller", "Controller that the revision belongs to.", |object, _| controller(object).into()),
        text("Revision", "Number of the revision.", |object, _| pointer::integer(object, "/revision").into()),
        age(),
    ]
}

fn controller(object: &Value) -> String {
    let Some(owner) = meta::controller(object) else { return NONE.to_owned() };
    let (group, _) = names::split_api_version(pointer::text(owner, "/apiVersion")).unwrap_or_default();
    let kind = pointer::text(owner, "/kind").to_lowercase();
    let separator = if group.is_empty() { "" } else { "." };
    format!("{kind}{separator}{group}/{}", pointer::text(owner, "/name"))
}

/// DaemonSet.
pub(super) fn daemon_set() -> Vec<Column> {
    vec![
        name(),
        integer("Desired", "How many nodes should run the pod.", |object, _| {
            pointer::integer(object, "/status/desiredNumberScheduled").into()
        }),
        integer("Current", "How many of them have the pod.", |object, _| {
            pointer::integer(object, "/status/currentNumberScheduled").into()
        }),
        integer("Ready", "How many pods are ready.", |object, _| {
            pointer::integer(object, "/status/numberReady").into()
        }),
        integer("Up-to-date", "How many nodes run the newest template.", |object, _| {
            pointer::integer(object, "/status/updatedNumberScheduled").into()
        }),
        integer("Available", "How many pods have been ready long enough.", |object, _| {
            pointer::integer(object, "/status/numberAvailable").into()
        }),
        text("Node Selector", "Labels of the nodes that run the pod.", |object, _| {
            labels(object, "/spec/template/spec/nodeSelector").into()
        }),
        age(),
        containers(),
        images(),
        wide("Selector", "Which pods count.", |object, _| selector_or_none(object, "/spec/selector").into()),
    ]
}

/// Deployment.
pub(super) fn deployment() -> Vec<Column> {
    vec![
        name(),
        text("Ready", "How many of the wanted pods are ready.", |object, _| ready(object).into()),
        text("Up-to-date", "How many pods have the newest template.", |object, _| {
            pointer::integer(object, "/status/updatedReplicas").into()
        }),
        text("Available", "How many pods have been ready long enough.", |object, _| {
            pointer::integer(object, "/status/availableReplicas").into()
        }),
        age(),
        containers(),
        images(),
        wide("Selector", "Which pods count.", |object, _| selector(object, "/spec/selector").into()),
    ]
}

fn ready(object: &Value) -> String {
    let ready = pointer::integer(object, "/status/readyReplicas");
    format!("{ready}/{}", pointer::integer(object, "/spec/replicas"))
}

/// ReplicaSet.
pub(super) fn replica_set() -> Vec<Column> {
    vec![
        name(),
        integer("Desired", "How many pods are wanted.", |object, _| pointer::integer(object, "/spec/replicas").into()),
        integer("Current", "How many pods exist.", |object, _| pointer::integer(object, "/status/replicas").into()),
        integer("Ready", "How many pods are ready.", |object, _| {
            pointer::integer(object, "/status/readyReplicas").into()
        }),
        age(),
        containers(),
        images(),
        wide("Selector", "Which pods count.", |object, _| selector_or_none(object, "/spec/selector").into()),
    ]
}

/// StatefulSet.
pub(super) fn stateful_set() -> Vec<Column> {
    vec![
        name(),
        text("Ready", "How many of the wanted pods are ready.", |object, _| ready(object).into()),
        age(),
        containers(),
        images(),
    ]
}

fn containers() -> Column {
    wide("Containers", "Names of the template's containers.", |object, _| container_names(object, TEMPLATE))
}

fn images() -> Column {
    wide("Images", "Images of the template's containers.", |object, _| container_images(object, TEMPLATE))
}
