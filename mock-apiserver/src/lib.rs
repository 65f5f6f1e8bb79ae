//! The Kubernetes wire in memory: request → handler → registry (one generic pipeline, a strategy per kind) → storage →
//! response.
//!
//! [`ApiServer`] is the whole server without a socket; [`Server`] listens for it.

mod admission;
mod aggregation;
mod answers;
pub mod args;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod catalog;
pub mod clock;
pub mod config;
mod discovery;
pub mod feature_gates;
pub mod flags;
mod formula;
mod handlers;
mod hooks;
pub mod json;
pub mod kubeconfig;
pub mod kubelets;
mod meta;
mod openapi;
mod outbound;
pub mod plugin_config;
mod plugins;
mod protobuf;
mod registry;
pub mod reloads;
mod request;
mod respond;
mod rules;
pub mod runtime_config;
mod server;
pub mod service_range;
mod socket;
mod spdy;
pub mod storage;
pub mod tls;

pub use config::Config;
pub use server::{ApiServer, Handle, Server, StartError};
