//! What the prototype adds to `Pod`: `spec.deviceClaims`, and `devices` of containers.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, schemars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::definition::SchemaDocument;

/// The entry of `status.resourceClaimStatuses` that is about `spec.deviceClaims`, which has no name of its own.
pub const DEVICE_CLAIMS: &str = "device-claims";

/// Where a pod's devices come from. Exactly one member must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.PodDeviceClaim")]
pub struct PodDeviceClaim {
    /// One device of a class each, without a claim of the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DirectDeviceClaim>>,
    /// Name of a DeviceClaim in the namespace of the pod, which other pods may use too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// What the pod's own claim is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<DeviceClaimSource>,
}

/// One device of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DirectDeviceClaim")]
pub struct DirectDeviceClaim {
    /// Name by which containers refer to the device.
    pub name: String,
    /// Name of the DeviceClass.
    pub class: String,
}

/// A DeviceClaim that is used as a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.DeviceClaimSource")]
pub struct DeviceClaimSource {
    /// Labels and annotations of the pod's claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectMeta>,
    /// Name of the DeviceClaim whose spec is copied.
    pub claim_name: String,
}

/// Refers from a container to devices of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "io.k8s.devmgmtproto.v1alpha1.ContainerDevice")]
pub struct ContainerDevice {
    /// Name of a device of `spec.deviceClaims.devices`, or of an instance of the claim.
    pub name: String,
}

const CORE: &str = "io.k8s.api.core.v1";

/// Adds the prototype's fields to the schema of `v1 Pod`, or of a kind that holds pod specs.
#[must_use]
pub fn extend_pod(document: SchemaDocument) -> SchemaDocument {
    let mut extended = document;
    for part in [SchemaDocument::of::<PodDeviceClaim>(), SchemaDocument::of::<ContainerDevice>()] {
        for (name, definition) in part.definitions {
            extended = extended.with_definition(&name, definition);
        }
    }
    let claims = json!({
        "description": "Where the devices of the pod come from (k8srm-prototype).",
        "$ref": format!("#/$defs/{}", PodDeviceClaim::schema_name()),
    });
    let devices: Value = json!({
        "description": "Devices that the container may use (k8srm-prototype).",
        "type": "array",
        "items": {"$ref": format!("#/$defs/{}", ContainerDevice::schema_name())},
        "x-kubernetes-list-type": "atomic",
    });
    extended.with_property(&format!("{CORE}.PodSpec"), "deviceClaims", claims).with_property(
        &format!("{CORE}.Container"),
        "devices",
        devices,
    )
}
