//! `DevicePool`: devices of one driver.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{Condition, ObjectMeta},
    },
    schemars,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A DevicePool publishes devices of one driver, usually on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DevicePool")]
pub struct DevicePool {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DevicePool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata. A device is identified by the name of its pool and its own.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The devices.
    #[serde(default)]
    pub spec: DevicePoolSpec,
    /// What is known about the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DevicePoolStatus>,
}

/// The devices of a pool, and what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DevicePoolSpec")]
pub struct DevicePoolSpec {
    /// The node where the devices are. Without one, they can be used from every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Name of the driver.
    #[serde(default)]
    #[schemars(default)]
    pub driver: String,
    /// Properties of every device that does not have one of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<Attribute>>,
    /// Resources that the devices share. A list of capacities; older documents have a map from name to amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_resources: Option<Capacities>,
    /// The devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
    /// Number of devices, in documents that do not name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.Device")]
pub struct Device {
    /// Name, unique in the pool.
    pub name: String,
    /// Properties of the device, which take precedence over those of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<Attribute>>,
    /// What the device takes from the shared resources of its pool while it is allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_resources_consumed: Option<BTreeMap<String, Quantity>>,
    /// What the device contributes to the `requests` of a claim. A list of capacities; older documents have a map from
    /// name to amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_resources_provided: Option<Capacities>,
}

/// Named capacities: a list, or a map from name to amount as older documents have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Capacities {
    /// Today's form.
    List(Vec<ResourceCapacity>),
    /// The older form.
    Map(BTreeMap<String, Quantity>),
}

impl JsonSchema for Capacities {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "io.k8s.devmgmtproto.v1alpha1.Capacities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// An amount of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.ResourceCapacity")]
pub struct ResourceCapacity {
    /// Name of the resource.
    pub name: String,
    /// How much of it there is.
    pub capacity: Quantity,
    /// It is handed out in multiples of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<Quantity>,
}

/// A property of a device. Exactly one value must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.Attribute")]
pub struct Attribute {
    /// Name, unique in the list.
    pub name: String,
    /// The value is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value is a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int_value: Option<i64>,
    /// The value is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_value: Option<Quantity>,
    /// The value is a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sem_ver_value: Option<String>,
}

/// What is known about the devices of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DevicePoolStatus")]
pub struct DevicePoolStatus {
    /// By device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_statuses: Option<Vec<AllocatedDevice>>,
}

/// What is known about a device. The names of two members begin with a capital because upstream's Go type has no tags
/// for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.AllocatedDevice")]
pub struct AllocatedDevice {
    /// Name of the device.
    #[serde(rename = "Name")]
    pub name: String,
    /// What holds of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
    /// UIDs of the claims that use it.
    #[serde(rename = "ClaimUIDs", skip_serializing_if = "Option::is_none")]
    pub claim_uids: Option<Vec<String>>,
}
