//! The devices of one node: which claims its pods may use, and what drivers make of them.

pub(crate) mod cdi;
pub(crate) mod emulation;
pub(crate) mod faults;
pub(crate) mod ledger;
mod metadata;
pub(crate) mod prepare;
pub(crate) mod reference;
mod turns;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use api::{
    convert,
    hub::{Attribute, Device, DeviceId},
};
use cluster::{Writer, kind};
use serde_json::{Map, Value, json};

use crate::{
    inventory::Machine,
    plugin::{Driver, Plugins},
    publish,
};
use cdi::{Directory, Edits};
use emulation::Emulated;
use faults::Faults;
use ledger::{ClaimKey, Ledger, PreparedDevice};
use turns::Turns;

/// Name of the checkpoint in the directory of a node.
const CHECKPOINT: &str = "dra_manager_state";
/// Name of the directory of CDI specifications in that of a node.
const CDI: &str = "cdi";

/// The devices of one node.
pub(crate) struct NodeDevices {
    machine: Arc<Machine>,
    writer: Writer,
    directory: PathBuf,
    cdi: Directory,
    faults: Mutex<Faults>,
    ledger: Mutex<Ledger>,
    turns: Turns,
    /// Drivers that have registered.
    pub(crate) plugins: Arc<Plugins>,
}

/// A claim that is prepared for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodClaim {
    /// Name of the pod's entry.
    pub entry: String,
    /// Which claim.
    pub key: ClaimKey,
    /// Its devices by driver.
    pub drivers: BTreeMap<String, Vec<PreparedDevice>>,
}

