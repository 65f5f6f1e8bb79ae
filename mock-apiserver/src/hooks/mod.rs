//! What the server does by itself: namespaces and what every namespace holds, CRDs, garbage.
//!
//! A hook has a say in writes (`Admission`) or takes note of them (`Reaction`); work that takes writes of its own is done
//! by a task that sleeps until there is some.

mod api_services;
mod certificates;
mod crd;
mod default_classes;
mod extension_servers;
mod flow_control;
mod garbage;
mod limits;
mod namespaces;
mod node_restriction;
mod node_taints;
pub(crate) mod on_request;
mod pod_resize;
mod pod_security;
mod pod_topology;
mod pods;
mod queue;
mod quota;
mod runtime_class;
mod service_addresses;
mod services;
mod storage_protection;
mod token_audience;
mod token_secrets;
mod volume_expansion;

pub(crate) use api_services::{ApiServices, create_api_services};
pub(crate) use certificates::CertificateSigning;
pub(crate) use crd::{CrdAdmission, CrdUpkeep};
pub(crate) use default_classes::DefaultClass;
pub(crate) use extension_servers::{create_extension_authentication, tell_extension_servers};
pub(crate) use flow_control::{FlowSchemaUpkeep, create_flow_control};
pub(crate) use garbage::GarbageCollector;
pub(crate) use limits::LimitRanger;
pub(crate) use namespaces::{NamespaceLifecycle, NamespaceUpkeep, create_built_in};
pub(crate) use node_restriction::NodeRestriction;
pub(crate) use node_taints::NodeTaints;
pub(crate) use pod_resize::PodResize;
pub(crate) use pod_security::{PodSecurity, PodSecurityConfig};
pub(crate) use pod_topology::PodTopologyLabels;
pub(crate) use pods::{PodAdmission, create_priority_classes};
pub(crate) use queue::Queue;
pub(crate) use quota::{LimitedResource, QuotaAdmission, QuotaUpkeep};
pub(crate) use runtime_class::RuntimeClasses;
pub(crate) use service_addresses::{IpAddresses, create_service_cidr};
pub(crate) use services::{ServiceAddresses, create_kubernetes};
pub(crate) use storage_protection::{ProtectionUpkeep, StorageProtection};
pub(crate) use token_secrets::{TokenSecretUpkeep, TokenSecrets, create_token_tracking};
pub(crate) use volume_expansion::VolumeExpansion;

use crate::catalog::Endpoint;

/// Whether objects of an endpoint are of a resource, whatever the version.
fn is(endpoint: &Endpoint, group: &str, plural: &str) -> bool {
    let storage = endpoint.resource.storage_endpoint();
    storage.definition().group == group && storage.definition().plural == plural
}
