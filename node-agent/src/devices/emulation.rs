//! What emulated drivers make of a claim.

mod example;
mod nvidia;

use api::hub::{Allocation, AllocationConfig, Device as PublishedDevice, DeviceResult};

use super::{
    cdi::{self, Device, DeviceNode, Edits, Spec},
    ledger::PreparedDevice,
};

/// An allocated claim, as a driver sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// `metadata.uid`.
    pub uid: &'a str,
    /// What it got, from all drivers.
    pub allocation: &'a Allocation,
    /// Name of the node.
    pub node: &'a str,
}

/// What a driver prepared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preparation {
    /// The CDI specification of the claim.
    pub spec: Spec,
    /// For every container that gets one of the devices: a specification that all claims share.
    pub shared: Option<Spec>,
    /// The devices.
    pub devices: Vec<PreparedDevice>,
}

/// Prepares what the driver of this name has in a claim. `find` looks up a device that the driver published here.
pub(crate) fn prepare<'d>(
    claim: &Claim<'_>,
    driver: &str,
    find: &dyn Fn(&DeviceResult) -> Option<&'d PublishedDevice>,
) -> Result<Preparation, String> {
    match driver {
        "gpu.example.com" => example::prepare(claim, driver),
        "gpu.nvidia.com" | "gpu.nvidia.com/dra" => nvidia::prepare(claim, driver, find),
        _ => Ok(generic(claim, driver)),
    }
}

/// The kinds of CDI devices under which an emulated driver keeps claims.
pub(crate) fn kind(driver: &str) -> String {
    let class = match driver {
        "gpu.example.com" => "gpu",
        "gpu.nvidia.com" | "gpu.nvidia.com/dra" => "claim",
        _ => "device",
    };
    format!("k8s.{}/{class}", cdi::name(driver))
}

impl<'a> Claim<'a> {
    /// The results of one driver.
    fn results(&self, driver: &'a str) -> impl Iterator<Item = &'a DeviceResult> {
        self.allocation.results.iter().filter(move |result| result.id.driver == driver)
    }

    /// The configuration for a result: of classes first, of claims behind, so that the last one counts most.
    fn configs(&self, driver: &'a str, result: &'a DeviceResult) -> impl Iterator<Item = &'a AllocationConfig> {
        let (of_class, of_claim): (Vec<_>, Vec<_>) = self
            .allocation
            .config
            .iter()
            .filter(move |config| config.opaque.driver == driver)
            .filter(|config| config.requests.is_empty() || config.requests.contains(&result.request))
            .partition(|config| config.source == api::hub::ConfigSource::Class);
        of_class.into_iter().chain(of_claim)
    }

    /// The name of the CDI device for a result.
    fn device_name(&self, result: &DeviceResult) -> String {
        match &result.share_id {
            Some(share) => cdi::name(&format!("{}-{}-{share}", self.uid, result.id.device)),
            None => cdi::name(&format!("{}-{}", self.uid, result.id.device)),
        }
    }
}

/// A prepared device with these CDI IDs.
fn prepared(result: &DeviceResult, cdi_device_ids: Vec<String>) -> PreparedDevice {
    let request = result.request.split('/').next().unwrap_or_default().to_owned();
    PreparedDevice {
        pool_name: result.id.pool.clone(),
        device_name: result.id.device.clone(),
        share_id: result.share_id.clone(),
        request_names: if request.is_empty() { Vec::new() } else { vec![request] },
        cdi_device_ids,
    }
}

/// Puts the devices of a claim into one specification.
fn collect(
    claim: &Claim<'_>,
    driver: &str,
    devices: Vec<(&DeviceResult, Edits)>,
    common: Option<(Spec, String)>,
) -> Preparation {
    let named = devices
        .into_iter()
        .map(|(result, container_edits)| (result, Device { name: claim.device_name(result), container_edits }));
    let (results, devices): (Vec<&DeviceResult>, Vec<Device>) = named.unzip();
    let spec = Spec::new(kind(driver), devices, Edits::default());
    let (shared, common_id) = common.unzip();
    let ids = spec.devices.iter().map(|device| common_id.iter().cloned().chain([spec.id(device)]).collect());
    let devices = results.into_iter().zip(ids).map(|(result, ids)| prepared(result, ids)).collect();
    Preparation { spec, shared, devices }
}

/// A driver that we know nothing of: each device is a node, and two variables that name it.
fn generic(claim: &Claim<'_>, driver: &str) -> Preparation {
    let vendor = driver.split('.').next().unwrap_or_default();
    let edits = |result: &DeviceResult| Edits {
        env: vec![
            format!("DRA_DEVICE_{}={}", variable(&result.id.device), result.id),
            format!("DRA_DEVICE_{}_RESOURCE_CLAIM={}", variable(&result.id.device), claim.uid),
        ],
        device_nodes: vec![DeviceNode { path: format!("/dev/{vendor}/{}", result.id.device) }],
        mounts: Vec::new(),
    };
    let devices = claim.results(driver).map(|result| (result, edits(result))).collect();
    collect(claim, driver, devices, None)
}

