//! What dra-example-driver publishes.

use anyhow::ensure;
use serde_json::{Map, Value, json};

use super::{go_random::Source, pool::Pool};
use crate::devices::emulation::ExampleProfile;

/// The profile of inventories that stands for its GPUs.
pub(super) const EXAMPLE: &str = "example-gpu";
/// Most partitions per GPU.
const PARTITIONS_MAX: u32 = 7;
/// Most devices.
const DEVICES_MAX: usize = 4096;

/// How the driver is set up: its flags.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// `--device-profile`.
    pub(crate) profile: ExampleProfile,
    /// `--num-devices`.
    pub(crate) count: usize,
    /// `--gpu-partitions`.
    pub(crate) partitions: u32,
    /// `--gpu-allow-multiple-allocations`.
    pub(crate) shared: bool,
    /// `--binding-conditions`.
    pub(crate) binding_conditions: bool,
    /// `--cpus-per-numa-node`.
    pub(crate) cpus: usize,
    /// It is older than 0.3: GPUs have memory and nothing else.
    pub(crate) plain: bool,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            profile: ExampleProfile::Gpu,
            count: 8,
            partitions: 0,
            shared: false,
            binding_conditions: false,
            cpus: 4,
            plain: false,
        }
    }
}

/// The devices of a node, without driver and name of the pool.
pub(crate) fn pool(node: &str, example: &Example) -> anyhow::Result<Pool> {
    ensure!(example.partitions <= PARTITIONS_MAX, "more than {PARTITIONS_MAX} partitions");
    ensure!(example.count <= DEVICES_MAX, "more than {DEVICES_MAX} devices");
    let mut pool = match example.profile {
        ExampleProfile::Gpu => gpus(node, example),
        ExampleProfile::Net => nics(node, example.count),
        ExampleProfile::Cpu => numa_nodes(example.count, example.cpus),
    };
    if example.binding_conditions {
        for device in &mut pool.devices {
            device["bindingConditions"] = json!(["BindingConditions"]);
            device["bindingFailureConditions"] = json!(["BindingFailureConditions"]);
        }
    }
    Ok(pool)
}

/// Whole GPUs, or, with partitions, the partitions of each and the whole behind them.
fn gpus(node: &str, example: &Example) -> Pool {
    let mut source = Source::new(java_hash(node));
    let mut pool = Pool::default();
    for index in 0..example.count {
        let mut attributes = identity(index, uuid(&mut source, "gpu-"), "LATEST-GPU-MODEL");
        if example.plain {
            pool.devices.push(json!({
                "name": format!("gpu-{index}"), "attributes": attributes, "capacity": {"memory": {"value": "80Gi"}},
            }));
            continue;
        }
        if example.partitions == 0 {
            pool.devices.push(gpu(&format!("gpu-{index}"), attributes, 1, example.shared));
            continue;
        }
        attributes.insert("partitionable".to_owned(), json!({"bool": true}));
        let counters = format!("gpu-{index}-counters");
        let consumer = |name: String, (key, value): (&str, Value), parts: u32| {
            let mut attributes = attributes.clone();
            attributes.insert(key.to_owned(), value);
            let mut device = gpu(&name, attributes, parts, example.shared);
            device["consumesCounters"] = json!([{"counterSet": counters, "counters": capacity(parts, false)}]);
            device
        };
        for part in 0..example.partitions {
            let name = format!("gpu-{index}-partition-{part}");
            pool.devices.push(consumer(name, ("partition", json!({"int": part})), example.partitions));
        }
        pool.devices.push(consumer(format!("gpu-{index}-full"), ("full", json!({"bool": true})), 1));
        pool.shared_counters.push(json!({"name": counters, "counters": capacity(1, false)}));
    }
    pool
}

