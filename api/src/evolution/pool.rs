//! `ResourcePool`: the devices that one driver has on one node.

use k8s_openapi::{
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A ResourcePool publishes devices of one driver on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourcePool")]
pub struct ResourcePool {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourcePool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata. The name means nothing to claims, which identify a device by driver, node and device.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The devices.
    #[serde(default)]
    pub spec: ResourcePoolSpec,
}

/// The devices of a pool, and what they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourcePoolSpec")]
pub struct ResourcePoolSpec {
    /// The node where the devices are.
    pub node_name: String,
    /// Name of the driver, a DNS subdomain. `spec.driverName` is a field selector.
    pub driver_name: String,
    /// Capacity that the devices of the pool share, 128 entries at most. A device can be allocated while enough of what
    /// it consumes is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_capacity: Option<Vec<SharedCapacity>>,
    /// The devices, 128 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
}

/// An amount of something that devices share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.SharedCapacity")]
pub struct SharedCapacity {
    /// Name, unique in the list: a C identifier of at most 32 characters.
    pub name: String,
    /// In a pool what there is, in a device what it takes away.
    pub capacity: Quantity,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.Device")]
pub struct Device {
    /// Name, unique among the devices of the driver on the node: a DNS label.
    pub name: String,
    /// Properties of the device, 32 at most, which selectors and constraints look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<DeviceAttribute>>,
    /// What the device takes from the shared capacity of its pool while it is allocated, 32 entries at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_capacity_consumed: Option<Vec<SharedCapacity>>,
}

/// A property of a device. Exactly one value must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DeviceAttribute")]
pub struct DeviceAttribute {
    /// Name, unique in the device: a C identifier of at most 32 characters, which belongs to the driver, or a DNS
    /// subdomain, a slash, and such an identifier.
    pub name: String,
    /// The value is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The value is true or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bool: Option<bool>,
    /// The value is a text of at most 64 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,
    /// The value is a version as semver.org 2.0.0 defines it, at most 64 characters long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
