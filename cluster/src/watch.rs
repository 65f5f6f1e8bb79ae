//! What happens in a cluster, as one stream.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream};
use kube::{
    Client,
    api::{ListParams, WatchParams},
    core::Request,
};
use machinery::meta;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Kind,
    dialect::Dialect,
    document::Document,
    exchange::{self, Lines},
    write::describe,
};

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

impl Change {
    /// Without objects that no server has: those whose metadata, specification or status is no map.
    pub fn shaped(self) -> Option<Self> {
        match self {
            Self::Listed(kind, mut documents) => {
                documents.retain(|document| is_shaped(document));
                Some(Self::Listed(kind, documents))
            }
            Self::Applied(_, ref document) | Self::Deleted(_, ref document) => is_shaped(document).then_some(self),
            Self::Lost(..) => Some(self),
        }
    }
}

fn is_shaped(document: &Value) -> bool {
    let metadata = &document["metadata"];
    let map_if_any = |value: &Value| value.is_null() || value.is_object();
    metadata.is_object()
        && ["spec", "status"].iter().all(|member| map_if_any(&document[*member]))
        && ["labels", "annotations"].iter().all(|member| map_if_any(&metadata[*member]))
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
    let dialect = dialect_for(client, kind).await?;
    let page = read_page(client, dialect.there(kind), &ListParams::default()).await?;
    Ok(Change::Listed(kind, page.documents(dialect, kind).filter(|document| is_shaped(document)).collect()))
}

async fn dialect_for(client: &Client, kind: Kind) -> Result<Dialect, kube::Error> {
    if Dialect::concerns(kind) { Dialect::find(client).await } else { Ok(Dialect::default()) }
}

/// Items of a list may come without `apiVersion` and `kind`, which the list says for all of them.
fn heard(dialect: Dialect, kind: Kind, document: Arc<Value>) -> Arc<Value> {
    if document.get("kind").is_some() && document.get("apiVersion").is_some() {
        return dialect.heard(kind, document);
    }
    let mut owned = Arc::unwrap_or_clone(document);
    if let Some(members) = owned.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(dialect.there(kind).api_version()));
        members.insert("kind".to_owned(), Value::from(kind.kind));
    }
    dialect.heard(kind, Arc::new(owned))
}

pub(crate) fn watch_kind(client: Client, kind: Kind) -> impl Stream<Item = Change> + Send {
    let (dialect, phase) = (Dialect::default(), Phase::List);
    let connection = Connection { client, kind, dialect, phase, pause: PAUSE_MIN, absent: false };
    let all = stream::unfold(connection, |mut connection| async move { Some((connection.next().await, connection)) });
    all.filter_map(|change| future::ready(change.shaped()))
}

