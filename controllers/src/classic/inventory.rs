//! What the emulated drivers have on which nodes: the devices that their plugins publish.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{
    convert,
    hub::{self, Device, NodeScope},
};
use cluster::{Kind, generation, kind};
use machinery::meta;
use serde_json::Value;

/// Kinds in which plugins publish devices.
pub(super) const KINDS: [Kind; 3] = [generation::GA.pool, kind::NAMED_RESOURCE_SLICE, generation::EVOLUTION.pool];

/// A driver and a node; no node for what every node can use.
pub(super) type Place = (String, String);

/// What publishes devices, by driver and node. Devices are read from it when somebody asks: a cluster of today has very
/// many of them, and no classic driver that would.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    places: BTreeMap<Place, BTreeMap<(Kind, String), Arc<Value>>>,
}

impl Inventory {
    /// Takes in what an object publishes, after taking out what it published before. Gives back the drivers it is about.
    pub(super) fn change(
        &mut self,
        of: Kind,
        before: Option<&Arc<Value>>,
        after: Option<&Arc<Value>>,
    ) -> BTreeSet<String> {
        let mut drivers = BTreeSet::new();
        for slice in before.into_iter().flat_map(|object| slices(object)) {
            if let Some(place) = place(&slice.driver, &slice.nodes) {
                drivers.insert(slice.driver.clone());
                let empty = self.places.get_mut(&place).is_some_and(|published| {
                    published.remove(&(of, slice.name.clone()));
                    published.is_empty()
                });
                if empty {
                    self.places.remove(&place);
                }
            }
        }
        if let Some(object) = after {
            for slice in slices(object) {
                if let Some(place) = place(&slice.driver, &slice.nodes) {
                    drivers.insert(slice.driver.clone());
                    self.places.entry(place).or_default().insert((of, slice.name), object.clone());
                }
            }
        }
        drivers
    }

    /// Whether a plugin of the driver is anywhere.
    pub(super) fn has(&self, driver: &str) -> bool {
        self.places.range((driver.to_owned(), String::new())..).next().is_some_and(|((of, _), _)| of == driver)
    }

    /// The nodes where a driver has devices, by name.
    pub(super) fn nodes<'a>(&'a self, driver: &'a str) -> impl Iterator<Item = &'a str> {
        let places = self.places.range((driver.to_owned(), String::new())..);
        places.take_while(move |((of, _), _)| of == driver).map(|((_, node), _)| node.as_str())
    }

    /// The devices that a node can use, its own first.
    pub(super) fn devices(&self, driver: &str, node: &str) -> Vec<Device> {
        let mut devices = Vec::new();
        let mut places = vec![(driver.to_owned(), node.to_owned())];
        if !node.is_empty() {
            places.push((driver.to_owned(), String::new()));
        }
        for wanted in &places {
            for ((_, name), object) in self.places.get(wanted).into_iter().flatten() {
                let there = |slice: &hub::Slice| {
                    slice.name == *name && place(&slice.driver, &slice.nodes).as_ref() == Some(wanted)
                };
                devices.extend(slices(object).into_iter().filter(there).flat_map(|slice| slice.devices));
            }
        }
        devices
    }
}

fn slices(object: &Value) -> Vec<hub::Slice> {
    convert::slices(object).unwrap_or_else(|error| {
        tracing::warn!("{} {} is left out: {error}", meta::kind(object), meta::name(object));
        Vec::new()
    })
}

/// Where a slice's devices are; `None` where that is more complicated than classic drivers are.
fn place(driver: &str, nodes: &NodeScope) -> Option<Place> {
    let node = match nodes {
        NodeScope::Node(node) => node.clone(),
        NodeScope::All => String::new(),
        NodeScope::Nowhere | NodeScope::Selector(_) | NodeScope::PerDevice => return None,
    };
    Some((driver.to_owned(), node))
}
