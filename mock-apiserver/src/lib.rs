//! The Kubernetes wire in memory: request → handler → registry (one generic pipeline, a strategy per kind) → storage →
//! response.
//!
//! [`ApiServer`] is the whole server without a socket; [`Server`] listens for it.

mod admission;
pub mod args;
pub mod authentication;
pub mod authorization;
pub mod catalog;
pub mod clock;
pub mod config;
mod discovery;
pub mod feature_gates;
mod handlers;
mod hooks;
pub mod json;
pub mod kubeconfig;
mod meta;
mod openapi;
mod protobuf;
mod registry;
mod request;
mod respond;
mod rules;
pub mod runtime_config;
mod server;
mod spdy;
pub mod storage;

pub use config::Config;
pub use server::{ApiServer, Handle, Server, StartError};
