//! What controllers read off a pod.

use cluster::{Generation, generation};
use machinery::meta;
use serde_json::{Map, Value, json};

/// An entry of `spec.resourceClaims`, or `spec.deviceClaims` of k8srm-prototype.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClaimEntry {
    /// Name of the entry, unique in the pod.
    pub(crate) name: String,
    /// The generation it is about; `None` when its name could be meant in several.
    generation: Option<Generation>,
    /// What it names.
    pub(crate) source: ClaimSource,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClaimSource {
    /// A claim.
    Claim(String),
    /// A template, with the metadata that the entry gives to the claim.
    Template(String, Value),
    /// The template itself.
    Inline(Value),
    /// Nothing that is known here.
    Nothing,
}

impl ClaimEntry {
    /// The generations that it can be about. k8srm-prototype is only meant where it is said.
    pub(crate) fn generations(&self) -> impl Iterator<Item = Generation> + use<> {
        let said = self.generation;
        generation::ALL.into_iter().filter(move |one| match said {
            Some(said) => *one == said,
            None => *one != generation::K8SRM,
        })
    }
}

/// Under which name the one claim of `spec.deviceClaims` is recorded in the status of the pod.
const DEVICE_CLAIMS: &str = "device-claims";

/// The claims that a pod refers to, in its order.
pub(crate) fn claim_entries(pod: &Value) -> Vec<ClaimEntry> {
    let entries = pod["spec"]["resourceClaims"].as_array().into_iter().flatten();
    let prototype = Some(&pod["spec"]["deviceClaims"]).filter(|claims| claims.is_object());
    entries.map(resource_claim).chain(prototype.map(device_claim)).collect()
}

fn resource_claim(entry: &Value) -> ClaimEntry {
    // `source` held the two names until Kubernetes 1.30.
    let look = |member: &str| text(&entry[member]).or_else(|| text(&entry["source"][member]));
    let source = match (look("resourceClaimName"), look("resourceClaimTemplateName")) {
        (Some(claim), _) => ClaimSource::Claim(claim),
        (None, Some(template)) => ClaimSource::Template(template, Value::Null),
        (None, None) => ClaimSource::Nothing,
    };
    ClaimEntry { name: text(&entry["name"]).unwrap_or_default(), generation: None, source }
}

fn device_claim(claims: &Value) -> ClaimEntry {
    let template = &claims["template"];
    let source = match (text(&claims["claimName"]), text(&template["claimName"]), claims["devices"].as_array()) {
        (Some(claim), _, _) => ClaimSource::Claim(claim),
        (None, Some(name), _) => ClaimSource::Template(name, template["metadata"].clone()),
        // Each device of the list is one of its class.
        (None, None, Some(devices)) => {
            let one = |device: &Value| json!({"name": device["name"], "allOf": [{"class": device["class"]}]});
            let devices: Vec<Value> = devices.iter().map(one).collect();
            ClaimSource::Inline(json!({"spec": {"devices": devices}}))
        }
        (None, None, None) => ClaimSource::Nothing,
    };
    ClaimEntry { name: DEVICE_CLAIMS.to_owned(), generation: Some(generation::K8SRM), source }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether the pod has to do with claims at all.
pub(crate) fn has_claims(pod: &Value) -> bool {
    pod["spec"]["resourceClaims"].as_array().is_some_and(|entries| !entries.is_empty())
        || pod["spec"]["deviceClaims"].is_object()
        || pod["status"]["extendedResourceClaimStatus"].is_object()
}

/// What is recorded for an entry: `Some(None)` says that no claim is needed, `None` that nothing is recorded.
pub(crate) fn recorded_claim(pod: &Value, entry: &str) -> Option<Option<String>> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array()?;
    let status = statuses.iter().find(|status| status["name"] == entry)?;
    Some(text(&status["resourceClaimName"]))
}

/// All recorded claims by entry.
pub(crate) fn recorded_claims(pod: &Value) -> Map<String, Value> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array().into_iter().flatten();
    statuses.filter_map(|status| Some((text(&status["name"])?, status["resourceClaimName"].clone()))).collect()
}

/// Names of all claims that the pod uses, as far as that is known by now.
pub(crate) fn claim_names(pod: &Value) -> Vec<String> {
    let direct = claim_entries(pod).into_iter().filter_map(|entry| match entry.source {
        ClaimSource::Claim(name) => Some(name),
        _ => None,
    });
    let recorded = recorded_claims(pod).into_values().filter_map(|name| text(&name));
    let extended = text(&pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"]);
    direct.chain(recorded).chain(extended).collect()
}

/// Names of the templates that the pod refers to.
pub(crate) fn template_names(pod: &Value) -> Vec<String> {
    let named = |entry: ClaimEntry| match entry.source {
        ClaimSource::Template(name, _) => Some(name),
        _ => None,
    };
    claim_entries(pod).into_iter().filter_map(named).collect()
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
