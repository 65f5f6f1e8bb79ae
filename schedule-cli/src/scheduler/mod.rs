//! The scheduler: from the objects of a cluster to decisions, and from decisions to writes.

mod amounts;
pub mod batch;
mod binding;
mod claims;
mod classic;
pub mod commit;
pub mod decision;
mod devices;
mod event;
mod extended;
mod filter;
mod gang;
mod neighbours;
mod news;
mod node;
mod pod;
mod preemption;
mod queue;
mod ranking;
mod refusal;
mod run;
mod score;
mod search;
mod target;
mod touched;
mod twins;
mod volumes;
mod wants;
mod world;

use std::time::Duration;

use allocator::Features;
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
    /// On how many nodes it is explained why the devices do not serve.
    pub explained_max: usize,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_name: DEFAULT_NAME.to_owned(),
            features: Features::of_minor(KUBERNETES_MINOR),
            preference: Preference::Emptiest,
            makes_claims: true,
            driver_patience: DRIVER_PATIENCE,
            step: false,
            binding_timeout: BINDING_TIMEOUT,
            explained_max: EXPLAINED_MAX,
            now: Timestamp::now,
        }
    }
}

/// The minor release of Kubernetes whose defaults apply.
const KUBERNETES_MINOR: u32 = 36;
/// `bindingTimeout` of upstream's plugin, where its configuration does not say.
pub const BINDING_TIMEOUT: Duration = Duration::from_secs(600);
/// How long drivers may take where nobody says how long.
const DRIVER_PATIENCE: Duration = Duration::from_secs(10);
/// Nodes that are explained where nobody says how many.
const EXPLAINED_MAX: usize = 64;
