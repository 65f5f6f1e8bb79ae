//! How answers are put on the wire: which representation the client wants, and the bytes of it.
//!
//! An object was encoded when it was written. Only a Table, YAML and protobuf look inside.

mod accept;
mod cell;
mod frames;
mod indent;
mod list;
mod partial;
mod representation;
mod response;
mod scale;
mod shown;
mod table;
mod unread;
mod warning;

use std::sync::Arc;

use api::definition::Column;
use axum::body::Body;
use futures::stream::BoxStream;
use http::{HeaderMap, Response};
use machinery::{meta, status::Status};
use serde_json::Value;

use crate::{catalog::Endpoint, clock::Clock, json, protobuf, request::Query, storage::Stored};

pub(crate) use accept::parse as parse_accept;
pub(crate) use indent::indent;
pub(crate) use representation::{Encoding, Representation, Shape, accepts_gzip, check_subtype, negotiate};
pub(crate) use response::{Content, add_warnings, asked_id, bytes_response, cached_response, compress, identify};

use list::ListMeta;
use representation::{MetaVersion, Transform};
use shown::Shown;
use table::TableWriter;

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
    Error(Box<Status>),
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

/// Puts an answer on the wire. The clock tells how old things are.
pub(crate) fn render(clock: &Arc<dyn Clock>, representation: &Representation, answer: Answer) -> Response<Body> {
    let representation = *representation;
    let rendered = match answer {
        Answer::Object { code, endpoint, object } if representation.is_whole_message() => {
            whole_message(&endpoint, &Shown::of_stored(&endpoint, &object))
                .map(|bytes| sized(bytes, representation, code))
        }
        Answer::Object { code, endpoint, object } => {
            content(object_json(clock, representation, &endpoint, &object), representation, code)
        }
        Answer::List(list) if representation.is_whole_message() => {
            list_message(&list).map(|bytes| sized(bytes, representation, 200))
        }
        Answer::List(list) => content(list_json(clock, representation, &list), representation, 200),
        Answer::Watch(watch) => {
            let media_type = representation.encoding.stream_media_type().unwrap_or("application/json");
            let frames = frames::stream(watch, representation, clock.clone());
            Ok(response::with_type(200, media_type, Body::from_stream(frames)))
        }
        Answer::Document { code, document } => {
            if let Transform::Table(version) = representation.transform
                && scale::is_one(&document)
            {
                let table = scale::table(&document, version, representation.include, clock.now());
                return content(table, representation, code)
                    .unwrap_or_else(|status| status_response(representation, &status));
            }
            let json = json::encode_document(&document);
            let plain = Representation { encoding: Encoding::Json, ..representation.untransformed() };
            content(json.clone(), representation.untransformed(), code).or_else(|_| content(json, plain, code))
        }
        Answer::Status(status) => Ok(status_response(representation, &status)),
    };
    rendered.unwrap_or_else(|status| status_response(representation, &status))
}

/// A Status, for a request that was not negotiated or whose negotiation failed: in what the client accepts, else in JSON.
pub(crate) fn render_status(headers: &HeaderMap, query: &Query, status: &Status) -> Response<Body> {
    status_response(Representation::of_document(headers, query), status)
}

/// A document that is no object of a served kind, `apiVersion` and `kind` included: in what the client accepts.
pub(crate) fn render_document(headers: &HeaderMap, query: &Query, document: &Value) -> Response<Body> {
    representation::negotiate_document(headers, query)
        .and_then(|representation| content(json::encode_document(document), representation, 200))
        .unwrap_or_else(|status| render_status(headers, query, &status))
}

fn status_response(representation: Representation, status: &Status) -> Response<Body> {
    let code = if status.code == 0 { 200 } else { status.code };
    let json = status_json(status);
    let mut response = content(json.clone(), representation.untransformed(), code)
        .unwrap_or_else(|_| response::with_type(code, "application/json", Body::from(json)));
    response::add_retry_after(&mut response, status);
    response
}

/// A Status as compact JSON, members in the order of the Go struct.
fn status_json(status: &Status) -> Vec<u8> {
    let plain = serde_json::to_vec(status).unwrap_or_default();
    let mut out = Vec::with_capacity(plain.len() + 16);
    for byte in plain {
        // None of the three can stand outside a string.
        match byte {
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            b'&' => out.extend_from_slice(b"\\u0026"),
            other => out.push(other),
        }
    }
    out
}

