//! The objects: device API types of every generation, one catalog row per served kind, and conversions through one
//! hub model.
//!
//! Nothing here knows HTTP, storage or scheduling, and nothing is asynchronous.

pub mod builtin;
pub mod definition;
mod document;
pub mod hub;

pub use document::ListFact;
