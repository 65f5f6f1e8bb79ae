//! `Quota`: who may have management access to devices.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Quota limits what claims of its namespace may ask for. Where a namespace has several, it is enough that one allows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.Quota")]
pub struct Quota {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `Quota`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is allowed.
    #[serde(default)]
    pub spec: QuotaSpec,
}

/// What claims of the namespace may ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.QuotaSpec")]
pub struct QuotaSpec {
    /// Whether requests with adminAccess are allocated. A claim with such a request can always be created; it stays
    /// pending where this is not set. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_management_access: Option<bool>,
}
