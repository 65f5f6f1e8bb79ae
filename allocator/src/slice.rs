//! A published slice, with what is computed from it once.

use std::sync::Arc;

use api::hub::{Device, DeviceId, Node, NodeScope, Slice};

use crate::{
    node_selector,
    selector::{Failure, Program, Verdicts},
};

/// A slice in the index.
pub(crate) struct IndexedSlice {
    pub(crate) slice: Arc<Slice>,
    /// Why a node selector of the slice or of its devices cannot be used; in the order in which they are looked at.
    broken: Vec<(Option<usize>, String)>,
    verdicts: Verdicts,
}

impl IndexedSlice {
    pub(crate) fn new(slice: Arc<Slice>) -> Self {
        let problem = |scope: &NodeScope| match scope {
            NodeScope::Selector(selector) => node_selector::check(selector).err(),
            _ => None,
        };
        let mut broken: Vec<_> = problem(&slice.nodes).map(|text| (None, text)).into_iter().collect();
        if slice.nodes == NodeScope::PerDevice {
            let devices = slice.devices.iter().enumerate();
            broken.extend(devices.filter_map(|(index, device)| Some((Some(index), problem(&device.nodes)?))));
        }
        Self { slice, broken, verdicts: Verdicts::default() }
    }

    /// True when devices of the slice may be reached from the node.
    ///
    /// # Errors
    /// The text about a node selector that cannot be parsed and had to be looked at.
    pub(crate) fn targets(&self, node: &Node) -> Result<bool, String> {
        let Slice { name, nodes, devices, .. } = &*self.slice;
        if *nodes != NodeScope::PerDevice {
            return match self.broken.first() {
                Some((_, text)) => Err(format!("failed to perform node selection for slice {name}: {text}")),
                None => Ok(reaches(nodes, node)),
            };
        }
        for (index, device) in devices.iter().enumerate() {
            if let Some((_, text)) = self.broken.iter().find(|(broken, _)| *broken == Some(index)) {
                let device = &device.name;
                return Err(format!("failed to perform node selection for device {device} in slice {name}: {text}"));
            }
            if reaches(&device.nodes, node) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True when the device is reached from the node, for a slice that targets the node.
    ///
    /// # Errors
    /// The text about a node selector that cannot be parsed.
    pub(crate) fn device_targets(&self, index: usize, node: &Node) -> Result<bool, String> {
        if self.slice.nodes != NodeScope::PerDevice {
            return Ok(true);
        }
        match self.broken.iter().find(|(broken, _)| *broken == Some(index)) {
            Some((_, text)) => Err(text.clone()),
            None => Ok(self.slice.devices.get(index).is_some_and(|device| reaches(&device.nodes, node))),
        }
    }

    /// Where the device can be used.
    pub(crate) fn scope_of<'a>(&'a self, device: &'a Device) -> &'a NodeScope {
        match &self.slice.nodes {
            NodeScope::PerDevice => &device.nodes,
            scope => scope,
        }
    }

    /// What a selector says about the device at `index`.
    pub(crate) fn matches(&self, program: &Program, index: usize) -> Result<bool, Failure> {
        self.verdicts.get(program, &self.slice.driver, &self.slice.devices, index)
    }

    /// The identity of a device of this slice.
    pub(crate) fn id_of(&self, device: &Device) -> DeviceId {
        DeviceId { driver: self.slice.driver.clone(), pool: self.slice.pool.clone(), device: device.name.clone() }
    }
}

fn reaches(scope: &NodeScope, node: &Node) -> bool {
    match scope {
        NodeScope::Node(name) => !name.is_empty() && *name == node.name,
        NodeScope::Selector(selector) => node_selector::matches(selector, node),
        NodeScope::All => true,
        NodeScope::PerDevice | NodeScope::Nowhere => false,
    }
}
