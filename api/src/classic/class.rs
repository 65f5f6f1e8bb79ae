//! `ResourceClass`: its fields stand beside `metadata`, there is no `spec`.

use k8s_openapi::{api::core::v1::NodeSelector, apimachinery::pkg::apis::meta::v1::ObjectMeta, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::ResourceClassParametersReference;

/// A ResourceClass is what an administrator offers to those who claim resources: which driver allocates them, with
/// which parameters, and on which nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClass")]
pub struct ResourceClass {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Name of the driver that allocates claims of the class: a DNS subdomain of at most 63 characters, which the driver's
    /// vendor owns.
    pub driver_name: String,
    /// An object with parameters for all claims of the class. Its kind is the driver's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ResourceClassParametersReference>,
    /// Only nodes that match are looked at for claims that are not allocated yet. All nodes, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suitable_nodes: Option<NodeSelector>,
    /// Whether the scheduler allocates claims of the class itself, from what the driver publishes in ResourceSlices
    /// (KEP-4381). Otherwise a controller of the driver does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_parameters: Option<bool>,
}
