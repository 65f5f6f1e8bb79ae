//! The claims that a pod refers to, in every generation: what its spec names and what its status records.

use api::k8srm::DEVICE_CLAIMS;
use serde_json::{Map, Value, json};

use crate::{Generation, generation};

/// An entry of `spec.resourceClaims`, or `spec.deviceClaims` of k8srm-prototype.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimReference {
    /// Name of the entry, unique in the pod.
    pub entry: String,
    /// The generation it is about; `None` when its name could be meant in several.
    pub generation: Option<Generation>,
    /// What it names.
    pub source: ClaimSource,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimSource {
    /// A claim.
    Claim(String),
    /// A template, from which each pod gets a claim of its own, and the metadata that the entry gives to that claim.
    Template(String, Value),
    /// The template itself.
    Inline(Value),
    /// Nothing that is known here.
    Nothing,
}

impl ClaimReference {
    /// The generations that it can be about. k8srm-prototype is only meant where it is said.
    pub fn generations(&self) -> impl Iterator<Item = Generation> + use<> {
        let said = self.generation;
        generation::ALL.into_iter().filter(move |one| match said {
            Some(said) => *one == said,
            None => *one != generation::K8SRM,
        })
    }
}

/// The claims that a pod refers to, in its order.
pub fn claim_references(pod: &Value) -> Vec<ClaimReference> {
    let entries = pod["spec"]["resourceClaims"].as_array().into_iter().flatten();
    let prototype = Some(&pod["spec"]["deviceClaims"]).filter(|claims| claims.is_object());
    entries.map(resource_claim).chain(prototype.map(device_claim)).collect()
}

fn resource_claim(entry: &Value) -> ClaimReference {
    // `source` held the two names until Kubernetes 1.30.
    let look = |member: &str| text(&entry[member]).or_else(|| text(&entry["source"][member]));
    let source = match (look("resourceClaimName"), look("resourceClaimTemplateName")) {
        (Some(claim), _) => ClaimSource::Claim(claim),
        (None, Some(template)) => ClaimSource::Template(template, Value::Null),
        (None, None) => ClaimSource::Nothing,
    };
    ClaimReference { entry: text(&entry["name"]).unwrap_or_default(), generation: None, source }
}

fn device_claim(claims: &Value) -> ClaimReference {
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
    ClaimReference { entry: DEVICE_CLAIMS.to_owned(), generation: Some(generation::K8SRM), source }
}

/// What is recorded for an entry: `Some(None)` says that no claim is needed, `None` that nothing is recorded.
pub fn recorded_claim(pod: &Value, entry: &str) -> Option<Option<String>> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array()?;
    let status = statuses.iter().find(|status| status["name"] == entry)?;
    Some(text(&status["resourceClaimName"]))
}

/// All recorded claims by entry.
pub fn recorded_claims(pod: &Value) -> Map<String, Value> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array().into_iter().flatten();
    statuses.filter_map(|status| Some((text(&status["name"])?, status["resourceClaimName"].clone()))).collect()
}

/// Name of the claim that stands for the extended resources of the pod, once it is recorded.
pub fn extended_resource_claim(pod: &Value) -> Option<&str> {
    pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"].as_str().filter(|name| !name.is_empty())
}

/// Names of all claims that the pod uses, as far as that is known by now.
pub fn claim_names(pod: &Value) -> Vec<String> {
    let direct = claim_references(pod).into_iter().filter_map(|reference| match reference.source {
        ClaimSource::Claim(name) => Some(name),
        _ => None,
    });
    let recorded = recorded_claims(pod).into_values().filter_map(|name| text(&name));
    direct.chain(recorded).chain(extended_resource_claim(pod).map(str::to_owned)).collect()
}

/// Names of the templates that the pod refers to.
pub fn template_names(pod: &Value) -> Vec<String> {
    let named = |reference: ClaimReference| match reference.source {
        ClaimSource::Template(name, _) => Some(name),
        _ => None,
    };
    claim_references(pod).into_iter().filter_map(named).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_generation_are_found() {
        let pod = json!({
            "spec": {
                "resourceClaims": [
                    {"name": "a", "resourceClaimName": "c"},
                    {"name": "b", "resourceClaimTemplateName": "t"},
                    {"name": "old", "source": {"resourceClaimName": "d"}},
                    {"name": "x"},
                ],
                "deviceClaims": {"devices": [{"name": "gpu", "class": "foozer"}]},
            },
            "status": {
                "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "p-b-1"}, {"name": "none"}],
                "extendedResourceClaimStatus": {"resourceClaimName": "e"},
            },
        });
        let sources: Vec<ClaimSource> = claim_references(&pod).into_iter().map(|one| one.source).collect();
        let spec = json!({"spec": {"devices": [{"name": "gpu", "allOf": [{"class": "foozer"}]}]}});
        assert_eq!(
            sources,
            [
                ClaimSource::Claim("c".into()),
                ClaimSource::Template("t".into(), Value::Null),
                ClaimSource::Claim("d".into()),
                ClaimSource::Nothing,
                ClaimSource::Inline(spec),
            ]
        );
        assert_eq!(claim_names(&pod), ["c", "d", "p-b-1", "e"]);
        assert_eq!(template_names(&pod), ["t"]);
        assert_eq!(recorded_claim(&pod, "b"), Some(Some("p-b-1".to_owned())));
        assert_eq!(recorded_claim(&pod, "none"), Some(None));
        assert_eq!(recorded_claim(&pod, "a"), None);
    }
}
