//! Clusters to allocate from.

use std::sync::Arc;

use api::hub::*;
use machinery::quantity::Quantity;

pub(crate) const DRIVER: &str = "gpu.example.com";

pub(crate) fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).expect("a quantity")
}

pub(crate) fn node(index: usize) -> Node {
    Node { name: format!("node-{index}"), ..Node::default() }
}

pub(crate) fn selector(expression: String) -> Selector {
    Selector { expression: Some(expression), environment: Environment::Device }
}

/// The class of all devices of the driver.
pub(crate) fn class() -> Arc<DeviceClass> {
    let selectors = vec![selector(format!("device.driver == \"{DRIVER}\""))];
    Arc::new(DeviceClass { name: "gpu".into(), selectors, ..DeviceClass::default() })
}

fn slice(node: usize, name: &str, count: i64) -> Slice {
    Slice {
        name: format!("node-{node}-{name}"),
        driver: DRIVER.into(),
        pool: format!("node-{node}"),
        generation: 1,
        slice_count: Some(count),
        nodes: NodeScope::Node(format!("node-{node}")),
        ..Slice::default()
    }
}

fn gpu(node: usize, index: usize) -> Device {
    let text = |text: String| Attribute::String(text);
    let attributes = [
        ("model", text("A100".into())),
        ("uuid", text(format!("GPU-{node:08x}-{index:04x}"))),
        ("numa", Attribute::Int((index / 4) as i64)),
        ("driverVersion", Attribute::Version("550.54.15".into())),
        ("healthy", Attribute::Bool(true)),
        ("index", Attribute::Int(index as i64)),
    ];
    let memory = Capacity { value: quantity("80Gi"), policy: None };
    Device {
        name: format!("gpu-{index}"),
        attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        capacity: [("memory".to_owned(), memory)].into(),
        ..Device::default()
    }
}

/// Nodes with eight whole GPUs each.
pub(crate) fn whole_gpus(nodes: usize) -> Vec<Arc<Slice>> {
    let of = |node| Slice { devices: (0..8).map(|i| gpu(node, i)).collect(), ..slice(node, "gpus", 1) };
    (0..nodes).map(|node| Arc::new(of(node))).collect()
}

/// Nodes with eight GPUs each, of which claims may take shares of memory.
pub(crate) fn shared_gpus(nodes: usize) -> Vec<Arc<Slice>> {
    let shared = |node, index| Device { allow_multiple_allocations: true, ..gpu(node, index) };
    let of = |node| Slice { devices: (0..8).map(|i| shared(node, i)).collect(), ..slice(node, "gpus", 1) };
    (0..nodes).map(|node| Arc::new(of(node))).collect()
}

/// Profiles of a partitioned GPU: name, slices of compute, slices of memory.
const PROFILES: [(&str, u64, u64); 5] =
    [("1g.10gb", 1, 1), ("2g.20gb", 2, 2), ("3g.40gb", 3, 4), ("4g.40gb", 4, 4), ("7g.80gb", 7, 8)];

/// Nodes with eight GPUs each, published as all partitions that each can have: 18 a GPU.
pub(crate) fn partitioned_gpus(nodes: usize) -> Vec<Arc<Slice>> {
    (0..nodes).flat_map(|node| [counters(node), partitions(node)]).map(Arc::new).collect()
}

fn counters(node: usize) -> Slice {
    let set = |gpu: usize| {
        let memory = (0..8).map(|i| (format!("memory-slice-{i}"), quantity("1")));
        let counters = memory.chain([("compute".to_owned(), quantity("7"))]).collect();
        CounterSet { name: format!("gpu-{gpu}"), counters }
    };
    Slice { counter_sets: (0..8).map(set).collect(), ..slice(node, "counters", 2) }
}

fn partitions(node: usize) -> Slice {
    let mut devices = Vec::new();
    for index in 0..8 {
        for (profile, compute, memory) in PROFILES {
            for start in (0..8).step_by(memory as usize).filter(|start| start + memory <= 8) {
                let mut device = gpu(node, index);
                device.name = format!("gpu-{index}-{profile}-{start}").replace('.', "-");
                device.attributes.insert("profile".into(), Attribute::String(profile.into()));
                let slices = (start..start + memory).map(|i| (format!("memory-slice-{i}"), quantity("1")));
                let compute = ("compute".to_owned(), quantity(&compute.to_string()));
                device.consumes = vec![CounterConsumption {
                    counter_set: format!("gpu-{index}"),
                    counters: slices.chain([compute]).collect(),
                    compatibility_groups: Vec::new(),
                }];
                devices.push(device);
            }
        }
    }
    Slice { devices, ..slice(node, "partitions", 2) }
}

/// A claim with one request for so many devices that match.
pub(crate) fn claim(count: i64, expression: Option<String>) -> Claim {
    let ask = Ask {
        class: Some("gpu".into()),
        selectors: expression.map(selector).into_iter().collect(),
        amount: Amount::Exact(count),
        ..Ask::default()
    };
    Claim {
        namespace: "default".into(),
        name: "claim".into(),
        requests: vec![Request { name: "gpu".into(), ask: RequestAsk::Exactly(ask) }],
        ..Claim::default()
    }
}
