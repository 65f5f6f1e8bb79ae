//! What emulated drivers make of a claim.

mod example;
mod nvidia;
mod speech;
mod sriov;
pub(crate) mod sriov_policy;

use std::{collections::BTreeMap, sync::Arc};

use api::hub::{Allocation, AllocationConfig, ConfigSource, Device as PublishedDevice, DeviceId, DeviceResult};

use super::{
    cdi::{self, Device, DeviceNode, Edits, Spec},
    ledger::PreparedDevice,
};
use crate::container::log::Log;

/// Whose ways an emulated driver has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Model {
    /// dra-example-driver, and with which profile.
    Example(example::Profile),
    /// NVIDIA's driver for GPUs.
    Nvidia,
    /// The SR-IOV driver of the network plumbing group.
    Sriov,
    /// Nobody's in particular.
    #[default]
    Generic,
}

pub(crate) use example::Profile as ExampleProfile;

/// An emulated driver at a node.
#[derive(Clone, Default)]
pub(crate) struct Emulated {
    /// Its name.
    pub(crate) name: String,
    /// Whose ways it has.
    pub(crate) model: Model,
    /// What it publishes, with what others publish here.
    pub(crate) devices: Arc<BTreeMap<DeviceId, PublishedDevice>>,
    /// Features that are on or off; those that are absent are as usual.
    pub(crate) gates: BTreeMap<String, bool>,
    /// It says in the status of claims that their devices are ready.
    pub(crate) reports: bool,
    /// It writes metadata files (KEP-5304).
    pub(crate) metadata: bool,
    /// What the container it runs in writes.
    pub(crate) log: Option<Arc<Log>>,
    /// Version of its image, for what changed from one to the next: major and minor.
    pub(crate) version: Option<(u32, u32)>,
}

/// An allocated claim, as a driver sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// What it got, from all drivers.
    pub allocation: &'a Allocation,
    /// Name of the node.
    pub node: &'a str,
}

/// What a driver prepared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preparation {
    /// The CDI specification of the claim.
    pub spec: Spec,
    /// For every container that gets one of the devices: a specification that all claims share.
    pub shared: Option<Spec>,
    /// The devices.
    pub devices: Vec<PreparedDevice>,
}

impl Model {
    /// The ways of the driver with this name.
    pub(crate) fn of_driver(name: &str) -> Self {
        match name {
            "gpu.example.com" => Self::Example(ExampleProfile::Gpu),
            "net.example.com" => Self::Example(ExampleProfile::Net),
            "cpu.example.com" => Self::Example(ExampleProfile::Cpu),
            "gpu.nvidia.com" | "gpu.nvidia.com/dra" => Self::Nvidia,
            "sriovnetwork.k8snetworkplumbingwg.io" => Self::Sriov,
            _ => Self::Generic,
        }
    }
}

impl Emulated {
    /// A driver of the inventory, without a container of its own.
    pub(crate) fn of_inventory(name: &str, devices: Arc<BTreeMap<DeviceId, PublishedDevice>>) -> Self {
        Self {
            name: name.to_owned(),
            model: Model::of_driver(name),
            devices,
            reports: true,
            metadata: true,
            ..Self::default()
        }
    }

    /// Prepares what the driver has in a claim.
    pub(crate) fn prepare(&self, claim: &Claim<'_>) -> Result<Preparation, String> {
        match self.model {
            Model::Example(profile) => example::prepare(self, profile, claim),
            Model::Nvidia => nvidia::prepare(self, claim),
            Model::Sriov => sriov::prepare(self, claim),
            Model::Generic => Ok(self.generic(claim)),
        }
    }

    /// The kind of CDI devices under which the driver keeps claims.
    pub(crate) fn kind(&self) -> String {
        let class = match self.model {
            Model::Example(profile) => profile.name(),
            Model::Nvidia => "claim",
            Model::Sriov => "vf",
            Model::Generic => "device",
        };
        match self.model {
            Model::Sriov => format!("{}/{class}", cdi::name(&self.name)),
            _ => format!("k8s.{}/{class}", cdi::name(&self.name)),
        }
    }

