//! What a control plane does around the API server: claims from templates and their end, workloads, nodes, evictions.
//!
//! Everything here is a plain client: it watches, decides from what it saw, and writes. A decision is a pure function of
//! the objects of the cluster; `run` carries it out.

#![allow(dead_code)]
mod action;
mod cache;
mod claims;
mod classic;
mod controller;
mod event;
mod pod;
mod run;
mod task;
mod timers;
mod wait;

pub use controller::Options;
pub use run::run;
