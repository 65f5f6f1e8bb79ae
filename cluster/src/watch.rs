//! What happens in a cluster, as one stream.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event, watcher},
};
use serde_json::Value;

use crate::{Kind, document::Document};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Change {
    /// This is everything there is of the kind: at the start, and after a connection was lost.
    Listed(Kind, Vec<Arc<Value>>),
    /// An object was made or changed.
    Applied(Kind, Arc<Value>),
    /// An object is gone; its last state.
    Deleted(Kind, Arc<Value>),
    /// The connection for the kind is lost, for the reason given. A new list follows when the server is back.
    Lost(Kind, String),
}

/// First and longest pause between attempts to reach a server that does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Watches every one of `kinds`, all namespaces, for ever. Each kind begins with `Listed`.
///
/// After any error the kind is listed anew instead of continuing at the last revision: a server that forgets its past
/// when it restarts may give the same revision number to another history.
pub fn watch(client: Client, kinds: &[Kind]) -> impl Stream<Item = Change> + Send + use<> {
    stream::select_all(kinds.iter().map(|kind| watch_kind(client.clone(), *kind).boxed()).collect::<Vec<_>>())
}

/// Everything there is of a kind, now.
pub async fn list(client: &Client, kind: Kind) -> Result<Change, kube::Error> {
    let api: Api<Document> = Api::all_with(client.clone(), &kind.resource());
    let documents = api.list(&kube::api::ListParams::default()).await?;
    Ok(Change::Listed(kind, documents.items.into_iter().map(|document| typed(kind, document.value)).collect()))
}

/// Items of a list may come without `apiVersion` and `kind`, which the list says for all of them.
fn typed(kind: Kind, document: Arc<Value>) -> Arc<Value> {
    if document.get("kind").is_some() && document.get("apiVersion").is_some() {
        return document;
    }
    let mut owned = Arc::unwrap_or_clone(document);
    if let Some(members) = owned.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(kind.api_version()));
        members.insert("kind".to_owned(), Value::from(kind.kind));
    }
    Arc::new(owned)
}

fn watch_kind(client: Client, kind: Kind) -> impl Stream<Item = Change> + Send {
    let api: Api<Document> = Api::all_with(client, &kind.resource());
    let connect = move || watcher(api.clone(), watcher::Config::default()).boxed();
    let state = Connection { events: connect(), connect, listing: Vec::new(), pause: PAUSE_MIN, broken: false };
    stream::unfold(state, move |mut state| async move { state.next(kind).await.map(|change| (change, state)) })
}

type Events = futures::stream::BoxStream<'static, Result<Event<Document>, watcher::Error>>;

/// A watch of one kind, over as many connections as it takes.
struct Connection<F> {
    events: Events,
    connect: F,
    listing: Vec<Arc<Value>>,
    pause: Duration,
    broken: bool,
}

impl<F: Fn() -> Events> Connection<F> {
    async fn next(&mut self, kind: Kind) -> Option<Change> {
        loop {
            if self.broken {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                self.listing.clear();
                self.events = (self.connect)();
                self.broken = false;
            }
            match self.events.next().await {
                Some(Ok(Event::Init)) => self.listing.clear(),
                Some(Ok(Event::InitApply(document))) => self.listing.push(typed(kind, document.value)),
                Some(Ok(Event::InitDone)) => {
                    self.pause = PAUSE_MIN;
                    return Some(Change::Listed(kind, std::mem::take(&mut self.listing)));
                }
                Some(Ok(Event::Apply(document))) => return Some(Change::Applied(kind, typed(kind, document.value))),
                Some(Ok(Event::Delete(document))) => return Some(Change::Deleted(kind, typed(kind, document.value))),
                Some(Err(error)) => {
                    self.broken = true;
                    return Some(Change::Lost(kind, error.to_string()));
                }
                None => {
                    self.broken = true;
                    return Some(Change::Lost(kind, "the server closed the watch".to_owned()));
                }
            }
        }
    }
}
