//! Events: what components tell about objects. Events are advice: that one cannot be recorded stops nothing.

mod correlator;
mod series;

use std::borrow::Cow;

use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use self::{correlator::Correlator, series::Series};
use crate::{
    Key, Writer, kind,
    write::{self, PatchKind},
};

/// Longest message of an Event: core validation's limit for `note`.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Most Events that wait for being written; further ones are dropped, as client-go's broadcasters do, whose queues are
/// shorter.
const QUEUE_MAX: usize = 32_768;

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// In one CamelCase word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// `Warning` instead of `Normal`.
    pub warning: bool,
    /// Who says it.
    pub component: Cow<'static, str>,
}

impl Remark {
    /// What went as it should.
    pub fn normal(component: impl Into<Cow<'static, str>>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), warning: false, component: component.into() }
    }

    /// What did not.
    pub fn warning(component: impl Into<Cow<'static, str>>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), warning: true, component: component.into() }
    }
}

/// Takes Events; a task of its own writes them, so that nobody waits for them.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Item>,
}

enum Item {
    Event(Told),
    /// All that was told before is to be written first.
    Flush(oneshot::Sender<()>),
}

struct Told {
    /// An ObjectReference.
    about: Value,
    remark: Remark,
    /// What was being done, for Events of `events.k8s.io`.
    action: Option<&'static str>,
    at: Timestamp,
}

impl Recorder {
    /// A recorder, and the task that writes until the last recorder is gone.
    pub fn start(writer: Writer) -> (Self, JoinHandle<()>) {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        (Self { queue }, tokio::spawn(record_all(writer, inbox)))
    }

    /// Records an Event of `v1` about an object.
    pub fn record(&self, about: &Value, remark: Remark) {
        self.put(about, remark, None);
    }

    /// Records an Event of `events.k8s.io/v1` about an object with which something was being done.
    pub fn record_action(&self, about: &Value, remark: Remark, action: &'static str) {
        self.put(about, remark, Some(action));
    }

    fn put(&self, about: &Value, remark: Remark, action: Option<&'static str>) {
        let told = Told { about: reference(about), remark, action, at: Timestamp::now() };
        if self.queue.try_send(Item::Event(told)).is_err() {
            tracing::debug!("an event is dropped: too many wait");
        }
    }

    /// Waits until everything that was recorded so far is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            drop(written.await);
        }
    }
}

async fn record_all(writer: Writer, mut inbox: mpsc::Receiver<Item>) {
    let (mut correlator, mut series) = (Correlator::default(), Series::default());
    while let Some(item) = inbox.recv().await {
        let Told { about, remark, action, at } = match item {
            Item::Event(told) => told,
            Item::Flush(done) => {
                let _ = done.send(());
                continue;
            }
        };
        let record = match action {
            Some(action) => series.correlate(&about, &remark, action, at),
            None => correlator.correlate(&about, &remark, at),
        };
        let Some(record) = record else { continue };
        if let Err(error) = record.write(&writer).await {
            tracing::debug!(error = write::describe(&error), reason = remark.reason, "an event was not recorded");
        }
    }
}

/// An Event to write.
#[derive(Debug, PartialEq)]
enum Record {
    New(Value),
    /// One more of an Event that is there.
    Again {
        event: Value,
        key: Key,
        patch: Value,
    },
}

impl Record {
    async fn write(self, writer: &Writer) -> Result<(), kube::Error> {
        let of = |event: &Value| if event["regarding"].is_object() { kind::EVENT_OF_SERIES } else { kind::EVENT };
        match self {
            Self::New(event) => writer.create(of(&event), &event).await.map(drop),
            Self::Again { event, key, patch } => {
                match writer.patch(of(&event), &key, "", PatchKind::Strategic, &patch).await {
                    // It has been forgotten by the server.
                    Err(error) if write::is_not_found(&error) => writer.create(of(&event), &event).await.map(drop),
                    other => other.map(drop),
                }
            }
        }
    }
}

/// An ObjectReference to an object.
fn reference(object: &Value) -> Value {
    let mut reference = json!({
        "apiVersion": meta::api_version(object),
        "kind": meta::kind(object),
        "name": meta::name(object),
        "uid": meta::uid(object),
        "resourceVersion": meta::resource_version(object),
    });
    if !meta::namespace(object).is_empty() {
        reference["namespace"] = json!(meta::namespace(object));
    }
    reference
}

fn text<'a>(reference: &'a Value, member: &str) -> &'a str {
    reference[member].as_str().unwrap_or_default()
}

/// `<object>.<nanoseconds in hexadecimal>`, as client-go names Events.
fn name(about: &Value, now: Timestamp) -> String {
    format!("{}.{:x}", text(about, "name"), now.as_nanosecond())
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
