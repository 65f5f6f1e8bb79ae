//! What a node remembers of the claims it prepared: the kubelet's cache, and the checkpoint it is kept in.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use api::hub::DeviceId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Namespace, name and API generation of a claim.
pub(crate) type ClaimKey = (String, String, String);

/// One prepared device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PreparedDevice {
    /// Name of its pool.
    pub pool_name: String,
    /// Its name.
    pub device_name: String,
    /// Which share of it, where it can be shared.
    #[serde(rename = "ShareID", default)]
    pub share_id: Option<String>,
    /// Requests it was allocated for, without subrequests; empty for all.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub request_names: Vec<String>,
    /// CDI devices that containers with access to it get.
    #[serde(rename = "CDIDeviceIDs", default, deserialize_with = "null_is_empty")]
    pub cdi_device_ids: Vec<String>,
}

impl PreparedDevice {
    /// Which device of a driver it is.
    pub(crate) fn id(&self, driver: &str) -> DeviceId {
        DeviceId { driver: driver.to_owned(), pool: self.pool_name.clone(), device: self.device_name.clone() }
    }
}

/// What is known of one claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimInfo {
    /// `metadata.uid` of the claim.
    pub uid: String,
    /// Pods that use it here.
    pub pod_uids: BTreeSet<String>,
    /// Devices by driver; every driver with results is here, if without devices.
    pub drivers: BTreeMap<String, Vec<PreparedDevice>>,
    /// The drivers have been called since this process started.
    pub prepared: bool,
}

/// The claims of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    claims: BTreeMap<ClaimKey, ClaimInfo>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Checkpoint {
    data: String,
    checksum: u32,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "ClaimInfoStateList", default, deserialize_with = "null_is_empty")]
    claims: Vec<Entry>,
}

#[derive(Serialize)]
struct WrittenData<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    #[serde(rename = "ClaimInfoStateList")]
    claims: Option<&'a [Entry]>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "ClaimUID")]
    claim_uid: String,
    claim_name: String,
    namespace: String,
    /// Ours: which generation of API the claim is of, where that is not `v1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    generation: String,
    #[serde(rename = "PodUIDs", default)]
    pod_uids: BTreeMap<String, Value>,
    #[serde(default)]
    driver_state: BTreeMap<String, DriverState>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DriverState {
    #[serde(default)]
    devices: Option<Vec<PreparedDevice>>,
}

/// Go writes an empty list as null.
fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// The generation that a checkpoint need not name.
const USUAL_GENERATION: &str = "v1";

impl Ledger {
    /// What is known of a claim.
    pub(crate) fn get(&self, key: &ClaimKey) -> Option<&ClaimInfo> {
        self.claims.get(key)
    }

    /// Notes that a pod uses a claim. True when the drivers must be called; `Err` when another claim of the same name has
    /// not been unprepared yet.
    pub(crate) fn admit(
        &mut self,
        key: &ClaimKey,
        uid: &str,
        pod_uid: &str,
        drivers: &BTreeSet<String>,
    ) -> Result<bool, String> {
        let info =
            self.claims.entry(key.clone()).or_insert_with(|| ClaimInfo { uid: uid.to_owned(), ..ClaimInfo::default() });
        if info.uid != uid {
            return Err(format!(
                "old ResourceClaim with same name {} and different UID {} still exists (previous pod force-deleted?!)",
                key.1, info.uid
            ));
        }
        info.pod_uids.insert(pod_uid.to_owned());
        for driver in drivers {
            info.drivers.entry(driver.clone()).or_default();
        }
        Ok(!info.prepared)
    }

    /// Notes what one driver prepared for a claim.
    pub(crate) fn store(&mut self, key: &ClaimKey, driver: &str, devices: Vec<PreparedDevice>) {
        if let Some(info) = self.claims.get_mut(key) {
            info.drivers.insert(driver.to_owned(), devices);
        }
    }

    /// Notes that all drivers have prepared a claim.
    pub(crate) fn set_prepared(&mut self, key: &ClaimKey) {
        if let Some(info) = self.claims.get_mut(key) {
            info.prepared = true;
        }
    }

    /// The claims that a pod uses.
    pub(crate) fn of_pod(&self, pod_uid: &str) -> Vec<ClaimKey> {
        let uses = |(_, info): &(&ClaimKey, &ClaimInfo)| info.pod_uids.contains(pod_uid);
        self.claims.iter().filter(uses).map(|(key, _)| key.clone()).collect()
    }

    /// Whether nobody but this pod uses a claim.
    pub(crate) fn is_last(&self, key: &ClaimKey, pod_uid: &str) -> bool {
        self.claims.get(key).is_some_and(|info| info.pod_uids.iter().all(|one| one == pod_uid))
    }

    /// Notes that a pod does not use a claim any more; forgets the claim with its last pod.
    pub(crate) fn release(&mut self, key: &ClaimKey, pod_uid: &str) {
        if let Some(info) = self.claims.get_mut(key) {
            info.pod_uids.remove(pod_uid);
            if info.pod_uids.is_empty() {
                self.claims.remove(key);
            }
        }
    }

    /// Notes that a claim is being unprepared.
    pub(crate) fn set_unprepared(&mut self, key: &ClaimKey) {
        if let Some(info) = self.claims.get_mut(key) {
            info.prepared = false;
        }
    }

