//! What drivers say of the health of their devices (KEP-4680).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::wire::{HealthResponse, HealthStatus};
use crate::devices::cdi::write_atomically;

/// The file in the directory of a node that keeps it, in the kubelet's format.
pub(super) const STATE: &str = "dra_health_state";
/// How long a word of a driver counts when it does not say so itself.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that it may say.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Longest message; a longer one is cut and ends in dots.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Most devices of one driver.
const DEVICES_MAX: usize = 100_000;

/// The health of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pool: String,
    device: String,
    health: &'static str,
    message: String,
    updated: Timestamp,
    timeout: Duration,
    /// From then on nothing is known.
    until: Instant,
}

/// By pool and device.
type Devices = BTreeMap<(String, String), Entry>;

/// The health of devices, by driver.
pub(crate) struct Health {
    path: PathBuf,
    drivers: Mutex<BTreeMap<String, Devices>>,
}

impl Health {
    /// Nothing is known yet. `path` is the file that keeps it.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, drivers: Mutex::default() }
    }

    /// What a driver said last of a device.
    pub(crate) fn of(&self, driver: &str, pool: &str, device: &str, now: Instant) -> Option<(&'static str, String)> {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = drivers.get(driver)?.get(&(pool.to_owned(), device.to_owned()))?;
        match entry.until > now {
            true => Some((entry.health, entry.message.clone())),
            false => Some(("Unknown", String::new())),
        }
    }

    /// Takes in what a driver says of all its devices; true if that is news.
    pub(super) fn update(&self, driver: &str, response: HealthResponse, now: Instant) -> bool {
        let entries = response.devices.into_iter().take(DEVICES_MAX).filter_map(|one| {
            let id = one.device?;
            let seconds = u64::try_from(one.health_check_timeout_seconds).unwrap_or(0);
            let timeout = if seconds == 0 { TIMEOUT } else { Duration::from_secs(seconds).min(TIMEOUT_MAX) };
            let health = match HealthStatus::try_from(one.health) {
                Ok(HealthStatus::Healthy) => "Healthy",
                Ok(HealthStatus::Unhealthy) => "Unhealthy",
                _ => "Unknown",
            };
            let entry = Entry {
                pool: id.pool_name.clone(),
                device: id.device_name.clone(),
                health,
                message: shortened(one.message),
                updated: Timestamp::now(),
                timeout,
                until: now + timeout,
            };
            Some(((id.pool_name, id.device_name), entry))
        });
        let devices: Devices = entries.collect();
        let said = |devices: &Devices| -> Vec<_> {
            let said = |(id, one): (&(String, String), &Entry)| (id.clone(), one.health, one.message.clone());
            devices.iter().map(said).collect()
        };
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = drivers.insert(driver.to_owned(), devices);
        let changed = drivers.get(driver).map(said) != before.as_ref().map(said)
            || before.is_some_and(|before| before.values().any(|one| one.until <= now));
        self.save(&drivers);
        changed
    }

    /// When the first word of a driver stops to count.
    pub(super) fn next_expiry(&self, driver: &str) -> Option<Instant> {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |one: &&Entry| one.health != "Unknown";
        drivers.get(driver)?.values().filter(counts).map(|one| one.until).min()
    }

    /// Makes what does not count any more unknown; true if there was something.
    pub(super) fn expire(&self, driver: &str, now: Instant) -> bool {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = drivers.get_mut(driver).into_iter().flat_map(BTreeMap::values_mut);
        let mut changed = false;
        for entry in entries.filter(|one| one.until <= now && one.health != "Unknown") {
            (entry.health, entry.message) = ("Unknown", String::new());
            changed = true;
        }
        self.save(&drivers);
        changed
    }

    /// Forgets what a driver said; true if it had said something.
    pub(super) fn forget(&self, driver: &str) -> bool {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = drivers.remove(driver).is_some();
        if known {
            self.save(&drivers);
        }
        known
    }

    fn save(&self, drivers: &BTreeMap<String, Devices>) {
        let devices = |devices: &Devices| -> Value {
            let named = devices.values().map(|one| (format!("{}/{}", one.pool, one.device), one.document()));
            json!({"Devices": named.collect::<BTreeMap<_, _>>()})
        };
        let all: BTreeMap<&String, Value> = drivers.iter().map(|(name, all)| (name, devices(all))).collect();
        if let Err(error) = write_atomically(&self.path, json!(all).to_string().as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "the health of devices is not kept");
        }
    }
}

impl Entry {
    fn document(&self) -> Value {
        json!({
            "PoolName": self.pool,
            "DeviceName": self.device,
            "Health": self.health,
            "LastUpdated": self.updated.to_string(),
            "HealthCheckTimeout": u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX),
            "Message": self.message,
        })
    }
}

fn shortened(message: String) -> String {
    const DOTS: &str = "...";
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let mut end = MESSAGE_BYTES_MAX - DOTS.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{DOTS}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::wire::{DeviceHealth, DeviceIdentifier};

    fn response(health: HealthStatus, timeout: i64, message: &str) -> HealthResponse {
        let device = Some(DeviceIdentifier { pool_name: "p".to_owned(), device_name: "d".to_owned() });
        let one = DeviceHealth {
            device,
            health: health.into(),
            last_updated_time: 0,
            health_check_timeout_seconds: timeout,
            message: message.to_owned(),
        };
        HealthResponse { devices: vec![one] }
    }

    #[test]
    fn a_word_counts_as_long_as_the_driver_says() {
        let directory = std::env::temp_dir().join(format!("health-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let health = Health::new(directory.join(STATE));
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let of = |seconds: u64| health.of("x", "p", "d", after(seconds));
        assert_eq!(of(0), None);
        assert!(health.update("x", response(HealthStatus::Unhealthy, 60, "hot"), start));
        assert!(!health.update("x", response(HealthStatus::Unhealthy, 60, "hot"), start), "no news");
        assert_eq!(of(59), Some(("Unhealthy", "hot".to_owned())));
        let state: Value =
            serde_json::from_slice(&std::fs::read(directory.join(STATE)).expect("a file")).expect("JSON");
        assert_eq!(state["x"]["Devices"]["p/d"]["HealthCheckTimeout"], 60_000_000_000_u64);
        assert!(!health.expire("x", after(59)));
        assert_eq!(of(61), Some(("Unknown", String::new())));
        assert!(health.expire("x", after(61)) && health.next_expiry("x").is_none());
        assert!(health.update("x", response(HealthStatus::Healthy, 0, &"é".repeat(1000)), start));
        let (_, message) = of(29).expect("a word");
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.ends_with("é..."), "{message}");
        assert!(health.forget("x") && !health.forget("x"));
        drop(std::fs::remove_dir_all(directory));
    }
}
