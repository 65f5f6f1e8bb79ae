//! What a control plane does around the API server: claims from templates and their end, workloads, nodes, evictions.
//!
//! Everything here is a plain client: it watches, decides from what it saw, and writes. A decision is a pure function of
//! the objects of the cluster; `run` carries it out.

mod action;
mod cache;
mod claims;
mod classic;
mod conditions;
mod controller;
mod device;
mod disruption;
mod evict;
mod install;
mod kubevirt;
mod node;
mod node_fit;
mod ownership;
mod pod;
mod run;
mod service;
mod task;
mod timers;
mod volcano;
mod volume;
mod wait;
mod webhook;
#[cfg(test)]
mod weird;
mod workload;

use cluster::event;

pub use controller::Options;
pub use install::{System, install};
pub use kubevirt::Release;
pub use run::run;
