//! What a claim's status says about its allocation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{
    claim::{Consumer, take_status},
    node_selector,
    read::{self, Result},
    v1::parameters,
};
use crate::{
    hub::{Allocation, AllocationConfig, ConfigSource, DeviceId, DeviceResult, Opaque},
    members::put,
};

/// What a status says about an allocation. `nodeName`, and `driver` and `request` of each device, are ours: the prototype
/// has nowhere to say them, and a kubelet needs to know.
pub(super) fn allocation(claim: &Value) -> Result<Option<Allocation>> {
    read::within(claim, "status", |status| {
        if read::items(status, "allocations")?.is_empty() {
            return Ok(None);
        }
        let results = read::each(status, "allocations", |one| {
            Ok(DeviceResult {
                request: read::text(one, "request")?,
                id: DeviceId {
                    driver: read::text(one, "driver")?,
                    pool: read::text(one, "devicePoolName")?,
                    device: read::text(one, "deviceName")?,
                },
                ..DeviceResult::default()
            })
        })?;
        let config = |name: &str, source| {
            read::each(status, name, |parameters| {
                let opaque = Opaque { driver: String::new(), parameters: parameters.to_string() };
                Ok(AllocationConfig { source, requests: Vec::new(), opaque })
            })
        };
        let mut all = config("classConfigs", ConfigSource::Class)?;
        all.extend(config("claimConfigs", ConfigSource::Claim)?);
        let node = read::optional_text(status, "nodeName")?.filter(|node| !node.is_empty());
        Ok(Some(Allocation { results, config: all, node_selector: node.map(node_selector::of_node) }))
    })
}

/// The devices, one by one.
pub(super) fn named(allocation: &Allocation) -> Vec<Value> {
    allocation
        .results
        .iter()
        .map(|result| {
            let id = &result.id;
            let mut written = json!({
                "devicePoolName": id.pool, "deviceName": id.device, "driver": id.driver, "request": result.request,
            });
            let provided: Vec<Value> = result
                .consumed_capacity
                .iter()
                .flatten()
                .map(|(name, amount)| json!({"name": name, "allocation": amount.to_string()}))
                .collect();
            put(&mut written, "allocations", (!provided.is_empty()).then(|| provided.into()));
            written
        })
        .collect()
}

/// The number of devices of each pool.
pub(super) fn counted(allocation: &Allocation) -> Vec<Value> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for result in &allocation.results {
        *counts.entry((&result.id.pool, &result.id.driver)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((pool, driver), count)| json!({"devicePoolName": pool, "driver": driver, "deviceCount": count}))
        .collect()
}

/// Writes the devices of an allocation and what it says about them.
pub(super) fn write(claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>, devices: Vec<Value>) {
    let config = |source| -> Option<Value> {
        let of_source = allocation.config.iter().filter(|config| config.source == source);
        let copies: Vec<Value> = of_source.map(|config| parameters(&config.opaque)).collect();
        (!copies.is_empty()).then(|| copies.into())
    };
    let node = node_selector::node_of(allocation.node_selector.as_ref());
    let mut status = take_status(claim);
    put(&mut status, "allocations", Some(devices.into()));
    put(&mut status, "classConfigs", config(ConfigSource::Class));
    put(&mut status, "claimConfigs", config(ConfigSource::Claim));
    let node = node.or((allocation.node_selector.is_some()).then_some(consumer.node));
    put(&mut status, "nodeName", node.map(Value::from));
    put(claim, "status", Some(status));
}
