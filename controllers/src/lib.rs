//! What a control plane does around the API server: claims from templates and their end, workloads.
//!
//! Everything here is a plain client: it watches, decides from what it saw, and writes. A decision is a pure function of
//! the objects of the cluster; `run` carries it out.

mod action;
mod claim;
mod event;
mod pod;
mod pod_claims;
mod run;
mod task;
mod wait;

pub use run::{Options, run};
