//! Which claims a pod refers to, and by which names.

use api::k8srm::DEVICE_CLAIMS;
use machinery::{field::quote, meta};
use serde_json::Value;

/// One claim of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimReference {
    /// Name of the pod's entry; empty for the claim that was made for extended resources.
    pub entry: String,
    /// Name of the claim.
    pub name: String,
    /// The claim must belong to the pod, since it was made for it.
    pub owned: bool,
    /// It is one of k8srm-prototype.
    pub k8srm: bool,
}

/// The claims of a pod, in its order; entries that need no claim are left out.
///
/// # Errors
/// A claim has not been made yet, or an entry names none: in the kubelet's words.
pub(crate) fn claim_references(pod: &Value) -> Result<Vec<ClaimReference>, String> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    for entry in spec["resourceClaims"].as_array().into_iter().flatten() {
        let entry_name = text(&entry["name"]).unwrap_or_default();
        // `source` held the two names until Kubernetes 1.30.
        let look = |member: &str| text(&entry[member]).or_else(|| text(&entry["source"][member]));
        if let Some(name) = look("resourceClaimName") {
            found.push(reference(entry_name, name, false, false));
        } else if look("resourceClaimTemplateName").is_some() {
            let made = made_for(pod, entry_name)?;
            found.extend(made.map(|name| reference(entry_name, name, true, false)));
        } else {
            let (pod, entry) = (quote(&full_name(pod)), quote(entry_name));
            return Err(format!("pod {pod}, spec.resourceClaim {entry}: none of the supported fields are set"));
        }
    }
    let prototype = &spec["deviceClaims"];
    if let Some(name) = text(&prototype["claimName"]) {
        found.push(reference(DEVICE_CLAIMS, name, false, true));
    } else if prototype.is_object() {
        let made = made_for(pod, DEVICE_CLAIMS)?;
        found.extend(made.map(|name| reference(DEVICE_CLAIMS, name, true, true)));
    }
    let extended = text(&pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"]);
    found.extend(extended.map(|name| reference("", name, true, false)));
    Ok(found)
}

fn reference(entry: &str, name: &str, owned: bool, k8srm: bool) -> ClaimReference {
    ClaimReference { entry: entry.to_owned(), name: name.to_owned(), owned, k8srm }
}

/// The name of the claim that was made for an entry; `None` when none is needed.
fn made_for<'a>(pod: &'a Value, entry: &str) -> Result<Option<&'a str>, String> {
    let statuses = pod["status"]["resourceClaimStatuses"].as_array().into_iter().flatten();
    match statuses.into_iter().find(|status| status["name"] == entry) {
        Some(status) => Ok(text(&status["resourceClaimName"])),
        None => Err(format!("pod {}: ResourceClaim not created yet", quote(&full_name(pod)))),
    }
}

/// `namespace/name`.
pub(crate) fn full_name(object: &Value) -> String {
    format!("{}/{}", meta::namespace(object), meta::name(object))
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// What a container may use of the pod's claims: entry and, where it names one, request.
pub(crate) fn uses(container: &Value) -> Vec<(String, Option<String>)> {
    let claims = container["resources"]["claims"].as_array().into_iter().flatten().map(|claim| {
        // dra-evolution says `requestName`.
        let request = text(&claim["request"]).or_else(|| text(&claim["requestName"]));
        (text(&claim["name"]).unwrap_or_default().to_owned(), request.map(str::to_owned))
    });
    let devices = container["devices"].as_array().into_iter().flatten().map(|device| {
        // In k8srm-prototype the name is that of an instance of the claim.
        (DEVICE_CLAIMS.to_owned(), text(&device["name"]).map(str::to_owned))
    });
    claims.chain(devices).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_found_in_every_way_a_pod_names_them() {
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p"},
            "spec": {
                "resourceClaims": [
                    {"name": "a", "resourceClaimName": "claim-a"},
                    {"name": "b", "resourceClaimTemplateName": "t"},
                    {"name": "none", "resourceClaimTemplateName": "t"},
                    {"name": "old", "source": {"resourceClaimName": "claim-old"}},
                ],
                "deviceClaims": {"devices": [{"name": "gpu", "class": "foozer"}]},
            },
            "status": {
                "resourceClaimStatuses": [
                    {"name": "b", "resourceClaimName": "p-b-x"}, {"name": "none"},
                    {"name": "device-claims", "resourceClaimName": "p-d-y"},
                ],
                "extendedResourceClaimStatus": {"resourceClaimName": "p-e-z"},
            },
        });
        let names: Vec<(String, bool)> =
            claim_references(&pod).expect("claims").into_iter().map(|one| (one.name, one.owned)).collect();
        let expected = [("claim-a", false), ("p-b-x", true), ("claim-old", false), ("p-d-y", true), ("p-e-z", true)];
        assert_eq!(names, expected.map(|(name, owned)| (name.to_owned(), owned)));
    }

    #[test]
    fn what_is_missing_is_said_as_the_kubelet_says_it() {
        let pod =
            |entry: Value| json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"resourceClaims": [entry]}});
        let error = |entry| claim_references(&pod(entry)).expect_err("an error");
        assert_eq!(
            error(json!({"name": "a", "resourceClaimTemplateName": "t"})),
            "pod \"n/p\": ResourceClaim not created yet"
        );
        assert_eq!(
            error(json!({"name": "a"})),
            "pod \"n/p\", spec.resourceClaim \"a\": none of the supported fields are set"
        );
    }
}
