//! A scheduler against a server.

mod command;
mod devices;
mod election;
mod lab;
mod older;
mod preemption;
mod server;
