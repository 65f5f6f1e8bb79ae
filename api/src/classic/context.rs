//! `PodSchedulingContext`: how scheduler and drivers agree on a node.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A PodSchedulingContext has the name of a pod, which owns it. In it the scheduler says where it would like to put the
/// pod, and drivers say where they cannot provide what the pod's claims ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.PodSchedulingContext")]
pub struct PodSchedulingContext {
    /// Version of the representation, `resource.k8s.io/v1alpha2` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `PodSchedulingContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the scheduler wants to know.
    #[serde(default)]
    pub spec: PodSchedulingContextSpec,
    /// What drivers answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PodSchedulingContextStatus>,
}

/// What the scheduler wants to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.PodSchedulingContextSpec")]
pub struct PodSchedulingContextSpec {
    /// The node for which pending claims of the pod are to be allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_node: Option<String>,
    /// Nodes where the pod might run, 128 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential_nodes: Option<Vec<String>>,
}

/// What drivers answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.PodSchedulingContextStatus")]
pub struct PodSchedulingContextStatus {
    /// One entry for each claim that waits for a pod to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claims: Option<Vec<ResourceClaimSchedulingStatus>>,
}

/// What a driver says of one claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.api.resource.v1alpha2.ResourceClaimSchedulingStatus")]
pub struct ResourceClaimSchedulingStatus {
    /// Name of the entry in the pod's `spec.resourceClaims`.
    #[serde(default)]
    pub name: String,
    /// Those of the potential nodes where the claim cannot be allocated, 128 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsuitable_nodes: Option<Vec<String>>,
}
