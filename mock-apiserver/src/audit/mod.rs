//! What is written down about requests: events of `audit.k8s.io/v1`, as a policy says.

mod event;
mod line;
mod log;
mod notes;
mod policy;
mod webhook;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

pub(crate) use event::Event;
use log::Log;
pub use log::Rotation;
pub(crate) use notes::Notes;
use policy::Policy;
pub(crate) use policy::{Asked, Level, Stage};
use serde_json::value::RawValue;
use webhook::AuditWebhook;
pub use webhook::Batches;

/// A policy, and where events go.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    log: Option<Mutex<Log>>,
    webhook: Option<AuditWebhook>,
}

impl Audit {
    /// Reads the policy. Events go nowhere yet.
    ///
    /// # Errors
    /// The policy cannot be read or means nothing.
    pub fn open(policy: &Path) -> Result<Self, String> {
        let policy = Policy::read(policy).map_err(|why| format!("loading audit policy file: {why}"))?;
        Ok(Self { policy, log: None, webhook: None })
    }

    /// The same; events go to a file, a line each; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn logging(mut self, path: &Path, rotation: Rotation) -> Result<Self, String> {
        let log = Log::open(path, rotation);
        let log = log.map_err(|error| format!("--audit-log-path: {}: {error}", path.display()))?;
        self.log = Some(Mutex::new(log));
        Ok(self)
    }

    /// The same; events are sent to the server that a kubeconfig names, by a task of the current runtime.
    ///
    /// # Errors
    /// The kubeconfig cannot be read or names no server.
    pub fn sending(mut self, kubeconfig: &Path, batches: Batches) -> Result<Self, String> {
        let webhook = AuditWebhook::open(kubeconfig, batches);
        self.webhook = Some(webhook.map_err(|why| format!("--audit-webhook-config-file: {why}"))?);
        Ok(self)
    }

    /// What is written down about a request, if anything.
    pub(crate) fn about(&self, asked: &Asked<'_>) -> Option<policy::Rule> {
        self.policy.about(asked)
    }

    fn write(&self, event: Box<RawValue>) {
        if let Some(log) = &self.log {
            let line = format!("{event}\n");
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = log.write(line.as_bytes()) {
                tracing::warn!(%error, "an audit event was not written");
            }
        }
        if let Some(webhook) = &self.webhook {
            webhook.write(event);
        }
    }

    /// Sends what is still to be sent, before the process ends.
    pub async fn close(&self) {
        if let Some(webhook) = &self.webhook {
            webhook.close().await;
        }
    }
}
