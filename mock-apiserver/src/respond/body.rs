//! Bodies in JSON, from the bytes that storage holds.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};

use super::{List, Representation, Watch, WatchEvent};
use crate::{
    catalog::Endpoint,
    json::{self, Style},
    storage::Stored,
};

/// A stored object as the client of an endpoint sees it: its head and the rest.
pub(super) fn parts(endpoint: &Endpoint, object: &Arc<Stored>) -> (Bytes, Bytes) {
    match endpoint.version().from_storage {
        None => (endpoint.head().clone(), object.json_tail()),
        Some(convert) => {
            let mut value = object.value().clone();
            convert(&mut value);
            let encoded = json::encode_object(&value, endpoint.head(), endpoint.resource.style());
            (endpoint.head().clone(), Bytes::from(encoded.bytes).slice(encoded.head..))
        }
    }
}

/// One object.
pub(super) fn object(endpoint: &Endpoint, object: &Arc<Stored>) -> Body {
    let (head, tail) = parts(endpoint, object);
    let mut out = Vec::with_capacity(head.len() + tail.len() + 1);
    out.extend_from_slice(&head);
    out.extend_from_slice(&tail);
    out.push(b'\n');
    Body::from(out)
}

/// A list.
pub(super) fn list(_representation: &Representation, list: &List) -> Body {
    let definition = list.endpoint.definition();
    let custom = list.endpoint.resource.style() == Style::Custom;
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if custom || !list.continue_.is_empty() {
        metadata["continue"] = Value::from(list.continue_.as_str());
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = Value::from(remaining);
    }
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(&json::head(&list.endpoint.api_version(), &definition.list_kind, Style::BuiltIn));
    out.extend_from_slice(b"\"metadata\":");
    json::write(&mut out, &metadata);
    out.extend_from_slice(b",\"items\":[");
    for (index, object) in list.objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let (head, tail) = parts(&list.endpoint, object);
        out.extend_from_slice(if custom { &head } else { b"{" });
        out.extend_from_slice(&tail);
    }
    out.extend_from_slice(b"]}\n");
    Body::from(out)
}

/// A document on a line of its own.
pub(super) fn line(document: &Value) -> Vec<u8> {
    let mut out = json::encode(document);
    out.push(b'\n');
    out
}

/// The frames of a watch, one event per line.
pub(super) fn watch(watch: Watch) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let endpoint = watch.endpoint;
    watch.events.map(move |event| Ok(Bytes::from(frame(&endpoint, &event))))
}

fn frame(watched: &Endpoint, event: &WatchEvent) -> Vec<u8> {
    match event {
        WatchEvent::Object { kind, endpoint, object } => {
            let (head, tail) = parts(endpoint, object);
            let mut out = Vec::with_capacity(head.len() + tail.len() + 40);
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(kind.as_str().as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            out.extend_from_slice(&head);
            out.extend_from_slice(&tail);
            out.extend_from_slice(b"}\n");
            out
        }
        WatchEvent::Bookmark { revision, initial_events_end } => {
            let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
            if *initial_events_end {
                metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            }
            let kind = watched.kind();
            let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
            line(&json!({"type": "BOOKMARK", "object": object}))
        }
        WatchEvent::Error(status) => {
            let object = serde_json::to_value(status).unwrap_or(Value::Null);
            line(&json!({"type": "ERROR", "object": object}))
        }
    }
}
