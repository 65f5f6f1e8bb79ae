//! The `schedule` command: allocates devices to pods and writes the result back.

pub mod args;
pub mod scheduler;
