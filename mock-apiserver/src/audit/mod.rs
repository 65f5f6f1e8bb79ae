//! What is written down about requests: events of `audit.k8s.io/v1`, as a policy says.

mod event;
mod policy;

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

pub(crate) use event::Event;
use policy::Policy;
pub(crate) use policy::{Asked, Level, Stage};
use serde_json::Value;

/// A policy, and where events go.
pub struct Audit {
    policy: Policy,
    log: Mutex<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Audit {
    /// Reads the policy and opens the log; `-` is standard output.
    ///
    /// # Errors
    /// The policy cannot be read or means nothing, or the log cannot be written.
    pub fn open(policy: &Path, log: &Path) -> Result<Self, String> {
        let policy = Policy::read(policy).map_err(|why| format!("loading audit policy file: {why}"))?;
        let log: Box<dyn Write + Send> = if log == Path::new("-") {
            Box::new(std::io::stdout())
        } else {
            let opened = File::options().append(true).create(true).open(log);
            Box::new(opened.map_err(|error| format!("--audit-log-path: {}: {error}", log.display()))?)
        };
        Ok(Self { policy, log: Mutex::new(log) })
    }

    /// What is written down about a request, if anything.
    pub(crate) fn about(&self, asked: &Asked<'_>) -> Option<policy::Rule> {
        self.policy.about(asked)
    }

    fn write(&self, event: &Value) {
        let line = format!("{event}\n");
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.write_all(line.as_bytes()).and_then(|()| log.flush()) {
            tracing::warn!(%error, "an audit event was not written");
        }
    }
}
