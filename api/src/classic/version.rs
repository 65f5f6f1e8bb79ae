//! `v1alpha1` of Kubernetes 1.26, in which an allocation had one handle: a text.

use serde_json::{Value, json};

use crate::members::{at, at_mut, list, present, put, text};

/// One handle becomes a list of handles.
pub(crate) fn claim_to_v1alpha2(claim: &mut Value) {
    if !super::is_classic(claim) {
        return;
    }
    let driver = text(at(claim, &["status"]), "driverName").to_owned();
    let Some(allocation) = at_mut(claim, &["status", "allocation"]) else { return };
    if let Some(data) = present(allocation, "resourceHandle").cloned() {
        put(allocation, "resourceHandle", None);
        put(allocation, "resourceHandles", Some(json!([{"driverName": driver, "data": data}])));
    }
}

/// The data of the first handle is the one that 1.26 knew.
pub(crate) fn claim_to_v1alpha1(claim: &mut Value) {
    if !super::is_classic(claim) {
        return;
    }
    let Some(allocation) = at_mut(claim, &["status", "allocation"]) else { return };
    let data = list(allocation, "resourceHandles").first().and_then(|handle| present(handle, "data")).cloned();
    if let Some(data) = data {
        put(allocation, "resourceHandles", None);
        put(allocation, "resourceHandle", Some(data));
    }
}
