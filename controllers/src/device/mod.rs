//! Devices: taints with which pods cannot stay, and questions about pools.

pub(crate) mod pool_status;
mod rule_status;
pub(crate) mod taint_eviction;
mod tainted;
