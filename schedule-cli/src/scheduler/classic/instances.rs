//! What drivers publish in ResourceSlices of Kubernetes 1.30.

use std::collections::BTreeMap;

use api::{convert, hub::Device};
use cluster::{Change, kind};
use machinery::meta;
use serde_json::Value;

/// A driver and a node; no node for what all of them can use.
type Place = (String, String);

/// Instances by driver and node. All slices of a driver on a node add up.
#[derive(Default)]
pub(in crate::scheduler) struct Instances {
    slices: BTreeMap<Place, BTreeMap<String, Vec<Device>>>,
    places: BTreeMap<String, Place>,
}

impl Instances {
    /// Takes a change in.
    pub(in crate::scheduler) fn apply(&mut self, change: &Change) {
        match change {
            Change::Listed(of, documents) if *of == kind::NAMED_RESOURCE_SLICE => {
                *self = Self::default();
                documents.iter().for_each(|document| self.learn(document));
            }
            Change::Applied(of, document) if *of == kind::NAMED_RESOURCE_SLICE => {
                self.forget(document);
                self.learn(document);
            }
            Change::Deleted(of, document) if *of == kind::NAMED_RESOURCE_SLICE => self.forget(document),
            _ => {}
        }
    }

    fn learn(&mut self, document: &Value) {
        let slices = match convert::slices(document) {
            Ok(slices) => slices,
            Err(error) => {
                tracing::warn!("ResourceSlice {} is left out: {error}", meta::name(document));
                return;
            }
        };
        for slice in slices {
            let place = (slice.driver, slice.pool);
            self.places.insert(slice.name.clone(), place.clone());
            self.slices.entry(place).or_default().insert(slice.name, slice.devices);
        }
    }

    fn forget(&mut self, document: &Value) {
        let name = meta::name(document);
        let Some(place) = self.places.remove(name) else { return };
        if let Some(slices) = self.slices.get_mut(&place) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices.remove(&place);
            }
        }
    }

    /// The instances of a driver on a node, in the order of the names of the slices; `None` when it has none there.
    pub(super) fn of(&self, driver: &str, node: &str) -> Option<Vec<&Device>> {
        let slices = self.slices.get(&(driver.to_owned(), node.to_owned()))?;
        Some(slices.values().flatten().collect())
    }
}
