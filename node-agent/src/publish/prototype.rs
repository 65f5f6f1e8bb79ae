//! Pools in the formats of the prototypes.

use std::collections::BTreeMap;

use anyhow::Context;
use api::{
    convert,
    hub::{Attribute, CounterConsumption, CounterSet, Device},
};
use machinery::quantity::Quantity;
use serde_json::{Value, json};

use crate::inventory::Pool;

/// Most devices of a ResourcePool of dra-evolution.
const POOL_DEVICES_MAX: usize = 128;
/// Longest string attribute, and longest name, of the prototypes.
const IDENTIFIER_MAX: usize = 32;

/// `ResourcePool`s of dra-evolution: as many as the number of devices needs. What devices share must be in one.
pub(super) fn resource_pools(pool: &Pool, node: &str) -> anyhow::Result<Vec<Value>> {
    let (devices, shared) = read(pool, node)?;
    let most = if shared.is_empty() { POOL_DEVICES_MAX } else { devices.len().max(1) };
    let shared: Vec<Value> = amounts(&shared).map(|(name, amount)| json!({"name": name, "capacity": amount})).collect();
    let device = |device: &Device| {
        let consumed = consumed(&device.consumes).map(|(name, amount)| json!({"name": name, "capacity": amount}));
        let attributes = properties(device).map(|(name, value)| match value {
            Attribute::Quantity(amount) => json!({"name": name, "quantity": amount.to_string()}),
            Attribute::Bool(value) => json!({"name": name, "bool": value}),
            Attribute::Version(version) => json!({"name": name, "version": version}),
            // There are no numbers among the types of attributes.
            Attribute::Int(number) => json!({"name": name, "quantity": number.to_string()}),
            other => json!({"name": name, "string": plain(&other)}),
        });
        with_list(
            json!({"name": device.name}),
            [("attributes", attributes.collect()), ("sharedCapacityConsumed", consumed.collect())],
        )
    };
    let mut parts: Vec<&[Device]> = devices.chunks(most).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let document = |(index, devices): (usize, &[Device])| {
        let spec = json!({"nodeName": node, "driverName": pool.driver});
        json!({
            "apiVersion": "resource.k8s.io/v1alpha2",
            "kind": "ResourcePool",
            "metadata": {"name": name(pool, node, index)},
            "spec": with_list(spec, [
                ("sharedCapacity", shared.clone()),
                ("devices", devices.iter().map(device).collect()),
            ]),
        })
    };
    Ok(parts.into_iter().enumerate().map(document).collect())
}

/// The one `DevicePool` of k8srm-prototype.
pub(super) fn device_pools(pool: &Pool, node: &str) -> anyhow::Result<Vec<Value>> {
    let (devices, shared) = read(pool, node)?;
    let shared = amounts(&shared).map(|(name, amount)| json!({"name": name, "capacity": amount})).collect();
    let device = |device: &Device| {
        let attributes = properties(device).map(|(name, value)| match value {
            Attribute::Quantity(amount) => json!({"name": name, "quantityValue": amount.to_string()}),
            Attribute::Version(version) => json!({"name": name, "semVerValue": version}),
            Attribute::Int(number) => json!({"name": name, "intValue": number}),
            other => json!({"name": name, "stringValue": plain(&other)}),
        });
        let mut document = with_list(json!({"name": device.name}), [("attributes", attributes.collect())]);
        let consumed: BTreeMap<String, String> = consumed(&device.consumes).collect();
        if !consumed.is_empty() {
            document["sharedResourcesConsumed"] = json!(consumed);
        }
        document
    };
    let spec = with_list(
        json!({"nodeName": node, "driver": pool.driver}),
        [("sharedResources", shared), ("devices", devices.iter().map(device).collect())],
    );
    Ok(vec![json!({
        "apiVersion": "devmgmtproto.k8s.io/v1alpha1",
        "kind": "DevicePool",
        "metadata": {"name": name(pool, node, 0)},
        "spec": spec,
    })])
}

/// `<node>-<driver>`, and a number from the second object on.
fn name(pool: &Pool, node: &str, index: usize) -> String {
    let stem = format!("{node}-{}", pool.driver.replace('/', "-"));
    let stem = if pool.name == node { stem } else { format!("{stem}-{}", pool.name) };
    if index == 0 { stem } else { format!("{stem}-{index}") }
}

fn read(pool: &Pool, node: &str) -> anyhow::Result<(Vec<Device>, Vec<CounterSet>)> {
    let mut devices = Vec::new();
    let mut counters = Vec::new();
    for document in super::slices(pool, node, super::Naming::Numbered) {
        for slice in convert::slices(&document).with_context(|| format!("pool {}", pool.name))? {
            devices.extend(slice.devices);
            counters.extend(slice.counter_sets);
        }
    }
    Ok((devices, counters))
}

/// Counters of all sets under names that tell the sets apart, which the prototypes do not have.
fn amounts(sets: &[CounterSet]) -> impl Iterator<Item = (String, String)> {
    let named = |set: &CounterSet| counters(&set.name, &set.counters);
    sets.iter().flat_map(named).collect::<Vec<_>>().into_iter()
}

fn consumed(consumes: &[CounterConsumption]) -> impl Iterator<Item = (String, String)> {
    let named = |one: &CounterConsumption| counters(&one.counter_set, &one.counters);
    consumes.iter().flat_map(named).collect::<Vec<_>>().into_iter()
}

fn counters(set: &str, counters: &BTreeMap<String, Quantity>) -> Vec<(String, String)> {
    let stem = set.strip_suffix("-counters").unwrap_or(set);
    counters.iter().map(|(name, amount)| (format!("{stem}-{name}"), amount.to_string())).collect()
}

/// Attributes, and capacity as attributes of type quantity, under names that the prototypes allow.
fn properties(device: &Device) -> impl Iterator<Item = (String, Attribute)> {
    let capacity =
        device.capacity.iter().map(|(name, capacity)| (name.clone(), Attribute::Quantity(capacity.value.clone())));
    let attributes = device.attributes.iter().map(|(name, value)| (name.clone(), value.clone()));
    let fits =
        |(name, _): &(String, Attribute)| name.rsplit('/').next().is_some_and(|last| last.len() <= IDENTIFIER_MAX);
    attributes.chain(capacity).filter(fits).collect::<Vec<_>>().into_iter()
}

/// A value as text.
fn plain(value: &Attribute) -> String {
    match value {
        Attribute::String(text) | Attribute::Version(text) => text.clone(),
        Attribute::Bool(value) => value.to_string(),
        Attribute::Int(number) => number.to_string(),
        Attribute::Quantity(amount) => amount.to_string(),
        Attribute::Strings(all) | Attribute::Versions(all) => all.join(","),
        Attribute::Ints(all) => all.iter().map(i64::to_string).collect::<Vec<_>>().join(","),
        Attribute::Bools(all) => all.iter().map(bool::to_string).collect::<Vec<_>>().join(","),
        Attribute::Unknown => String::new(),
    }
}

/// Adds lists that are not empty.
fn with_list<const N: usize>(mut object: Value, lists: [(&str, Vec<Value>); N]) -> Value {
    for (name, list) in lists {
        if !list.is_empty() {
            object[name] = json!(list);
        }
    }
    object
}