/// A watch of one kind, over as many connections as it takes.
struct Connection {
    client: Client,
    kind: Kind,
    /// In which version the server had the kind when it was listed last.
    dialect: Dialect,
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
    Run(Lines, Instant, String),
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
                Phase::List => match self.list_pages().await {
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
                    let request = Request::new(self.dialect.there(self.kind).path()).watch(&parameters, &version);
                    let opened = match request {
                        Ok(request) => exchange::open(&self.client, request).await,
                        Err(error) => Err(kube::Error::BuildRequest(error)),
                    };
                    match opened {
                        Ok(answer) => self.phase = Phase::Run(Lines::of(answer), Instant::now(), version),
                        Err(error) => return self.lost(describe(&error)),
                    }
                }
                Phase::Run(mut events, since, version) => match event(events.next().await, since, version) {
                    Ok((change, version)) => {
                        self.pause = PAUSE_MIN;
                        self.phase = Phase::Run(events, since, version);
                        match change {
                            Some(News::There(document)) => {
                                return Change::Applied(self.kind, heard(self.dialect, self.kind, document));
                            }
                            Some(News::Gone(document)) => {
                                return Change::Deleted(self.kind, heard(self.dialect, self.kind, document));
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

    /// Everything there is, page by page, and the revision of it all.
    async fn list_pages(&mut self) -> Result<(Vec<Arc<Value>>, String), kube::Error> {
        self.dialect = dialect_for(&self.client, self.kind).await?;
        let mut parameters = ListParams::default().limit(PAGE);
        let mut documents = Vec::new();
        loop {
            let page = read_page(&self.client, self.dialect.there(self.kind), &parameters).await?;
            let metadata = page.metadata.clone();
            documents.extend(page.documents(self.dialect, self.kind));
            match metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok((documents, metadata.resource_version)),
            }
        }
    }

    fn lost(&mut self, why: String) -> Change {
        self.phase = Phase::Pause;
        Change::Lost(self.kind, why)
    }
}

/// A list, or a part of one.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    /// Go writes an empty list as null.
    items: Option<Vec<Document>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue")]
    continue_: Option<String>,
}

impl Page {
    fn documents(self, dialect: Dialect, kind: Kind) -> impl Iterator<Item = Arc<Value>> {
        self.items.into_iter().flatten().map(move |document| heard(dialect, kind, document.value))
    }
}

async fn read_page(client: &Client, kind: Kind, parameters: &ListParams) -> Result<Page, kube::Error> {
    let request = Request::new(kind.path()).list(parameters).map_err(kube::Error::BuildRequest)?;
    serde_json::from_slice(&exchange::ask(client, request).await?).map_err(kube::Error::SerdeError)
}

/// A line of a watch.
#[derive(Deserialize)]
struct Event {
    r#type: EventType,
    object: Document,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// An object that a watch tells of.
enum News {
    /// It is there, as it is now.
    There(Arc<Value>),
    /// It is gone; its last state.
    Gone(Arc<Value>),
}

/// What a line of a watch says, and the revision at which the watch is now.
fn event(
    line: Option<Result<Bytes, kube::Error>>,
    since: Instant,
    version: String,
) -> Result<(Option<News>, String), Interruption> {
    let event = match line {
        Some(Ok(line)) => serde_json::from_slice::<Event>(&line).map_err(kube::Error::SerdeError),
        Some(Err(error)) => Err(error),
        // The server ends a watch when its time is up. When it does so before, another server may come.
        None if since.elapsed().as_secs() + 5 >= u64::from(WATCH_SECONDS) => {
            return Err(Interruption::Planned(version));
        }
        None => return Err(Interruption::Lost("the server closed the watch".to_owned())),
    };
    let Event { r#type, object } = event.map_err(|error| Interruption::Lost(describe(&error)))?;
    let object = object.value;
    if let EventType::Error = r#type {
        return Err(Interruption::Lost(object["message"].as_str().unwrap_or_default().to_owned()));
    }
    let version = match meta::resource_version(&object) {
        "" => version,
        newer => newer.to_owned(),
    };
    let news = match r#type {
        EventType::Added | EventType::Modified => Some(News::There(object)),
        EventType::Deleted => Some(News::Gone(object)),
        EventType::Bookmark | EventType::Error => None,
    };
    Ok((news, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, version: &str) -> Result<(Option<News>, String), Interruption> {
        event(Some(Ok(Bytes::copy_from_slice(line.as_bytes()))), Instant::now(), version.to_owned())
    }

    #[test]
    fn lines_tell_what_happened_and_how_far_the_watch_is() {
        let line = |kind: &str| format!(r#"{{"type":"{kind}","object":{{"metadata":{{"resourceVersion":"7"}}}}}}"#);
        assert!(matches!(read(&line("ADDED"), "1"), Ok((Some(News::There(_)), version)) if version == "7"));
        assert!(matches!(read(&line("MODIFIED"), "1"), Ok((Some(News::There(_)), version)) if version == "7"));
        assert!(matches!(read(&line("DELETED"), "1"), Ok((Some(News::Gone(_)), version)) if version == "7"));
        assert!(matches!(read(&line("BOOKMARK"), "1"), Ok((None, version)) if version == "7"));
        // The object may come first, and without a revision the watch is where it was.
        assert!(matches!(read(r#"{"object":{},"type":"ADDED"}"#, "1"), Ok((Some(_), version)) if version == "1"));
    }

    #[test]
    fn what_breaks_a_watch_is_told() {
        let why = |line: &str| match read(line, "1") {
            Err(Interruption::Lost(why)) => why,
            _ => panic!("{line} breaks nothing"),
        };
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","message":"too old resource version","code":410}}"#;
        assert_eq!(why(gone), "too old resource version");
        assert!(why(r#"{"type":"ODD","object":{}}"#).contains("unknown variant"));
        assert!(why("{").contains("EOF"));
    }

    #[test]
    fn lists_may_be_empty_and_their_items_without_a_kind() {
        let page = |text: &str| serde_json::from_str::<Page>(text).expect("a list");
        assert_eq!(page(r#"{"metadata":{"resourceVersion":"3"},"items":null}"#).metadata.resource_version, "3");
        let page = page(r#"{"metadata":{"continue":"x"},"items":[{"metadata":{"name":"a"}}]}"#);
        assert_eq!(page.metadata.continue_.as_deref(), Some("x"));
        let documents: Vec<_> = page.documents(Dialect::default(), crate::kind::POD).collect();
        assert_eq!(documents[0]["kind"], "Pod");
    }
}
