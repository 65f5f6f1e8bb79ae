//! Reactions: what the server does by itself after a write.

use std::sync::Arc;

use futures::future::BoxFuture;
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

/// A part of the server that reacts to writes.
pub(crate) trait Reaction: Send + Sync {
    /// Takes note of a write. The writer waits for it, so work that takes time is done elsewhere. What has to be there
    /// before the client hears of its write is returned as a future, which the writer waits for too.
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>>;
}

impl Registry {
    pub(super) async fn react(&self, change: &Change<'_>) {
        for reaction in &self.reactions {
            if let Some(follow_up) = reaction.observe(self, change) {
                follow_up.await;
            }
        }
    }
}
