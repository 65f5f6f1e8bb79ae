//! Plug-ins of admission, by the names that kube-apiserver has for them.

/// Plug-ins that kube-apiserver knows.
const PLUGINS: [&str; 41] = [
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "JobValidation",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NamespaceLifecycle",
    "NodeDeclaredFeatureValidator",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "PodGroupProtection",
    "PodGroupWorkloadExists",
    "PodNodeSelector",
    "PodResizeValidator",
    "PodSecurity",
    "PodTolerationRestriction",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// Of these, those that are not here, and do something where they are.
const MISSING: [&str; 7] = [
    "AlwaysDeny",
    "EventRateLimit",
    "ImagePolicyWebhook",
    "NodeDeclaredFeatureValidator",
    "PodGroupProtection",
    "PodGroupWorkloadExists",
    "PodTolerationRestriction",
];

/// Plug-ins that are asked for and not here.
pub(crate) fn missing(enabled: &[String]) -> Vec<&str> {
    enabled.iter().map(String::as_str).filter(|name| MISSING.contains(name)).collect()
}

/// Refuses plug-ins that nobody knows, and those that are switched on and off.
///
/// # Errors
/// There is one, in the words of kube-apiserver.
pub(crate) fn check(enabled: &[String], disabled: &[String]) -> Result<(), String> {
    for (sort, names) in [("enable", enabled), ("disable", disabled)] {
        if let Some(name) = names.iter().find(|name| !name.is_empty() && !PLUGINS.contains(&name.as_str())) {
            return Err(format!("{sort}-admission-plugins plugin {name:?} is unknown"));
        }
    }
    let both = enabled.iter().filter(|name| !name.is_empty() && disabled.contains(name));
    match both.map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        both => {
            Err(format!("[{}] in enable-admission-plugins and disable-admission-plugins overlapped", both.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_known() {
        assert!(MISSING.iter().all(|name| PLUGINS.contains(name)));
        assert!(crate::hooks::on_request::NAMES.iter().all(|name| PLUGINS.contains(name) && !MISSING.contains(name)));
        assert_eq!(missing(&["PodNodeSelector".to_owned(), "EventRateLimit".to_owned()]), ["EventRateLimit"]);
    }

    #[test]
    fn plugins_are_known_and_either_on_or_off() {
        let checked = |enabled: &[&str], disabled: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            check(&owned(enabled), &owned(disabled))
        };
        assert_eq!(checked(&["NodeRestriction", "PodSecurity"], &[""]), Ok(()));
        let unknown = "disable-admission-plugins plugin \"Foo\" is unknown";
        assert_eq!(checked(&[], &["Foo"]), Err(unknown.to_owned()));
        let overlapped = "[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped";
        assert_eq!(checked(&["PodSecurity"], &["PodSecurity"]), Err(overlapped.to_owned()));
    }
}