impl NodeDevices {
    /// The devices of a machine, as they were left in `directory` by an earlier process.
    pub(crate) fn open(
        machine: Arc<Machine>,
        writer: Writer,
        directory: PathBuf,
        plugins: Arc<Plugins>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let path = directory.join(CHECKPOINT);
        let ledger = match std::fs::read_to_string(&path) {
            Ok(text) => Ledger::decode(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ledger::default(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self {
            machine,
            writer,
            cdi: Directory::new(directory.join(CDI)),
            directory,
            faults: Mutex::default(),
            ledger: Mutex::new(ledger),
            turns: Turns::default(),
            plugins,
        })
    }

    /// The driver of a name, if it can be called: one that has registered, or one that the inventory lists.
    pub(crate) fn driver(&self, name: &str) -> Option<Driver> {
        let registered = self.plugins.find(name);
        registered.or_else(|| {
            let listed = self.machine.has_driver(name);
            listed.then(|| Driver::Emulated(Arc::new(Emulated::of_inventory(name, self.machine.devices.clone()))))
        })
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong now.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what is to go wrong. False: it is so already.
    pub(crate) fn set_faults(&self, faults: Faults) -> bool {
        let mut now = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *now != faults;
        *now = faults;
        changed
    }

    /// Pods that use claims according to the checkpoint.
    pub(crate) fn pods(&self) -> Vec<String> {
        self.ledger().pods().into_iter().collect()
    }

    /// What a container of a pod gets with these claims.
    pub(crate) fn edits(&self, claims: &[PodClaim], container: &Value) -> Result<Edits, String> {
        self.cdi.edits(&cdi_ids(claims, container))
    }

    /// Health of a device, and why.
    pub(crate) fn health(&self, id: &DeviceId) -> (&'static str, String) {
        match (self.faults().unhealthy.message(&id.pool, &id.device), self.driver(&id.driver)) {
            (Some(message), _) => ("Unhealthy", message.to_owned()),
            (None, Some(Driver::Emulated(_))) => ("Healthy", String::new()),
            (None, _) => {
                let said = self.plugins.health.of(&id.driver, &id.pool, &id.device, tokio::time::Instant::now());
                said.unwrap_or_else(|| ("Unknown", String::new()))
            }
        }
    }

    /// A device as its driver published it here.
    pub(crate) fn published(&self, driver: &str, device: &PreparedDevice) -> Option<(DeviceId, Device)> {
        let id = device.id(driver);
        let emulated = match self.plugins.find(driver) {
            Some(Driver::Emulated(emulated)) => emulated.devices.get(&id).cloned(),
            _ => None,
        };
        let published = emulated.or_else(|| self.machine.devices.get(&id).cloned())?;
        Some((id, published))
    }

    /// The devices that a driver in a process of its own has published for this node: only the server knows them.
    pub(crate) async fn published_by_remote(&self, driver: &str) -> BTreeMap<DeviceId, Device> {
        if !matches!(self.plugins.find(driver), Some(Driver::Remote(_))) {
            return BTreeMap::new();
        }
        let path = publish::slices_path(&self.machine.name, Some(driver));
        // A driver may call itself something that makes no path; then nobody has slices of it.
        let Ok(request) = http::Request::get(path).body(Vec::new()) else { return BTreeMap::new() };
        let mut list: Value = match self.writer.client().request(request).await {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(driver, %error, "what a driver publishes is not known");
                return BTreeMap::new();
            }
        };
        let mut items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for slice in &mut items {
            // What is in a list does not say what it is.
            slice["apiVersion"] = json!(kind::RESOURCE_SLICE.api_version());
            slice["kind"] = json!(kind::RESOURCE_SLICE.kind);
        }
        let slices = items.iter().filter_map(|slice| convert::slices(slice).ok());
        let devices = slices.flatten().flat_map(|slice| {
            let id = move |device: &Device| DeviceId {
                driver: slice.driver.clone(),
                pool: slice.pool.clone(),
                device: device.name.clone(),
            };
            slice.devices.into_iter().map(move |device| (id(&device), device))
        });
        devices.collect()
    }

    /// Whether it is on us to say in the status of claims that the devices of a driver are ready.
    pub(crate) fn reports(&self, driver: &str) -> bool {
        matches!(self.driver(driver), Some(Driver::Emulated(emulated)) if emulated.reports)
    }

    /// What is known of a device, for the status of its claim: its attributes that identify it.
    pub(crate) fn data(&self, driver: &str, device: &PreparedDevice) -> Option<Value> {
        const IDENTIFYING: [&str; 4] = ["uuid", "model", "productName", "driverVersion"];
        let (_, published) = self.published(driver, device)?;
        let attribute = |name: &&str| {
            let value = match published.attributes.get(*name)? {
                Attribute::String(text) => json!({"string": text}),
                Attribute::Version(version) => json!({"version": version}),
                _ => return None,
            };
            Some(((*name).to_owned(), value))
        };
        let data: Map<String, Value> = IDENTIFYING.iter().filter_map(attribute).collect();
        (!data.is_empty()).then_some(Value::Object(data))
    }

    fn save(&self, ledger: &Ledger) -> Result<(), String> {
        cdi::rewrite_atomically(&self.directory.join(CHECKPOINT), ledger.encode().as_bytes())
            .map_err(|error| format!("write DRA checkpoint: {error}"))
    }
}

/// The CDI IDs that a container gets: of each claim it uses, the devices of the request it names, or all.
pub(crate) fn cdi_ids(claims: &[PodClaim], container: &Value) -> Vec<String> {
    devices_of(claims, container).flat_map(|(_, _, device)| device.cdi_device_ids.iter().cloned()).collect()
}

/// The devices that a container may use: name of the claim's entry (with the request, when the container names one),
/// driver and device.
pub(crate) fn devices_of<'a>(
    claims: &'a [PodClaim],
    container: &Value,
) -> impl Iterator<Item = (String, &'a str, &'a PreparedDevice)> {
    reference::uses(container).into_iter().flat_map(move |(entry, request)| {
        let label = match &request {
            Some(request) => format!("{entry}/{request}"),
            None => entry.clone(),
        };
        let of_entry = claims.iter().filter(move |claim| claim.entry == entry);
        let all = of_entry.flat_map(|claim| &claim.drivers);
        all.flat_map(|(driver, devices)| devices.iter().map(move |device| (driver.as_str(), device)))
            .filter(move |(_, device)| match &request {
                Some(request) => device.request_names.is_empty() || device.request_names.contains(request),
                None => true,
            })
            .map(move |(driver, device)| (label.clone(), driver, device))
            .collect::<Vec<_>>()
    })
}
