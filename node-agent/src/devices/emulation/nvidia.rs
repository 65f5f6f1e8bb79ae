//! NVIDIA's driver for GPUs, their partitions, and passthrough.

use api::hub::{Attribute, Device, DeviceResult};
use serde::Deserialize;
use serde_json::Value;

use super::{Claim, Preparation, collect};
use crate::devices::cdi::{DeviceNode, Edits};

/// `resource.nvidia.com/v1beta1`; members that it does not have are refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    #[serde(default, rename = "apiVersion")]
    _api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default, rename = "sharing")]
    _sharing: Option<Value>,
    #[serde(default)]
    iommu: Iommu,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Iommu {
    #[serde(default)]
    backend_policy: String,
    #[serde(default, rename = "enableAPIDevice")]
    enable_api_device: bool,
}

pub(super) fn prepare<'d>(
    claim: &Claim<'_>,
    driver: &str,
    find: &dyn Fn(&DeviceResult) -> Option<&'d Device>,
) -> Result<Preparation, String> {
    let devices = claim
        .results(driver)
        .map(|result| Ok((result, edits(claim, driver, result, find(result))?)))
        .collect::<Result<_, String>>()?;
    Ok(collect(claim, driver, devices, None))
}

fn edits(claim: &Claim<'_>, driver: &str, result: &DeviceResult, device: Option<&Device>) -> Result<Edits, String> {
    let name = result.id.device.as_str();
    let vfio = name.strip_prefix("gpu-vfio-");
    let wanted = match (vfio, name.contains("-mig-")) {
        (Some(_), _) => "VfioDeviceConfig",
        (None, true) => "MigDeviceConfig",
        (None, false) => "GpuConfig",
    };
    let config = match claim.configs(driver, result).last() {
        None => Config::default(),
        Some(config) => serde_json::from_str(&config.opaque.parameters)
            .map_err(|error| format!("error decoding config parameters: {error}"))?,
    };
    if !config.kind.is_empty() && config.kind != wanted {
        return Err(format!("cannot apply {} to device {name}: it needs a {wanted}", config.kind));
    }
    let nodes = match vfio {
        Some(index) => passthrough(index, &config.iommu)?,
        None => compute(name, device),
    };
    Ok(Edits {
        env: vec!["NVIDIA_VISIBLE_DEVICES=void".to_owned()],
        device_nodes: nodes.into_iter().map(|path| DeviceNode { path }).collect(),
        mounts: Vec::new(),
    })
}

fn passthrough(index: &str, iommu: &Iommu) -> Result<Vec<String>, String> {
    let mut nodes = match iommu.backend_policy.as_str() {
        "" | "LegacyOnly" => vec![format!("/dev/vfio/{index}")],
        "PreferIommuFD" => vec![format!("/dev/vfio/devices/vfio{index}")],
        other => return Err(format!("unknown IOMMU backend policy: {other}")),
    };
    if iommu.enable_api_device {
        let api = if iommu.backend_policy == "PreferIommuFD" { "/dev/iommu" } else { "/dev/vfio/vfio" };
        nodes.push(api.to_owned());
    }
    Ok(nodes)
}

/// The node of the GPU, the control nodes, and the capabilities of a partition.
fn compute(name: &str, device: Option<&Device>) -> Vec<String> {
    let gpu = match device.and_then(|device| device.attributes.get("minor")) {
        Some(Attribute::Int(minor)) => minor.to_string(),
        _ => name.trim_start_matches("gpu-").chars().take_while(char::is_ascii_digit).collect(),
    };
    let mut nodes: Vec<String> =
        ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"].map(str::to_owned).into();
    nodes.push(format!("/dev/nvidia{gpu}"));
    if let Some((_, partition)) = name.split_once("-mig-") {
        nodes.push(format!("/dev/nvidia-caps/gpu{gpu}-{partition}"));
    }
    nodes
}
