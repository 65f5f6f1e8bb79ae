//! Controllers that keep pods: replica sets, deployments, daemon sets, stateful sets, jobs, cron jobs.

pub(crate) mod autoscaler;
pub(crate) mod cron_job;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod job;
pub(crate) mod replica_set;
pub(crate) mod stateful_set;
pub(crate) mod ttl;

mod hash;
pub(crate) mod number;
mod revision;
mod template;
