//! The claims, and what they are made from.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{Condition, ObjectMeta},
        runtime::RawExtension,
    },
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::DeviceClassConfigReference;

/// A DeviceClaim asks for devices. A pod may use it, or use it as a template for a claim of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaim")]
pub struct DeviceClaim {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: DeviceClaimSpec,
    /// What the claim got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DeviceClaimStatus>,
}

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimSpec")]
pub struct DeviceClaimSpec {
    /// Attributes that must have the same value for all devices of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_attributes: Option<Vec<String>>,
    /// The devices, by instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DeviceClaimInstance>>,
}

/// Devices under a name. Everything in `allOf` must be found, and the first of `oneOf` that can be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimInstance")]
pub struct DeviceClaimInstance {
    /// Name by which containers refer to the devices.
    pub name: String,
    /// Details that must all be satisfied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_of: Option<Vec<DeviceClaimDetail>>,
    /// Details of which one must be satisfied; earlier ones are preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<DeviceClaimDetail>>,
    /// Older place of `allOf[0].class`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Older place of `allOf[0].adminAccess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_access: Option<bool>,
    /// Older place of `allOf[0].constraints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// Older place of `allOf[0].maxDevices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_devices: Option<i64>,
    /// Older place of `allOf[0].requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, Quantity>>,
    /// Older place of `allOf[0].matchAttributes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_attributes: Option<Vec<String>>,
    /// Older place of `allOf[0].configs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configs: Option<Vec<DeviceConfigReference>>,
}

/// Devices of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimDetail")]
pub struct DeviceClaimDetail {
    /// Name of the DeviceClass.
    pub class: String,
    /// Asks for access to devices that may be in use already, and that remain available to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_access: Option<bool>,
    /// A CEL expression over `device`, a map of its attributes by name, which must be true for each device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// Most devices that may be used to reach the totals in `requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_devices: Option<i64>,
    /// Resources that the devices must provide, together. `devices` stands for the number of devices; without it, it is
    /// one at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, Quantity>>,
    /// Attributes that must have the same value for all devices of this detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_attributes: Option<Vec<String>>,
    /// Attributes that must have another value for each device of this detail. Not in upstream's model, and used by its
    /// data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct_attributes: Option<Vec<String>>,
    /// Objects with configuration, which are copied into the status of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configs: Option<Vec<DeviceConfigReference>>,
    /// Older name of `configs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<DeviceConfigReference>>,
    /// Older place of `requests.devices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<i64>,
    /// Found in older documents, and of no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_shared: Option<bool>,
}

/// Refers to an object with configuration in the namespace of the claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceConfigReference")]
pub struct DeviceConfigReference {
    /// Version of the API of the object.
    pub api_version: String,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// What a claim got, and who uses it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimStatus")]
pub struct DeviceClaimStatus {
    /// Copies of the objects that the classes refer to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_configs: Option<Vec<RawExtension>>,
    /// Copies of the objects that the claim refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_configs: Option<Vec<RawExtension>>,
    /// The devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations: Option<Vec<DeviceAllocation>>,
    /// What drivers report about the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_statuses: Option<Vec<AllocatedDeviceStatus>>,
    /// Names of the pods that use the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_names: Option<Vec<String>>,
    /// The node where the devices can be used; empty when it is every node. Not in upstream's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

/// One device of a claim, or several of one pool where they are only counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceAllocation")]
pub struct DeviceAllocation {
    /// Name of the pool.
    pub device_pool_name: String,
    /// Name of the device in the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Number of devices, where they are not named (DevicePrivilegedClaim).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_count: Option<i64>,
    /// What the device provides to the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations: Option<Vec<ResourceAllocation>>,
    /// Driver of the device. Not in upstream's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Name of the instance that the device is for, and where in it. Not in upstream's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// An amount of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.ResourceAllocation")]
pub struct ResourceAllocation {
    /// Name of the resource.
    pub name: String,
    /// How much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Quantity>,
}

/// What a driver reports about a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.AllocatedDeviceStatus")]
pub struct AllocatedDeviceStatus {
    /// Name of the pool.
    pub device_pool_name: String,
    /// Name of the device in the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// What holds of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
    /// Addresses of a network device.
    #[serde(rename = "deviceIPs", skip_serializing_if = "Option::is_none")]
    pub device_ips: Option<Vec<DeviceIp>>,
    /// Whatever else the driver has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_info: Option<Vec<RawExtension>>,
}

/// An address of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceIP")]
pub struct DeviceIp {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// A DevicePrivilegedClaim asks for all devices of a driver on a node, whoever uses them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DevicePrivilegedClaim")]
pub struct DevicePrivilegedClaim {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DevicePrivilegedClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Which devices.
    #[serde(default)]
    pub spec: DevicePrivilegedClaimSpec,
    /// What the claim got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DeviceClaimStatus>,
}

/// Which devices a privileged claim is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DevicePrivilegedClaimSpec")]
pub struct DevicePrivilegedClaimSpec {
    /// Name of the driver.
    #[serde(default)]
    #[schemars(default)]
    pub driver: String,
    /// A CEL expression over `device`, a map of its attributes by name, which must be true for each device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// Objects with configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configs: Option<Vec<DeviceClassConfigReference>>,
}

/// A DeviceSetClaim asks for the devices of several claims at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceSetClaim")]
pub struct DeviceSetClaim {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceSetClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: DeviceSetClaimSpec,
    /// What the claim got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DeviceClaimStatus>,
}

/// What a set of claims asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceSetClaimSpec")]
pub struct DeviceSetClaimSpec {
    /// Attributes that must have the same value for all devices of the set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_attributes: Option<Vec<String>>,
    /// The claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_spec: Option<Vec<DeviceClaimSpec>>,
}

/// A DeviceClaimTemplate is what claims are made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimTemplate")]
pub struct DeviceClaimTemplate {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceClaimTemplate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The spec of the claims.
    #[serde(default)]
    pub spec: DeviceClaimTemplateSpec,
}

/// The spec of claims that are made from a template. Exactly one member must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimTemplateSpec")]
pub struct DeviceClaimTemplateSpec {
    /// For a DeviceClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_spec: Option<DeviceClaimSpec>,
    /// For a DevicePrivilegedClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged_claim_spec: Option<DevicePrivilegedClaimSpec>,
    /// For a DeviceSetClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_claim_spec: Option<DeviceSetClaimSpec>,
}
