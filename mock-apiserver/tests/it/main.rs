//! The server as clients see it: over its router, and with the kubectls that are installed.

mod kubectl;
mod wire;
