//! Devices that two generations see: a DevicePool of k8srm-prototype serves claims of dra-evolution too, which know its
//! devices under other names; and drivers of classic claims allocate what they publish in ResourceSlices of `v1`. What one
//! generation takes is taken for both.

use std::collections::{BTreeMap, HashMap};

use api::{
    convert,
    hub::{DeviceId, DeviceResult, NodeScope, Slice},
};
use cluster::{Generation, generation};
use machinery::meta;
use serde_json::Value;

/// The names of such devices in both generations.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// By name of the DevicePool: names in dra-evolution and in k8srm-prototype.
    pools: BTreeMap<String, Vec<(DeviceId, DeviceId)>>,
    in_k8srm: HashMap<DeviceId, DeviceId>,
    in_evolution: HashMap<DeviceId, DeviceId>,
    /// By name of the ResourceSlice: names with the node for the pool, as classic claims have them, and in `v1`.
    slices: BTreeMap<String, Vec<(DeviceId, DeviceId)>>,
    in_v1: HashMap<DeviceId, DeviceId>,
    on_node: HashMap<DeviceId, DeviceId>,
}

impl Twins {
    /// Reads a DevicePool.
    pub(super) fn learn(&mut self, pool: &Value) {
        self.forget(meta::name(pool));
        let read = convert::slices_for_evolution(pool).ok().zip(convert::slices(pool).ok());
        let Some((evolution, k8srm)) = read else { return };
        let by_name: HashMap<String, DeviceId> = ids(&k8srm).map(|id| (id.device.clone(), id)).collect();
        let pairs = ids(&evolution).filter_map(|id| Some((id.clone(), by_name.get(&id.device)?.clone())));
        let pairs: Vec<(DeviceId, DeviceId)> = pairs.collect();
        self.in_k8srm.extend(pairs.iter().cloned());
        self.in_evolution.extend(pairs.iter().map(|(one, other)| (other.clone(), one.clone())));
        self.pools.insert(meta::name(pool).to_owned(), pairs);
    }

    /// Forgets a DevicePool.
    pub(super) fn forget(&mut self, pool: &str) {
        for (evolution, k8srm) in self.pools.remove(pool).unwrap_or_default() {
            self.in_k8srm.remove(&evolution);
            self.in_evolution.remove(&k8srm);
        }
    }

    /// Reads a ResourceSlice of `v1` that belongs to one node.
    pub(super) fn learn_slice(&mut self, slice: &Value) {
        self.forget_slice(meta::name(slice));
        let mut pairs = Vec::new();
        for read in convert::slices(slice).unwrap_or_default() {
            let NodeScope::Node(node) = &read.nodes else { continue };
            pairs
                .extend(ids(std::slice::from_ref(&read)).map(|id| (DeviceId { pool: node.clone(), ..id.clone() }, id)));
        }
        self.in_v1.extend(pairs.iter().cloned());
        self.on_node.extend(pairs.iter().map(|(one, other)| (other.clone(), one.clone())));
        self.slices.insert(meta::name(slice).to_owned(), pairs);
    }

    /// Forgets a ResourceSlice.
    pub(super) fn forget_slice(&mut self, slice: &str) {
        for (on_node, in_v1) in self.slices.remove(slice).unwrap_or_default() {
            self.in_v1.remove(&on_node);
            self.on_node.remove(&in_v1);
        }
    }

    /// What claims of a generation hold, as classic claims, or those of `v1`, name it.
    pub(super) fn across(&self, generation: Generation, results: &[DeviceResult]) -> Vec<DeviceResult> {
        let names = if generation == generation::GA { &self.on_node } else { &self.in_v1 };
        // A slot of a device leaves nothing of it for others.
        let twin = |result: &DeviceResult| {
            Some(DeviceResult { id: names.get(&result.id)?.clone(), share_id: None, ..result.clone() })
        };
        results.iter().filter_map(twin).collect()
    }

    /// The other generation that sees devices of this one.
    pub(super) fn other(generation: Generation) -> Option<Generation> {
        if generation == generation::EVOLUTION {
            Some(generation::K8SRM)
        } else if generation == generation::K8SRM {
            Some(generation::EVOLUTION)
        } else {
            None
        }
    }

    /// What claims of a generation hold, as the other one names it. Devices that only one sees are left out.
    pub(super) fn mirror(&self, generation: Generation, results: &[DeviceResult]) -> Vec<DeviceResult> {
        let names = if generation == generation::EVOLUTION { &self.in_k8srm } else { &self.in_evolution };
        let twin = |result: &DeviceResult| Some(DeviceResult { id: names.get(&result.id)?.clone(), ..result.clone() });
        results.iter().filter_map(twin).collect()
    }
}

fn ids(slices: &[Slice]) -> impl Iterator<Item = DeviceId> {
    slices.iter().flat_map(|slice| {
        slice.devices.iter().map(|device| DeviceId {
            driver: slice.driver.clone(),
            pool: slice.pool.clone(),
            device: device.name.clone(),
        })
    })
}
