//! What there is to reconcile.

use cluster::{Key, Kind};

/// One object, for one controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Task {
    /// Which controller, by its place among those that run.
    pub(crate) controller: usize,
    /// Kind of the object.
    pub(crate) kind: Kind,
    /// The object.
    pub(crate) key: Key,
}