fn identity(index: usize, uuid: String, model: &str) -> Map<String, Value> {
    let attributes = [
        ("index", json!({"int": index})),
        ("uuid", json!({"string": uuid})),
        ("model", json!({"string": model})),
        ("driverVersion", json!({"version": "1.0.0"})),
    ];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn gpu(name: &str, attributes: Map<String, Value>, parts: u32, shared: bool) -> Value {
    json!({
        "name": name,
        "attributes": attributes,
        "capacity": capacity(parts, shared),
        "allowMultipleAllocations": shared,
    })
}

/// One of `parts` equal parts of a GPU; the driver divides bytes and units as integers. Of a shared GPU, any part can be
/// had.
fn capacity(parts: u32, shared: bool) -> Value {
    const MEMORY_GIB: u64 = 80;
    let bytes = (MEMORY_GIB << 30) / u64::from(parts.max(1));
    let memory = if bytes.is_multiple_of(1 << 30) { format!("{}Gi", bytes >> 30) } else { bytes.to_string() };
    let part = |value: String, step: &str| {
        let mut capacity = json!({"value": value});
        if shared {
            let range = json!({"min": step, "step": step, "max": value});
            capacity["requestPolicy"] = json!({"default": value, "validRange": range});
        }
        capacity
    };
    json!({"memory": part(memory, "1Gi"), "compute": part((100 / parts.max(1)).to_string(), "1")})
}

fn nics(node: &str, count: usize) -> Pool {
    let mut source = Source::new(java_hash(node));
    let bandwidth = json!({
        "value": "100G",
        "requestPolicy": {"default": "1G", "validRange": {"min": "100M", "max": "100G", "step": "1M"}},
    });
    let nic = |index: usize| {
        json!({
            "name": format!("nic-{index}"),
            "attributes": identity(index, uuid(&mut source, "net-"), "LATEST-NET-MODEL"),
            "capacity": {
                "vfs": {"value": "100", "requestPolicy": {"default": "1", "validValues": ["1"]}},
                "ingressBandwidth": bandwidth,
                "egressBandwidth": bandwidth,
            },
            "allowMultipleAllocations": true,
        })
    };
    Pool { devices: (0..count).map(nic).collect(), ..Pool::default() }
}

fn numa_nodes(count: usize, cpus: usize) -> Pool {
    let numa_node = |index: usize| {
        json!({
            "name": format!("numa-{index}"),
            "attributes": {"numaNodeID": {"int": index}},
            "capacity": {"cpu.example.com/cpu": {"value": cpus.to_string()}},
            "allowMultipleAllocations": true,
        })
    };
    Pool { devices: (0..count).map(numa_node).collect(), ..Pool::default() }
}

/// The hash that Java's `String` has, in 64 bits.
fn java_hash(text: &str) -> i64 {
    text.chars().fold(0_i64, |hash, character| hash.wrapping_mul(31).wrapping_add(i64::from(u32::from(character))))
}

fn uuid(source: &mut Source, prefix: &str) -> String {
    let mut bytes = [0; 16];
    source.fill(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_of_the_example_driver() {
        let first = |node: &str| {
            let pool = pool(node, &Example { count: 2, ..Example::default() }).expect("a pool");
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
        let cut = pool("n", &Example { count: 2, partitions: 4, ..Example::default() }).expect("a pool");
        assert_eq!(cut.devices.len(), 10);
        assert_eq!(cut.devices[9]["name"], "gpu-1-full");
        assert_eq!(cut.devices[0]["consumesCounters"][0]["counters"]["memory"]["value"], "20Gi");
        assert_eq!(cut.shared_counters.len(), 2);
        assert!(pool("n", &Example { partitions: 8, ..Example::default() }).is_err());
    }

    #[test]
    fn every_profile_is_devices_that_the_api_takes() {
        for (profile, shared) in
            [(ExampleProfile::Gpu, true), (ExampleProfile::Net, false), (ExampleProfile::Cpu, false)]
        {
            let example = Example { profile, shared, binding_conditions: true, ..Example::default() };
            let pool = pool("n", &example).expect("a pool");
            let slice = json!({
                "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"},
                "spec": {"driver": "d", "nodeName": "n", "devices": pool.devices,
                    "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}},
            });
            let devices = &api::convert::slices(&slice).expect("a slice")[0].devices;
            assert_eq!(devices.len(), 8);
            assert!(devices[0].allow_multiple_allocations && devices[0].binding_conditions.is_some());
        }
    }
}
