//! The `schedule` command: allocates devices to pods and writes the result back.
//!
//! It is a plain client of any Kubernetes API server, and, with `-f FILE`, of none.

pub mod args;
mod command;
pub mod leader;
mod lint;
pub mod output;
pub mod scheduler;

pub use command::main;
