//! Fixtures for tests: a server of its own for each test, and a runner for kubectl.

mod kubectl;
mod server;

pub use kubectl::{Kubectl, Output, kubectl_on_path};
pub use server::TestServer;
