//! The scheduler: from the objects of a cluster to decisions, and from decisions to writes.

mod amounts;
mod claims;
mod event;
mod node;
mod placement;
mod pod;
mod refusal;
mod target;

pub use target::Target;

/// The scheduler that pods mean when they name none.
pub const DEFAULT_NAME: &str = "default-scheduler";
