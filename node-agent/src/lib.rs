//! Fake kubelets: nodes with devices that do not exist, which prepare claims, run pods and report as real ones do.
//!
//! A plain client of any Kubernetes API server: it knows nothing of how devices are allocated.

mod agent;
mod container;
mod devices;
mod endpoint;
mod image;
pub mod inventory;
mod node;
pub mod options;
mod plugin;
mod pod;
mod publish;

pub use agent::run;
pub use options::Options;
