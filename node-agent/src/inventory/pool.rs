//! Devices of one driver in one node.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{
    gpu::{self, Offer},
    nic,
};

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
    /// GPUs of NVIDIA's can be had in partitions, too.
    #[serde(default)]
    pub mig: bool,
    /// GPUs of NVIDIA's can be passed through, too.
    #[serde(default)]
    pub vfio: bool,
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
    fn offer(&self) -> anyhow::Result<Offer> {
        match (self.mig, self.vfio) {
            (false, false) => Ok(Offer::Whole),
            (true, false) => Ok(Offer::Partitions),
            (false, true) => Ok(Offer::Passthrough),
            (true, true) => bail!("pool of {}: either `mig` or `vfio`", self.driver),
        }
    }

    /// Whether these are GPUs of NVIDIA's.
    pub(crate) fn is_nvidia(&self) -> bool {
        self.profile.as_deref().is_some_and(|profile| profile.starts_with("nvidia-"))
    }

    /// The pool of the node with this name.
    pub fn pool(&self, node: &str) -> anyhow::Result<Pool> {
        self.pool_offered(node, None)
    }

    /// The pool of the node with this name; `offer` replaces what is written of partitions and passthrough.
    pub(crate) fn pool_offered(&self, node: &str, offer: Option<Offer>) -> anyhow::Result<Pool> {
        if let Some(error) = machinery::names::dns1123_subdomain_errors(&self.driver).first() {
            bail!("driver name {:?}: {error}", self.driver);
        }
        let count = self.count.unwrap_or(8);
        ensure!(count <= DEVICES_MAX, "pool of {}: more than {DEVICES_MAX} devices", self.driver);
        let mut pool = match &self.profile {
            Some(profile) if profile == nic::SRIOV_VF => nic::virtual_functions(count),
            Some(profile) => {
                let offer = self.offer().map(|own| offer.unwrap_or(own))?;
                gpu::profile(profile, node, count, self.partitions.unwrap_or(0), offer)?
            }
            None if self.mig || self.vfio => bail!("pool of {}: `mig` and `vfio` need a `profile`", self.driver),
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
