//! What classic claims refer to, and what an allocation hands to drivers.

use k8s_openapi::{apimachinery::pkg::runtime::RawExtension, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object with parameters for claims of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClassParametersReference")]
pub struct ResourceClassParametersReference {
    /// API group of the object, without a version; empty for the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object. Empty for kinds without namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// An object with parameters for a claim, in the claim's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimParametersReference")]
pub struct ResourceClaimParametersReference {
    /// API group of the object, without a version; empty for the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind of the object, `ConfigMap` for instance.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// What one kubelet plugin is given when the claim is prepared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceHandle")]
pub struct ResourceHandle {
    /// Name of the driver whose kubelet plugin gets the data; may be another than the one that allocated the claim. Empty:
    /// that of the claim's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_name: Option<String>,
    /// Opaque data that the controller of the driver left for its plugin, at most 16 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the scheduler allocated, where it did so with structured parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_data: Option<StructuredResourceHandle>,
}

/// What the scheduler allocated of one driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.StructuredResourceHandle")]
pub struct StructuredResourceHandle {
    /// Parameters of the class for the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_class_parameters: Option<RawExtension>,
    /// Parameters of the claim for the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_claim_parameters: Option<RawExtension>,
    /// The node of the resources, where they are of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The resources, in the order of the requests.
    #[serde(default)]
    pub results: Vec<DriverAllocationResult>,
}

/// All results of one driver.
pub type DriverAllocationResults = Vec<DriverAllocationResult>;

/// What one request got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DriverAllocationResult")]
pub struct DriverAllocationResult {
    /// Parameters of the request for the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_request_parameters: Option<RawExtension>,
    /// An instance of the named resources model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resources: Option<NamedResourcesAllocationResult>,
}

/// An allocated instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesAllocationResult")]
pub struct NamedResourcesAllocationResult {
    /// Name of the instance.
    pub name: String,
}
