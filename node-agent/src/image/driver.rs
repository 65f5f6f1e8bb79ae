//! Images of drivers: what a container of one publishes and how it prepares.

use std::{collections::BTreeMap, sync::Arc};

use api::convert;
use serde_json::Value;

use super::{repository, tag};
use crate::{
    container::{Surroundings, log::Log},
    devices::emulation::{Emulated, ExampleProfile, Model},
    inventory::{
        Machine, Pool, PoolSpec,
        example::{self, Example},
        gpu::{self, Offer},
    },
    publish::{self, Naming},
};

/// The repositories of drivers: the last part of their names.
const EXAMPLE: &[&str] = &["dra-example-driver"];
const NVIDIA: &[&str] = &["k8s-dra-driver-gpu", "dra-driver-nvidia-gpu", "nvidia-dra-driver-gpu", "k8s-dra-driver"];
const SRIOV: &[&str] = &["dra-driver-sriov"];
/// The driver of NVIDIA's image, and that of the SR-IOV image.
const NVIDIA_DRIVER: &str = "gpu.nvidia.com";
const SRIOV_DRIVER: &str = "sriovnetwork.k8snetworkplumbingwg.io";
/// What a machine has of which the inventory says nothing.
const USUAL_GPU: &str = "nvidia-h100";
const USUAL_GPUS: usize = 8;
/// The release of Kubernetes' libraries with which names of slices begin with a number.
const NUMBERED_SINCE: (u32, u32) = (0, 36);

/// A driver in a container.
pub(crate) struct DriverContainer {
    /// What it does when it is called.
    pub(crate) driver: Emulated,
    /// What it publishes, without the owner.
    pub(crate) objects: Vec<Value>,
    /// Where it answers probes.
    pub(crate) health_port: Option<u16>,
    /// The namespace of policies that say what it publishes.
    pub(crate) policies: Option<String>,
}

/// The driver that a container runs, if its image is a driver's and its words start it. `words` are command and
/// arguments. What is wrong with its settings is what it would say before it ends.
pub(crate) fn of_container(
    image: &str,
    words: &[String],
    surroundings: &Surroundings,
    machine: &Machine,
) -> Option<Result<DriverContainer, String>> {
    let name = repository(image).rsplit('/').next().unwrap_or_default();
    let text = words.join(" ");
    let runs = |program: &str| text.split([' ', '/', '\n', ';']).any(|word| word == program);
    let settings = Settings { words: &text, surroundings };
    let version = tag(image).and_then(version);
    if EXAMPLE.contains(&name) && (words.is_empty() || runs("dra-example-kubeletplugin")) {
        return Some(example_driver(&settings, version, machine));
    }
    if NVIDIA.contains(&name) && runs("gpu-kubelet-plugin") {
        return Some(nvidia_driver(&settings, version, machine));
    }
    if SRIOV.contains(&name) && !runs("dra-driver-sriov-controller") {
        return Some(sriov_driver(&settings, version, machine));
    }
    None
}

/// Whether an image is that of a driver.
pub(crate) fn is_known(image: &str) -> bool {
    let name = repository(image).rsplit('/').next().unwrap_or_default();
    [EXAMPLE, NVIDIA, SRIOV].iter().any(|names| names.contains(&name))
}

/// Flags, and variables that stand for them.
struct Settings<'a> {
    words: &'a str,
    surroundings: &'a Surroundings,
}

