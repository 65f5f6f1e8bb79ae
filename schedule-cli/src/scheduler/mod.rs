//! The scheduler: from the objects of a cluster to decisions, and from decisions to writes.

mod amounts;
pub mod batch;
mod binding;
mod claims;
mod classic;
pub mod commit;
mod condition;
pub mod decision;
mod detail;
mod devices;
mod extended;
mod filter;
mod gang;
pub(crate) mod hint;
mod images;
mod neighbours;
mod news;
mod node;
pub(crate) mod pod;
mod preemption;
mod queue;
mod ranking;
pub(crate) mod refusal;
mod run;
mod score;
mod search;
mod target;
#[cfg(test)]
mod tests;
mod touched;
#[cfg(test)]
mod trial;
mod twins;
mod volumes;
mod wants;
mod world;

use std::time::Duration;

use allocator::Features;
use api::{gate, release::Release};
use jiff::Timestamp;

pub use classic::Move;
pub use decision::Decision;
pub use gang::Gangs;
pub use run::Runner;
pub use score::Preference;
pub use target::Target;
pub use world::World;

/// The scheduler that pods mean when they name none.
pub const DEFAULT_NAME: &str = "default-scheduler";

/// How a scheduler works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pods that name this scheduler are its own; Events name it as their source.
    pub scheduler_name: String,
    /// Which device features are on.
    pub features: Features,
    /// Devices stand for extended resources (KEP-5004).
    pub extended_resources: bool,
    /// Which of the nodes that fit.
    pub preference: Preference,
    /// Claims are made from templates here; false where a controller does that.
    pub makes_claims: bool,
    /// How long a command that ends waits for drivers of classic claims to answer.
    pub driver_patience: Duration,
    /// A command that ends stops after every move of the negotiation with such drivers.
    pub step: bool,
    /// How long devices may take to become ready for a pod (KEP-5007).
    pub binding_timeout: Duration,
    /// On how many nodes it is explained at length why they are no place.
    pub explained_max: usize,
    /// Only on this one.
    pub explained_node: Option<String>,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_name: DEFAULT_NAME.to_owned(),
            features: Features::of_minor(Release::default().minor()),
            extended_resources: gate::on_by_default(EXTENDED_RESOURCES, Release::default()),
            preference: Preference::Emptiest,
            makes_claims: true,
            driver_patience: DRIVER_PATIENCE,
            step: false,
            binding_timeout: BINDING_TIMEOUT,
            explained_max: EXPLAINED_MAX,
            explained_node: None,
            now: Timestamp::now,
        }
    }
}

impl Options {
    /// With the features that a release has on by default.
    pub fn of_release(self, release: Release) -> Self {
        let extended_resources = gate::on_by_default(EXTENDED_RESOURCES, release);
        Self { features: Features::of_minor(release.minor()), extended_resources, ..self }
    }

    /// With the features that the server's release has on by default: no scheduler can ask a server for its gates.
    ///
    /// # Errors
    /// The server does not say which release it is.
    pub async fn of_server(self, client: &kube::Client) -> anyhow::Result<Self> {
        let minor = cluster::connect::minor_release(client).await;
        let minor = minor.map_err(|error| cluster::write::failed("reach the server", &error))?;
        Ok(self.of_release(Release::of_minor(minor)))
    }

    /// Whether it is explained at length why a node is no place, after so many others.
    fn explains(&self, node: &str, others: usize) -> bool {
        self.explained_node.as_deref().map_or(others < self.explained_max, |only| only == node)
    }

    /// Switches features by the names of their gates.
    pub fn switch(&mut self, gates: &[(String, bool)]) {
        for (name, on) in gates {
            if name == EXTENDED_RESOURCES {
                self.extended_resources = *on;
            }
            self.features.set(name, *on);
            // Without the status of devices nobody can say that they are ready.
            self.features.binding_conditions &= name != DEVICE_STATUS || *on;
        }
    }
}

/// The gate of KEP-5004.
const EXTENDED_RESOURCES: &str = "DRAExtendedResource";
/// The gate of KEP-4817.
const DEVICE_STATUS: &str = "DRAResourceClaimDeviceStatus";
/// `bindingTimeout` of upstream's plugin, where its configuration does not say.
pub const BINDING_TIMEOUT: Duration = Duration::from_secs(600);
/// How long drivers may take where nobody says how long.
const DRIVER_PATIENCE: Duration = Duration::from_secs(10);
/// Nodes that are explained where nobody says how many.
const EXPLAINED_MAX: usize = 64;
