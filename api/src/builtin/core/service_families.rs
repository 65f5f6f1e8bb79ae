//! Families of addresses that a service asks for, in a cluster that has IPv4 alone.

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::builtin::addresses::ip_errors;
use crate::builtin::formats::invalid;
use crate::builtin::pointer::{self, list, text, texts};
use crate::format::Errors;

/// What of its families and addresses a service cannot have. Upstream looks for it before anything else.
pub fn family_errors(service: &Value, is_new: bool) -> Errors {
    let spec = Path::new("spec");
    let is_headless = text(service, "/spec/clusterIP") == "None";
    if text(service, "/spec/type") == "ExternalName" {
        return Vec::new();
    }
    // Of families that are none, and of one that stands twice, validation tells.
    let families: Vec<&str> = texts(service, "/spec/ipFamilies").collect();
    if families.iter().enumerate().any(|(at, family)| {
        !matches!(*family, "IPv4" | "IPv6") || families.iter().take(at).any(|other| other == family)
    }) {
        return Vec::new();
    }
    let addresses: Vec<&str> = texts(service, "/spec/clusterIPs").collect();
    let shown = Value::from(addresses.clone());
    if is_new && !addresses.is_empty() && text(service, "/spec/clusterIP").is_empty() {
        let detail = "must be empty when `clusterIP` is not specified";
        let mut errors = vec![Error::invalid(&spec.child("clusterIPs"), &shown, detail)];
        for (index, address) in addresses.iter().enumerate() {
            invalid(&mut errors, &spec.child("clusterIPs").index(index), &(*address).into(), ip_errors(address));
        }
        return errors;
    }
    // So of addresses that are none.
    let told = || addresses.iter().copied().chain([text(service, "/spec/clusterIP")]);
    if told().any(|address| !matches!(address, "" | "None") && !ip_errors(address).is_empty()) {
        return Vec::new();
    }
    if is_headless && pointer::members(service, "/spec/selector").count() == 0 {
        return Vec::new();
    }
    if let Some(error) = policy_error(service, &spec.child("ipFamilyPolicy"), is_new) {
        return vec![error];
    }
    let mut errors = Vec::new();
    for (index, (family, address)) in families.iter().zip(&addresses).enumerate().filter(|_| !is_headless) {
        if (*family == "IPv6") != address.contains(':') {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&spec.child("clusterIPs").index(index), &(*address).into(), &detail));
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    for (index, family) in families.into_iter().enumerate().filter(|(_, family)| *family == "IPv6") {
        let path = spec.child("ipFamilies").index(index);
        errors.push(Error::invalid(&path, &family.into(), "not configured on this cluster"));
    }
    let (first, own) = (text(service, "/spec/clusterIP"), spec.child("clusterIPs"));
    let all = if addresses.is_empty() { vec![first] } else { addresses };
    for (index, _) in all.iter().enumerate().filter(|(_, address)| address.contains(':')) {
        let shown = Value::from(all.clone());
        errors.push(Error::invalid(&own.index(index), &shown, "IPv6 is not configured on this cluster"));
    }
    errors
}

/// What is wrong with the number of families.
fn policy_error(service: &Value, path: &Path, is_new: bool) -> Option<Error> {
    let policy = match text(service, "/spec/ipFamilyPolicy") {
        "" if is_new => "SingleStack",
        policy => policy,
    };
    let detail = match policy {
        "RequireDualStack" => "this cluster is not configured for dual-stack services",
        "SingleStack" if list(service, "/spec/clusterIPs").len() > 1 => {
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"
        }
        "SingleStack" if list(service, "/spec/ipFamilies").len() > 1 => {
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        }
        _ => return None,
    };
    Some(Error::invalid(path, &policy.into(), detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_is_one_family() {
        let policy = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        for (spec, expected) in [
            (json!({"ipFamilyPolicy": "PreferDualStack"}), None),
            (json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"}), None),
            (json!({"type": "ExternalName", "ipFamilyPolicy": "RequireDualStack"}), None),
            (
                json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack", "selector": {"a": "b"}}),
                Some("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services".to_owned()),
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                Some(format!("spec.ipFamilyPolicy: Invalid value: \"SingleStack\": {policy}")),
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}),
                Some("spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster".to_owned()),
            ),
            (
                json!({"clusterIPs": ["10.0.0.9", "fd00::1"]}),
                Some("spec.clusterIPs: Invalid value: [\"10.0.0.9\",\"fd00::1\"]: must be empty when `clusterIP` is not specified".to_owned()),
            ),
            (
                json!({"clusterIP": "fd00::1"}),
                Some("spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster".to_owned()),
            ),
        ] {
            let errors = family_errors(&json!({"spec": spec}), true);
            assert_eq!(errors.first().map(ToString::to_string), expected, "{spec}");
        }
    }
}
