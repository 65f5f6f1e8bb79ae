//! Everything in one process: API server, scheduler, controllers and fake nodes.
//!
//! The parts are those of the other commands. They reach the server through its router instead of a socket, with the
//! requests that they would send to any cluster.

mod args;
mod cluster_in_process;
pub mod demo;
pub mod example;
mod up;

pub use args::main;
pub use cluster_in_process::{Parts, Sandbox};
