//! Fixtures for tests: a server of its own for each test, a runner for kubectl, objects that are not as they
//! should be.

mod kubectl;
mod server;
pub mod weird;

pub use kubectl::{Kubectl, Output, kubectl_on_path};
pub use server::TestServer;
