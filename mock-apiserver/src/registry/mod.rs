//! What happens to objects: one generic pipeline, with a strategy per kind. Knows kinds, not HTTP.

mod list;
mod registry;
mod watch;

pub(crate) use registry::Registry;
