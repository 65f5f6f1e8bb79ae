//! How answers are put on the wire: which representation the client wants, and the bytes of it.

mod body;
mod negotiate;

use std::sync::Arc;

use axum::body::Body;
use futures::stream::BoxStream;
use http::{HeaderValue, Response, StatusCode, header};
use machinery::status::Status;
use serde_json::Value;

use crate::{catalog::Endpoint, storage::Stored};

pub(crate) use negotiate::{Representation, Shape, negotiate};

/// What a handler answers with, before anyone thinks of bytes.
pub(crate) enum Answer {
    /// One object.
    Object {
        /// 200 or 201.
        code: u16,
        /// The kind and version in which the client sees it.
        endpoint: Endpoint,
        /// The object.
        object: Arc<Stored>,
    },
    /// A list.
    List(List),
    /// A watch.
    Watch(Watch),
    /// A document that is no stored object (`Scale`, reviews), `apiVersion` and `kind` included.
    Document {
        /// 200 or 201.
        code: u16,
        /// The document.
        document: Value,
    },
    /// Success or failure.
    Status(Status),
    /// Bytes that are no API object (logs).
    Raw(Response<Body>),
}

/// The answer to a list.
pub(crate) struct List {
    /// The kind and version in which the client sees the items.
    pub(crate) endpoint: Endpoint,
    /// The items, in key order.
    pub(crate) objects: Vec<Arc<Stored>>,
    /// Items of sibling generations; only asked for when the client wants a Table.
    pub(crate) siblings: Vec<(Endpoint, Vec<Arc<Stored>>)>,
    /// The revision of the snapshot.
    pub(crate) revision: u64,
    /// Token of the next page; empty on the last.
    pub(crate) continue_: String,
    /// How many more there are, where that is known.
    pub(crate) remaining: Option<u64>,
}

/// The answer to a watch.
pub(crate) struct Watch {
    /// The kind and version of what is watched.
    pub(crate) endpoint: Endpoint,
    /// The events, until the end.
    pub(crate) events: BoxStream<'static, WatchEvent>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub(crate) enum WatchEvent {
    /// Something happened to an object.
    Object {
        /// What.
        kind: EventKind,
        /// The kind and version in which the client sees it; a sibling's in a watch of Tables.
        endpoint: Endpoint,
        /// The object.
        object: Arc<Stored>,
    },
    /// Everything up to `revision` was sent.
    Bookmark {
        /// The revision.
        revision: u64,
        /// True for the one that ends the initial events.
        initial_events_end: bool,
    },
    /// Something is wrong; the stream ends after it.
    Error(Status),
}

/// What happened to an object, as a watch spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// `ADDED`.
    Added,
    /// `MODIFIED`.
    Modified,
    /// `DELETED`.
    Deleted,
}

impl EventKind {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Puts an answer on the wire.
pub(crate) fn render(representation: &Representation, answer: Answer) -> Response<Body> {
    match answer {
        Answer::Object { code, endpoint, object } => json(code, body::object(&endpoint, &object)),
        Answer::List(list) => json(200, body::list(representation, &list)),
        Answer::Watch(watch) => {
            let mut response = Response::new(Body::from_stream(body::watch(watch)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Answer::Document { code, document } => json(code, Body::from(body::line(&document))),
        Answer::Status(status) => render_status(&status),
        Answer::Raw(response) => response,
    }
}

/// A Status as JSON: the answer where nothing was negotiated.
pub(crate) fn render_status(status: &Status) -> Response<Body> {
    let code = if status.code == 0 { 200 } else { status.code };
    let body = serde_json::to_vec(status).unwrap_or_default();
    let mut response = json(code, Body::from(body));
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

fn json(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
