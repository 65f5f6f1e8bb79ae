//! A Kubernetes cluster as a client sees it: connect, find out what it serves, watch, write.
//!
//! Nothing here knows that a mock exists: the same code runs against any API server. Objects are JSON documents, since
//! one tool speaks several generations of an API; `api::convert` gives them meaning.

pub mod claim_reference;
pub mod connect;
pub mod dialect;
mod document;
pub mod event;
mod exchange;
pub mod generation;
pub mod informers;
pub mod kind;
pub mod objects;
mod recorder;
pub mod template;
pub mod watch;
pub mod write;

pub use claim_reference::{ClaimReference, ClaimSource, claim_references};
pub use connect::connect;
pub use generation::Generation;
pub use informers::Informers;
pub use kind::Kind;
pub use objects::{Key, Objects};
pub use watch::{Change, list, watch};
pub use write::Writer;
