//! `DeviceDriver` and `DeviceClass`.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A DeviceDriver tells which types of devices a driver manages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceDriver")]
pub struct DeviceDriver {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceDriver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata. The name is that of the driver.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Types of devices, `gpu` or `sriov-nic` for instance. They stand beside metadata; there is no spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_types: Option<Vec<String>>,
}

/// A DeviceClass is what claims refer to: the devices of a driver that meet its constraints, or those of other classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClass")]
pub struct DeviceClass {
    /// `devmgmtproto.k8s.io/v1alpha1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata. By its labels, a class is gathered by others.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Which devices the class stands for.
    #[serde(default)]
    pub spec: DeviceClassSpec,
}

/// Which devices a class stands for: one of `selector` and `definition`. Older documents have the members of the
/// definition here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClassSpec")]
pub struct DeviceClassSpec {
    /// Finds other classes by their labels: a device of any of them is one of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Defines the class by a driver and what its devices must meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<DeviceClassDefinition>,
    /// Older place of `definition.driver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Older place of `definition.constraints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// Older place of `definition.configs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configs: Option<Vec<DeviceClassConfigReference>>,
    /// Type of the devices; found in older documents, and of no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
}

/// A driver, and what its devices must meet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClassDefinition")]
pub struct DeviceClassDefinition {
    /// Name of the driver.
    #[serde(default, alias = "Driver")]
    #[schemars(default)]
    pub driver: String,
    /// A CEL expression over `device`, a map of its attributes by name, which is true for devices of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// Objects with configuration, which are copied into the status of claims that use the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configs: Option<Vec<DeviceClassConfigReference>>,
}

/// Refers to an object with configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClassConfigReference")]
pub struct DeviceClassConfigReference {
    /// Version of the API of the object.
    pub api_version: String,
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object.
    #[serde(default)]
    #[schemars(default)]
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}
