//! Devices of one driver in one node.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::gpu;

/// Most devices of one pool.
const DEVICES_MAX: usize = 4096;

/// Devices as an inventory describes them: by a profile and a number, or one by one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PoolSpec {
    /// Name of the driver.
    pub driver: String,
    /// Name of the pool; the name of the node if absent.
    pub name: Option<String>,
    /// A machine part that is known by name: `docs/node-agent.md` lists them.
    pub profile: Option<String>,
    /// How many devices of the profile; 8 if absent.
    pub count: Option<usize>,
    /// Into how many partitions each device of the profile `example-gpu` can be cut.
    pub partitions: Option<u32>,
    /// Devices in the form of `resource.k8s.io/v1`, besides those of the profile.
    #[serde(default)]
    pub devices: Vec<Value>,
    /// Counters that devices share, in the form of `resource.k8s.io/v1`.
    #[serde(default)]
    pub shared_counters: Vec<Value>,
}

/// Devices that one driver publishes together, in the form of `resource.k8s.io/v1`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// Name of the driver.
    pub driver: String,
    /// Name of the pool.
    pub name: String,
    /// Counter sets.
    pub shared_counters: Vec<Value>,
    /// Devices, in the order in which they are best allocated.
    pub devices: Vec<Value>,
}

impl PoolSpec {
    /// The pool of the node with this name.
    pub fn pool(&self, node: &str) -> anyhow::Result<Pool> {
        if let Some(error) = machinery::names::dns1123_subdomain_errors(&self.driver).first() {
            bail!("driver name {:?}: {error}", self.driver);
        }
        let count = self.count.unwrap_or(8);
        ensure!(count <= DEVICES_MAX, "pool of {}: more than {DEVICES_MAX} devices", self.driver);
        let mut pool = match &self.profile {
            Some(profile) => gpu::profile(profile, node, count, self.partitions.unwrap_or(0))?,
            None if self.count.is_some() => bail!("pool of {}: `count` needs a `profile`", self.driver),
            None => Pool::default(),
        };
        pool.driver.clone_from(&self.driver);
        pool.name = self.name.clone().unwrap_or_else(|| node.to_owned());
        pool.devices.extend(self.devices.iter().cloned());
        pool.shared_counters.extend(self.shared_counters.iter().cloned());
        ensure!(pool.devices.len() <= DEVICES_MAX, "pool of {}: more than {DEVICES_MAX} devices", self.driver);
        let mut names = BTreeSet::new();
        for device in &pool.devices {
            let Some(name) = device["name"].as_str() else { bail!("pool {}: a device has no name", pool.name) };
            ensure!(names.insert(name), "pool {}: device {name} is there twice", pool.name);
        }
        Ok(pool)
    }
}
