//! Plug-ins that kube-apiserver has and runs only where it is told to (`--enable-admission-plugins`), one by one.

mod anti_affinity;
mod extended_resources;
mod external_ips;
mod namespace_provision;
mod node_selector;
mod owner_permissions;
mod pull_images;

use serde_json::Value;

pub(crate) use anti_affinity::HardAntiAffinity;
pub(crate) use extended_resources::ExtendedResourceTolerations;
pub(crate) use external_ips::DenyExternalIps;
pub(crate) use namespace_provision::NamespaceProvision;
pub(crate) use node_selector::NodeSelectors;
pub(crate) use owner_permissions::OwnerPermissions;
pub(crate) use pull_images::PullImages;

use super::{NodeRestriction, NodeTaints, is};
use crate::registry::{Admitted, Operation};

/// Plug-ins that run only where they are asked for: those of this room, and two that Kubernetes has on.
pub(crate) const NAMES: [&str; 9] = [
    DenyExternalIps::NAME,
    ExtendedResourceTolerations::NAME,
    HardAntiAffinity::NAME,
    NamespaceProvision::NAME,
    NodeRestriction::NAME,
    NodeSelectors::NAME,
    NodeTaints::NAME,
    OwnerPermissions::NAME,
    PullImages::NAME,
];

/// Whether pods themselves are written by one of these operations.
fn writes_pod(write: &Admitted<'_>, operations: &[Operation]) -> bool {
    let is_pod = write.kind.is_none() && write.subresource.is_empty() && is(write.endpoint, "", "pods");
    is_pod && operations.contains(&write.operation)
}

/// The init containers and containers of a pod.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/spec/initContainers", "/spec/containers"].into_iter();
    lists.filter_map(|list| pod.pointer(list)?.as_array()).flatten()
}
