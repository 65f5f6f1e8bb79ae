//! Between the versions in which servers have Kubernetes' device API: `v1` here, older ones on older servers.

use machinery::{meta, names};
use serde_json::{Value, json};

use crate::resource::{
    GROUP, claim_from_v1, claim_to_v1, slice_from_v1, slice_to_v1, template_from_v1, template_to_v1,
};

/// Versions of the shape of `v1beta1`: so it was in Kubernetes 1.31 already, where it was called `v1alpha3`.
const FLAT: [&str; 2] = ["v1beta1", "v1alpha3"];

/// Turns a claim, template, slice or class of an older version into `v1`.
pub fn to_v1(document: &mut Value) {
    let version = names::split_api_version(meta::api_version(document)).map(|(_, version)| version.to_owned());
    if version.is_ok_and(|version| FLAT.contains(&version.as_str())) {
        match meta::kind(document) {
            "ResourceClaim" => claim_to_v1(document),
            "ResourceClaimTemplate" => template_to_v1(document),
            "ResourceSlice" => slice_to_v1(document),
            _ => {}
        }
    }
    document["apiVersion"] = json!(names::api_version(GROUP, "v1"));
}

/// Turns a claim, template, slice or class of `v1` into another version.
pub fn from_v1(document: &mut Value, version: &str) {
    if FLAT.contains(&version) {
        match meta::kind(document) {
            "ResourceClaim" => claim_from_v1(document),
            "ResourceClaimTemplate" => template_from_v1(document),
            "ResourceSlice" => slice_from_v1(document),
            _ => {}
        }
    }
    document["apiVersion"] = json!(names::api_version(GROUP, version));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_flat_in_the_first_versions() {
        let exactly = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1});
        let claim = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "spec": {"devices": {"requests": [{"name": "r", "exactly": exactly}]}},
        });
        for (version, pointer) in [
            ("v1beta1", "/spec/devices/requests/0/deviceClassName"),
            ("v1alpha3", "/spec/devices/requests/0/deviceClassName"),
            ("v1beta2", "/spec/devices/requests/0/exactly/deviceClassName"),
        ] {
            let mut other = claim.clone();
            from_v1(&mut other, version);
            assert_eq!(other["apiVersion"], format!("resource.k8s.io/{version}"));
            assert_eq!(other.pointer(pointer), Some(&json!("gpu")), "{version}");
            to_v1(&mut other);
            assert_eq!(other, claim, "{version}");
        }
    }
}
