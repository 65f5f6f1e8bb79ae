//! `ResourceSlice` as 1.30 had it: the resources that one driver has on one node, all of whose slices add up.

use k8s_openapi::{
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
    schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A ResourceSlice publishes resources of a driver on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceSlice")]
pub struct ResourceSlice {
    /// Version of the representation, `resource.k8s.io/v1alpha2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `ResourceSlice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The node of the resources. Empty: they are of no node. It cannot be changed; `nodeName` is a field selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Name of the driver; `driverName` is a field selector.
    pub driver_name: String,
    /// Resources as instances with names and attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resources: Option<NamedResourcesResources>,
}

/// Instances of the named resources model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesResources")]
pub struct NamedResourcesResources {
    /// The instances. Each can be allocated once.
    #[serde(default)]
    pub instances: Vec<NamedResourcesInstance>,
}

/// One instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesInstance")]
pub struct NamedResourcesInstance {
    /// Name, unique among the instances of the driver on the node: a DNS subdomain.
    pub name: String,
    /// Properties, which selectors look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<NamedResourcesAttribute>>,
}

/// A property of an instance. Exactly one value must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesAttribute")]
pub struct NamedResourcesAttribute {
    /// Name, unique in the instance: identifiers with dots between them.
    pub name: String,
    /// The value is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The value is true or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bool: Option<bool>,
    /// The value is a whole number of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int: Option<i64>,
    /// The value is a list of whole numbers.
    #[serde(rename = "intSlice", skip_serializing_if = "Option::is_none")]
    pub int_slice: Option<NamedResourcesIntSlice>,
    /// The value is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,
    /// The value is a list of texts.
    #[serde(rename = "stringSlice", skip_serializing_if = "Option::is_none")]
    pub string_slice: Option<NamedResourcesStringSlice>,
    /// The value is a version as semver.org 2.0.0 defines it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesIntSlice")]
pub struct NamedResourcesIntSlice {
    /// The numbers.
    pub ints: Vec<i64>,
}

/// Texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.NamedResourcesStringSlice")]
pub struct NamedResourcesStringSlice {
    /// The texts.
    pub strings: Vec<String>,
}
