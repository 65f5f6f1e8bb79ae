//! `ResourceClaimParameters` and `ResourceClassParameters`: vendor parameters in a form that the scheduler understands.

use k8s_openapi::{
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{ResourceClaimParametersReference, ResourceClassParametersReference};

/// ResourceClaimParameters say what a claim asks for, driver by driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimParameters")]
pub struct ResourceClaimParameters {
    /// Version of the representation, `resource.k8s.io/v1alpha2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceClaimParameters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The vendor's object that these parameters were made from; claims that refer to it use these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_from: Option<ResourceClaimParametersReference>,
    /// Whether several pods may use the claim at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// What is asked of each driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_requests: Option<Vec<DriverRequests>>,
}

/// What is asked of one driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DriverRequests")]
pub struct DriverRequests {
    /// Name of the driver.
    #[serde(default)]
    pub driver_name: String,
    /// Parameters for all requests of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_parameters: Option<RawExtension>,
    /// The requests; each gets one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<ResourceRequest>>,
}

/// A request for one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceRequest")]
pub struct ResourceRequest {
    /// Parameters for this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_parameters: Option<RawExtension>,
    /// What the instance must be like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resources: Option<NamedResourcesSelector>,
}

/// What an instance must be like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesSelector")]
pub struct NamedResourcesSelector {
    /// A CEL expression of type bool. It may use the maps attributes.quantity, attributes.bool, attributes.int,
    /// attributes.intslice, attributes.string, attributes.stringslice and attributes.version. A missing attribute is an
    /// error.
    pub selector: String,
}

/// ResourceClassParameters restrict and configure what claims of a class get, driver by driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClassParameters")]
pub struct ResourceClassParameters {
    /// Version of the representation, `resource.k8s.io/v1alpha2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceClassParameters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The vendor's object that these parameters were made from; classes that refer to it use these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_from: Option<ResourceClassParametersReference>,
    /// Parameters for drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_parameters: Option<Vec<VendorParameters>>,
    /// What instances must be like, in addition to what claims ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<ResourceFilter>>,
}

/// Parameters for one driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.VendorParameters")]
pub struct VendorParameters {
    /// Name of the driver.
    #[serde(default)]
    pub driver_name: String,
    /// Any JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<RawExtension>,
}

/// What instances of one driver must be like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceFilter")]
pub struct ResourceFilter {
    /// Name of the driver.
    #[serde(default)]
    pub driver_name: String,
    /// What the instance must be like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resources: Option<NamedResourcesSelector>,
}
