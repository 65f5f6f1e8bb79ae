use super::*;
use api::hub::Opaque;

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
    let claim = Claim { uid: "4711", namespace: "default", name: "c", allocation: &allocation, node: "n" };
    Emulated::of_inventory(&driver, Arc::default()).prepare(&claim)
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
    assert_eq!(got.devices[0].cdi_device_ids, ["k8s.gpu.example.com/gpu=common", "k8s.gpu.example.com/gpu=4711-gpu-3"]);
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
        let parameters =
            format!(r#"{{"apiVersion":"gpu.resource.example.com/v1alpha1","kind":"GpuConfig","sharing":{sharing}}}"#);
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
    assert_eq!(paths, ["/dev/nvidia2"]);
    let whole = &got.spec.container_edits;
    assert!(whole.device_nodes.iter().any(|node| node.path == "/dev/nvidiactl"), "{whole:?}");
    assert_eq!(whole.env, ["NVIDIA_VISIBLE_DEVICES=void"]);
}

fn configured(driver: &str, device: &str, parameters: &str) -> Result<Preparation, String> {
    let opaque = Opaque { driver: driver.to_owned(), parameters: parameters.to_owned() };
    let config = AllocationConfig { source: ConfigSource::Claim, requests: vec!["r".to_owned()], opaque };
    run(vec![result(driver, "r", device)], vec![config])
}

#[test]
fn nvidia_devices_are_shared_as_their_configuration_says() {
    let gpu = |sharing: &str| {
        let text = format!(r#"{{"apiVersion":"resource.nvidia.com/v1beta1","kind":"GpuConfig","sharing":{sharing}}}"#);
        configured("gpu.nvidia.com", "gpu-0", &text)
    };
    let plain = gpu(r#"{"strategy":"TimeSlicing","timeSlicingConfig":{"interval":"Long"}}"#).expect("a preparation");
    assert!(plain.spec.devices[0].container_edits.env.is_empty());
    let mps = gpu(r#"{"strategy":"MPS","mpsConfig":{"defaultActiveThreadPercentage":50}}"#).expect("a preparation");
    assert_eq!(mps.spec.devices[0].container_edits.env, ["CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps"]);
    for (sharing, words) in [
        (
            r#"{"strategy":"Luck"}"#,
            "unknown GPU sharing strategy: Luck, supported GPU sharing strategies: TimeSlicing, MPS",
        ),
        (r#"{"strategy":"TimeSlicing","timeSlicingConfig":{"interval":"Now"}}"#, "unknown time-slice interval: Now"),
        (r#"{"strategy":"MPS","mpsConfig":{"defaultActiveThreadPercentage":101}}"#, "must not be greater than 100"),
        (r#"{"strategy":"MPS","timeSlicingConfig":{}}"#, "cannot use TimeSlicingConfig with the 'MPS' strategy"),
        (r#"{"strategy":"MPS","colour":"red"}"#, "colour"),
    ] {
        let error = gpu(sharing).expect_err(sharing);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn nvidia_devices_are_passed_through_as_their_configuration_says() {
    let vfio = |iommu: &str| {
        let text =
            format!(r#"{{"apiVersion":"resource.nvidia.com/v1beta1","kind":"VfioDeviceConfig","iommu":{iommu}}}"#);
        configured("gpu.nvidia.com", "gpu-vfio-3", &text)
    };
    let paths = |got: &Preparation| {
        let nodes =
            got.spec.devices[0].container_edits.device_nodes.iter().chain(&got.spec.container_edits.device_nodes);
        nodes.map(|node| node.path.clone()).collect::<Vec<_>>().join(" ")
    };
    let legacy = vfio(r#"{"backendPolicy":"LegacyOnly","enableAPIDevice":true}"#).expect("a preparation");
    assert_eq!(paths(&legacy), "/dev/vfio/3 /dev/vfio/vfio");
    let modern = vfio(r#"{"backendPolicy":"PreferIommuFD","enableAPIDevice":true}"#).expect("a preparation");
    assert_eq!(paths(&modern), "/dev/vfio/devices/vfio3 /dev/iommu");
    assert!(
        vfio(r#"{"backendPolicy":"Magic"}"#).expect_err("an error").contains("unknown IOMMU backend policy: Magic")
    );
    let wrong = configured(
        "gpu.nvidia.com",
        "gpu-0",
        r#"{"apiVersion":"resource.nvidia.com/v1beta1","kind":"MigDeviceConfig"}"#,
    );
    assert_eq!(
        wrong.expect_err("an error"),
        "error preparing devices for claim default/c:4711: prepare devices failed: cannot apply MigDeviceConfig to \
         device \"gpu-0\" of type \"gpu\" (request: r)"
    );
}

#[test]
fn bandwidth_and_cores_reach_the_container() {
    let burst =
        r#"{"apiVersion":"net.resource.example.com/v1alpha1","kind":"NetConfig","bwBurst":{"ingressBurst":8000}}"#;
    let got = configured("net.example.com", "nic-0", burst).expect("a preparation");
    assert_eq!(got.devices[0].cdi_device_ids[0], "k8s.net.example.com/net=common");
    let env = &got.spec.devices[0].container_edits.env;
    assert!(env.contains(&"NET_DEVICE_0_INGRESS_BURST=8000".to_owned()), "{env:?}");
    let much = r#"{"apiVersion":"net.resource.example.com/v1alpha1","kind":"NetConfig","bwBurst":{"egressBurst":40000000000}}"#;
    assert!(
        configured("net.example.com", "nic-0", much).expect_err("an error").contains("burst cannot be more than 4GB")
    );
    let cpu = configured("cpu.example.com", "numa-0", "{}");
    assert!(cpu.expect_err("an error").contains("configuration not allowed"));
}
