//! GPUs that are known by name.

use anyhow::{bail, ensure};
use serde_json::{Map, Value, json};

use super::{go_random::Source, pool::Pool};

/// What is known of a model of NVIDIA's.
struct Model {
    profile: &'static str,
    product: &'static str,
    architecture: &'static str,
    compute_capability: &'static str,
    memory: &'static str,
}

const fn model(
    profile: &'static str,
    product: &'static str,
    architecture: &'static str,
    compute_capability: &'static str,
    memory: &'static str,
) -> Model {
    Model { profile, product, architecture, compute_capability, memory }
}

/// Memory is what `nvidia-smi` shows of each.
const MODELS: [Model; 7] = [
    model("nvidia-a100", "NVIDIA A100-SXM4-40GB", "Ampere", "8.0.0", "40960Mi"),
    model("nvidia-h100", "NVIDIA H100 80GB HBM3", "Hopper", "9.0.0", "81559Mi"),
    model("nvidia-h200", "NVIDIA H200", "Hopper", "9.0.0", "143771Mi"),
    model("nvidia-b200", "NVIDIA B200", "Blackwell", "10.0.0", "183359Mi"),
    model("nvidia-gb200", "NVIDIA GB200", "Blackwell", "10.0.0", "189471Mi"),
    model("nvidia-l4", "NVIDIA L4", "Ada Lovelace", "8.9.0", "23034Mi"),
    model("nvidia-t4", "Tesla T4", "Turing", "7.5.0", "15360Mi"),
];

/// The GPU of dra-example-driver.
const EXAMPLE: &str = "example-gpu";
/// Versions of the emulated driver and of the CUDA that comes with it.
pub(crate) const DRIVER_VERSION: &str = "580.65.06";
pub(crate) const CUDA_VERSION: &str = "13.0.0";
/// Most partitions per GPU of dra-example-driver.
const PARTITIONS_MAX: u32 = 7;

/// `count` devices of a profile, as their driver publishes them from the node of this name.
pub(super) fn profile(name: &str, node: &str, count: usize, partitions: u32) -> anyhow::Result<Pool> {
    if name == EXAMPLE {
        ensure!(partitions <= PARTITIONS_MAX, "profile {name}: more than {PARTITIONS_MAX} partitions");
        return Ok(example(node, count, partitions));
    }
    ensure!(partitions == 0, "profile {name} has no partitions");
    let Some(model) = MODELS.iter().find(|model| model.profile == name) else {
        let known: Vec<&str> = MODELS.iter().map(|model| model.profile).collect();
        bail!("no profile {name:?}; there are {EXAMPLE}, {}", known.join(", "));
    };
    let mut uuid = api::generate::uuids(node);
    Ok(Pool { devices: (0..count).map(|index| model.device(index, &uuid())).collect(), ..Pool::default() })
}

impl Model {
    fn device(&self, index: usize, uuid: &str) -> Value {
        json!({
            "name": format!("gpu-{index}"),
            "attributes": {
                "type": {"string": "gpu"},
                "uuid": {"string": format!("GPU-{uuid}")},
                "productName": {"string": self.product},
                "brand": {"string": "Nvidia"},
                "architecture": {"string": self.architecture},
                "cudaComputeCapability": {"version": self.compute_capability},
                "driverVersion": {"version": plain_version(DRIVER_VERSION)},
                "cudaDriverVersion": {"version": CUDA_VERSION},
                "resource.kubernetes.io/pciBusID": {"string": format!("0000:{:02x}:00.0", 0x10 + index % 0xe0)},
                // Two neighbours share a PCIe switch, as in machines with eight GPUs.
                "resource.kubernetes.io/pcieRoot": {"string": format!("pci0000:{:02x}", index / 2 % 0x100)},
            },
            "capacity": {"memory": {"value": self.memory}},
        })
    }
}

/// Semantic versions have no leading zeros: `580.65.06` is published as `580.65.6`.
fn plain_version(version: &str) -> String {
    let plain = |part: &str| part.parse::<u32>().map_or_else(|_| part.to_owned(), |number| number.to_string());
    version.split('.').map(plain).collect::<Vec<_>>().join(".")
}

