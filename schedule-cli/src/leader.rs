//! Leader election: of several schedulers of one name, the one that holds a Lease works (client-go's `leaderelection`).

use std::time::{Duration, Instant};

use anyhow::Context;
use cluster::{Key, Writer, kind, write};
use jiff::Timestamp;
use machinery::time;
use serde_json::{Value, json};

/// Where and how the Lease is held.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// How long others wait for a holder that is not heard of.
    pub lease_duration: Duration,
    /// How long a holder that cannot renew goes on.
    pub renew_deadline: Duration,
    /// How long to wait between two attempts.
    pub retry_period: Duration,
}

/// How often giving the lease back is tried.
const RESIGNATIONS_MAX: usize = 5;

/// A scheduler that wants to lead.
pub struct Candidate {
    writer: Writer,
    election: Election,
    identity: String,
    /// The Lease as it was seen last, and when it was first seen so: clocks of others are not believed.
    seen: Option<(Value, Instant)>,
}

impl Candidate {
    /// One with an identity of its own.
    pub fn new(writer: Writer, election: Election) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
        Self { writer, election, identity: format!("{host}_{}", uuid::Uuid::new_v4()), seen: None }
    }

    /// Waits until it leads.
    pub async fn lead(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!("cannot take the lease: {error:#}"),
            }
            tokio::time::sleep(self.election.retry_period).await;
        }
    }

    /// Leads for as long as it can; says why it cannot any more.
    pub async fn hold(&mut self) -> anyhow::Error {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.election.retry_period).await;
            let attempt = tokio::time::timeout(self.election.renew_deadline, self.attempt()).await;
            match attempt {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return anyhow::anyhow!("leaderelection lost: another scheduler leads"),
                Ok(Err(error)) => tracing::info!("the lease was not renewed: {error:#}"),
                Err(_) => {}
            }
            if renewed.elapsed() > self.election.renew_deadline {
                return anyhow::anyhow!("leaderelection lost: the lease could not be renewed in time");
            }
        }
    }

    /// Lets others lead at once.
    pub async fn resign(&mut self) {
        // An attempt to renew that was broken off may have changed the lease.
        for _ in 0..RESIGNATIONS_MAX {
            let Ok(Some(mut lease)) = self.writer.get(kind::LEASE, &self.key()).await else { return };
            if lease["spec"]["holderIdentity"] != self.identity.as_str() {
                return;
            }
            lease["spec"]["holderIdentity"] = json!("");
            lease["spec"]["leaseDurationSeconds"] = json!(1);
            match self.writer.replace(kind::LEASE, &lease, "").await {
                Err(error) if write::is_conflict(&error) => {}
                Err(error) => return tracing::info!("the lease was not given back: {}", write::describe(&error)),
                Ok(_) => return,
            }
        }
    }

    fn key(&self) -> Key {
        Key::new(self.election.namespace.as_str(), self.election.name.as_str())
    }

    /// Takes or renews the lease if that is possible.
    async fn attempt(&mut self) -> anyhow::Result<bool> {
        let key = self.key();
        let now = time::format_micros(Timestamp::now());
        let found =
            self.writer.get(kind::LEASE, &key).await.map_err(|error| write::failed("read the lease", &error))?;
        let Some(found) = found else {
            let lease = json!({
                "apiVersion": kind::LEASE.api_version(),
                "kind": kind::LEASE.kind,
                "metadata": {"namespace": key.namespace, "name": key.name},
                "spec": self.spec(&now, &now, 0),
            });
            return match self.writer.create(kind::LEASE, &lease).await {
                Ok(made) => Ok(self.see(made)),
                Err(error) if write::is_conflict(&error) => Ok(false),
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(false),
                Err(error) => Err(write::failed("make the lease", &error)),
            };
        };
        if self.seen.as_ref().is_none_or(|(seen, _)| seen["spec"] != found["spec"]) {
            self.seen = Some((found.clone(), Instant::now()));
        }
        let spec = &found["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        let duration = Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or(0));
        let heard_of = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() < duration);
        if !holder.is_empty() && holder != self.identity && heard_of {
            return Ok(false);
        }
        let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0);
        let fresh = if holder == self.identity {
            self.spec(spec["acquireTime"].as_str().unwrap_or(&now), &now, transitions)
        } else {
            self.spec(&now, &now, transitions.saturating_add(1))
        };
        let mut lease = found.clone();
        lease["spec"] = fresh;
        match self.writer.replace(kind::LEASE, &lease, "").await {
            Ok(written) => Ok(self.see(written)),
            Err(error) if write::is_conflict(&error) => Ok(false),
            Err(error) => Err(write::failed("renew the lease", &error)),
        }
    }

    fn see(&mut self, lease: Value) -> bool {
        self.seen = Some((lease, Instant::now()));
        true
    }

    fn spec(&self, acquired: &str, renewed: &str, transitions: i64) -> Value {
        json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.election.lease_duration.as_secs(),
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        })
    }
}

/// Reads a duration as upstream's flags write it: `15s`, `1m30s`.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    let span: jiff::SignedDuration = text.parse().with_context(|| format!("{text:?} is no duration such as 15s"))?;
    Duration::try_from(span).context("a duration must not be negative")
}
