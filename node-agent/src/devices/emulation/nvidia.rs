//! NVIDIA's driver for GPUs, their partitions, and passthrough.

use api::hub::{Attribute, DeviceResult};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Claim, Emulated, Preparation};
use crate::devices::cdi::{DeviceNode, Edits, Mount};

/// `resource.nvidia.com/v1beta1`; members that it does not have are refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    #[serde(default, rename = "apiVersion")]
    _api_version: String,
    #[serde(default)]
    kind: String,
    sharing: Option<Sharing>,
    #[serde(default)]
    iommu: Iommu,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sharing {
    #[serde(default)]
    strategy: String,
    time_slicing_config: Option<TimeSlicing>,
    mps_config: Option<Mps>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TimeSlicing {
    interval: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Mps {
    default_active_thread_percentage: Option<i64>,
    #[serde(default, rename = "defaultPinnedDeviceMemoryLimit")]
    _default_pinned_device_memory_limit: Value,
    #[serde(default, rename = "defaultPerDevicePinnedMemoryLimit")]
    _default_per_device_pinned_memory_limit: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Iommu {
    #[serde(default)]
    backend_policy: String,
    #[serde(default, rename = "enableAPIDevice")]
    enable_api_device: bool,
}

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Gpu,
    Mig,
    Vfio,
}

impl Type {
    fn of(device: &str) -> Self {
        match device {
            _ if device.starts_with("gpu-vfio-") => Self::Vfio,
            _ if device.contains("-mig-") => Self::Mig,
            _ => Self::Gpu,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Mig => "mig",
            Self::Vfio => "vfio",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Gpu => "GpuConfig",
            Self::Mig => "MigDeviceConfig",
            Self::Vfio => "VfioDeviceConfig",
        }
    }
}

const TIME_SLICING: &str = "TimeSlicing";
const MPS: &str = "MPS";

pub(super) fn prepare(driver: &Emulated, claim: &Claim<'_>) -> Result<Preparation, String> {
    let mut whole = whole();
    let mut devices = Vec::new();
    for result in claim.results(&driver.name) {
        let kind = Type::of(&result.id.device);
        let (edits, vfio) = config(driver, claim, result, kind)
            .and_then(|config| edits(driver, claim, result, kind, &config))
            .map_err(|error| {
                let claim = format!("{}/{}:{}", claim.namespace, claim.name, claim.uid);
                format!("error preparing devices for claim {claim}: prepare devices failed: {error}")
            })?;
        // What a passed through device wants replaces what others want: a claim has devices of one type.
        if let Some(vfio) = vfio {
            whole = vfio;
        }
        devices.push((result, edits));
    }
    Ok(driver.collect(claim, devices, None, whole))
}

/// The last configuration that names the request, or that names none and is for such a device.
fn config(driver: &Emulated, claim: &Claim<'_>, result: &DeviceResult, kind: Type) -> Result<Config, String> {
    let all: Vec<_> = claim.configs(&driver.name, result).collect();
    for config in all.into_iter().rev() {
        let read: Config = serde_json::from_str(&config.opaque.parameters).map_err(|error| {
            format!("error getting opaque device configs: error decoding config parameters: {error}")
        })?;
        let fits = read.kind.is_empty() || read.kind == kind.config();
        if fits {
            return Ok(read);
        }
        if !config.requests.is_empty() {
            return Err(format!(
                "cannot apply {} to device {:?} of type {:?} (request: {})",
                read.kind,
                result.id.device,
                kind.name(),
                result.request
            ));
        }
    }
    Ok(Config::default())
}

/// The edits for a device; for one that is passed through, with the edits for the whole claim.
fn edits(
    driver: &Emulated,
    claim: &Claim<'_>,
    result: &DeviceResult,
    kind: Type,
    config: &Config,
) -> Result<(Edits, Option<Edits>), String> {
    if kind == Type::Vfio {
        let (edits, whole) = passthrough(&result.id.device, &config.iommu)?;
        return Ok((edits, Some(whole)));
    }
    let mut edits = compute(driver, result, kind);
    let strategy = config.sharing.as_ref().map(|sharing| sharing.check(driver, kind)).transpose();
    if strategy.map_err(|error| format!("error validating GPU config: {error}"))? == Some(MPS) {
        edits.extend(&mps(claim, &result.request));
    }
    Ok((edits, None))
}

impl Sharing {
    /// The strategy, if all is well.
    fn check(&self, driver: &Emulated, kind: Type) -> Result<&'static str, String> {
        let gated = |strategy: &'static str, gate: &str| match driver.gate(gate) {
            true => Ok(strategy),
            false => Err(format!(
                "{strategy:?} is selected as the GPU sharing strategy, but the {gate:?} feature gate is not enabled"
            )),
        };
        let strategy = match self.strategy.as_str() {
            TIME_SLICING => gated(TIME_SLICING, "TimeSlicingSettings")?,
            MPS => gated(MPS, "MPSSupport")?,
            other => {
                return Err(format!(
                    "unknown GPU sharing strategy: {other}, supported GPU sharing strategies: {TIME_SLICING}, {MPS}"
                ));
            }
        };
        if strategy == TIME_SLICING {
            if self.mps_config.is_some() && kind == Type::Gpu {
                return Err("cannot use MpsConfig with the 'TimeSlicing' strategy".to_owned());
            }
            let interval = self.time_slicing_config.as_ref().and_then(|config| config.interval.as_deref());
            return match interval.unwrap_or("Default") {
                "Default" | "Short" | "Medium" | "Long" => Ok(strategy),
                other => Err(format!(
                    "unknown time-slice interval: {other}, supported time-slice intervals: Default, Short, Medium, Long"
                )),
            };
        }
        if self.time_slicing_config.is_some() {
            return Err("cannot use TimeSlicingConfig with the 'MPS' strategy".to_owned());
        }
        match self.mps_config.as_ref().and_then(|config| config.default_active_thread_percentage) {
            Some(..0) => Err("active thread percentage must not be negative".to_owned()),
            Some(101..) => Err("active thread percentage must not be greater than 100".to_owned()),
            _ => Ok(strategy),
        }
    }
}