impl Settings<'_> {
    /// `--flag=value`, `--flag value`, or the variable.
    fn text(&self, flag: &str) -> Option<String> {
        let mut words = self.words.split_whitespace();
        while let Some(word) = words.next() {
            let Some(rest) = word.strip_prefix("--").and_then(|word| word.strip_prefix(flag)) else { continue };
            match rest.strip_prefix('=') {
                Some(value) => return Some(value.to_owned()),
                None if rest.is_empty() => return words.next().map(str::to_owned),
                None => {}
            }
        }
        let variable = flag.replace('-', "_").to_ascii_uppercase();
        self.surroundings.variable(&variable).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn number<T: std::str::FromStr>(&self, flag: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(flag) else { return Ok(None) };
        let variable = flag.replace('-', "_").to_ascii_uppercase();
        text.parse().map(Some).map_err(|_| {
            format!(
                "Error: could not parse \"{text}\" as int value from environment variable \"{variable}\" for flag {flag}: \
                 strconv.ParseInt: parsing \"{text}\": invalid syntax"
            )
        })
    }

    /// A flag that needs no value.
    fn truth(&self, flag: &str) -> bool {
        self.words.split_whitespace().any(|word| word.strip_prefix("--") == Some(flag))
            || self.text(flag).is_some_and(|text| matches!(text.as_str(), "true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    fn health_port(&self) -> Option<u16> {
        self.number::<i64>("healthcheck-port").ok().flatten().and_then(|port| u16::try_from(port).ok())
    }

    /// `A=true,B=false`.
    fn gates(&self) -> BTreeMap<String, bool> {
        let text = self.text("feature-gates").unwrap_or_default();
        let gate = |part: &str| {
            let (name, value) = part.trim().split_once('=')?;
            Some((name.to_owned(), value == "true"))
        };
        text.split(',').filter_map(gate).collect()
    }
}

/// Major and minor of `v1.2.3`.
fn version(tag: &str) -> Option<(u32, u32)> {
    let mut parts = tag.trim_start_matches('v').split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn example_driver(
    settings: &Settings<'_>,
    version: Option<(u32, u32)>,
    machine: &Machine,
) -> Result<DriverContainer, String> {
    let old = version.is_some_and(|version| version < (0, 3));
    let profile = settings.text("device-profile").unwrap_or_else(|| "gpu".to_owned());
    let profile = ExampleProfile::named(&profile)
        .ok_or_else(|| format!("Error: invalid device profile {profile:?}, valid profiles are [cpu gpu net]"))?;
    let usual = Example::default();
    let count = match profile {
        ExampleProfile::Cpu => settings.number("cpu-numa-nodes")?,
        _ => settings.number("num-devices")?,
    };
    let wanted = Example {
        profile,
        count: count.unwrap_or(usual.count),
        partitions: settings.number("gpu-partitions")?.unwrap_or(0),
        shared: settings.truth("gpu-allow-multiple-allocations"),
        binding_conditions: settings.truth("binding-conditions"),
        cpus: settings.number("cpus-per-numa-node")?.unwrap_or(usual.cpus),
        plain: old,
    };
    let node = settings.text("node-name").unwrap_or_else(|| machine.name.clone());
    let mut pool = example::pool(&node, &wanted).map_err(|error| format!("Error: {error}"))?;
    pool.driver = settings.text("driver-name").unwrap_or_else(|| format!("{}.example.com", profile.name()));
    pool.name = node;
    for device in &mut pool.devices {
        // Capacity of processors has the name of the driver before its own.
        if let Some(capacity) = device["capacity"].as_object_mut()
            && let Some(value) = capacity.remove("cpu.example.com/cpu")
        {
            capacity.insert(format!("{}/cpu", pool.driver), value);
        }
    }
    let naming = if old { Naming::ByNode } else { Naming::Numbered };
    let driver = Emulated {
        model: Model::Example(profile),
        reports: settings.truth("gpu-device-status"),
        version,
        ..Emulated::default()
    };
    finish(driver, vec![pool], naming, machine, settings.health_port())
}

fn nvidia_driver(
    settings: &Settings<'_>,
    version: Option<(u32, u32)>,
    machine: &Machine,
) -> Result<DriverContainer, String> {
    let gates = settings.gates();
    let on = |name: &str| gates.get(name).copied().unwrap_or(false);
    let offer = match (on("DynamicMIG"), on("PassthroughSupport")) {
        (true, _) => Offer::Partitions,
        (false, true) => Offer::Passthrough,
        (false, false) => Offer::Whole,
    };
    let node = machine.name.as_str();
    let hardware: Vec<&PoolSpec> = machine.hardware_of(NVIDIA_DRIVER).collect();
    let mut pools = Vec::new();
    for spec in &hardware {
        pools.push(
            spec.pool_offered(node, (offer != Offer::Whole).then_some(offer)).map_err(|error| format!("{error:#}"))?,
        );
    }
    if hardware.is_empty() {
        let mut pool =
            gpu::profile(USUAL_GPU, node, USUAL_GPUS, 0, offer).map_err(|error| format!("Error: {error}"))?;
        (pool.driver, pool.name) = (NVIDIA_DRIVER.to_owned(), node.to_owned());
        pools.push(pool);
    }
    // The driver is numbered by year and month; the first of 2026 is built with these libraries.
    let naming = match version {
        Some(version) if version < (26, 0) && version > NUMBERED_SINCE => Naming::ByNode,
        _ => Naming::Numbered,
    };
    let metadata = on("DeviceMetadata");
    let driver = Emulated { model: Model::Nvidia, gates, metadata, version, ..Emulated::default() };
    finish(driver, pools, naming, machine, settings.health_port())
}

fn sriov_driver(
    settings: &Settings<'_>,
    version: Option<(u32, u32)>,
    machine: &Machine,
) -> Result<DriverContainer, String> {
    let hardware = machine.hardware_of(SRIOV_DRIVER);
    let pools = hardware.map(|spec| spec.pool(&machine.name)).collect::<anyhow::Result<Vec<Pool>>>();
    let mut pools = pools.map_err(|error| format!("{error:#}"))?;
    if pools.is_empty() {
        pools.push(Pool { name: machine.name.clone(), ..crate::inventory::nic::virtual_functions(8) });
    }
    pools.iter_mut().for_each(|pool| pool.driver = SRIOV_DRIVER.to_owned());
    let metadata = settings.truth("enable-device-metadata");
    let driver = Emulated { model: Model::Sriov, metadata, version, ..Emulated::default() };
    let mut container = finish(driver, pools, Naming::Numbered, machine, settings.health_port())?;
    container.policies = Some(settings.text("namespace").unwrap_or_else(|| "dra-driver-sriov".to_owned()));
    Ok(container)
}

fn finish(
    mut driver: Emulated,
    pools: Vec<Pool>,
    naming: Naming,
    machine: &Machine,
    health_port: Option<u16>,
) -> Result<DriverContainer, String> {
    let mut objects = Vec::new();
    for pool in &pools {
        driver.name.clone_from(&pool.driver);
        objects.extend(publish::slices(pool, &machine.name, naming));
    }
    let mut devices = BTreeMap::new();
    for object in &objects {
        for slice in convert::slices(object).map_err(|error| format!("Error: {error}"))? {
            for device in slice.devices {
                let (driver, pool) = (slice.driver.clone(), slice.pool.clone());
                devices.insert(api::hub::DeviceId { driver, pool, device: device.name.clone() }, device);
            }
        }
    }
    driver.devices = Arc::new(devices);
    driver.log = Some(Arc::new(Log::default()));
    Ok(DriverContainer { driver, objects, health_port, policies: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(image: &str, words: &[&str], env: &[(&str, &str)]) -> Option<Result<DriverContainer, String>> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let surroundings = Surroundings { env, ..Surroundings::default() };
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let machine = Machine { name: "kind-worker".to_owned(), ..Machine::default() };
        of_container(image, &words, &surroundings, &machine)
    }

    #[test]
    fn a_container_of_the_example_driver_publishes_what_its_flags_say() {
        let image = "registry.k8s.io/dra-example-driver/dra-example-driver:v0.2.0";
        let old = run(image, &["dra-example-kubeletplugin"], &[("NUM_DEVICES", "9"), ("HEALTHCHECK_PORT", "51515")]);
        let old = old.expect("a driver").expect("that works");
        assert_eq!((old.driver.name.as_str(), old.health_port), ("gpu.example.com", Some(51515)));
        assert_eq!(old.objects[0]["metadata"]["generateName"], "kind-worker-gpu.example.com-");
        let devices = old.objects[0]["spec"]["devices"].as_array().expect("devices");
        assert_eq!(devices.len(), 9);
        assert_eq!(devices[7]["attributes"]["uuid"]["string"], "gpu-f270be4e-7cd6-da75-39e7-b707122f9b70");
        assert!(
            devices[0]["capacity"].get("compute").is_none() && devices[0].get("allowMultipleAllocations").is_none()
        );
        let image = "registry.k8s.io/dra-example-driver/dra-example-driver:v0.4.0";
        let words = ["dra-example-kubeletplugin", "--num-devices=2", "--gpu-partitions", "4"];
        let new = run(image, &words, &[]).expect("a driver").expect("that works");
        assert_eq!(new.objects[1]["metadata"]["generateName"], "00001-gpu.example.com-kind-worker-");
        assert_eq!(new.driver.devices.len(), 10);
        let wrong = run(image, &["dra-example-kubeletplugin"], &[("DEVICE_PROFILE", "warp")]);
        assert!(wrong.expect("a driver").err().expect("an error").contains("warp"));
        assert!(run(image, &["dra-example-webhook"], &[]).is_none());
        assert!(run("busybox", &["dra-example-kubeletplugin"], &[]).is_none());
    }

    #[test]
    fn a_container_of_nvidias_driver_publishes_the_gpus_of_the_machine() {
        let image = "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.8.0";
        let script = "if true; then true; fi\ngpu-kubelet-plugin -v 4";
        let gpus = run(image, &["bash", "-c", script], &[]).expect("a driver").expect("that works");
        assert_eq!((gpus.driver.name.as_str(), gpus.driver.devices.len()), ("gpu.nvidia.com", 8));
        assert_eq!(gpus.objects[0]["metadata"]["generateName"], "kind-worker-gpu.nvidia.com-");
        assert!(run(image, &["bash", "-c", "compute-domain-kubelet-plugin -v 4"], &[]).is_none());
        let both = [("FEATURE_GATES", "PassthroughSupport=true,DeviceMetadata=true,")];
        let vfio = run(image, &["gpu-kubelet-plugin"], &both).expect("a driver").expect("that works");
        assert!(vfio.driver.metadata && vfio.driver.devices.len() == 16);
        let mig = run(image, &["gpu-kubelet-plugin"], &[("FEATURE_GATES", "DynamicMIG=true")]);
        let mig = mig.expect("a driver").expect("that works");
        assert!(mig.driver.devices.keys().any(|id| id.device == "gpu-7-mig-1g10gb-19-6"));
        for slice in &mig.objects {
            assert!(slice["spec"]["devices"].as_array().is_none_or(|devices| devices.len() <= 64));
        }
    }
}
