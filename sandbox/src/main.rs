//! The `sandbox` command: server, scheduler, controllers and node agent in one process.

fn main() {}
