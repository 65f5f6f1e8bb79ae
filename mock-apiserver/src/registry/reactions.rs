//! Reactions: what the server does by itself after a write.

use std::sync::Arc;

use serde_json::Value;

use super::Registry;
use crate::{
    catalog::Endpoint,
    storage::{ChangeKind, Stored},
};

/// A write that has happened.
pub(crate) struct Change<'a> {
    /// The resource, at the version in which it is stored.
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) kind: ChangeKind,
    /// The object after the write; for a delete its last state.
    pub(crate) object: &'a Arc<Stored>,
    /// The object before the write.
    pub(crate) old: Option<&'a Value>,
}

/// A part of the server that reacts to writes. It is called by the writer, so it only takes note; work that needs writes
/// of its own is done elsewhere.
pub(crate) trait Reaction: Send + Sync {
    /// Takes note of a write.
    fn observe(&self, registry: &Registry, change: &Change<'_>);
}

impl Registry {
    pub(super) fn react(&self, change: &Change<'_>) {
        for reaction in &self.reactions {
            reaction.observe(self, change);
        }
    }
}