fn object_json(
    clock: &Arc<dyn Clock>,
    representation: Representation,
    endpoint: &Endpoint,
    object: &Arc<Stored>,
) -> Vec<u8> {
    let shown = Shown::of_stored(endpoint, object);
    match representation.transform {
        Transform::None => shown.json(),
        Transform::Table(version) => {
            let meta = ListMeta::at(meta::resource_version(shown.value()));
            table(clock, representation, version, endpoint, [(shown, None)], &meta)
        }
        Transform::PartialMetadata(version) | Transform::PartialMetadataList(version) => {
            let mut out = Vec::with_capacity(512);
            partial::append(&mut out, &shown, version);
            out
        }
    }
}

/// An object as an enveloped message.
fn whole_message(endpoint: &Endpoint, object: &Shown) -> Result<Vec<u8>, Status> {
    let kind = endpoint.kind();
    protobuf::encode_as(&kind.api_version(), &kind.kind, &object.whole()).map_err(Status::internal)
}

/// A list as an enveloped message.
fn list_message(list: &List) -> Result<Vec<u8>, Status> {
    let endpoint = &list.endpoint;
    let kind = endpoint.kind();
    let list_kind = &endpoint.definition().list_kind;
    let items: Vec<Shown> = list.objects.iter().map(|object| Shown::of_stored(endpoint, object)).collect();
    let items: Vec<_> = items.iter().map(Shown::whole).collect();
    let items = items.iter().map(AsRef::as_ref);
    protobuf::encode_list(&kind.api_version(), list_kind, &kind.kind, &list_meta(list).value(), items)
        .map_err(Status::internal)
}

fn list_meta(list: &List) -> ListMeta {
    ListMeta {
        resource_version: list.revision.to_string(),
        continue_: Some(list.continue_.clone()).filter(|token| !token.is_empty()),
        remaining_item_count: list.remaining,
    }
}

fn list_json(clock: &Arc<dyn Clock>, representation: Representation, list: &List) -> Vec<u8> {
    let endpoint = &list.endpoint;
    let meta = list_meta(list);
    let items = list.objects.iter().map(|object| Shown::of_stored(endpoint, object));
    match representation.transform {
        Transform::None => {
            let (api_version, kind) = (endpoint.api_version(), &endpoint.definition().list_kind);
            list::encode(&api_version, kind, endpoint.resource.style(), items, &meta)
        }
        Transform::Table(version) => {
            let siblings = list.siblings.iter().flat_map(|(endpoint, objects)| {
                let columns = endpoint.version().columns.as_slice();
                objects.iter().map(move |object| (Shown::of_stored(endpoint, object), Some(columns)))
            });
            let rows = items.map(|item| (item, None)).chain(siblings);
            table(clock, representation, version, endpoint, rows, &meta)
        }
        Transform::PartialMetadata(version) | Transform::PartialMetadataList(version) => {
            partial::list(items, &meta, version)
        }
    }
}

fn table<'a>(
    clock: &Arc<dyn Clock>,
    representation: Representation,
    version: MetaVersion,
    endpoint: &Endpoint,
    rows: impl IntoIterator<Item = (Shown, Option<&'a [Column]>)>,
    meta: &ListMeta,
) -> Vec<u8> {
    let (rows, now): (Vec<_>, _) = (rows.into_iter().collect(), clock.now());
    let columns = table::applying(&endpoint.version().columns, rows.iter().map(|(object, own)| (object, *own)), now);
    let mut writer = TableWriter::new(columns, true, representation.include, version, now, meta);
    for (object, own) in &rows {
        writer.row(object, *own);
    }
    writer.finish()
}

/// JSON in the negotiated encoding, as a response.
fn content(json: Vec<u8>, representation: Representation, code: u16) -> Result<Response<Body>, Status> {
    let bytes = match representation.encoding {
        Encoding::Json => {
            // Go's encoder ends a document with a line feed, and what is laid out for people without one.
            let mut bytes = json;
            if representation.pretty {
                bytes = indent(&bytes);
            } else {
                bytes.push(b'\n');
            }
            bytes
        }
        Encoding::Yaml => machinery::yaml::to_string(&parse(&json)?).into_bytes(),
        Encoding::Protobuf => protobuf::encode(&parse(&json)?).map_err(Status::internal)?,
    };
    Ok(sized(bytes, representation, code))
}

fn sized(bytes: Vec<u8>, representation: Representation, code: u16) -> Response<Body> {
    let content = Content { media_type: representation.encoding.media_type(), bytes };
    bytes_response(code, content, representation.gzip)
}

fn parse(json: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(json).map_err(Status::internal)
}
