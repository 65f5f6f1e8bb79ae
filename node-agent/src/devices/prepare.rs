//! Preparing the claims of a pod, and taking that back, in the order of the kubelet's DRA manager.

use std::collections::BTreeSet;

use api::{
    convert,
    hub::{Allocation, DeviceResult},
};
use cluster::{Generation, Key, generation};
use machinery::{field::quote, meta};
use serde_json::Value;

use super::{
    NodeDevices, PodClaim,
    emulation::{Claim, Emulated},
    ledger::{ClaimKey, PreparedDevice},
    metadata::Metadata,
    reference::{ClaimReference, claim_references, full_name},
};
use crate::plugin::{self, Driver, connection::BROKEN, remote::Answers, wire};

/// A claim that a pod may use.
struct Checked {
    entry: String,
    key: ClaimKey,
    document: Value,
    allocation: Allocation,
    /// Drivers that take part in preparing it.
    drivers: BTreeSet<String>,
}

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
        let _turn = self.turns.take(claims.iter().map(|claim| claim.key.clone()).collect()).await;
        let mut waiting = Vec::new();
        {
            let mut ledger = self.ledger();
            for claim in &claims {
                if ledger.admit(&claim.key, meta::uid(&claim.document), meta::uid(pod), &claim.drivers)? {
                    waiting.push(claim);
                }
            }
            // What emulated drivers do, a process that starts again does again; others must be asked to take it back.
            let emulated = |driver: &String| matches!(self.driver(driver), Some(Driver::Emulated(_)));
            if !waiting.iter().flat_map(|claim| &claim.drivers).all(emulated) || waiting.is_empty() {
                self.save(&ledger)?;
            }
        }
        if !waiting.is_empty() {
            self.call_drivers(&waiting).await?;
        }
        let ledger = self.ledger();
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
            if self.driver(driver).is_none() {
                return Err(unregistered(driver));
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

    /// Calls each driver once, with all claims that it must prepare. What was prepared stays, whatever fails.
    async fn call_drivers(&self, claims: &[&Checked]) -> Result<(), String> {
        let drivers: BTreeSet<&String> = claims.iter().flat_map(|claim| &claim.drivers).collect();
        for name in drivers {
            let wanted: Vec<&Checked> = claims.iter().copied().filter(|one| one.drivers.contains(name)).collect();
            let mut answers = match self.driver(name) {
                Some(Driver::Remote(remote)) => {
                    let request = wanted.iter().map(|claim| claim.wire()).collect();
                    remote.prepare(request).await.map_err(|error| format!("NodePrepareResources: {error}"))?
                }
                Some(Driver::Emulated(driver)) => self.node_prepare(&driver, &wanted)?,
                None => return Err(unregistered(name)),
            };
            let mut skipped = 0;
            for claim in &wanted {
                match answers.remove(meta::uid(&claim.document)) {
                    Some(Ok(devices)) => self.ledger().store(&claim.key, name, devices),
                    Some(Err(text)) => {
                        let claim = &claim.key.1;
                        return Err(format!("NodePrepareResources failed for ResourceClaim {claim}: {text}"));
                    }
                    None => skipped += 1,
                }
            }
            if let Some(uid) = answers.keys().next() {
                return Err(format!("NodePrepareResources returned result for unknown claim UID {uid}"));
            }
            if skipped > 0 {
                return Err(format!("NodePrepareResources skipped {skipped} ResourceClaims"));
            }
        }
        let mut ledger = self.ledger();
        claims.iter().for_each(|claim| ledger.set_prepared(&claim.key));
        self.save(&ledger)
    }

    /// What an emulated driver does when it is called.
    fn node_prepare(&self, driver: &Emulated, claims: &[&Checked]) -> Result<Answers<Vec<PreparedDevice>>, String> {
        driver.says_prepare(claims.len());
        let faults = self.faults();
        let mut devices = claims.iter().flat_map(|claim| &claim.allocation.results).map(|result| &result.id);
        if devices.any(|id| id.driver == driver.name && faults.crash_driver.message(&id.pool, &id.device).is_some()) {
            self.plugins.crash(&driver.name);
            return Err(format!("NodePrepareResources: {BROKEN}"));
        }
        let answer = |claim: &&Checked| {
            let uid = meta::uid(&claim.document).to_owned();
            let answer = self.emulate(driver, claim);
            driver.says_prepared(&claim.document, &answer);
            (uid, answer)
        };
        Ok(claims.iter().map(answer).collect())
    }

    fn emulate(&self, driver: &Emulated, claim: &Checked) -> Result<Vec<PreparedDevice>, String> {
        let uid = meta::uid(&claim.document);
        let faults = self.faults();
        let results = || claim.allocation.results.iter().filter(|result| result.id.driver == driver.name);
        for id in results().map(|result| &result.id) {
            if let Some(message) = faults.fail_prepare.message(&id.pool, &id.device) {
                return Err(format!("prepare device {}: {message}", id.device));
            }
            if driver.publishes(&id.pool) && !driver.devices.contains_key(id) {
                return Err(driver.unknown_device(&claim.document, &id.device));
            }
        }
        let view = Claim {
            uid,
            namespace: meta::namespace(&claim.document),
            name: meta::name(&claim.document),
            allocation: &claim.allocation,
            node: &self.machine.name,
        };
        let mut preparation = driver.prepare(&view)?;
        let write = |spec, name| self.cdi.write(spec, name).map_err(|error| format!("write CDI spec: {error}"));
        if let Some(shared) = &preparation.shared {
            write(shared, "common")?;
        }
        write(&preparation.spec, uid)?;
        if driver.metadata {
            let results: Vec<_> = results().map(|result| (result.request.clone(), result.id.clone())).collect();
            let written =
                self.metadata(&driver.name).write(&claim.document, &results, &driver.devices, &mut preparation);
            // The claim can be used without them, and drivers go on, too.
            if let Err(error) = written {
                tracing::warn!(uid, %error, "the metadata of devices is not written");
            }
        }
        Ok(preparation.devices)
    }

    fn metadata<'a>(&'a self, driver: &'a str) -> Metadata<'a> {
        Metadata { driver, directory: self.directory.join(plugin::PLUGINS).join(driver), cdi: &self.cdi }
    }

    /// Takes back what was prepared for a pod.
    pub(crate) async fn unprepare(&self, pod_uid: &str) -> Result<(), String> {
        let keys = self.ledger().of_pod(pod_uid);
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            let _turn = self.turns.take(BTreeSet::from([key.clone()])).await;
            let last = {
                let mut ledger = self.ledger();
                let last = ledger.is_last(&key, pod_uid);
                if last {
                    // Who wants the claim from now on must have it prepared again.
                    ledger.set_unprepared(&key);
                }
                last.then(|| ledger.get(&key).cloned().unwrap_or_default())
            };
            if let Some(info) = last {
                for (driver, devices) in &info.drivers {
                    self.unprepare_driver(driver, &key, &info.uid, devices).await?;
                }
            }
            let mut ledger = self.ledger();
            ledger.release(&key, pod_uid);
            self.save(&ledger)?;
        }
        Ok(())
    }

    async fn unprepare_driver(
        &self,
        name: &str,
        key: &ClaimKey,
        uid: &str,
        devices: &[PreparedDevice],
    ) -> Result<(), String> {
        let (namespace, claim, _) = key;
        let mut answers = match self.driver(name) {
            Some(Driver::Remote(remote)) => {
                let request = wire::Claim { namespace: namespace.clone(), uid: uid.to_owned(), name: claim.clone() };
                remote.unprepare(vec![request]).await.map_err(|error| format!("NodeUnprepareResources: {error}"))?
            }
            Some(Driver::Emulated(driver)) => {
                let outcome = self.node_unprepare(&driver, (namespace, claim, uid), devices);
                Answers::from([(uid.to_owned(), outcome)])
            }
            // An emulated driver whose container is gone can still clean up, unlike a real one.
            None if self.plugins.was_emulated(name) => {
                let driver = Emulated::of_inventory(name, std::sync::Arc::default());
                let outcome = self.node_unprepare(&driver, (namespace, claim, uid), devices);
                Answers::from([(uid.to_owned(), outcome)])
            }
            None => return Err(unregistered(name)),
        };
        match answers.remove(uid) {
            Some(outcome) => {
                outcome.map_err(|text| format!("NodeUnprepareResources failed for ResourceClaim {claim}: {text}"))?;
            }
            None => return Err("NodeUnprepareResources skipped 1 ResourceClaims".to_owned()),
        }
        match answers.keys().next() {
            Some(uid) => Err(format!("NodeUnprepareResources returned result for unknown claim UID {uid}")),
            None => Ok(()),
        }
    }

    /// What an emulated driver does when it is called.
    fn node_unprepare(
        &self,
        driver: &Emulated,
        (namespace, name, uid): (&str, &str, &str),
        devices: &[PreparedDevice],
    ) -> Result<(), String> {
        driver.says_unprepare();
        let faults = self.faults();
        for device in devices {
            if let Some(message) = faults.fail_unprepare.message(&device.pool_name, &device.device_name) {
                return Err(format!("unprepare device {}: {message}", device.device_name));
            }
        }
        self.cdi.remove(&driver.kind(), uid).map_err(|error| format!("remove CDI spec: {error}"))?;
        self.metadata(&driver.name)
            .remove(namespace, name, uid)
            .map_err(|error| format!("remove the metadata of devices: {error}"))
    }
}

impl Checked {
    fn wire(&self) -> wire::Claim {
        wire::Claim {
            namespace: meta::namespace(&self.document).to_owned(),
            uid: meta::uid(&self.document).to_owned(),
            name: meta::name(&self.document).to_owned(),
        }
    }
}

fn unregistered(driver: &str) -> String {
    format!("DRA driver {driver} is not registered")
}

/// Whether nothing is to be done on the node for any device of a driver (KEP-5945).
fn skips_node(results: &[DeviceResult], driver: &str) -> bool {
    let skips = |result: &DeviceResult| {
        result.skip_node_operations.iter().any(|one| one == "NodePrepareResources" || one == "*")
    };
    results.iter().filter(|result| result.id.driver == driver).all(skips)
}
