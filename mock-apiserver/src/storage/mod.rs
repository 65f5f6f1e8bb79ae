//! Objects, revisions and history. Knows keys and bytes; knows neither kinds nor HTTP.
//!
//! Every write takes the next revision of one line, and lands in the space's snapshot and in its history, in that order.
//! Readers take an immutable snapshot and never block a writer.

mod by_member;
#[cfg(test)]
mod contract;
mod history;
mod memory;
mod space;
mod stored;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use history::{Change, ChangeKind};
pub use memory::MemoryStore;
pub use space::{Objects, Snapshot, Space, Watcher};
pub use stored::{Draft, Stored};

/// Why storage refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A create met an object.
    #[error("the object exists")]
    Exists,
    /// The object changed, or disappeared, since it was read.
    #[error("the object was changed")]
    Conflict,
    /// That far back history does not reach.
    #[error("history begins after revision {oldest}")]
    Expired {
        /// The oldest revision that can be shown.
        oldest: u64,
    },
    /// That revision has not happened yet.
    #[error("revision is in the future; now is {current}")]
    Future {
        /// The newest revision.
        current: u64,
    },
}

/// What must be true of an object for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is none.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// One write.
#[derive(Debug)]
pub enum Write {
    /// Create or replace.
    Put {
        /// The object, all but its revision.
        draft: Draft,
        /// The condition.
        expected: Expected,
    },
    /// Remove.
    Delete {
        /// Which object.
        key: Arc<str>,
        /// The revision it must have.
        revision: u64,
    },
}

/// A place for objects with one line of revisions.
pub trait Store: Send + Sync + 'static {
    /// The newest revision.
    fn revision(&self) -> u64;

    /// The space of that name; made when first asked for.
    fn space(&self, name: &str) -> Arc<Space>;

    /// Performs one write. Returns the object as stored, or, for a delete, its last state at the revision of the delete.
    fn commit<'a>(&'a self, space: &'a Arc<Space>, write: Write) -> BoxFuture<'a, Result<Arc<Stored>, Error>>;
}
