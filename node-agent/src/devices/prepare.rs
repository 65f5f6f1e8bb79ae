//! Preparing the claims of a pod, and taking that back, in the order of the kubelet's DRA manager.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    convert,
    hub::{Allocation, DeviceResult},
};
use cluster::{Generation, Key, generation};
use machinery::{field::quote, meta};
use serde_json::Value;

use super::{
    NodeDevices, PodClaim,
    emulation::{self, Claim},
    ledger::{ClaimKey, Ledger, PreparedDevice},
    reference::{ClaimReference, claim_references, full_name},
};

/// A claim that a pod may use.
struct Checked {
    entry: String,
    key: ClaimKey,
    document: Value,
    allocation: Allocation,
    /// Drivers that take part in preparing it.
    drivers: BTreeSet<String>,
}

/// What a driver answers for each claim, by UID.
type Answers = BTreeMap<String, Result<Vec<PreparedDevice>, String>>;

impl NodeDevices {
    /// Prepares the claims of a pod. What is prepared already stays; the text of an error is the kubelet's.
    pub(crate) async fn prepare(&self, pod: &Value) -> Result<Vec<PodClaim>, String> {
        let references = claim_references(pod)?;
        if references.is_empty() {
            return Ok(Vec::new());
        }
        let delay = self.faults().prepare_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut claims = Vec::with_capacity(references.len());
        for reference in &references {
            claims.push(self.check(pod, reference).await?);
        }
        let mut ledger = self.ledger.lock().await;
        let mut waiting = Vec::new();
        for claim in &claims {
            if ledger.admit(&claim.key, meta::uid(&claim.document), meta::uid(pod), &claim.drivers)? {
                waiting.push(claim);
            }
        }
        self.save(&ledger)?;
        self.call_drivers(&mut ledger, &waiting).await?;
        if !waiting.is_empty() {
            self.save(&ledger)?;
        }
        let drivers = |key: &ClaimKey| ledger.get(key).map(|info| info.drivers.clone()).unwrap_or_default();
        Ok(claims
            .into_iter()
            .map(|claim| PodClaim { entry: claim.entry, drivers: drivers(&claim.key), key: claim.key })
            .collect())
    }

    /// Reads a claim and finds out whether the pod may use it here.
    async fn check(&self, pod: &Value, reference: &ClaimReference) -> Result<Checked, String> {
        let name = &reference.name;
        let (generation, document) = self.fetch(meta::namespace(pod), reference).await?;
        if reference.owned && !meta::controller(&document).is_some_and(|owner| owner["uid"] == meta::uid(pod)) {
            return Err(format!(
                "ResourceClaim {} was not created for Pod {} (Pod is not owner)",
                full_name(&document),
                full_name(pod)
            ));
        }
        if !convert::is_reserved(&document, pod) {
            return Err(format!(
                "pod {} ({}) is not allowed to use ResourceClaim {name} ({})",
                meta::name(pod),
                meta::uid(pod),
                meta::uid(&document)
            ));
        }
        let allocation = convert::allocation(&document).map_err(|error| format!("ResourceClaim {name}: {error}"))?;
        let allocation = allocation.ok_or_else(|| format!("ResourceClaim {name}: not allocated"))?;
        let all: BTreeSet<&str> = allocation.results.iter().map(|result| result.id.driver.as_str()).collect();
        let drivers: BTreeSet<String> =
            all.into_iter().filter(|driver| !skips_node(&allocation.results, driver)).map(str::to_owned).collect();
        for driver in &drivers {
            if !self.machine.has_driver(driver) {
                return Err(format!("DRA driver {driver} is not registered"));
            }
        }
        let key = (meta::namespace(&document).to_owned(), name.clone(), generation.name.to_owned());
        Ok(Checked { entry: reference.entry.clone(), key, document, allocation, drivers })
    }

    /// The claim as it is now, in whichever generation of API it is found first.
    async fn fetch(&self, namespace: &str, reference: &ClaimReference) -> Result<(Generation, Value), String> {
        let name = &reference.name;
        let generations: &[Generation] = if reference.k8srm { &[generation::K8SRM] } else { &generation::ALL };
        for generation in generations {
            let found = self.writer.get(generation.claim, &Key::new(namespace, name)).await;
            match found.map_err(|error| format!("fetch ResourceClaim {name}: {error}"))? {
                // A server may answer with a claim of another generation that has the name.
                Some(document) => {
                    let kind = cluster::Kind::of(&document).and_then(Generation::of);
                    return Ok((kind.unwrap_or(*generation), document));
                }
                None => continue,
            }
        }
        let plural = generations.first().map_or("", |generation| generation.claim.plural);
        let group = generations.first().map_or("", |generation| generation.claim.group);
        Err(format!("fetch ResourceClaim {name}: {plural}.{group} {} not found", quote(name)))
    }

