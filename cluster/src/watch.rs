//! What happens in a cluster, as one stream.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde_json::Value;

use crate::{Kind, document::Document, write::describe};

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
/// How long one watch runs; the protocol allows less than five minutes.
const WATCH_SECONDS: u32 = 290;
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Watches every one of `kinds`, all namespaces, for ever. Each kind begins with `Listed`; one that the server does not
/// have is listed as empty, and asked for again from time to time.
///
/// After any error, and when a watch ends before its time, the kind is listed anew instead of continuing at the last
/// revision: a server that forgets its past when it restarts may give the same revision number to another history.
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
    let connection = Connection { api, kind, phase: Phase::List, pause: PAUSE_MIN, absent: false };
    stream::unfold(connection, |mut connection| async move { Some((connection.next().await, connection)) })
}

type Events = futures::stream::BoxStream<'static, Result<WatchEvent<Document>, kube::Error>>;

/// A watch of one kind, over as many connections as it takes.
struct Connection {
    api: Api<Document>,
    kind: Kind,
    phase: Phase,
    pause: Duration,
    /// The server does not have the kind, and that was said.
    absent: bool,
}

enum Phase {
    /// Everything there is has to be read.
    List,
    /// The watch has to start after this revision.
    Start(String),
    /// The watch runs since then, and came to this revision.
    Run(Events, Instant, String),
    /// The server has to be left alone for a while.
    Pause,
}

/// How a watch goes on after something that is no change.
enum Interruption {
    /// Where it was.
    Planned(String),
    /// With a new list, for this reason.
    Lost(String),
}

impl Connection {
    async fn next(&mut self) -> Change {
        loop {
            match std::mem::replace(&mut self.phase, Phase::Pause) {
                Phase::Pause => {
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                    self.phase = Phase::List;
                }
                Phase::List => match list_pages(self.api.clone(), self.kind).await {
                    Ok((documents, version)) => {
                        self.phase = Phase::Start(version);
                        self.absent = false;
                        return Change::Listed(self.kind, documents);
                    }
                    // Another server, or another release, may stand where one was that had the kind.
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        self.pause = PAUSE_MAX;
                        if !std::mem::replace(&mut self.absent, true) {
                            return Change::Listed(self.kind, Vec::new());
                        }
                    }
                    Err(error) => return self.lost(describe(&error)),
                },
                Phase::Start(version) => {
                    let parameters = WatchParams::default().timeout(WATCH_SECONDS);
                    match self.api.watch(&parameters, &version).await {
                        Ok(events) => self.phase = Phase::Run(events.boxed(), Instant::now(), version),
                        Err(error) => return self.lost(describe(&error)),
                    }
                }
                Phase::Run(mut events, since, version) => match event(events.next().await, since, version) {
                    Ok((change, version)) => {
                        self.pause = PAUSE_MIN;
                        self.phase = Phase::Run(events, since, version);
                        match change {
                            Some(News::There(document)) => {
                                return Change::Applied(self.kind, typed(self.kind, document));
                            }
                            Some(News::Gone(document)) => {
                                return Change::Deleted(self.kind, typed(self.kind, document));
                            }
                            None => {}
                        }
                    }
                    Err(Interruption::Planned(version)) => self.phase = Phase::Start(version),
                    Err(Interruption::Lost(why)) => return self.lost(why),
                },
            }
        }
    }

    fn lost(&mut self, why: String) -> Change {
        self.phase = Phase::Pause;
        Change::Lost(self.kind, why)
    }
}

/// Everything there is, page by page, and the revision of it all.
async fn list_pages(api: Api<Document>, kind: Kind) -> Result<(Vec<Arc<Value>>, String), kube::Error> {
    let mut parameters = ListParams::default().limit(PAGE);
    let mut documents = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        documents.extend(page.items.into_iter().map(|document| typed(kind, document.value)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok((documents, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// An object that a watch tells of.
enum News {
    /// It is there, as it is now.
    There(Arc<Value>),
    /// It is gone; its last state.
    Gone(Arc<Value>),
}

/// What an event of a watch says, and the revision at which the watch is now.
fn event(
    event: Option<Result<WatchEvent<Document>, kube::Error>>,
    since: Instant,
    version: String,
) -> Result<(Option<News>, String), Interruption> {
    let at = |document: &Document| document.meta().resource_version.clone();
    match event {
        Some(Ok(WatchEvent::Added(document) | WatchEvent::Modified(document))) => {
            let version = at(&document).unwrap_or(version);
            Ok((Some(News::There(document.value)), version))
        }
        Some(Ok(WatchEvent::Deleted(document))) => {
            let version = at(&document).unwrap_or(version);
            Ok((Some(News::Gone(document.value)), version))
        }
        Some(Ok(WatchEvent::Bookmark(bookmark))) => Ok((None, bookmark.metadata.resource_version)),
        Some(Ok(WatchEvent::Error(status))) => Err(Interruption::Lost(status.message)),
        Some(Err(error)) => Err(Interruption::Lost(describe(&error))),
        // The server ends a watch when its time is up. When it does so before, another server may come.
        None if since.elapsed().as_secs() + 5 >= u64::from(WATCH_SECONDS) => Err(Interruption::Planned(version)),
        None => Err(Interruption::Lost("the server closed the watch".to_owned())),
    }
}
