//! Machines with foozers: devices that come whole.

use super::machine::{Drivers, Group, Machine, MachineDevice, text, version};

/// A machine with the same number of foozers at each of its NUMA nodes, numbered across them.
pub(super) fn machine(model: &str, numa_nodes: usize, devices_per_numa_node: usize) -> Machine {
    let device = |index: usize| MachineDevice {
        name: format!("dev-{index:02}"),
        attributes: vec![text("numa", (index / devices_per_numa_node.max(1)).to_string())],
        consumes: Vec::new(),
        memory: None,
    };
    let devices = (0..numa_nodes.saturating_mul(devices_per_numa_node)).map(device).collect();
    Machine {
        driver: Drivers { v1: "foozer.example.com", evolution: "foozer.example.com", k8srm: "example.com-foozer" },
        pool: "foozer",
        attributes: vec![
            text("vendor", "example.com"),
            text("model", model),
            version("firmwareVersion", "1.8.2"),
            version("driverVersion", "4.2.1-gen3"),
        ],
        groups: vec![Group { name: String::new(), counters: Vec::new(), devices }],
    }
}