    /// Calls each driver once, with all claims that it must prepare.
    async fn call_drivers(&self, ledger: &mut Ledger, claims: &[&Checked]) -> Result<(), String> {
        let drivers: BTreeSet<&String> = claims.iter().flat_map(|claim| &claim.drivers).collect();
        for driver in drivers {
            let wanted: Vec<&&Checked> = claims.iter().filter(|claim| claim.drivers.contains(driver)).collect();
            let mut answers = self.node_prepare(driver, &wanted);
            for claim in &wanted {
                let name = &claim.key.1;
                match answers.remove(meta::uid(&claim.document)) {
                    Some(Ok(devices)) => ledger.store(&claim.key, driver, devices),
                    Some(Err(text)) => {
                        return Err(format!("NodePrepareResources failed for ResourceClaim {name}: {text}"));
                    }
                    None => return Err("NodePrepareResources skipped 1 ResourceClaims".to_owned()),
                }
            }
            if let Some(uid) = answers.keys().next() {
                return Err(format!("NodePrepareResources returned result for unknown claim UID {uid}"));
            }
        }
        claims.iter().for_each(|claim| ledger.set_prepared(&claim.key));
        Ok(())
    }

    /// What an emulated driver does when it is called.
    fn node_prepare(&self, driver: &str, claims: &[&&Checked]) -> Answers {
        claims.iter().map(|claim| (meta::uid(&claim.document).to_owned(), self.emulate(driver, claim))).collect()
    }

    fn emulate(&self, driver: &str, claim: &Checked) -> Result<Vec<PreparedDevice>, String> {
        let uid = meta::uid(&claim.document);
        let faults = self.faults();
        for result in claim.allocation.results.iter().filter(|result| result.id.driver == driver) {
            let id = &result.id;
            if let Some(message) = faults.fail_prepare.message(&id.pool, &id.device) {
                return Err(format!("prepare device {}: {message}", id.device));
            }
            if self.machine.publishes(driver, &id.pool) && !self.machine.devices.contains_key(id) {
                return Err(format!(
                    "error preparing devices for claim {uid}: prepare failed: requested device is not allocatable: {}",
                    id.device
                ));
            }
        }
        let view = Claim { uid, allocation: &claim.allocation, node: &self.machine.name };
        let preparation = emulation::prepare(&view, driver, &|result| self.machine.devices.get(&result.id))?;
        let write = |spec, name| self.cdi.write(spec, name).map_err(|error| format!("write CDI spec: {error}"));
        if let Some(shared) = &preparation.shared {
            write(shared, "common")?;
        }
        write(&preparation.spec, uid)?;
        Ok(preparation.devices)
    }

    /// Takes back what was prepared for a pod.
    pub(crate) async fn unprepare(&self, pod_uid: &str) -> Result<(), String> {
        let mut ledger = self.ledger.lock().await;
        let keys = ledger.of_pod(pod_uid);
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            if ledger.is_last(&key, pod_uid) {
                let info = ledger.get(&key).cloned().unwrap_or_default();
                for (driver, devices) in &info.drivers {
                    self.node_unprepare(driver, &info.uid, devices)
                        .map_err(|text| format!("NodeUnprepareResources failed for ResourceClaim {}: {text}", key.1))?;
                }
            }
            ledger.release(&key, pod_uid);
        }
        self.save(&ledger)
    }

    /// What an emulated driver does when it is called.
    fn node_unprepare(&self, driver: &str, uid: &str, devices: &[PreparedDevice]) -> Result<(), String> {
        let faults = self.faults();
        for device in devices {
            if let Some(message) = faults.fail_unprepare.message(&device.pool_name, &device.device_name) {
                return Err(format!("unprepare device {}: {message}", device.device_name));
            }
        }
        self.cdi.remove(&emulation::kind(driver), uid).map_err(|error| format!("remove CDI spec: {error}"))
    }
}

/// Whether nothing is to be done on the node for any device of a driver (KEP-5945).
fn skips_node(results: &[DeviceResult], driver: &str) -> bool {
    let skips = |result: &DeviceResult| {
        result.skip_node_operations.iter().any(|one| one == "NodePrepareResources" || one == "*")
    };
    results.iter().filter(|result| result.id.driver == driver).all(skips)
}
