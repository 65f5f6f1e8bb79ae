//! Frames of a watch: one event each.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use machinery::{meta, status::Status};
use serde_json::{Value, json};

use super::{
    Representation, Watch, WatchEvent,
    list::ListMeta,
    partial,
    representation::{Encoding, Transform},
    shown::Shown,
    status_json,
    table::{self, TableWriter},
    whole_message,
};
use crate::{catalog::Endpoint, clock::Clock, json::Style, protobuf};

/// The frames of a watch.
pub(super) fn stream(
    watch: Watch,
    representation: Representation,
    clock: Arc<dyn Clock>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut frames = Frames { watched: watch.endpoint, representation, clock, headers_sent: false };
    watch.events.map(move |event| Ok(Bytes::from(frames.frame(&event))))
}

/// Encodes the events of one watch.
struct Frames {
    watched: Endpoint,
    representation: Representation,
    clock: Arc<dyn Clock>,
    /// A table has described its columns; later ones do not.
    headers_sent: bool,
}

impl Frames {
    fn frame(&mut self, event: &WatchEvent) -> Vec<u8> {
        let encoded = match event {
            WatchEvent::Object { kind, endpoint, object } => {
                self.object(kind.as_str(), &Shown::of_stored(endpoint, object), endpoint)
            }
            WatchEvent::Bookmark { revision, initial_events_end } => {
                let shown = bookmark(&self.watched, *revision, *initial_events_end);
                let watched = self.watched.clone();
                self.object("BOOKMARK", &shown, &watched)
            }
            WatchEvent::Error(status) => Ok(self.error(status)),
        };
        encoded.unwrap_or_else(|status| self.error(&status))
    }

    fn object(&mut self, type_: &str, object: &Shown, endpoint: &Endpoint) -> Result<Vec<u8>, Status> {
        let json = match self.representation.transform {
            Transform::None if self.representation.encoding == Encoding::Json => {
                return Ok(json_frame(type_, &[&object.head, &object.tail]));
            }
            Transform::None => return Ok(protobuf::watch_frame(type_, &whole_message(endpoint, object)?)),
            Transform::Table(version) => {
                let headers = !std::mem::replace(&mut self.headers_sent, true);
                let own = endpoint.version().columns.as_slice();
                let columns = self.watched.version().columns.as_slice();
                let own = (!std::ptr::eq(own, columns)).then_some(own);
                let list = ListMeta::at(meta::resource_version(object.value()));
                let (include, now) = (self.representation.include, self.clock.now());
                let columns = table::applying(columns, std::iter::once((object, own)), now);
                let mut table = TableWriter::new(columns, headers, include, version, now, &list);
                table.row(object, own);
                table.finish()
            }
            Transform::PartialMetadata(version) | Transform::PartialMetadataList(version) => {
                let mut out = Vec::with_capacity(512);
                partial::append(&mut out, object, version);
                out
            }
        };
        match self.representation.encoding {
            Encoding::Protobuf => protobuf_frame(type_, &json),
            Encoding::Json | Encoding::Yaml => Ok(json_frame(type_, &[&json])),
        }
    }

    /// The event that ends a watch.
    fn error(&self, status: &Status) -> Vec<u8> {
        let json = status_json(status);
        let encoded = match self.representation.encoding {
            Encoding::Protobuf => protobuf_frame("ERROR", &json).ok(),
            Encoding::Json | Encoding::Yaml => None,
        };
        encoded.unwrap_or_else(|| json_frame("ERROR", &[&json]))
    }
}

/// An object of the watched kind that has a revision and nothing else; a built-in kind shows what its type always writes.
fn bookmark(watched: &Endpoint, revision: u64, initial_events_end: bool) -> Shown {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if initial_events_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let kind = watched.kind();
    let mut object = protobuf::zero(&kind).unwrap_or_else(|| json!({}));
    object["metadata"] = metadata;
    Shown::of_document(&object, &kind.api_version(), &kind.kind, Style::BuiltIn)
}

/// `{"type":…,"object":…}` and a line feed.
fn json_frame(type_: &str, object: &[&[u8]]) -> Vec<u8> {
    let length: usize = object.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 40);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(type_.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    object.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"}\n");
    out
}

/// Four bytes of length, then a `WatchEvent` whose object is a complete enveloped message.
fn protobuf_frame(type_: &str, json: &[u8]) -> Result<Vec<u8>, Status> {
    let object: Value = serde_json::from_slice(json).map_err(Status::internal)?;
    let enveloped = protobuf::encode(&object).map_err(Status::internal)?;
    Ok(protobuf::watch_frame(type_, &enveloped))
}
