//! The SR-IOV driver of the network plumbing group.

use api::hub::{Attribute, DeviceResult};
use serde::Deserialize;

use super::{Claim, Emulated, Preparation};
use crate::devices::cdi::{DeviceNode, Edits};

/// `sriovnetwork.k8snetworkplumbingwg.io/v1alpha1 VfConfig`, as far as a container notices.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    driver: String,
    #[serde(default)]
    net_attach_def_name: String,
}

pub(super) fn prepare(driver: &Emulated, claim: &Claim<'_>) -> Result<Preparation, String> {
    let devices = claim
        .results(&driver.name)
        .map(|result| Ok((result, edits(driver, claim, result)?)))
        .collect::<Result<_, String>>()
        .map_err(|error| format!("error preparing devices for claim {}: {error}", claim.uid))?;
    Ok(driver.collect(claim, devices, None, Edits::default()))
}

fn edits(driver: &Emulated, claim: &Claim<'_>, result: &DeviceResult) -> Result<Edits, String> {
    let config: Config = match claim.configs(&driver.name, result).last() {
        None => Config::default(),
        Some(config) => serde_json::from_str(&config.opaque.parameters)
            .map_err(|error| format!("error decoding config parameters: {error}"))?,
    };
    let name = result.id.device.replace('-', "_");
    let published = driver.devices.get(&result.id);
    let address = match published.and_then(|device| device.attributes.get("resource.kubernetes.io/pciBusID")) {
        Some(Attribute::String(address)) => address.clone(),
        _ => result.id.device.clone(),
    };
    let mut edits = Edits {
        env: vec![
            format!("SRIOVNETWORK_VF_DEVICE_{name}={address}"),
            format!("SRIOVNETWORK_NET_ATTACH_DEF_NAME={}", config.net_attach_def_name),
        ],
        ..Edits::default()
    };
    if config.driver == "vfio-pci" {
        // Each function is a group of its own.
        let group = published.map_or(0, |_| driver.devices.keys().position(|id| *id == result.id).unwrap_or(0));
        let node = format!("/dev/vfio/{group}");
        edits.env.push(format!("SRIOVNETWORK_{name}_VFIO_DEVICE={node}"));
        edits.device_nodes = vec![DeviceNode::at(node), DeviceNode::at("/dev/vfio/vfio")];
    }
    Ok(edits)
}
