//! Parts that classes, claims and requests share.

use k8s_openapi::{apimachinery::pkg::runtime::RawExtension, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration for a driver. Exactly one member must be set; there is only one today.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ConfigurationParameters")]
pub struct ConfigurationParameters {
    /// Parameters whose format only the driver knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<OpaqueConfigurationParameters>,
}

/// Parameters of a driver, in the driver's own format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.OpaqueConfigurationParameters")]
pub struct OpaqueConfigurationParameters {
    /// Name of the driver whose kubelet plugin receives the parameters: a DNS subdomain that the driver's vendor owns.
    pub driver_name: String,
    /// Any JSON object. By convention it carries apiVersion and kind, so that the driver can tell versions apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<RawExtension>,
}

/// A requirement that a device must meet. Exactly one member must be set; there is only one today.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.Requirement")]
pub struct Requirement {
    /// A CEL expression of type bool over one device, which is true for the devices that qualify. It may use
    /// device.driverName and the maps device.quantityAttributes, device.boolAttributes, device.stringAttributes,
    /// device.versionAttributes and device.attributes, which are keyed by attribute name: `name` for an attribute of the
    /// device's own driver, or `domain/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_selector: Option<String>,
}
