//! What the scheduler reads off a pod.

use machinery::meta;
use serde_json::Value;

/// What a pod waits for before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It wants a node.
    Waiting,
    /// It waits for `spec.schedulingGates` to go (KEP-3521).
    Gated(Vec<String>),
    /// It has a node, has ended, or is being deleted.
    Settled,
    /// It waits for another scheduler.
    Foreign,
}

/// Where a pod stands, for the scheduler of this name.
pub(super) fn standing(pod: &Value, scheduler_name: &str) -> Standing {
    let spec = &pod["spec"];
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if node_name(pod).is_some() || ended || meta::deletion_timestamp(pod).is_some() {
        return Standing::Settled;
    }
    let wanted = spec["schedulerName"].as_str().filter(|name| !name.is_empty()).unwrap_or(super::DEFAULT_NAME);
    if wanted != scheduler_name {
        return Standing::Foreign;
    }
    let gates = spec["schedulingGates"].as_array().into_iter().flatten();
    let gates: Vec<String> = gates.filter_map(|gate| gate["name"].as_str().map(str::to_owned)).collect();
    if gates.is_empty() { Standing::Waiting } else { Standing::Gated(gates) }
}

/// `spec.nodeName`, when there is one.
pub(super) fn node_name(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())
}

/// `spec.priority`; 0 when absent.
pub(super) fn priority(pod: &Value) -> i64 {
    pod["spec"]["priority"].as_i64().unwrap_or(0)
}

/// Whether the pod still holds what it was given: it has a node and has not ended.
pub(super) fn occupies_node(pod: &Value) -> bool {
    node_name(pod).is_some() && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// An entry of `spec.resourceClaims` (or, in k8srm-prototype, of `spec.deviceClaims`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimReference {
    /// Name of the entry, unique in the pod.
    pub entry: String,
    /// What it names.
    pub source: ClaimSource,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClaimSource {
    /// A claim.
    Claim(String),
    /// A template, from which each pod gets a claim of its own.
    Template(String),
    /// Nothing that this scheduler knows.
    Nothing,
}

/// The claims a pod refers to, in its order.
pub(super) fn claim_references(pod: &Value) -> Vec<ClaimReference> {
    let name = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let entries = pod["spec"]["resourceClaims"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            // `source` held the two names until Kubernetes 1.30.
            let look = |member: &str| name(&entry[member]).or_else(|| name(&entry["source"][member]));
            let source = match (look("resourceClaimName"), look("resourceClaimTemplateName")) {
                (Some(claim), _) => ClaimSource::Claim(claim),
                (None, Some(template)) => ClaimSource::Template(template),
                (None, None) => ClaimSource::Nothing,
            };
            ClaimReference { entry: name(&entry["name"]).unwrap_or_default(), source }
        })
        .collect()
}

/// The name of the claim made for a template entry: `Some(None)` says that none is needed, `None` that none is recorded.
pub(super) fn recorded_claim(pod: &Value, entry: &str) -> Option<Option<String>> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array()?;
    let status = statuses.iter().find(|status| status["name"] == entry)?;
    Some(status["resourceClaimName"].as_str().map(str::to_owned))
}
