//! `ResourceClaim` and `ResourceClaimTemplate`.

use k8s_openapi::{
    api::core::v1::NodeSelector,
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configuration::{ConfigurationParameters, Requirement};
use crate::classic::{ResourceClaimParametersReference, ResourceHandle};

/// A ResourceClaim asks for devices and, once they are allocated, says which ones it got and who uses them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaim")]
pub struct ResourceClaim {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for. It cannot be changed.
    #[serde(default)]
    pub spec: ResourceClaimSpec,
    /// What the claim got. Written by the scheduler.
    #[serde(default, skip_serializing_if = "ResourceClaimStatus::is_empty")]
    pub status: ResourceClaimStatus,
}

/// What a ResourceClaim asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimSpec")]
pub struct ResourceClaimSpec {
    /// Configuration for drivers that applies to the claim as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<ConfigurationParameters>>,
    /// What must hold among all devices of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Vec<Constraint>>,
    /// The devices, one request for each. All must be found on one node; with no requests, nothing is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<Request>>,
    /// Whether several consumers may use the claim at the same time. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// Name of the ResourceClass. It makes the claim one of classic DRA, which has no requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_class_name: Option<String>,
    /// An object with parameters for the driver (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ResourceClaimParametersReference>,
    /// `WaitForFirstConsumer`: the claim is allocated for the first pod that uses it. `Immediate`: as soon as it exists
    /// (classic DRA). Default: WaitForFirstConsumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_mode: Option<String>,
}

/// What must hold among devices. Exactly one member must be set; there is only one today.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.Constraint")]
pub struct Constraint {
    /// Every device must have the attribute of this name, and its value must be the same for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_attribute: Option<String>,
}

/// A request for one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.Request")]
pub struct Request {
    /// Name of the request, unique in the claim: a DNS label. Containers and the allocation result refer to it. A
    /// request without a name is called `request-` and its index.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub name: String,
    /// Name of the DeviceClass whose requirements and configuration apply. Without one, any device may be chosen that
    /// meets the requirements of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_class_name: Option<String>,
    /// Configuration for the driver of the chosen device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<ConfigurationParameters>>,
    /// Asks for access to a device that may be in use already, and that remains available to others. It is granted
    /// where a Quota of the namespace allows it. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_access: Option<bool>,
    /// What the device must meet besides the requirements of the class; all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Vec<Requirement>>,
}

/// Whether the claim is allocated, and who uses it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimStatus")]
pub struct ResourceClaimStatus {
    /// The devices. Absent until the claim is allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationResult>,
    /// The consumers that may use the claim, 32 at most. A claim is deallocated only when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<Vec<ResourceClaimConsumerReference>>,
    /// Name of the driver that allocated the claim (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_name: Option<String>,
    /// Asks the driver to deallocate the claim. No consumer can be added while it is set (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deallocation_requested: Option<bool>,
}

impl ResourceClaimStatus {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The devices of an allocated claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.AllocationResult")]
pub struct AllocationResult {
    /// One entry for each driver that has a part in the claim, 32 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_data: Option<Vec<DriverData>>,
    /// The node where the devices are. Empty when they can be used everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Whether several consumers may use the claim at the same time; copied from the spec, or, in classic DRA, set by the
    /// driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// What kubelet plugins get, 32 entries at most (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_handles: Option<Vec<ResourceHandle>>,
    /// What the kubelet plugin gets, as v1alpha1 had it (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_handle: Option<String>,
    /// The nodes where pods can use the claim; all nodes, if absent (classic DRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_on_nodes: Option<NodeSelector>,
}

/// What one driver needs to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DriverData")]
pub struct DriverData {
    /// Name of the driver.
    pub driver_name: String,
    /// Its devices and their configuration.
    #[serde(default)]
    #[schemars(default)]
    pub data: StructuredDriverData,
}

/// Devices and configuration of one driver in one claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.StructuredDriverData")]
pub struct StructuredDriverData {
    /// Configuration of the claim as a whole for this driver, in the order of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<DriverConfigurationParameters>>,
    /// The devices, one for each allocated request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<RequestAllocationResult>>,
}

/// Configuration for a driver that is known from where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DriverConfigurationParameters")]
pub struct DriverConfigurationParameters {
    /// Parameters whose format only the driver knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<RawExtension>,
}

/// The device that one request got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.RequestAllocationResult")]
pub struct RequestAllocationResult {
    /// Configuration of the device: that of the class first, then that of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<DeviceConfiguration>>,
    /// Name of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub request_name: String,
    /// Name of the device. Driver, node and device together say which one it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub device_name: String,
}

/// Configuration of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DeviceConfiguration")]
pub struct DeviceConfiguration {
    /// Whether an administrator wrote it, in a class. A driver may refuse some settings to anybody else.
    #[serde(default)]
    #[schemars(default)]
    pub admin: bool,
    /// Parameters whose format only the driver knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<RawExtension>,
}

/// A consumer of a claim, usually a pod of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimConsumerReference")]
pub struct ResourceClaimConsumerReference {
    /// API group of the consumer; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub api_group: String,
    /// Resource of the consumer, `pods` for instance.
    pub resource: String,
    /// Name of the consumer.
    pub name: String,
    /// UID of the consumer, which tells it apart from a later one of the same name.
    pub uid: String,
}

/// A ResourceClaimTemplate is what claims are made from, one for each pod that refers to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimTemplate")]
pub struct ResourceClaimTemplate {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceClaimTemplate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is copied into claims. It cannot be changed.
    #[serde(default)]
    pub spec: ResourceClaimTemplateSpec,
}

/// What is copied into the claims that are made from a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimTemplateSpec")]
pub struct ResourceClaimTemplateSpec {
    /// Labels and annotations of the claims; nothing else may be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectMeta>,
    /// The spec of the claims.
    #[serde(default)]
    pub spec: ResourceClaimSpec,
}
