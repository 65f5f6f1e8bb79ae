//! What controllers read off a pod.

use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
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

/// Whether it counts: it has not ended, and is not told to.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_terminal(pod) && meta::deletion_timestamp(pod).is_none()
}

/// `status.phase`.
pub(crate) fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

/// A condition of any object.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether its containers are ready for work.
pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition["status"] == "True")
}

/// Since when it is ready.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let condition = condition(pod, "Ready").filter(|condition| condition["status"] == "True")?;
    time::parse(condition["lastTransitionTime"].as_str()?)
}

/// Whether a pod is available: ready for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is not ready.
    No,
    /// It will be at this time, if it stays ready.
    At(Timestamp),
    /// It is.
    Yes,
}

/// Whether the pod has been ready for so many seconds.
pub(crate) fn availability(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::No;
    }
    if min_ready_seconds <= 0 {
        return Availability::Yes;
    }
    let Some(since) = ready_since(pod) else { return Availability::No };
    match since.checked_add(SignedDuration::from_secs(min_ready_seconds)) {
        Ok(at) if at <= now => Availability::Yes,
        Ok(at) => Availability::At(at),
        Err(_) => Availability::No,
    }
}

/// How often the container that was started again most often was.
pub(crate) fn restarts(pod: &Value) -> i64 {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.map(|status| status["restartCount"].as_i64().unwrap_or(0)).max().unwrap_or(0)
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
