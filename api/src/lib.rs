//! The objects: device API types of every generation, one catalog row per served kind, and conversions through one
//! hub model.
//!
//! Nothing here knows HTTP, storage or scheduling, and nothing is asynchronous.

pub mod builtin;
pub mod catalog;
mod check;
pub mod classic;
mod columns;
pub mod convert;
pub mod definition;
mod document;
pub mod evolution;
mod format;
pub mod gate;
pub mod generate;
pub mod hub;
pub mod k8srm;
mod members;
pub mod node_selector;
pub mod persistent_volume;
pub mod release;
pub mod resource;
mod status;