/// A text in the letters of the name of an environment variable.
fn variable(text: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::hub::{ConfigSource, DeviceId, Opaque};

    fn result(driver: &str, request: &str, device: &str) -> DeviceResult {
        let id = DeviceId { driver: driver.to_owned(), pool: "n".to_owned(), device: device.to_owned() };
        DeviceResult { request: request.to_owned(), id, ..DeviceResult::default() }
    }

    fn config(source: ConfigSource, requests: &[&str], parameters: &str) -> AllocationConfig {
        let opaque = Opaque { driver: "gpu.example.com".to_owned(), parameters: parameters.to_owned() };
        AllocationConfig { source, requests: requests.iter().map(|&one| one.to_owned()).collect(), opaque }
    }

    fn run(results: Vec<DeviceResult>, config: Vec<AllocationConfig>) -> Result<Preparation, String> {
        let driver = results[0].id.driver.clone();
        let allocation = Allocation { results, config, node_selector: None };
        prepare(&Claim { uid: "4711", allocation: &allocation, node: "n" }, &driver, &|_| None)
    }

    #[test]
    fn the_example_driver_sets_its_variables() {
        let got = run(vec![result("gpu.example.com", "gpu", "gpu-3")], vec![]).expect("a preparation");
        assert_eq!(
            got.spec.devices[0].container_edits.env,
            [
                "GPU_DEVICE_GPU_3_RESOURCE_CLAIM=4711",
                "DRA_ADMIN_ACCESS=false",
                "GPU_DEVICE_3=gpu-3",
                "GPU_DEVICE_3_SHARING_STRATEGY=TimeSlicing",
                "GPU_DEVICE_3_TIMESLICE_INTERVAL=Default",
            ]
        );
        assert_eq!(
            got.devices[0].cdi_device_ids,
            ["k8s.gpu.example.com/gpu=common", "k8s.gpu.example.com/gpu=4711-gpu-3"]
        );
        assert_eq!(got.spec.cdi_version, "0.5.0");
    }

    #[test]
    fn the_last_configuration_that_matches_counts() {
        const SPACE: &str = r#"{"apiVersion":"gpu.resource.example.com/v1alpha1","kind":"GpuConfig",
            "sharing":{"strategy":"SpacePartitioning","spacePartitioningConfig":{"partitionCount":10}}}"#;
        const SLICES: &str = r#"{"apiVersion":"gpu.resource.example.com/v1alpha1","kind":"GpuConfig",
            "sharing":{"strategy":"TimeSlicing","timeSlicingConfig":{"interval":"Long"}}}"#;
        let env = |configs: Vec<AllocationConfig>| {
            let got = run(vec![result("gpu.example.com", "a", "gpu-0")], configs).expect("a preparation");
            got.spec.devices[0].container_edits.env[3..].join(" ")
        };
        let (class, claim) = (ConfigSource::Class, ConfigSource::Claim);
        let (long, ten) = (
            "GPU_DEVICE_0_SHARING_STRATEGY=TimeSlicing GPU_DEVICE_0_TIMESLICE_INTERVAL=Long",
            "GPU_DEVICE_0_SHARING_STRATEGY=SpacePartitioning GPU_DEVICE_0_PARTITION_COUNT=10",
        );
        assert_eq!(env(vec![config(claim, &[], SLICES), config(class, &["a"], SPACE)]), long);
        assert_eq!(env(vec![config(claim, &[], SLICES), config(claim, &["a"], SPACE)]), ten);
        assert_eq!(env(vec![config(class, &[], SPACE), config(claim, &["b"], SLICES)]), ten);
    }

    #[test]
    fn mistakes_in_configuration_fail_the_claim() {
        let error = |sharing: &str| {
            let parameters = format!(
                r#"{{"apiVersion":"gpu.resource.example.com/v1alpha1","kind":"GpuConfig","sharing":{sharing}}}"#
            );
            let config = config(ConfigSource::Claim, &[], &parameters);
            run(vec![result("gpu.example.com", "a", "gpu-0")], vec![config]).expect_err(sharing)
        };
        for (sharing, text) in [
            (r#"{"strategy":"X"}"#, "unknown GPU sharing strategy: X"),
            (r#"{"strategy":"TimeSlicing","timeSlicingConfig":{"interval":""}}"#, "unknown time-slice interval: "),
            (
                r#"{"strategy":"SpacePartitioning","spacePartitioningConfig":{"partitionCount":-1}}"#,
                "invalid partition count: -1",
            ),
            (
                r#"{"strategy":"TimeSlicing","spacePartitioningConfig":{"partitionCount":1}}"#,
                "cannot use SpacePartitioningConfig with the 'TimeSlicing' strategy",
            ),
        ] {
            assert!(error(sharing).contains(text), "{}", error(sharing));
        }
    }

    #[test]
    fn drivers_of_other_names_give_a_node_and_a_name() {
        let got = run(vec![result("foozer.example.com", "r/sub", "dev-00")], vec![]).expect("a preparation");
        assert_eq!(got.devices[0].request_names, ["r"]);
        assert_eq!(got.devices[0].cdi_device_ids, ["k8s.foozer.example.com/device=4711-dev-00"]);
        assert_eq!(got.spec.devices[0].container_edits.device_nodes[0].path, "/dev/foozer/dev-00");
    }

    #[test]
    fn nvidia_devices_come_with_their_control_nodes() {
        let got = run(vec![result("gpu.nvidia.com", "r", "gpu-2")], vec![]).expect("a preparation");
        let edits = &got.spec.devices[0].container_edits;
        let paths: Vec<&str> = edits.device_nodes.iter().map(|node| node.path.as_str()).collect();
        assert!(paths.contains(&"/dev/nvidia2") && paths.contains(&"/dev/nvidiactl"), "{paths:?}");
        assert!(edits.env.contains(&"NVIDIA_VISIBLE_DEVICES=void".to_owned()));
    }
}
