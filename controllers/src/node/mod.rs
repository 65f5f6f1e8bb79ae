//! Nodes: which are silent, what that means for their pods, and pods of nodes that are gone.

pub(crate) mod lifecycle;
pub(crate) mod pod_garbage;
pub(crate) mod taint_eviction;