    /// Whether a feature is on: if nobody says otherwise, where there is no container to ask for it.
    fn gate(&self, name: &str) -> bool {
        self.gates.get(name).copied().unwrap_or(self.log.is_none())
    }

    /// Whether it publishes this pool: then it knows which devices are in it.
    pub(crate) fn publishes(&self, pool: &str) -> bool {
        self.devices.keys().any(|id| id.driver == self.name && id.pool == pool)
    }

    /// Puts the devices of a claim into one specification.
    fn collect(
        &self,
        claim: &Claim<'_>,
        devices: Vec<(&DeviceResult, Edits)>,
        common: Option<(Spec, String)>,
        whole: Edits,
    ) -> Preparation {
        let named = devices
            .into_iter()
            .map(|(result, container_edits)| (result, Device { name: claim.device_name(result), container_edits }));
        let (results, devices): (Vec<&DeviceResult>, Vec<Device>) = named.unzip();
        let spec = Spec::new(self.kind(), devices, whole);
        let (shared, common_id) = common.unzip();
        let ids = spec.devices.iter().map(|device| common_id.iter().cloned().chain([spec.id(device)]).collect());
        let devices = results.into_iter().zip(ids).map(|(result, ids)| prepared(result, ids)).collect();
        Preparation { spec, shared, devices }
    }

    /// A driver that we know nothing of: each device is a node, and two variables that name it.
    fn generic(&self, claim: &Claim<'_>) -> Preparation {
        let vendor = self.name.split('.').next().unwrap_or_default();
        let edits = |result: &DeviceResult| Edits {
            env: vec![
                format!("DRA_DEVICE_{}={}", variable(&result.id.device), result.id),
                format!("DRA_DEVICE_{}_RESOURCE_CLAIM={}", variable(&result.id.device), claim.uid),
            ],
            device_nodes: vec![DeviceNode::at(format!("/dev/{vendor}/{}", result.id.device))],
            ..Edits::default()
        };
        let devices = claim.results(&self.name).map(|result| (result, edits(result))).collect();
        self.collect(claim, devices, None, Edits::default())
    }
}

impl<'a> Claim<'a> {
    /// The results of one driver.
    fn results(&self, driver: &'a str) -> impl Iterator<Item = &'a DeviceResult> {
        self.allocation.results.iter().filter(move |result| result.id.driver == driver)
    }

    /// The configuration for a result: of classes first, of claims behind, so that the last one counts most.
    fn configs(&self, driver: &'a str, result: &'a DeviceResult) -> impl Iterator<Item = &'a AllocationConfig> {
        let (of_class, of_claim): (Vec<_>, Vec<_>) = self
            .allocation
            .config
            .iter()
            .filter(move |config| config.opaque.driver == driver)
            .filter(|config| config.requests.is_empty() || config.requests.contains(&result.request))
            .partition(|config| config.source == ConfigSource::Class);
        of_class.into_iter().chain(of_claim)
    }

    /// The name of the CDI device for a result.
    fn device_name(&self, result: &DeviceResult) -> String {
        match &result.share_id {
            Some(share) => cdi::name(&format!("{}-{}-{share}", self.uid, result.id.device)),
            None => cdi::name(&format!("{}-{}", self.uid, result.id.device)),
        }
    }
}

/// A prepared device with these CDI IDs.
fn prepared(result: &DeviceResult, cdi_device_ids: Vec<String>) -> PreparedDevice {
    let request = result.request.split('/').next().unwrap_or_default().to_owned();
    PreparedDevice {
        pool_name: result.id.pool.clone(),
        device_name: result.id.device.clone(),
        share_id: result.share_id.clone(),
        request_names: if request.is_empty() { Vec::new() } else { vec![request] },
        cdi_device_ids,
    }
}

/// A text in the letters of the name of an environment variable.
fn variable(text: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
