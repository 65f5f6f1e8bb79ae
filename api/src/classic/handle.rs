//! What the emulated driver controllers leave for their kubelet plugins in `resourceHandles[].data`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::members::put;

/// The data of a handle: a JSON object, which only the driver reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandleData {
    /// The node of the devices.
    pub node: String,
    /// The devices.
    pub devices: Vec<HandleDevice>,
    /// The parameters of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_parameters: Option<Value>,
    /// The parameters of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_parameters: Option<Value>,
}

/// A device, or a slot of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandleDevice {
    /// Name of the device on its node.
    pub name: String,
    /// The profile that cuts the device into slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The mediated device of the slot.
    #[serde(rename = "mdevUUID", default, skip_serializing_if = "Option::is_none")]
    pub mdev_uuid: Option<String>,
}

impl HandleData {
    /// Reads the data of a handle; `None` when it is in another format.
    pub fn parse(data: &str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }

    /// The data as a handle has it.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the scheduler allocated of one driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StructuredHandle {
    /// Name of the driver.
    pub driver: String,
    /// Parameters of the class for the driver.
    pub class_parameters: Option<Value>,
    /// Parameters of the claim for the driver.
    pub claim_parameters: Option<Value>,
    /// For each request the instance and the parameters of the request.
    pub results: Vec<(String, Option<Value>)>,
}

/// The members of a claim's status that say what the scheduler allocated with structured parameters on a node.
pub fn structured_status(driver: &str, node: &str, shareable: bool, handles: &[StructuredHandle]) -> Value {
    let handle = |handle: &StructuredHandle| {
        let results = handle.results.iter().map(|(instance, parameters)| {
            let mut result = json!({"namedResources": {"name": instance}});
            put(&mut result, "vendorRequestParameters", parameters.clone());
            result
        });
        let mut structured = json!({"nodeName": node, "results": results.collect::<Vec<_>>()});
        put(&mut structured, "vendorClassParameters", handle.class_parameters.clone());
        put(&mut structured, "vendorClaimParameters", handle.claim_parameters.clone());
        json!({"driverName": handle.driver, "structuredData": structured})
    };
    let mut allocation = json!({
        "availableOnNodes": available_on(node),
        "resourceHandles": handles.iter().map(handle).collect::<Vec<_>>(),
    });
    put(&mut allocation, "shareable", shareable.then_some(true.into()));
    json!({"driverName": driver, "allocation": allocation})
}

/// The selector of one node by its host name, as classic allocations have it.
pub fn available_on(node: &str) -> Value {
    json!({"nodeSelectorTerms": [{
        "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}],
    }]})
}
