//! What claims hold of the emulated drivers' devices, written or on its way to be.

use std::collections::{BTreeMap, BTreeSet};

use api::{classic::HandleDevice, convert};
use machinery::meta;
use serde_json::Value;

use super::{inventory::Place, model::Held};

/// Holdings by driver and node, and by the uid of the claim.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: BTreeMap<Place, Held>,
    places: BTreeMap<String, BTreeSet<Place>>,
    /// Claims whose allocation is being written; what the cluster says of them is old.
    open: BTreeSet<String>,
}

impl Ledger {
    /// What is held of a driver on a node, what every node can use included.
    pub(super) fn held(&self, driver: &str, node: &str) -> Held {
        let mut held = self.held.get(&(driver.to_owned(), node.to_owned())).cloned().unwrap_or_default();
        if let Some(shared) = self.held.get(&(driver.to_owned(), String::new())) {
            held.extend(shared.iter().map(|(uid, devices)| (uid.clone(), devices.clone())));
        }
        held
    }

    /// Notes what a claim holds according to the cluster. True when it lets go of something.
    pub(super) fn observe(&mut self, claim: &Value, exists: bool) -> bool {
        let uid = meta::uid(claim);
        if self.open.contains(uid) {
            return false;
        }
        let had = self.release(uid);
        if !exists {
            return had;
        }
        let mut holds = false;
        for (place, devices) in holdings(claim) {
            holds = true;
            self.hold(uid, place, devices);
        }
        had && !holds
    }

    /// Takes devices for a claim whose allocation is about to be written.
    pub(super) fn open(&mut self, uid: &str, place: Place, devices: Vec<HandleDevice>) {
        self.open.insert(uid.to_owned());
        self.hold(uid, place, devices);
    }

    /// The allocation is written, or could not be.
    pub(super) fn close(&mut self, uid: &str, written: bool) {
        self.open.remove(uid);
        if !written {
            self.release(uid);
        }
    }

    fn hold(&mut self, uid: &str, place: Place, devices: Vec<HandleDevice>) {
        self.places.entry(uid.to_owned()).or_default().insert(place.clone());
        self.held.entry(place).or_default().insert(uid.to_owned(), devices);
    }

    fn release(&mut self, uid: &str) -> bool {
        let places = self.places.remove(uid).unwrap_or_default();
        for place in &places {
            if let Some(held) = self.held.get_mut(place) {
                held.remove(uid);
                if held.is_empty() {
                    self.held.remove(place);
                }
            }
        }
        !places.is_empty()
    }
}

/// What a claim holds, whoever allocated it.
fn holdings(claim: &Value) -> BTreeMap<Place, Vec<HandleDevice>> {
    let mut holdings: BTreeMap<Place, Vec<HandleDevice>> = BTreeMap::new();
    for handle in claim["status"]["allocation"]["resourceHandles"].as_array().into_iter().flatten() {
        let driver = handle["driverName"].as_str().or_else(|| claim["status"]["driverName"].as_str());
        let data = handle["data"].as_str().and_then(api::classic::HandleData::parse);
        if let (Some(driver), Some(data)) = (driver, data) {
            holdings.entry((driver.to_owned(), data.node)).or_default().extend(data.devices);
            continue;
        }
    }
    if holdings.is_empty() {
        for result in convert::allocated_devices(claim).unwrap_or_default() {
            let device = HandleDevice { name: result.id.device, ..HandleDevice::default() };
            holdings.entry((result.id.driver, result.id.pool)).or_default().push(device);
        }
    }
    holdings
}
