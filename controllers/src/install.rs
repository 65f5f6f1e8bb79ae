//! Installing a system: its kinds, what its operator or chart brings along, and the servers that the API server calls.

use cluster::{
    Change, Key, Kind, Writer, kind,
    write::{PatchKind, failed},
};
use futures::StreamExt;
use machinery::meta;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    kubevirt::{self, Release},
    volcano,
    webhook::Listening,
};

/// A system that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// KubeVirt, in this release.
    KubeVirt(Release),
    /// Volcano.
    Volcano,
}

impl System {
    /// As the list of controllers names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeVirt(_) => "kubevirt",
            Self::Volcano => "volcano",
        }
    }

    fn manifests(self) -> Vec<&'static str> {
        match self {
            Self::KubeVirt(_) => kubevirt::INSTALL.to_vec(),
            Self::Volcano => volcano::INSTALL.to_vec(),
        }
    }
}

impl std::str::FromStr for System {
    type Err = String;

    /// `volcano`, `kubevirt`, or `kubevirt=1.7`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, release) = text.split_once('=').map_or((text, None), |(name, release)| (name, Some(release)));
        match (name, release) {
            ("kubevirt", None) => Ok(Self::KubeVirt(kubevirt::RELEASE)),
            ("kubevirt", Some(release)) => release.parse().map(Self::KubeVirt),
            ("volcano", None) => Ok(Self::Volcano),
            ("volcano", Some(_)) => Err("Volcano is emulated in one release only".to_owned()),
            _ => Err(format!("{text:?} is no system that can be installed: kubevirt and volcano are")),
        }
    }
}

/// Kinds that manifests use besides their own CRDs.
const KINDS: [Kind; 5] =
    [kind::CUSTOM_RESOURCE_DEFINITION, kind::NAMESPACE, kind::QUEUE, kubevirt::KUBEVIRT, volcano::CONFIG_MAP];

pub(crate) const MUTATING_WEBHOOKS: Kind = webhooks("MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
pub(crate) const VALIDATING_WEBHOOKS: Kind =
    webhooks("ValidatingWebhookConfiguration", "validatingwebhookconfigurations");

const fn webhooks(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: "admissionregistration.k8s.io", version: "v1", kind, plural, namespaced: false }
}

/// Installs a system in a cluster, waits until its kinds are served, and starts its webhooks, which answer until `until` is
/// cancelled. What is there already is brought up to date.
///
/// # Errors
/// The cluster does not answer, or does not take the manifests; or a webhook cannot listen.
pub async fn install(client: &kube::Client, system: System, until: CancellationToken) -> anyhow::Result<()> {
    let writer = Writer::new(client.clone(), format!("{}-operator", system.name()));
    let mut documents: Vec<Value> = Vec::new();
    for manifest in system.manifests() {
        let parsed = machinery::yaml::documents(manifest);
        let parsed = parsed.map_err(|error| anyhow::anyhow!("manifests of {}: {error}", system.name()))?;
        documents.extend(parsed.into_iter().map(machinery::yaml::Document::into_value));
    }
    if let System::KubeVirt(release) = system {
        documents.push(kubevirt::instance_of(release));
    }
    let basic = [kind::CUSTOM_RESOURCE_DEFINITION.kind, kind::NAMESPACE.kind];
    let (first, others): (Vec<&Value>, Vec<&Value>) =
        documents.iter().partition(|document| basic.contains(&meta::kind(document)));
    for document in &first {
        apply(&writer, kind_of(document)?, document).await?;
    }
    let is_definition = |document: &&Value| meta::kind(document) == kind::CUSTOM_RESOURCE_DEFINITION.kind;
    let definitions: Vec<&Value> = first.into_iter().filter(is_definition).collect();
    established(client, &definitions).await?;
    match system {
        System::KubeVirt(_) => kubevirt::start_api(client, until).await?,
        System::Volcano => volcano::start_admission(client, until).await?,
    }
    // Webhooks may be asked about these, also those of a process before this one.
    for other in others {
        apply(&writer, kind_of(other)?, other).await?;
    }
    Ok(())
}

fn kind_of(document: &Value) -> anyhow::Result<Kind> {
    let of = |kind: &&Kind| kind.kind == meta::kind(document) && kind.api_version() == meta::api_version(document);
    let kind = KINDS.iter().find(of).copied();
    kind.ok_or_else(|| anyhow::anyhow!("no kind is known for a {}", meta::kind(document)))
}

/// Makes an object, or brings it up to date.
pub(crate) async fn apply(writer: &Writer, kind: Kind, document: &Value) -> anyhow::Result<()> {
    let key = Key::of(document);
    let applied = writer.patch(kind, &key, "", PatchKind::Apply, document).await;
    applied.map(drop).map_err(|error| failed(format!("install {} {key}", kind.plural), &error))
}

/// The Service of a server of ours, which is on this machine.
pub(crate) fn local_service(namespace: &str, name: &str, listening: &Listening) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "type": "ExternalName", "externalName": "localhost",
            "ports": [{"name": "https", "port": listening.port, "protocol": "TCP", "targetPort": listening.port}],
        },
    })
}

/// The `clientConfig` of a webhook.
pub(crate) fn called_at(namespace: &str, service: &str, path: &str, listening: &Listening) -> Value {
    json!({
        "service": {"namespace": namespace, "name": service, "path": path, "port": listening.port},
        "caBundle": listening.ca_bundle,
    })
}

/// A webhook without which nothing is admitted.
pub(crate) fn webhook(name: &str, client: Value, rule: Value) -> Value {
    json!({
        "name": name, "admissionReviewVersions": ["v1"], "clientConfig": client, "rules": [rule],
        "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 10,
    })
}

/// A `MutatingWebhookConfiguration`.
pub(crate) fn mutating(name: &str, webhooks: Vec<Value>) -> Value {
    configuration(MUTATING_WEBHOOKS, name, webhooks)
}

/// A `ValidatingWebhookConfiguration`.
pub(crate) fn validating(name: &str, webhooks: Vec<Value>) -> Value {
    configuration(VALIDATING_WEBHOOKS, name, webhooks)
}

fn configuration(of: Kind, name: &str, webhooks: Vec<Value>) -> Value {
    json!({"apiVersion": of.api_version(), "kind": of.kind, "metadata": {"name": name}, "webhooks": webhooks})
}

/// Waits until the kinds of CRDs are served.
async fn established(client: &kube::Client, definitions: &[&Value]) -> anyhow::Result<()> {
    let mut open: Vec<&str> = definitions.iter().map(|definition| meta::name(definition)).collect();
    let mut changes = cluster::watch(client.clone(), &[kind::CUSTOM_RESOURCE_DEFINITION]);
    while !open.is_empty() {
        match changes.next().await {
            Some(Change::Listed(_, documents)) => {
                documents
                    .iter()
                    .filter(|one| is_established(one))
                    .for_each(|one| open.retain(|name| *name != meta::name(one)));
            }
            Some(Change::Applied(_, one)) if is_established(&one) => open.retain(|name| *name != meta::name(&one)),
            Some(_) => {}
            None => anyhow::bail!("the watch of CRDs ended"),
        }
    }
    Ok(())
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Established" && one["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_named_with_a_release_or_without() {
        let name = |text: &str| text.parse::<System>().map(System::name);
        assert_eq!(name("kubevirt"), Ok("kubevirt"));
        assert_eq!(name("kubevirt=1.7"), Ok("kubevirt"));
        assert_eq!(name("volcano"), Ok("volcano"));
        for wrong in ["kubevirt=2.0", "volcano=1.9", "nonesuch", ""] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
