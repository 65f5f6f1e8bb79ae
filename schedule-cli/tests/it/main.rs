//! A scheduler against a server.

mod command;
mod devices;
mod election;
mod explanations;
mod lab;
mod lint;
mod older;
mod preemption;
mod server;
mod weird;