/// What reaches the control daemon that shares a GPU among processes.
fn mps(claim: &Claim<'_>, request: &str) -> Edits {
    let directory = format!("/var/lib/kubelet/plugins/gpu.nvidia.com/mps/{}-{request}", claim.uid);
    let mount = |part: &str, container_path: &str| Mount {
        host_path: format!("{directory}/{part}"),
        container_path: container_path.to_owned(),
        options: ["rw", "nosuid", "nodev", "bind"].map(str::to_owned).into(),
        ..Mount::default()
    };
    Edits {
        env: vec!["CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps".to_owned()],
        mounts: vec![mount("shm", "/dev/shm"), mount("pipe", "/tmp/nvidia-mps")],
        ..Edits::default()
    }
}

fn passthrough(device: &str, iommu: &Iommu) -> Result<(Edits, Edits), String> {
    let index = device.trim_start_matches("gpu-vfio-");
    let modern = match iommu.backend_policy.as_str() {
        "" | "LegacyOnly" => false,
        "PreferIommuFD" => true,
        other => {
            return Err(format!(
                "error validating GPU config: unknown IOMMU backend policy: {other}, supported IOMMU backend policies: \
                 LegacyOnly, PreferIommuFD"
            ));
        }
    };
    let node = if modern { format!("/dev/vfio/devices/vfio{index}") } else { format!("/dev/vfio/{index}") };
    let api = if modern { "/dev/iommu" } else { "/dev/vfio/vfio" };
    let nodes = iommu.enable_api_device.then(|| DeviceNode::at(api));
    Ok((
        Edits { device_nodes: vec![DeviceNode::at(node)], ..Edits::default() },
        Edits { env: vec![VOID.to_owned()], device_nodes: nodes.into_iter().collect(), ..Edits::default() },
    ))
}

/// Keeps a runtime of NVIDIA's from adding GPUs besides.
const VOID: &str = "NVIDIA_VISIBLE_DEVICES=void";

/// What every container with a GPU gets: the nodes that control all of them.
fn whole() -> Edits {
    let nodes = ["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"];
    Edits { env: vec![VOID.to_owned()], device_nodes: nodes.map(DeviceNode::at).into(), ..Edits::default() }
}

/// The node of the GPU, and those of a partition.
fn compute(driver: &Emulated, result: &DeviceResult, kind: Type) -> Edits {
    let name = result.id.device.as_str();
    let published = driver.devices.get(&result.id);
    let gpu: String = match published.and_then(|device| device.attributes.get("minor")) {
        Some(Attribute::Int(minor)) => minor.to_string(),
        _ => name.trim_start_matches("gpu-").chars().take_while(char::is_ascii_digit).collect(),
    };
    let mut nodes = vec![DeviceNode::at(format!("/dev/nvidia{gpu}"))];
    if kind == Type::Mig {
        // One for the instance of the GPU, one for that of its compute engines: `/proc/driver/nvidia-caps/mig-minors` has
        // 15 instances for each GPU, and for each of these itself and 8 of compute engines, from 3 on.
        let instance = gpu.parse::<u32>().unwrap_or(0).saturating_mul(135).saturating_add(3 + 9 * instance(name));
        nodes.extend(
            [instance, instance.saturating_add(1)]
                .map(|cap| DeviceNode::at(format!("/dev/nvidia-caps/nvidia-cap{cap}"))),
        );
    }
    Edits { device_nodes: nodes, ..Edits::default() }
}

/// The number of the instance of a GPU that a partition is: those of one size are counted from where the size has its place
/// in the tree of all, `gpu-0-mig-1g10gb-19-6` for instance.
fn instance(device: &str) -> u32 {
    let mut parts = device.rsplit('-');
    let start = parts.next().and_then(|start| start.parse::<u32>().ok()).unwrap_or(0);
    match parts.next() {
        // The whole.
        Some("0") => 0,
        Some("5") => 1,
        // Halves: the upper one is the first.
        Some("9") => {
            if start == 0 {
                2
            } else {
                1
            }
        }
        // Quarters, with the engines of one seventh or two.
        Some("14" | "15") => 3 + start / 2,
        _ => 7 + start.min(7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_the_instances_that_the_driver_gives_them() {
        for (device, wanted) in [
            ("gpu-0-mig-7g80gb-0-0", 0),
            ("gpu-0-mig-4g40gb-5-0", 1),
            ("gpu-0-mig-3g40gb-9-4", 1),
            ("gpu-0-mig-3g40gb-9-0", 2),
            ("gpu-0-mig-2g20gb-14-4", 5),
            ("gpu-0-mig-1g10gb-19-6", 13),
        ] {
            assert_eq!(instance(device), wanted, "{device}");
        }
    }
}
