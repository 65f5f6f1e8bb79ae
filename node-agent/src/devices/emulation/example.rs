//! dra-example-driver.

use api::hub::DeviceResult;
use serde::Deserialize;

use super::{Claim, Emulated, Preparation, variable};
use crate::devices::cdi::{Device, Edits, Spec};

/// Which devices it pretends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// GPUs.
    Gpu,
    /// Shared NICs.
    Net,
    /// NUMA nodes whose cores are shared.
    Cpu,
}

impl Profile {
    /// The profile of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Gpu, Self::Net, Self::Cpu].into_iter().find(|profile| profile.name() == name)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Net => "net",
            Self::Cpu => "cpu",
        }
    }
}

/// `gpu.resource.example.com/v1alpha1 GpuConfig`; members that it does not have are ignored.
#[derive(Deserialize)]
struct GpuConfig {
    sharing: Option<Sharing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sharing {
    #[serde(default)]
    strategy: String,
    time_slicing_config: Option<TimeSlicing>,
    space_partitioning_config: Option<SpacePartitioning>,
}

#[derive(Deserialize)]
struct TimeSlicing {
    #[serde(default)]
    interval: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpacePartitioning {
    #[serde(default)]
    partition_count: i64,
}

/// How a GPU is shared, as containers are told.
enum Strategy {
    TimeSlicing(String),
    SpacePartitioning(i64),
}

/// `net.resource.example.com/v1alpha1 NetConfig`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetConfig {
    bw_burst: Option<Burst>,
}

/// In bits.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Burst {
    #[serde(default)]
    ingress_burst: u64,
    #[serde(default)]
    egress_burst: u64,
}

pub(super) fn prepare(driver: &Emulated, profile: Profile, claim: &Claim<'_>) -> Result<Preparation, String> {
    let admin = claim.results(&driver.name).any(|result| result.admin_access);
    let devices = claim
        .results(&driver.name)
        .map(|result| Ok((result, edits(driver, profile, claim, result, admin)?)))
        .collect::<Result<_, String>>()
        .map_err(|error| format!("error preparing devices for claim {}: prepare failed: {error}", claim.uid))?;
    let common = common(driver, claim.node);
    Ok(driver.collect(claim, devices, Some(common), Edits::default()))
}

/// What every container with a device of the driver gets.
fn common(driver: &Emulated, node: &str) -> (Spec, String) {
    let env = vec![format!("KUBERNETES_NODE_NAME={node}"), format!("DRA_RESOURCE_DRIVER_NAME={}", driver.name)];
    let container_edits = Edits { env, ..Edits::default() };
    let device = Device { name: "common".to_owned(), container_edits };
    let spec = Spec::new(driver.kind(), vec![device], Edits::default());
    (spec, format!("{}=common", driver.kind()))
}

fn edits(
    driver: &Emulated,
    profile: Profile,
    claim: &Claim<'_>,
    result: &DeviceResult,
    admin: bool,
) -> Result<Edits, String> {
    let device = &result.id.device;
    let mut env = Vec::new();
    // Images before 0.3 name the device in fewer letters, and know nothing of admin access.
    if driver.version.is_none_or(|version| version >= (0, 3)) {
        let prefix = profile.name().to_ascii_uppercase();
        env.push(format!("{prefix}_DEVICE_{}_RESOURCE_CLAIM={}", variable(device), claim.uid));
        env.push(format!("DRA_ADMIN_ACCESS={admin}"));
    } else {
        let id = variable(device.strip_prefix("gpu-").unwrap_or(device));
        env.push(format!("GPU_DEVICE_{id}_RESOURCE_CLAIM={}", claim.uid));
    }
    match profile {
        Profile::Gpu => env.extend(gpu(driver, claim, result)?),
        Profile::Net => env.extend(net(driver, claim, result)?),
        Profile::Cpu => env.extend(cpu(driver, claim, result)?),
    }
    Ok(Edits { env, ..Edits::default() })
}

fn consumed<'a>(result: &'a DeviceResult, name: &str) -> Option<&'a machinery::quantity::Quantity> {
    let all = result.consumed_capacity.as_ref()?;
    all.get(name).or_else(|| all.iter().find(|(key, _)| key.ends_with(&format!("/{name}"))).map(|(_, value)| value))
}

