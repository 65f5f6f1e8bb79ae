//! Devices that are kept for pods until others have left them.

use api::hub;
use cluster::{Generation, Key};
use machinery::meta;
use serde_json::Value;

use super::{super::pod, World};

/// Devices that are kept for a pod.
pub(in super::super) struct Kept {
    uid: String,
    priority: i64,
    devices: Vec<(Generation, Vec<hub::DeviceResult>)>,
}

impl World {
    /// Keeps devices for a pod: those that others will give back for it.
    pub(in super::super) fn keep(&mut self, pod: &Value, devices: &[(Generation, Vec<hub::DeviceResult>)]) {
        let uid = meta::uid(pod).to_owned();
        self.resume_kept(vec![Kept { uid, priority: pod::priority(pod), devices: devices.to_vec() }]);
    }

    /// Frees what is kept for a pod.
    pub(in super::super) fn take_kept(&mut self, uid: &str) -> Option<Kept> {
        let kept = self.kept.remove(uid)?;
        for (position, (generation, _)) in kept.devices.iter().enumerate() {
            self.hold(*generation, kept_for(uid, position), Vec::new());
        }
        Some(kept)
    }

    /// Frees what is kept for pods of less priority, for a while.
    pub(in super::super) fn suspend_kept(&mut self, priority: i64) -> Vec<Kept> {
        let less = self.kept.iter().filter(|(_, kept)| kept.priority < priority);
        let less: Vec<String> = less.map(|(uid, _)| uid.clone()).collect();
        less.iter().filter_map(|uid| self.take_kept(uid)).collect()
    }

    /// Keeps it again.
    pub(in super::super) fn resume_kept(&mut self, all: Vec<Kept>) {
        for kept in all {
            for (position, (generation, results)) in kept.devices.iter().enumerate() {
                self.hold(*generation, kept_for(&kept.uid, position), results.clone());
            }
            self.kept.insert(kept.uid.clone(), kept);
        }
    }
}

/// In whose name devices are kept for a pod.
fn kept_for(uid: &str, position: usize) -> Key {
    Key::new("", format!("<nominated> {uid} {position}"))
}
