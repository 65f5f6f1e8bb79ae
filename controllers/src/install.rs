//! Installing a system: its kinds, and what its operator or chart brings along.

use cluster::{
    Change, Key, Kind, Writer, kind,
    write::{PatchKind, failed},
};
use futures::StreamExt;
use machinery::meta;
use serde_json::Value;

use crate::{kubevirt, volcano};

/// A system that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// KubeVirt.
    KubeVirt,
    /// Volcano.
    Volcano,
}

impl System {
    /// As command lines, and the list of controllers, name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeVirt => "kubevirt",
            Self::Volcano => "volcano",
        }
    }

    fn manifests(self) -> &'static str {
        match self {
            Self::KubeVirt => kubevirt::INSTALL,
            Self::Volcano => volcano::INSTALL,
        }
    }
}

impl std::str::FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::KubeVirt, Self::Volcano];
        let found = all.into_iter().find(|system| system.name() == text);
        found.ok_or_else(|| format!("{text:?} is no system that can be installed: kubevirt and volcano are"))
    }
}

/// Kinds that manifests use besides their own CRDs.
const KINDS: [Kind; 4] = [kind::CUSTOM_RESOURCE_DEFINITION, kind::NAMESPACE, kind::QUEUE, kubevirt::KUBEVIRT];

/// Installs a system in a cluster, and waits until its kinds are served. What is there already is brought up to date.
///
/// # Errors
/// The cluster does not answer, or does not take the manifests.
pub async fn install(client: &kube::Client, system: System) -> anyhow::Result<()> {
    let writer = Writer::new(client.clone(), format!("{}-operator", system.name()));
    let documents = machinery::yaml::documents(system.manifests())
        .map_err(|error| anyhow::anyhow!("manifests of {}: {error}", system.name()))?;
    let documents: Vec<Value> = documents.into_iter().map(machinery::yaml::Document::into_value).collect();
    let (definitions, others): (Vec<&Value>, Vec<&Value>) =
        documents.iter().partition(|document| meta::kind(document) == kind::CUSTOM_RESOURCE_DEFINITION.kind);
    for definition in &definitions {
        apply(&writer, definition).await?;
    }
    established(client, &definitions).await?;
    for other in others {
        apply(&writer, other).await?;
    }
    Ok(())
}

async fn apply(writer: &Writer, document: &Value) -> anyhow::Result<()> {
    let of = |kind: &&Kind| kind.kind == meta::kind(document) && kind.api_version() == meta::api_version(document);
    let kind = KINDS.iter().find(of);
    let kind = kind.ok_or_else(|| anyhow::anyhow!("no kind is known for a {}", meta::kind(document)))?;
    let key = Key::of(document);
    let applied = writer.patch(*kind, &key, "", PatchKind::Apply, document).await;
    applied.map(drop).map_err(|error| failed(format!("install {} {key}", kind.plural), &error))
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
