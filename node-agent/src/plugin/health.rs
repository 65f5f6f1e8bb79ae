//! What drivers say of the health of their devices (KEP-4680).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
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
/// The health of a device that nobody speaks of.
const UNKNOWN: &str = "Unknown";
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

/// Whose word it is: the driver, and the socket of its plugin, for in a rolling update there are two of them.
#[derive(Clone, Copy)]
pub(super) struct Speaker<'a> {
    pub(super) driver: &'a str,
    pub(super) endpoint: &'a Path,
}

/// What the plugins of one driver say, in the order in which they began to. Of a device the last of them is believed.
type Words = Vec<(PathBuf, Devices)>;

/// The health of devices, by driver.
pub(crate) struct Health {
    path: PathBuf,
    drivers: Mutex<BTreeMap<String, Words>>,
}

impl Health {
    /// Nothing is known yet. `path` is the file that keeps it.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, drivers: Mutex::default() }
    }

    /// What a driver said last of a device.
    pub(crate) fn of(&self, driver: &str, pool: &str, device: &str, now: Instant) -> Option<(&'static str, String)> {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (pool.to_owned(), device.to_owned());
        let entry = drivers.get(driver)?.iter().rev().find_map(|(_, devices)| devices.get(&id))?;
        match entry.until > now {
            true => Some((entry.health, entry.message.clone())),
            false => Some((UNKNOWN, String::new())),
        }
    }

    /// Takes in what a plugin says of all its devices; true if that is news.
    pub(super) fn update(&self, speaker: Speaker<'_>, response: HealthResponse, now: Instant) -> bool {
        let entries = response.devices.into_iter().take(DEVICES_MAX).filter_map(|one| {
            let id = one.device?;
            let seconds = u64::try_from(one.health_check_timeout_seconds).unwrap_or(0);
            let timeout = if seconds == 0 { TIMEOUT } else { Duration::from_secs(seconds).min(TIMEOUT_MAX) };
            let health = match HealthStatus::try_from(one.health) {
                Ok(HealthStatus::Healthy) => "Healthy",
                Ok(HealthStatus::Unhealthy) => "Unhealthy",
                _ => UNKNOWN,
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
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let words = drivers.entry(speaker.driver.to_owned()).or_default();
        let before = believed(words, now);
        match words.iter_mut().find(|(endpoint, _)| endpoint == speaker.endpoint) {
            Some((_, present)) => *present = devices,
            None => words.push((speaker.endpoint.to_owned(), devices)),
        }
        let changed = before != believed(words, now);
        self.save(&drivers);
        changed
    }

    /// When the first word of a plugin stops to count.
    pub(super) fn next_expiry(&self, speaker: Speaker<'_>) -> Option<Instant> {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, devices) = drivers.get(speaker.driver)?.iter().find(|(endpoint, _)| endpoint == speaker.endpoint)?;
        devices.values().filter(|one| one.health != UNKNOWN).map(|one| one.until).min()
    }

    /// Makes what does not count any more unknown; true if there was something.
    pub(super) fn expire(&self, speaker: Speaker<'_>, now: Instant) -> bool {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let words = drivers.get_mut(speaker.driver).into_iter().flatten();
        let of_plugin = words.filter(|(endpoint, _)| endpoint == speaker.endpoint);
        let mut changed = false;
        for entry in of_plugin.flat_map(|(_, devices)| devices.values_mut()) {
            if entry.until <= now && entry.health != UNKNOWN {
                (entry.health, entry.message) = (UNKNOWN, String::new());
                changed = true;
            }
        }
        self.save(&drivers);
        changed
    }

    /// A plugin that stays says nothing for now; true if it had said something.
    pub(super) fn silence(&self, speaker: Speaker<'_>) -> bool {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let words = drivers.get_mut(speaker.driver).into_iter().flatten();
        let mut own = words.filter(|(endpoint, _)| endpoint == speaker.endpoint);
        let known = own.any(|(_, devices)| !std::mem::take(devices).is_empty());
        if known {
            self.save(&drivers);
        }
        known
    }

    /// Forgets a plugin that is gone; true if it had said something.
    pub(super) fn forget(&self, speaker: Speaker<'_>) -> bool {
        let known = self.silence(speaker);
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = drivers.get_mut(speaker.driver) {
            words.retain(|(endpoint, _)| endpoint != speaker.endpoint);
            if words.is_empty() {
                drivers.remove(speaker.driver);
                self.save(&drivers);
            }
        }
        known
    }

    fn save(&self, drivers: &BTreeMap<String, Words>) {
        let devices = |words: &Words| -> Value {
            // What was said later takes the place of what was said before.
            let all = words.iter().flat_map(|(_, devices)| devices.values());
            let named = all.map(|one| (format!("{}/{}", one.pool, one.device), one.document()));
            json!({"Devices": named.collect::<BTreeMap<_, _>>()})
        };
        let all: BTreeMap<&String, Value> = drivers.iter().map(|(name, all)| (name, devices(all))).collect();
        if let Err(error) = write_atomically(&self.path, json!(all).to_string().as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "the health of devices is not kept");
        }
    }
}

/// What is believed of each device now.
fn believed(words: &Words, now: Instant) -> BTreeMap<(String, String), (&'static str, String)> {
    let said = |one: &Entry| match one.until > now {
        true => (one.health, one.message.clone()),
        false => (UNKNOWN, String::new()),
    };
    words.iter().flat_map(|(_, devices)| devices).map(|(id, one)| (id.clone(), said(one))).collect()
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

    fn speaker(endpoint: &str) -> Speaker<'_> {
        Speaker { driver: "x", endpoint: Path::new(endpoint) }
    }

    /// A place for the state, away from other tests.
    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    }

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
        let (directory, old) = (directory("health"), speaker("old"));
        let health = Health::new(directory.join(STATE));
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let of = |seconds: u64| health.of("x", "p", "d", after(seconds));
        assert_eq!(of(0), None);
        assert!(health.update(old, response(HealthStatus::Unhealthy, 60, "hot"), start));
        assert!(!health.update(old, response(HealthStatus::Unhealthy, 60, "hot"), start), "no news");
        assert_eq!(of(59), Some(("Unhealthy", "hot".to_owned())));
        let state: Value =
            serde_json::from_slice(&std::fs::read(directory.join(STATE)).expect("a file")).expect("JSON");
        assert_eq!(state["x"]["Devices"]["p/d"]["HealthCheckTimeout"], 60_000_000_000_u64);
        assert!(!health.expire(old, after(59)));
        assert_eq!(of(61), Some(("Unknown", String::new())));
        assert!(health.expire(old, after(61)) && health.next_expiry(old).is_none());
        assert!(health.update(old, response(HealthStatus::Healthy, 0, &"é".repeat(1000)), start));
        let (_, message) = of(29).expect("a word");
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.ends_with("é..."), "{message}");
        assert!(health.forget(old) && !health.forget(old));
        drop(std::fs::remove_dir_all(directory));
    }
    #[test]
    fn in_a_rolling_update_the_newer_plugin_is_believed_and_the_end_of_the_older_changes_nothing() {
        let (directory, old, new) = (directory("health-of-two"), speaker("old"), speaker("new"));
        let health = Health::new(directory.join(STATE));
        let now = Instant::now();
        let of = || health.of("x", "p", "d", now).map(|(health, _)| health);
        assert!(health.update(old, response(HealthStatus::Healthy, 60, ""), now));
        assert!(health.update(new, response(HealthStatus::Unhealthy, 60, "hot"), now));
        assert_eq!(of(), Some("Unhealthy"));
        assert!(!health.update(old, response(HealthStatus::Healthy, 30, ""), now), "no news from the older");
        // A stream that breaks and comes back is still that of the older.
        assert!(health.silence(old) && !health.silence(old));
        health.update(old, response(HealthStatus::Healthy, 60, ""), now);
        assert_eq!(of(), Some("Unhealthy"));
        assert!(health.forget(old));
        assert_eq!(of(), Some("Unhealthy"));
        let state = std::fs::read_to_string(directory.join(STATE)).expect("a file");
        assert!(state.contains("hot"), "{state}");
        assert!(health.forget(new) && of().is_none());
        drop(std::fs::remove_dir_all(directory));
    }
}
