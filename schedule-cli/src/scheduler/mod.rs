//! The scheduler: from the objects of a cluster to decisions, and from decisions to writes.

mod amounts;
pub mod batch;
mod claims;
pub mod commit;
pub mod decision;
mod devices;
mod event;
mod node;
mod placement;
mod pod;
mod queue;
mod refusal;
mod run;
mod target;
mod world;

use allocator::Features;

pub use decision::{Decision, Preference};
pub use run::Runner;
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_name: DEFAULT_NAME.to_owned(),
            features: Features::of_minor(KUBERNETES_MINOR),
            preference: Preference::Emptiest,
            makes_claims: true,
        }
    }
}

/// The minor release of Kubernetes whose defaults apply.
const KUBERNETES_MINOR: u32 = 36;
