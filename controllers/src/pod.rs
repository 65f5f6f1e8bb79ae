//! What controllers read off a pod.

use machinery::meta;
use serde_json::Value;

/// Whether the pod has to do with claims at all.
pub(crate) fn has_claims(pod: &Value) -> bool {
    pod["spec"]["resourceClaims"].as_array().is_some_and(|entries| !entries.is_empty())
        || pod["spec"]["deviceClaims"].is_object()
        || pod["status"]["extendedResourceClaimStatus"].is_object()
}

/// `spec.nodeName`, when there is one.
pub(crate) fn node_name(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())
}

/// Whether its containers have ended for good.
pub(crate) fn is_terminal(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether it needs its claims no more: it has ended, or is being deleted before it got a node.
pub(crate) fn is_done(pod: &Value) -> bool {
    is_terminal(pod) || (meta::deletion_timestamp(pod).is_some() && node_name(pod).is_none())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The pod that controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its name, in the namespace of the object.
    pub(crate) name: String,
    /// Its uid.
    pub(crate) uid: String,
}

/// The pod that controls an object, if a pod does.
pub(crate) fn owner(object: &Value) -> Option<Owner> {
    let owner = meta::controller(object)?;
    let is_pod = owner["apiVersion"] == "v1" && owner["kind"] == "Pod";
    is_pod
        .then(|| Owner { name: text(&owner["name"]).unwrap_or_default(), uid: text(&owner["uid"]).unwrap_or_default() })
}

/// Whether the claim was made for the pod.
pub(crate) fn owns(pod: &Value, claim: &Value) -> bool {
    meta::controller(claim).is_some_and(|owner| owner["uid"].as_str() == Some(meta::uid(pod)))
}
