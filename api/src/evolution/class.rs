//! `DeviceClass`: its fields stand beside `metadata`, there is no `spec`.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configuration::{ConfigurationParameters, Requirement};

/// A DeviceClass is a preset that an administrator or a driver's vendor offers to those who claim devices: which
/// devices qualify, and how they are configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.DeviceClass")]
pub struct DeviceClass {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeviceClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata. The name is what requests refer to.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Configuration that applies to every device which is claimed through the class. It never influences which device
    /// is chosen, and is marked in the allocation result as written by an administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<ConfigurationParameters>>,
    /// What a device must meet to be chosen through the class; all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Vec<Requirement>>,
}
