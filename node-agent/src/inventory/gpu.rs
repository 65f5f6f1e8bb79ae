//! GPUs that are known by name.

use std::sync::LazyLock;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    example::{self, EXAMPLE, Example},
    pool::Pool,
};

/// What is known of NVIDIA's GPUs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Catalogue {
    driver_version: String,
    cuda_version: String,
    gpus: Vec<Model>,
}

/// One model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Model {
    profile: String,
    product: String,
    architecture: String,
    compute_capability: String,
    memory: u64,
    #[serde(rename = "deviceID")]
    device_id: String,
    #[serde(default)]
    mig: Vec<Mig>,
}

/// A partition that a model can be cut into.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Mig {
    name: String,
    id: u32,
    starts: Vec<u32>,
    size: u32,
    multiprocessors: u32,
    #[serde(default)]
    copy_engines: u32,
    #[serde(default)]
    decoders: u32,
    #[serde(default)]
    encoders: u32,
    #[serde(default)]
    jpeg_engines: u32,
    #[serde(default)]
    ofa_engines: u32,
    memory: u64,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let document = machinery::yaml::parse(include_bytes!("../../data/nvidia.yaml"));
    let document = document.expect("a file of ours that a test reads");
    serde_json::from_value(document).expect("a file of ours that a test reads")
});

/// Version of the emulated driver, as `nvidia-smi` shows it.
pub(crate) fn driver_version() -> &'static str {
    &CATALOGUE.driver_version
}

/// Version of the CUDA that comes with it.
pub(crate) fn cuda_version() -> &'static str {
    &CATALOGUE.cuda_version
}

/// How the GPUs of a machine are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Each as it is.
    #[default]
    Whole,
    /// Each as it is or in partitions, as the user likes (KEP-4815).
    Partitions,
    /// Each as it is or passed through to a virtual machine: both are published, as the driver does.
    Passthrough,
}

/// `count` devices of a profile, as their driver publishes them from the node of this name.
pub(crate) fn profile(name: &str, node: &str, count: usize, partitions: u32, offer: Offer) -> anyhow::Result<Pool> {
    if name == EXAMPLE {
        ensure!(offer == Offer::Whole, "profile {name} has neither `mig` nor `vfio`");
        return example::pool(node, &Example { count, partitions, ..Example::default() })
            .with_context(|| format!("profile {name}"));
    }
    ensure!(partitions == 0, "profile {name} has no `partitions`; `mig: true` cuts it");
    let Some(model) = CATALOGUE.gpus.iter().find(|model| model.profile == name) else {
        let known: Vec<&str> = CATALOGUE.gpus.iter().map(|model| model.profile.as_str()).collect();
        bail!("no profile {name:?}; there are {EXAMPLE}, {}", known.join(", "));
    };
    ensure!(offer != Offer::Partitions || !model.mig.is_empty(), "profile {name} cannot be partitioned");
    let mut uuid = api::generate::uuids(node);
    let mut pool = Pool::default();
    for index in 0..count {
        let uuid = format!("GPU-{}", uuid());
        let gpu = model.device(index, &uuid);
        match offer {
            Offer::Whole => pool.devices.push(gpu),
            Offer::Partitions => model.partition(index, gpu, &uuid, &mut pool),
            Offer::Passthrough => {
                pool.devices.push(gpu);
                pool.devices.push(model.vfio(index, &uuid));
            }
        }
    }
    Ok(pool)
}

