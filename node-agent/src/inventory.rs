//! The machines to pretend: which nodes, and which devices in each.

pub(crate) mod example;
mod go_random;
pub mod gpu;
pub(crate) mod nic;
mod pool;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use api::{
    convert,
    generate::{Format, Shape, uuids},
    hub::{Device, DeviceId},
};
use serde::Deserialize;
use serde_json::Value;

use crate::publish::{self, Packed};

pub use pool::{Pool, PoolSpec};

/// Most nodes of one inventory.
const NODES_MAX: usize = 10_000;

/// An inventory as it is written: one YAML document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Groups of alike nodes.
    pub nodes: Vec<NodeSpec>,
}

/// One node, or several alike.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSpec {
    /// Name of the node. With `count`, a number is appended: `<name>-00`, `<name>-01` …
    pub name: String,
    /// How many; absent for the one node of that very name.
    pub count: Option<usize>,
    /// Labels besides those that kubelets set.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `spec.taints`, as core/v1 has them.
    #[serde(default)]
    pub taints: Vec<Value>,
    /// `status.capacity`; what is absent is as on a machine of middling size.
    #[serde(default)]
    pub capacity: BTreeMap<String, Value>,
    /// A generated machine: `foozer-1000-small`, `dgxa100` …
    pub shape: Option<String>,
    /// Devices, published by the driver of each pool.
    #[serde(default)]
    pub pools: Vec<PoolSpec>,
    /// Devices that are there, and are published once a container of an image of their driver runs on the node.
    #[serde(default)]
    pub hardware: Vec<PoolSpec>,
    /// Drivers that prepare devices which others publish; `*` for any driver.
    #[serde(default)]
    pub drivers: BTreeSet<String>,
    /// The version that the kubelet says it has.
    pub version: Option<String>,
}

/// One node with its devices.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Name of the node.
    pub name: String,
    /// Position among all machines; decides about addresses.
    pub index: usize,
    /// Labels besides those that kubelets set.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `spec.taints`.
    pub taints: Vec<Value>,
    /// `status.capacity`.
    pub capacity: BTreeMap<String, Value>,
    /// What its drivers publish, without the owner.
    pub(crate) objects: Packed,
    /// The devices in it.
    pub devices: Arc<BTreeMap<DeviceId, Device>>,
    /// Devices that wait for a container of their driver.
    pub hardware: Vec<PoolSpec>,
    /// Drivers that prepare devices, those that publish among them; `*` for any driver.
    pub drivers: BTreeSet<String>,
    /// The version that the kubelet says it has.
    pub version: Option<String>,
}

/// Inventories that come with us, by name.
pub const SHIPPED: [(&str, &str); 10] = [
    ("dgx-a100", include_str!("../inventories/dgx-a100.yaml")),
    ("dgx-h100", include_str!("../inventories/dgx-h100.yaml")),
    ("dgx-h200", include_str!("../inventories/dgx-h200.yaml")),
    ("dgx-b200", include_str!("../inventories/dgx-b200.yaml")),
    ("gb200-nvl72", include_str!("../inventories/gb200-nvl72.yaml")),
    ("l4", include_str!("../inventories/l4.yaml")),
    ("t4", include_str!("../inventories/t4.yaml")),
    ("mig", include_str!("../inventories/mig.yaml")),
    ("mixed", include_str!("../inventories/mixed.yaml")),
    ("kind", include_str!("../inventories/kind.yaml")),
];

impl Inventory {
    /// The inventory in a file, `-` for standard input, or the one that comes with us under this name.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let shipped = SHIPPED.iter().find(|(known, _)| *known == name);
        let text = match shipped {
            Some((_, text)) => (*text).to_owned(),
            None if name == "-" => std::io::read_to_string(std::io::stdin()).context("read standard input")?,
            None => std::fs::read_to_string(name).with_context(|| {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                format!("cannot read inventory {name}, and there is none of that name among {}", names.join(", "))
            })?,
        };
        Self::parse(&text).with_context(|| name.to_owned())
    }

    /// Reads an inventory from YAML.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let document = machinery::yaml::parse_strict(text).context("the inventory is not YAML")?;
        serde_json::from_value(document).context("the inventory is not one")
    }

    /// So many nodes of a generated shape.
    pub fn of_shape(shape: Shape, nodes: usize) -> Self {
        let node = |index| NodeSpec { name: shape.node_name(index), shape: Some(shape.name()), ..NodeSpec::default() };
        Self { nodes: (0..nodes).map(node).collect() }
    }

    /// The nodes one by one, with devices in this format.
    pub fn machines(&self, format: Format) -> anyhow::Result<Vec<Machine>> {
        let mut machines = Vec::new();
        let mut names = BTreeSet::new();
        for spec in &self.nodes {
            let all = spec.names()?;
            ensure!(machines.len() + all.len() <= NODES_MAX, "the inventory has more than {NODES_MAX} nodes");
            for name in all {
                let machine = spec.machine(&name, machines.len(), format).with_context(|| format!("node {name}"))?;
                ensure!(names.insert(name), "node {} is twice in the inventory", machine.name);
                machines.push(machine);
            }
        }
        if machines.is_empty() {
            bail!("the inventory has no nodes");
        }
        Ok(machines)
    }
}