/// What dra-example-driver publishes: whole GPUs, or, with partitions, the partitions of each and the whole behind them.
fn example(node: &str, count: usize, partitions: u32) -> Pool {
    let mut source = Source::new(java_hash(node));
    let mut pool = Pool::default();
    for index in 0..count {
        let uuid = example_uuid(&mut source);
        let mut attributes = Map::new();
        attributes.insert("index".to_owned(), json!({"int": index}));
        attributes.insert("uuid".to_owned(), json!({"string": uuid}));
        attributes.insert("model".to_owned(), json!({"string": "LATEST-GPU-MODEL"}));
        attributes.insert("driverVersion".to_owned(), json!({"version": "1.0.0"}));
        if partitions == 0 {
            pool.devices.push(example_device(&format!("gpu-{index}"), attributes, 1));
            continue;
        }
        let counters = format!("gpu-{index}-counters");
        let consumer = |name: String, extra: &[(&str, Value)], parts: u32| {
            let mut attributes = attributes.clone();
            attributes.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            let mut device = example_device(&name, attributes, parts);
            device["consumesCounters"] = json!([{"counterSet": counters, "counters": device["capacity"]}]);
            device
        };
        let partitionable = ("partitionable", json!({"bool": true}));
        for part in 0..partitions {
            let name = format!("gpu-{index}-partition-{part}");
            pool.devices.push(consumer(
                name,
                &[("partition", json!({"int": part})), partitionable.clone()],
                partitions,
            ));
        }
        let full = ("full", json!({"bool": true}));
        pool.devices.push(consumer(format!("gpu-{index}-full"), &[partitionable, full], 1));
        pool.shared_counters.push(json!({"name": counters, "counters": example_capacity(1)}));
    }
    pool
}

fn example_device(name: &str, attributes: Map<String, Value>, parts: u32) -> Value {
    json!({
        "name": name,
        "attributes": attributes,
        "capacity": example_capacity(parts),
        "allowMultipleAllocations": false,
    })
}

/// One of `parts` equal parts of a GPU; the driver divides bytes and units as integers.
fn example_capacity(parts: u32) -> Value {
    const MEMORY_GIB: u64 = 80;
    let bytes = (MEMORY_GIB << 30) / u64::from(parts.max(1));
    let memory = if bytes.is_multiple_of(1 << 30) { format!("{}Gi", bytes >> 30) } else { bytes.to_string() };
    json!({"memory": {"value": memory}, "compute": {"value": (100 / parts.max(1)).to_string()}})
}

/// The hash that Java's `String` has, in 64 bits.
fn java_hash(text: &str) -> i64 {
    text.chars().fold(0_i64, |hash, character| hash.wrapping_mul(31).wrapping_add(i64::from(u32::from(character))))
}

fn example_uuid(source: &mut Source) -> String {
    let mut bytes = [0; 16];
    source.fill(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("gpu-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_of_the_example_driver() {
        let first = |node: &str| {
            let pool = profile(EXAMPLE, node, 2, 0).expect("a pool");
            let uuid = |index: usize| pool.devices[index]["attributes"]["uuid"]["string"].clone();
            (uuid(0), uuid(1))
        };
        let expected = [
            (
                "dra-example-driver-cluster-worker",
                "gpu-18db0e85-99e9-c746-8531-ffeb86328b39",
                "gpu-93d37703-997c-c46f-a531-755e3e0dc2ac",
            ),
            ("node-1", "gpu-7bad7559-1636-cf0a-d725-6b33c29a8680", "gpu-b16f4dbe-e5b6-3be1-7a31-20865aa74d76"),
            ("kind-worker", "gpu-4cbf87f3-433e-6717-5588-c33e6886832f", "gpu-58bd415e-dee8-f0a5-ca03-02d000554b1a"),
        ];
        for (node, zero, one) in expected {
            assert_eq!(first(node), (json!(zero), json!(one)), "{node}");
        }
    }

    #[test]
    fn partitions_take_from_the_counters_of_their_gpu() {
        let pool = profile(EXAMPLE, "n", 2, 4).expect("a pool");
        assert_eq!(pool.devices.len(), 10);
        assert_eq!(pool.devices[9]["name"], "gpu-1-full");
        assert_eq!(pool.devices[0]["consumesCounters"][0]["counters"]["memory"]["value"], "20Gi");
        assert_eq!(pool.shared_counters.len(), 2);
        assert!(profile(EXAMPLE, "n", 1, 8).is_err() && profile("nvidia-t4", "n", 1, 2).is_err());
    }

    #[test]
    fn every_model_is_a_device_that_the_api_takes() {
        for model in &MODELS {
            let pool = profile(model.profile, "n", 1, 0).expect("a pool");
            let version = pool.devices[0]["attributes"]["driverVersion"]["version"].as_str().expect("a version");
            assert!(machinery::semver::Version::parse(version).is_ok(), "{version}");
        }
    }
}
