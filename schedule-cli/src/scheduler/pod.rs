//! What the scheduler reads off a pod.

use cluster::{Generation, generation};
use machinery::meta;
use serde_json::{Value, json};

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

/// An entry of `spec.resourceClaims`, or `spec.deviceClaims` of k8srm-prototype.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClaimReference {
    /// Name of the entry, unique in the pod.
    pub(crate) entry: String,
    /// The generation it is about; `None` when its name could be meant in several.
    pub(crate) generation: Option<Generation>,
    /// What it names.
    pub(crate) source: ClaimSource,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClaimSource {
    /// A claim.
    Claim(String),
    /// A template, from which each pod gets a claim of its own. Labels and annotations of the claim may be given here.
    Template(String, Option<Value>),
    /// The template itself.
    Inline(Value),
    /// Nothing that this scheduler knows.
    Nothing,
}

/// Under which name the one claim of `spec.deviceClaims` is recorded in the status of the pod.
const DEVICE_CLAIMS: &str = "device-claims";

/// The claims a pod refers to, in its order.
pub(crate) fn claim_references(pod: &Value) -> Vec<ClaimReference> {
    let entries = pod["spec"]["resourceClaims"].as_array().into_iter().flatten();
    let prototype = Some(&pod["spec"]["deviceClaims"]).filter(|claims| claims.is_object());
    entries.map(resource_claim).chain(prototype.map(device_claim)).collect()
}

fn resource_claim(entry: &Value) -> ClaimReference {
    // `source` held the two names until Kubernetes 1.30.
    let look = |member: &str| text(&entry[member]).or_else(|| text(&entry["source"][member]));
    let source = match (look("resourceClaimName"), look("resourceClaimTemplateName")) {
        (Some(claim), _) => ClaimSource::Claim(claim),
        (None, Some(template)) => ClaimSource::Template(template, None),
        (None, None) => ClaimSource::Nothing,
    };
    ClaimReference { entry: text(&entry["name"]).unwrap_or_default(), generation: None, source }
}

fn device_claim(claims: &Value) -> ClaimReference {
    let (named, template) = (text(&claims["claimName"]), &claims["template"]);
    let source = match (named, text(&template["claimName"]), claims["devices"].as_array()) {
        (Some(claim), _, _) => ClaimSource::Claim(claim),
        (None, Some(name), _) => ClaimSource::Template(name, template.get("metadata").cloned()),
        (None, None, Some(devices)) => ClaimSource::Inline(device_instances(devices)),
        (None, None, None) => ClaimSource::Nothing,
    };
    ClaimReference { entry: DEVICE_CLAIMS.to_owned(), generation: Some(generation::K8SRM), source }
}

/// The claim that `deviceClaims.devices` stands for: one device of the class each.
fn device_instances(devices: &[Value]) -> Value {
    let one = |device: &Value| json!({"name": device["name"], "allOf": [{"class": device["class"]}]});
    json!({"spec": {"devices": devices.iter().map(one).collect::<Vec<_>>()}})
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The name of the claim made for a template entry: `Some(None)` says that none is needed, `None` that none is recorded.
pub(super) fn recorded_claim(pod: &Value, entry: &str) -> Option<Option<String>> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array()?;
    let status = statuses.iter().find(|status| status["name"] == entry)?;
    Some(status["resourceClaimName"].as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_generation_are_found() {
        let pod = json!({"spec": {
            "resourceClaims": [
                {"name": "a", "resourceClaimName": "c"},
                {"name": "b", "resourceClaimTemplateName": "t"},
                {"name": "old", "source": {"resourceClaimName": "c"}},
                {"name": "x"},
            ],
            "deviceClaims": {"devices": [{"name": "gpu", "class": "foozer"}]},
        }});
        let sources: Vec<ClaimSource> = claim_references(&pod).into_iter().map(|one| one.source).collect();
        let spec = json!({"spec": {"devices": [{"name": "gpu", "allOf": [{"class": "foozer"}]}]}});
        assert_eq!(
            sources,
            [
                ClaimSource::Claim("c".into()),
                ClaimSource::Template("t".into(), None),
                ClaimSource::Claim("c".into()),
                ClaimSource::Nothing,
                ClaimSource::Inline(spec),
            ]
        );
    }

    #[test]
    fn gated_settled_and_foreign_pods_are_told_apart() {
        let standing = |pod: Value| standing(&pod, super::super::DEFAULT_NAME);
        assert_eq!(standing(json!({})), Standing::Waiting);
        assert_eq!(standing(json!({"spec": {"schedulingGates": [{"name": "g"}]}})), Standing::Gated(vec!["g".into()]));
        assert_eq!(standing(json!({"spec": {"nodeName": "n"}})), Standing::Settled);
        assert_eq!(standing(json!({"status": {"phase": "Succeeded"}})), Standing::Settled);
        assert_eq!(standing(json!({"spec": {"schedulerName": "other"}})), Standing::Foreign);
    }
}
