//! Pools: their devices, and what those share.

use std::collections::BTreeMap;

use machinery::{meta, quantity::Quantity};
use serde_json::Value;

use super::{
    super::read::{self, Result},
    driver_of,
};
use crate::hub::{Attribute, CounterConsumption, CounterSet, Device, NodeScope, Slice};

/// The counter set that a pool's shared resources become.
const SHARED: &str = "shared";

/// A `DevicePool`: a slice with the devices, and one with what they share.
pub(in crate::convert) fn slices(pool: &Value) -> Result<Vec<Slice>> {
    let name = meta::name(pool);
    read::within(pool, "spec", |spec| {
        let driver = driver_of(spec)?;
        let node = read::optional_text(spec, "nodeName")?.filter(|node| !node.is_empty());
        let nodes = node.map_or(NodeScope::All, |node| NodeScope::Node(node.to_owned()));
        let shared = capacities(spec, "sharedResources")?;
        let inherited = attributes(spec)?;
        let devices = read::each(spec, "devices", |one| device(one, &inherited, &shared))?;
        let amounts: BTreeMap<String, Quantity> =
            shared.into_iter().map(|(name, capacity)| (name, capacity.amount)).collect();
        let part = |name: String, slice_count| Slice {
            name,
            driver: driver.clone(),
            pool: meta::name(pool).to_owned(),
            generation: 1,
            slice_count: Some(slice_count),
            nodes: nodes.clone(),
            ..Slice::default()
        };
        if amounts.is_empty() {
            return Ok(vec![Slice { devices, ..part(name.to_owned(), 1) }]);
        }
        let counter_sets = vec![CounterSet { name: SHARED.to_owned(), counters: amounts }];
        Ok(vec![
            Slice { devices, ..part(name.to_owned(), 2) },
            Slice { counter_sets, ..part(format!("{name}/{SHARED}"), 2) },
        ])
    })
}

/// An amount, and the block in which it is cut.
struct BlockedAmount {
    amount: Quantity,
    block: Option<Quantity>,
}

/// A list of named capacities, or a map from name to amount.
fn capacities(owner: &Value, name: &str) -> Result<BTreeMap<String, BlockedAmount>> {
    if owner.get(name).is_some_and(Value::is_object) {
        let whole = |amount| BlockedAmount { amount, block: None };
        return Ok(read::quantities(owner, name)?.into_iter().map(|(name, amount)| (name, whole(amount))).collect());
    }
    let listed = read::each(owner, name, |entry| {
        let amount = read::member(entry, "capacity", read::quantity)?.unwrap_or_default();
        Ok((
            read::text(entry, "name")?,
            BlockedAmount { amount, block: read::member(entry, "blockSize", read::quantity)? },
        ))
    })?;
    Ok(listed.into_iter().collect())
}

fn attributes(owner: &Value) -> Result<BTreeMap<String, Attribute>> {
    let attributes = read::each(owner, "attributes", |attribute| {
        let value = if let Some(text) = read::optional_text(attribute, "stringValue")? {
            Attribute::String(text.to_owned())
        } else if let Some(number) = read::integer(attribute, "intValue")? {
            Attribute::Int(number)
        } else if let Some(amount) = read::member(attribute, "quantityValue", read::quantity)? {
            Attribute::Quantity(amount)
        } else if let Some(version) = read::optional_text(attribute, "semVerValue")? {
            Attribute::Version(version.to_owned())
        } else {
            Attribute::Unknown
        };
        Ok((read::text(attribute, "name")?, value))
    })?;
    Ok(attributes.into_iter().collect())
}

fn device(
    device: &Value,
    inherited: &BTreeMap<String, Attribute>,
    shared: &BTreeMap<String, BlockedAmount>,
) -> Result<Device> {
    let mut all = inherited.clone();
    all.extend(attributes(device)?);
    let consumed = read::quantities(device, "sharedResourcesConsumed")?;
    let counters: BTreeMap<String, Quantity> = consumed
        .into_iter()
        .map(|(name, amount)| {
            let name = known_name(name, shared);
            let amount = match shared.get(&name).and_then(|capacity| capacity.block.as_ref()) {
                Some(block) => round_up(&amount, block),
                None => amount,
            };
            (name, amount)
        })
        .collect();
    let consumption = CounterConsumption { counter_set: SHARED.to_owned(), counters, ..CounterConsumption::default() };
    let provided = capacities(device, "claimResourcesProvided")?;
    Ok(Device {
        name: read::text(device, "name")?,
        attributes: all,
        consumes: if consumption.counters.is_empty() { Vec::new() } else { vec![consumption] },
        provides: provided.into_iter().map(|(name, capacity)| (name, capacity.amount)).collect(),
        ..Device::default()
    })
}

/// Upstream's generator calls a resource `memory-slices-0` in the pool and `memory-slices-00` in its devices.
fn known_name(name: String, shared: &BTreeMap<String, BlockedAmount>) -> String {
    if shared.contains_key(&name) {
        return name;
    }
    let Some((stem, number)) = name.rsplit_once('-') else { return name };
    let Ok(number) = number.parse::<u32>() else { return name };
    let short = format!("{stem}-{number}");
    if shared.contains_key(&short) { short } else { name }
}

/// The amount in whole blocks.
fn round_up(amount: &Quantity, block: &Quantity) -> Quantity {
    let (wanted, block) = (i128::from(amount.milli_value()), i128::from(block.milli_value()));
    if block <= 0 || wanted <= 0 {
        return amount.clone();
    }
    let rounded = (wanted + block - 1) / block * block;
    i64::try_from(rounded).map_or_else(|_| amount.clone(), |milli| Quantity::from_milli(milli, amount.format()))
}
