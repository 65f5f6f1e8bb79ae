//! `AuditWebhook`: a server that is sent events, many at a time.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use crate::outbound::Remote;

/// How often it is tried to hand over events, and how much longer each pause is than the one before.
const ATTEMPTS: u32 = 5;
const PAUSE_GROWS_BY: f64 = 1.5;

/// How long the last events may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// How events are gathered before they are sent.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// Most events that wait; more are dropped.
    pub waiting_max: usize,
    /// Most events at once.
    pub size_max: usize,
    /// How long the first of them waits for others.
    pub wait: Duration,
    /// The pause after the first attempt that fails.
    pub pause: Duration,
}

impl Default for Batches {
    /// As kube-apiserver does.
    fn default() -> Self {
        Self { waiting_max: 10_000, size_max: 400, wait: Duration::from_secs(30), pause: Duration::from_secs(10) }
    }
}

/// A server that is sent events.
#[derive(Debug)]
pub(super) struct AuditWebhook {
    /// `None`: it is told nothing more.
    queue: Mutex<Option<mpsc::Sender<Box<RawValue>>>>,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl AuditWebhook {
    /// The server that a kubeconfig names. Events are sent by a task of the current runtime.
    pub(super) fn open(kubeconfig: &Path, batches: Batches) -> Result<Self, String> {
        let remote = Remote::read(kubeconfig)?;
        let (queue, events) = mpsc::channel(batches.waiting_max.max(1));
        let sending = tokio::spawn(send(remote, events, batches));
        Ok(Self { queue: Mutex::new(Some(queue)), sending: Mutex::new(Some(sending)) })
    }

    /// Has an event sent.
    pub(super) fn write(&self, event: Box<RawValue>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(TrySendError::Full(_))) = queue.as_ref().map(|queue| queue.try_send(event)) {
            tracing::warn!("an audit event was dropped: too many wait for the webhook");
        }
    }

    /// Sends what waits, and nothing after it.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sending) = sending
            && tokio::time::timeout(FAREWELL, sending).await.is_err()
        {
            tracing::warn!("the last audit events were not sent in time");
        }
    }
}

/// Sends events until there will be none any more.
async fn send(remote: Remote, mut events: mpsc::Receiver<Box<RawValue>>, batches: Batches) {
    while let Some(first) = events.recv().await {
        let mut items = vec![first];
        let until = Instant::now() + batches.wait;
        while items.len() < batches.size_max {
            match timeout_at(until, events.recv()).await {
                Ok(Some(event)) => items.push(event),
                Ok(None) | Err(_) => break,
            }
        }
        let list = EventList { kind: "EventList", api_version: "audit.k8s.io/v1", metadata: Empty {}, items: &items };
        let sent = match serde_json::to_vec(&list) {
            Ok(list) => attempt(&remote, &list.into(), batches.pause).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = sent {
            tracing::warn!("{} audit events were not sent: {why}", items.len());
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventList<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: Empty,
    items: &'a [Box<RawValue>],
}

#[derive(Serialize)]
struct Empty {}

async fn attempt(remote: &Remote, list: &Bytes, mut pause: Duration) -> Result<(), String> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match remote.send(list.clone()).await {
            Ok(_) => return Ok(()),
            Err(why) if attempts == ATTEMPTS => return Err(why),
            Err(_) => sleep(pause).await,
        }
        pause = pause.mul_f64(PAUSE_GROWS_BY);
    }
}
