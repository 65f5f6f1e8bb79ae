//! The plug-ins of admission of a server, in their order.

use std::sync::Arc;

use crate::{
    admission::{MutatingPolicies, MutatingWebhooks, PolicyDefinitions, ValidatingPolicies, ValidatingWebhooks},
    authentication::TokenIssuer,
    authorization::{Authorizer, GrantAdmission},
    config::Config,
    hooks::{
        CertificateSigning, CrdAdmission, DefaultClass, LimitRanger, NamespaceLifecycle, NodeRestriction, NodeTaints,
        PodAdmission, PodResize, PodSecurity, PodTopologyLabels, QuotaAdmission, QuotaUpkeep, RuntimeClasses,
        ServiceAddresses, StorageProtection, TokenSecrets, VolumeExpansion,
        on_request::{
            self, DenyExternalIps, ExtendedResourceTolerations, HardAntiAffinity, NamespaceProvision, NodeSelectors,
            OwnerPermissions, PullImages,
        },
    },
    registry::Admission,
};

/// What plug-ins share with other parts of the server.
pub(crate) struct Shared {
    pub(crate) services: ServiceAddresses,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) issuer: Arc<TokenIssuer>,
    /// Counts quotas, where the server does.
    pub(crate) quotas: Option<Arc<QuotaUpkeep>>,
    /// PEM.
    pub(crate) root_certificate: String,
}

/// The plug-ins that run: those that are on unless they were switched off, and those that were asked for. The order is that of
/// kube-apiserver (`AllOrderedPlugins`), as far as it tells.
pub(crate) fn plugins(config: &Config, shared: Shared) -> Vec<Box<dyn Admission>> {
    let Shared { services, authorizer, issuer, quotas, root_certificate } = shared;
    let given = &config.plugins;
    // Each under the name by which it can be left out; those without one always run.
    let all: Vec<(&str, Box<dyn Admission>)> = vec![
        (NamespaceProvision::NAME, Box::new(NamespaceProvision)),
        ("NamespaceLifecycle", Box::new(NamespaceLifecycle)),
        ("", Box::new(CrdAdmission)),
        (HardAntiAffinity::NAME, Box::new(HardAntiAffinity)),
        ("LimitRanger", Box::new(LimitRanger)),
        ("", Box::new(PodAdmission::without(&config.disabled_plugins))),
        (PodTopologyLabels::NAME, Box::new(PodTopologyLabels)),
        (PodResize::NAME, Box::new(PodResize)),
        (NodeRestriction::NAME, Box::new(NodeRestriction)),
        (NodeTaints::NAME, Box::new(NodeTaints)),
        (PullImages::NAME, Box::new(PullImages)),
        ("PodSecurity", Box::new(PodSecurity(given.pod_security.clone()))),
        (NodeSelectors::NAME, Box::new(NodeSelectors)),
        (ExtendedResourceTolerations::NAME, Box::new(ExtendedResourceTolerations)),
        ("DefaultStorageClass", Box::new(DefaultClass::STORAGE)),
        ("DefaultIngressClass", Box::new(DefaultClass::INGRESS)),
        (OwnerPermissions::NAME, Box::new(OwnerPermissions)),
        ("RuntimeClass", Box::new(RuntimeClasses)),
        (DenyExternalIps::NAME, Box::new(DenyExternalIps)),
        ("StorageObjectInUseProtection", Box::new(StorageProtection)),
        (VolumeExpansion::NAME, Box::new(VolumeExpansion)),
        ("", Box::new(services)),
        ("", Box::new(CertificateSigning::new(config.access.clients.clone()))),
        ("", Box::new(TokenSecrets::new(issuer, root_certificate))),
        ("", Box::new(GrantAdmission::new(authorizer))),
        ("", Box::new(PolicyDefinitions)),
        ("MutatingAdmissionPolicy", Box::new(MutatingPolicies::new())),
        ("MutatingAdmissionWebhook", Box::new(MutatingWebhooks::new())),
        ("ValidatingAdmissionPolicy", Box::new(ValidatingPolicies::new())),
        ("ValidatingAdmissionWebhook", Box::new(ValidatingWebhooks::new())),
        ("ResourceQuota", Box::new(QuotaAdmission::new(quotas, given.limited.clone()))),
    ];
    let is_wanted = |name: &str| !on_request::NAMES.contains(&name) || config.enabled_plugins.contains(name);
    let is_on = |name: &str| is_wanted(name) && !config.disabled_plugins.contains(name);
    all.into_iter().filter(|(name, _)| is_on(name)).map(|(_, plugin)| plugin).collect()
}