fn attributes(list: Vec<(&str, Value)>) -> Map<String, Value> {
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where a GPU sits. Two neighbours share a PCIe switch, as in machines with eight GPUs.
fn place(index: usize) -> Vec<(&'static str, Value)> {
    vec![
        ("resource.kubernetes.io/pciBusID", json!({"string": format!("0000:{:02x}:00.0", 0x10 + index % 0xe0)})),
        ("resource.kubernetes.io/pcieRoot", json!({"string": format!("pci0000:{:02x}", index / 2 % 0x100)})),
    ]
}

impl Model {
    fn device(&self, index: usize, uuid: &str) -> Value {
        let mut all = attributes(vec![("type", json!({"string": "gpu"})), ("uuid", json!({"string": uuid}))]);
        all.extend(self.kind(index));
        json!({
            "name": format!("gpu-{index}"),
            "attributes": all,
            "capacity": {"memory": {"value": format!("{}Mi", self.memory)}},
        })
    }

    /// What a GPU and its partitions have in common.
    fn kind(&self, index: usize) -> Map<String, Value> {
        let mut all = attributes(vec![
            ("productName", json!({"string": self.product})),
            ("brand", json!({"string": "Nvidia"})),
            ("architecture", json!({"string": self.architecture})),
            ("cudaComputeCapability", json!({"version": self.compute_capability})),
            ("driverVersion", json!({"version": plain_version(driver_version())})),
            ("cudaDriverVersion", json!({"version": cuda_version()})),
        ]);
        all.extend(attributes(place(index)));
        all
    }

    /// Adds a GPU, its partitions, and the counters they share.
    fn partition(&self, index: usize, mut gpu: Value, uuid: &str, pool: &mut Pool) {
        let counters = format!("gpu-{index}-counter-set");
        let Some(most) = self.mig.iter().max_by_key(|mig| mig.size) else { return };
        let all = most.counters(0);
        gpu["capacity"] = json!(most.capacity());
        gpu["consumesCounters"] = json!([{"counterSet": counters, "counters": all}]);
        pool.shared_counters.push(json!({"name": counters, "counters": all}));
        let mut devices = vec![gpu];
        for mig in &self.mig {
            for start in &mig.starts {
                let mut attributes = attributes(vec![
                    ("type", json!({"string": "mig"})),
                    ("parentUUID", json!({"string": uuid})),
                    ("profile", json!({"string": mig.name})),
                ]);
                attributes.extend(self.kind(index));
                devices.push(json!({
                    "name": format!("gpu-{index}-mig-{}-{}-{start}", mig.name.replace('.', ""), mig.id),
                    "attributes": attributes,
                    "capacity": mig.capacity(),
                    "consumesCounters": [{"counterSet": counters, "counters": mig.counters(*start)}],
                }));
            }
        }
        // The driver sorts the devices of a GPU by name.
        devices.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
        pool.devices.extend(devices);
    }

    fn vfio(&self, index: usize, uuid: &str) -> Value {
        let mut all = attributes(vec![
            ("type", json!({"string": "vfio"})),
            ("uuid", json!({"string": uuid})),
            ("deviceID", json!({"string": self.device_id})),
            ("vendorID", json!({"string": "0x10de"})),
            ("numa", json!({"int": index / 4})),
            ("productName", json!({"string": self.product})),
            ("iommuFDEnabled", json!({"bool": true})),
        ]);
        all.extend(attributes(place(index)));
        // What can be addressed over PCI is a power of two.
        let memory = (self.memory.next_power_of_two()).to_string() + "Mi";
        json!({
            "name": format!("gpu-vfio-{index}"),
            "attributes": all,
            "capacity": {"addressableMemory": {"value": memory}},
        })
    }
}

impl Mig {
    fn engines(&self) -> [(&'static str, &'static str, String); 7] {
        let number = |number: u32| number.to_string();
        [
            ("multiprocessors", "multiprocessors", number(self.multiprocessors)),
            ("copyEngines", "copy-engines", number(self.copy_engines)),
            ("decoders", "decoders", number(self.decoders)),
            ("encoders", "encoders", number(self.encoders)),
            ("jpegEngines", "jpeg-engines", number(self.jpeg_engines)),
            ("ofaEngines", "ofa-engines", number(self.ofa_engines)),
            ("memory", "memory", format!("{}Mi", self.memory)),
        ]
    }

    fn capacity(&self) -> Map<String, Value> {
        self.engines().into_iter().map(|(name, _, value)| (name.to_owned(), json!({"value": value}))).collect()
    }

    fn counters(&self, start: u32) -> Map<String, Value> {
        let engines = self.engines().into_iter().map(|(_, name, value)| (name.to_owned(), json!({"value": value})));
        let slices = (start..start + self.size).map(|slice| (format!("memory-slice-{slice}"), json!({"value": "1"})));
        engines.chain(slices).collect()
    }
}

/// Semantic versions have no leading zeros: `580.65.06` is published as `580.65.6`.
fn plain_version(version: &str) -> String {
    let plain = |part: &str| part.parse::<u32>().map_or_else(|_| part.to_owned(), |number| number.to_string());
    version.split('.').map(plain).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_devices_that_the_api_takes() {
        for model in &CATALOGUE.gpus {
            let pool = profile(&model.profile, "n", 1, 0, Offer::Whole).expect("a pool");
            let version = pool.devices[0]["attributes"]["driverVersion"]["version"].as_str().expect("a version");
            assert!(machinery::semver::Version::parse(version).is_ok(), "{version}");
            let offers = [Offer::Passthrough, Offer::Partitions];
            for offer in offers.into_iter().filter(|offer| *offer == Offer::Passthrough || !model.mig.is_empty()) {
                let pool = profile(&model.profile, "n", 2, 0, offer).expect("a pool");
                for device in &pool.devices {
                    let name = device["name"].as_str().expect("a name");
                    assert!(machinery::names::dns1123_label_errors(name).is_empty(), "{name}");
                }
            }
        }
        assert!(profile("nvidia-t4", "n", 1, 2, Offer::Whole).is_err());
        assert!(profile("nvidia-t4", "n", 1, 0, Offer::Partitions).is_err());
    }

    #[test]
    fn partitions_take_slices_of_memory_from_their_gpu() {
        let pool = profile("nvidia-a100", "n", 1, 0, Offer::Partitions).expect("a pool");
        let names: Vec<&str> = pool.devices.iter().filter_map(|device| device["name"].as_str()).collect();
        assert_eq!(names.len(), 19);
        assert_eq!(names[..2], ["gpu-0", "gpu-0-mig-1g10gb-15-0"]);
        let last = pool.devices.iter().find(|device| device["name"] == "gpu-0-mig-3g20gb-9-4").expect("a device");
        let counters = &last["consumesCounters"][0]["counters"];
        assert_eq!(counters["memory-slice-7"]["value"], "1");
        assert!(counters.get("memory-slice-3").is_none());
        assert_eq!(pool.shared_counters[0]["counters"]["memory"]["value"], "40192Mi");
    }
}