fn gpu(driver: &Emulated, claim: &Claim<'_>, result: &DeviceResult) -> Result<Vec<String>, String> {
    let device = &result.id.device;
    let id = variable(device.strip_prefix("gpu-").unwrap_or(device));
    let mut env = vec![format!("GPU_DEVICE_{id}={device}")];
    match strategy_for(claim, &driver.name, result)? {
        Strategy::TimeSlicing(interval) => {
            env.push(format!("GPU_DEVICE_{id}_SHARING_STRATEGY=TimeSlicing"));
            env.push(format!("GPU_DEVICE_{id}_TIMESLICE_INTERVAL={interval}"));
        }
        Strategy::SpacePartitioning(count) => {
            env.push(format!("GPU_DEVICE_{id}_SHARING_STRATEGY=SpacePartitioning"));
            env.push(format!("GPU_DEVICE_{id}_PARTITION_COUNT={count}"));
        }
    }
    for name in ["memory", "compute"] {
        env.extend(consumed(result, name).map(|amount| format!("GPU_DEVICE_{id}_{}={amount}", variable(name))));
    }
    Ok(env)
}

fn net(driver: &Emulated, claim: &Claim<'_>, result: &DeviceResult) -> Result<Vec<String>, String> {
    let device = &result.id.device;
    let id = variable(device.strip_prefix("nic-").unwrap_or(device));
    let burst = match claim.configs(&driver.name, result).last() {
        None => Burst::default(),
        Some(config) => serde_json::from_str::<NetConfig>(&config.opaque.parameters)
            .map_err(|error| format!("error decoding config parameters: {error}"))?
            .bw_burst
            .unwrap_or_default(),
    };
    let mut env = Vec::new();
    for (name, bits) in [("INGRESS", burst.ingress_burst), ("EGRESS", burst.egress_burst)] {
        if bits / 8 >= u64::from(u32::MAX) {
            return Err("burst cannot be more than 4GB".to_owned());
        }
        if bits > 0 {
            env.push(format!("NET_DEVICE_{id}_{name}_BURST={bits}"));
        }
    }
    for (name, capacity) in [("INGRESS", "ingressBandwidth"), ("EGRESS", "egressBandwidth")] {
        env.extend(consumed(result, capacity).map(|amount| format!("NET_DEVICE_{id}_{name}_RATE={amount}")));
    }
    Ok(env)
}

fn cpu(driver: &Emulated, claim: &Claim<'_>, result: &DeviceResult) -> Result<Vec<String>, String> {
    if claim.configs(&driver.name, result).next().is_some() {
        return Err("configuration not allowed".to_owned());
    }
    let device = &result.id.device;
    let id = variable(device.strip_prefix("numa-").unwrap_or(device));
    let mut env = vec![format!("CPU_DEVICE_{id}={device}")];
    let capacity = format!("{}/cpu", driver.name);
    env.extend(consumed(result, &capacity).map(|amount| format!("CPU_DEVICE_{id}_CONSUMED_CPU={amount}")));
    Ok(env)
}

/// The last configuration for the result applies, alone.
fn strategy_for(claim: &Claim<'_>, driver: &str, result: &DeviceResult) -> Result<Strategy, String> {
    let Some(config) = claim.configs(driver, result).last() else {
        return Ok(Strategy::TimeSlicing("Default".to_owned()));
    };
    let config: GpuConfig = serde_json::from_str(&config.opaque.parameters)
        .map_err(|error| format!("error decoding config parameters: {error}"))?;
    let Some(sharing) = config.sharing else { return Ok(Strategy::TimeSlicing("Default".to_owned())) };
    match sharing.strategy.as_str() {
        "" => Err("no sharing strategy set".to_owned()),
        "TimeSlicing" if sharing.space_partitioning_config.is_some() => {
            Err("cannot use SpacePartitioningConfig with the 'TimeSlicing' strategy".to_owned())
        }
        "SpacePartitioning" if sharing.time_slicing_config.is_some() => {
            Err("cannot use TimeSlicingConfig with the 'SpacePartitioning' strategy".to_owned())
        }
        "TimeSlicing" => {
            let interval = sharing.time_slicing_config.map_or_else(|| "Default".to_owned(), |config| config.interval);
            match interval.as_str() {
                "Default" | "Short" | "Medium" | "Long" => Ok(Strategy::TimeSlicing(interval)),
                _ => Err(format!("unknown time-slice interval: {interval}")),
            }
        }
        "SpacePartitioning" => {
            let count = sharing.space_partitioning_config.map_or(1, |config| config.partition_count);
            if count < 0 {
                Err(format!("invalid partition count: {count}"))
            } else {
                Ok(Strategy::SpacePartitioning(count))
            }
        }
        other => Err(format!("unknown GPU sharing strategy: {other}")),
    }
}