impl NodeSpec {
    fn names(&self) -> anyhow::Result<Vec<String>> {
        let count = self.count.unwrap_or(1);
        ensure!(count <= NODES_MAX, "node {}: count is more than {NODES_MAX}", self.name);
        let names: Vec<String> = match self.count {
            None => vec![self.name.clone()],
            Some(count) => (0..count).map(|number| format!("{}-{number:02}", self.name)).collect(),
        };
        for name in &names {
            if let Some(error) = machinery::names::dns1123_subdomain_errors(name).first() {
                bail!("node name {name:?}: {error}");
            }
        }
        Ok(names)
    }

    fn machine(&self, name: &str, index: usize, format: Format) -> anyhow::Result<Machine> {
        let mut objects = Vec::new();
        if let Some(shape) = &self.shape {
            let shape = Shape::named(shape).map_err(anyhow::Error::msg)?;
            objects.extend(shape.pools(format, name, &mut uuids(name)));
        }
        let mut drivers = self.drivers.clone();
        let mut seen = BTreeSet::new();
        for pool in &self.pools {
            let pool = pool.pool(name)?;
            objects.extend(publish::objects(&pool, name, format)?);
            drivers.insert(pool.driver.clone());
            let (driver, pool) = (pool.driver, pool.name);
            ensure!(seen.insert((driver.clone(), pool.clone())), "pool {pool} of driver {driver} is there twice");
        }
        for hardware in &self.hardware {
            hardware.pool(name).context("hardware")?;
        }
        let mut labels = self.labels.clone();
        if self.pools.iter().chain(&self.hardware).any(PoolSpec::is_nvidia) {
            // What feature discovery finds out, and charts of NVIDIA's look at.
            labels.entry("nvidia.com/gpu.present".to_owned()).or_insert_with(|| "true".to_owned());
        }
        let mut devices = BTreeMap::new();
        for object in &objects {
            for slice in convert::slices(object).context("a pool")? {
                drivers.insert(slice.driver.clone());
                for device in slice.devices {
                    let (driver, pool) = (slice.driver.clone(), slice.pool.clone());
                    devices.insert(DeviceId { driver, pool, device: device.name.clone() }, device);
                }
            }
        }
        Ok(Machine {
            name: name.to_owned(),
            index,
            labels,
            annotations: self.annotations.clone(),
            taints: self.taints.clone(),
            capacity: self.capacity.clone(),
            objects: Packed::of(objects),
            devices: Arc::new(devices),
            hardware: self.hardware.clone(),
            drivers,
            version: self.version.clone(),
        })
    }
}

impl Machine {
    /// Whether one of its emulated drivers has this name.
    pub fn has_driver(&self, name: &str) -> bool {
        self.drivers.contains(name) || self.drivers.contains("*")
    }

    /// The hardware that a driver takes care of.
    pub(crate) fn hardware_of(&self, driver: &str) -> impl Iterator<Item = &PoolSpec> {
        self.hardware.iter().filter(move |spec| spec.driver == driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heterogeneous_cluster_is_one_document() {
        let inventory = Inventory::parse(
            "nodes:\n- name: a\n  count: 2\n  pools:\n  - {driver: gpu.example.com, profile: example-gpu, count: 2}\n\
             - name: b\n  labels: {zone: x}\n  drivers: [foozer.example.com]\n",
        )
        .expect("an inventory");
        let machines = inventory.machines(Format::V1).expect("machines");
        let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
        assert_eq!(names, ["a-00", "a-01", "b"]);
        let devices: Vec<String> = machines[0].devices.keys().map(ToString::to_string).collect();
        assert_eq!(devices, ["gpu.example.com/a-00/gpu-0", "gpu.example.com/a-00/gpu-1"]);
        assert!(machines[2].has_driver("foozer.example.com") && !machines[2].has_driver("gpu.example.com"));
    }

    #[test]
    fn every_inventory_that_comes_with_us_is_one() {
        for (name, _) in SHIPPED {
            let machines = Inventory::named(name).and_then(|inventory| inventory.machines(Format::V1));
            let machines = machines.unwrap_or_else(|error| panic!("{name}: {error:#}"));
            if name == "gb200-nvl72" {
                let gpus: usize = machines.iter().map(|machine| machine.devices.len()).sum();
                assert_eq!((machines.len(), gpus), (18, 72));
            }
        }
        assert!(format!("{:#}", Inventory::named("warp").expect_err("an error")).contains("gb200-nvl72"));
    }

    #[test]
    fn generated_shapes_are_machines_in_every_format() {
        // The shape of k8srm-prototype has one GPU.
        for (format, devices) in [(Format::V1, 208), (Format::Evolution, 208), (Format::K8srm, 26)] {
            let machines = Inventory::of_shape(Shape::DgxA100, 2).machines(format).expect("machines");
            assert_eq!(machines[1].name, "nvidia-01");
            assert_eq!(machines[1].devices.len(), devices, "{format:?}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| {
            let outcome = Inventory::parse(text).and_then(|inventory| inventory.machines(Format::V1));
            format!("{:#}", outcome.expect_err(text))
        };
        assert!(error("nodes: []").contains("no nodes"));
        assert!(error("nodes: [{name: A}]").contains("node name"));
        assert!(error("nodes: [{name: a}, {name: a}]").contains("twice"));
        assert!(error("nodes: [{name: a, colour: red}]").contains("colour"));
        assert!(error("nodes: [{name: a, count: 100000000000}]").contains("more than"));
        assert!(error("nodes: [{name: a, pools: [{driver: d, profile: warp-core}]}]").contains("warp-core"));
        assert!(error("a: [").contains("not YAML"));
    }
}
