//! What is wrong with the core group's smaller kinds.

mod claim;
mod endpoints;
mod limit_range;
mod node;
mod quota;
mod stored_data;
mod volume;

use machinery::{
    field::{Error, Path},
    label, meta,
};
use serde_json::Value;

use crate::builtin::formats::invalid;
use crate::builtin::pod::validate_template;
use crate::builtin::pointer::{text, texts};
use crate::format::Errors;

pub(in crate::builtin) use claim::claim_spec;
pub(super) use claim::{
    persistent_volume_claim, persistent_volume_claim_change, persistent_volume_claim_status,
    persistent_volume_claim_warnings,
};
pub(in crate::builtin) use endpoints::endpoint_ip_errors;
pub(super) use endpoints::endpoints;
pub(super) use limit_range::limit_range;
pub(super) use node::{drop_dynamic_settings, node, node_change, node_status, node_warnings};
pub(super) use quota::{resource_quota, resource_quota_change};
pub(super) use stored_data::{config_map, frozen, secret, secret_change};
pub(super) use volume::{persistent_volume, persistent_volume_change, persistent_volume_warnings};

/// PodTemplate.
pub(super) fn pod_template(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_template(&mut errors, &Path::new("template"), object.get("template").unwrap_or(&Value::Null));
    errors
}

/// Namespace: names of finalizers.
pub(super) fn namespace(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for finalizer in texts(object, "/spec/finalizers") {
        let path = Path::new("spec").child("finalizers");
        invalid(&mut errors, &path, &finalizer.into(), label::key_errors(finalizer));
        if !finalizer.contains('/') && finalizer != "kubernetes" {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path, &finalizer.into(), detail));
        }
    }
    errors
}

/// Namespace: a phase that goes with whether it is being deleted. The capital is upstream's.
pub(super) fn namespace_status(object: &Value) -> Errors {
    let phase = text(object, "/status/phase");
    let path = Path::new("status").child("Phase");
    let (wanted, detail) = match meta::deletion_timestamp(object) {
        None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        Some(_) => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    if phase == wanted { Vec::new() } else { vec![Error::invalid(&path, &phase.into(), detail)] }
}
