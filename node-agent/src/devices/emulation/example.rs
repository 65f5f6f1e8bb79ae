//! dra-example-driver, profile `gpu`.

use api::hub::DeviceResult;
use serde::Deserialize;

use super::{Claim, Preparation, collect, kind, variable};
use crate::devices::cdi::{Device, Edits, Spec};

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

pub(super) fn prepare(claim: &Claim<'_>, driver: &str) -> Result<Preparation, String> {
    let admin = claim.results(driver).any(|result| result.admin_access);
    let devices = claim
        .results(driver)
        .map(|result| {
            let strategy = strategy_for(claim, driver, result)
                .map_err(|error| format!("error preparing devices for claim {}: prepare failed: {error}", claim.uid))?;
            Ok((result, edits(claim, result, &strategy, admin)))
        })
        .collect::<Result<_, String>>()?;
    Ok(collect(claim, driver, devices, Some(common(claim.node, driver))))
}

/// What every container with a device of the driver gets.
fn common(node: &str, driver: &str) -> (Spec, String) {
    let env = vec![format!("KUBERNETES_NODE_NAME={node}"), format!("DRA_RESOURCE_DRIVER_NAME={driver}")];
    let container_edits = Edits { env, ..Edits::default() };
    let device = Device { name: "common".to_owned(), container_edits };
    let spec = Spec::new(kind(driver), vec![device], Edits::default());
    (spec, format!("{}=common", kind(driver)))
}

fn edits(claim: &Claim<'_>, result: &DeviceResult, strategy: &Strategy, admin: bool) -> Edits {
    let device = &result.id.device;
    let id = variable(device.strip_prefix("gpu-").unwrap_or(device));
    let mut env = vec![
        format!("GPU_DEVICE_{}_RESOURCE_CLAIM={}", variable(device), claim.uid),
        format!("DRA_ADMIN_ACCESS={admin}"),
        format!("GPU_DEVICE_{id}={device}"),
    ];
    match strategy {
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
        let share = result.consumed_capacity.as_ref().and_then(|all| all.get(name));
        env.extend(share.map(|amount| format!("GPU_DEVICE_{id}_{}={amount}", variable(name))));
    }
    Edits { env, ..Edits::default() }
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