    /// Every pod that uses a claim.
    pub(crate) fn pods(&self) -> BTreeSet<String> {
        self.claims.values().flat_map(|info| info.pod_uids.iter().cloned()).collect()
    }

    /// The text of the checkpoint, as kubelets write `dra_manager_state`.
    pub(crate) fn encode(&self) -> String {
        let entries: Vec<Entry> = self.claims.iter().map(|(key, info)| Entry::of(key, info)).collect();
        let entries = (!entries.is_empty()).then_some(entries.as_slice());
        let data =
            WrittenData { kind: "DRACheckpoint", api_version: "checkpoint.dra.kubelet.k8s.io/v1", claims: entries };
        let data = serde_json::to_string(&data).unwrap_or_default();
        let checksum = crc32(data.as_bytes());
        serde_json::to_string(&Checkpoint { data, checksum }).unwrap_or_default()
    }

    /// Reads a checkpoint. Nothing in it counts as prepared: drivers are called again.
    pub(crate) fn decode(text: &str) -> anyhow::Result<Self> {
        const ADVICE: &str = "please drain node and remove DRA state file";
        let checkpoint: Checkpoint = serde_json::from_str(text).context(ADVICE)?;
        if crc32(checkpoint.data.as_bytes()) != checkpoint.checksum {
            bail!("checkpoint is corrupted: {ADVICE}");
        }
        let data: Data = serde_json::from_str(&checkpoint.data).context(ADVICE)?;
        Ok(Self { claims: data.claims.into_iter().map(Entry::into_claim).collect() })
    }
}

impl Entry {
    fn of((namespace, name, generation): &ClaimKey, info: &ClaimInfo) -> Self {
        let devices = |devices: &Vec<PreparedDevice>| (!devices.is_empty()).then(|| devices.clone());
        let state =
            |(driver, list): (&String, &Vec<PreparedDevice>)| (driver.clone(), DriverState { devices: devices(list) });
        Self {
            claim_uid: info.uid.clone(),
            claim_name: name.clone(),
            namespace: namespace.clone(),
            generation: if generation == USUAL_GENERATION { String::new() } else { generation.clone() },
            pod_uids: info.pod_uids.iter().map(|uid| (uid.clone(), json!({}))).collect(),
            driver_state: info.drivers.iter().map(state).collect(),
        }
    }

    fn into_claim(self) -> (ClaimKey, ClaimInfo) {
        let generation = if self.generation.is_empty() { USUAL_GENERATION.to_owned() } else { self.generation };
        let drivers = self.driver_state.into_iter().map(|(driver, state)| (driver, state.devices.unwrap_or_default()));
        let info = ClaimInfo {
            uid: self.claim_uid,
            pod_uids: self.pod_uids.into_keys().collect(),
            drivers: drivers.collect(),
            prepared: false,
        };
        ((self.namespace, self.claim_name, generation), info)
    }
}

/// CRC-32 as IEEE 802.3 has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| crc >> 8 ^ CRC32_OF_BYTES[(crc as u8 ^ byte) as usize])
}

/// What each byte makes of a CRC-32.
const CRC32_OF_BYTES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClaimKey {
        ("n".to_owned(), "c".to_owned(), "v1".to_owned())
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let drivers = BTreeSet::from(["d".to_owned(), "idle".to_owned()]);
        assert_eq!(ledger.admit(&key(), "u", "pod-1", &drivers), Ok(true));
        let device =
            PreparedDevice { pool_name: "p".to_owned(), device_name: "gpu-0".to_owned(), ..PreparedDevice::default() };
        ledger.store(&key(), "d", vec![device]);
        ledger.set_prepared(&key());
        ledger
    }

    #[test]
    fn a_checkpoint_survives_and_is_checked() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let text = ledger().encode();
        assert!(text.contains(r#"\"Devices\":null"#), "{text}");
        let mut read = Ledger::decode(&text).expect("a checkpoint");
        assert_eq!(read.admit(&key(), "u", "pod-1", &BTreeSet::new()), Ok(true), "prepared by another process only");
        read.set_prepared(&key());
        assert_eq!(read, ledger());
        let error = Ledger::decode(&text.replace("gpu-0", "gpu-1")).expect_err("a broken checkpoint");
        assert!(error.to_string().contains("please drain node and remove DRA state file"));
        let empty = Ledger::default().encode();
        assert!(empty.contains(r#"\"ClaimInfoStateList\":null"#));
        assert_eq!(Ledger::decode(&empty).expect("a checkpoint"), Ledger::default());
    }

    #[test]
    fn claims_are_shared_and_let_go() {
        let mut ledger = ledger();
        assert_eq!(ledger.admit(&key(), "u", "pod-2", &BTreeSet::new()), Ok(false));
        assert!(ledger.admit(&key(), "other", "pod-3", &BTreeSet::new()).is_err());
        assert!(!ledger.is_last(&key(), "pod-1"));
        ledger.release(&key(), "pod-1");
        assert!(ledger.is_last(&key(), "pod-2"));
        assert_eq!(ledger.of_pod("pod-2"), [key()]);
        ledger.release(&key(), "pod-2");
        assert_eq!(ledger, Ledger::default());
    }
}
