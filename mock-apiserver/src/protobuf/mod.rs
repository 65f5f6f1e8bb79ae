//! Protobuf of the built-in kinds: documents to messages and back.
//!
//! The envelope is `k8s\0` and a `runtime.Unknown`; inside is the typed message. Which fields a message has comes from a table that
//! is parsed when the first message arrives.

mod decode;
mod encode;
pub(crate) mod messages;
mod special;
pub(crate) mod wire;

use machinery::{limits, names::GroupVersionKind};
use serde_json::{Map, Value};

use messages::{MessageId, Messages};
use wire::{Reader, Writer};

/// The first bytes of every enveloped message.
const MAGIC: &[u8; 4] = b"k8s\0";

/// Kinds of `meta.k8s.io/v1` that every group and version serves under its own name.
const META_KINDS: &[&str] = &[
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
    "WatchEvent",
    "Status",
    "APIVersions",
    "APIGroup",
    "APIGroupList",
    "APIResourceList",
    "PartialObjectMetadata",
];

/// Why a message cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The body does not begin with the envelope's magic bytes.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoEnvelope,
    /// The message ends in the middle of something, or holds something impossible.
    #[error("proto: malformed message at byte {0}")]
    Malformed(usize),
    /// Nested deeper than any document may be.
    #[error("proto: message is nested deeper than {} levels", limits::DOCUMENT_DEPTH_MAX)]
    TooDeep,
    /// There is no such message.
    #[error("no kind {kind:?} is registered for version {api_version:?} with a protobuf message")]
    UnknownKind {
        /// The document's `apiVersion`.
        api_version: String,
        /// The document's `kind`.
        kind: String,
    },
    /// A value that does not fit its field.
    #[error("{path}: {problem}")]
    Value {
        /// Where in the document.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// True when documents of the kind have a protobuf message.
pub(crate) fn supports(api_version: &str, kind: &str) -> bool {
    message_of(Messages::get(), api_version, kind).is_some()
}

/// Decodes an enveloped message into a document. What the envelope leaves out of `apiVersion` and `kind` comes from `default`.
pub(crate) fn decode(body: &[u8], default: &GroupVersionKind) -> Result<Value, Error> {
    let envelope = body.strip_prefix(MAGIC).ok_or(Error::NoEnvelope)?;
    let (mut api_version, mut kind, raw) = open_envelope(envelope)?;
    if api_version.is_empty() {
        api_version = default.api_version();
    }
    if kind.is_empty() {
        kind = default.kind.clone();
    }
    let messages = Messages::get();
    let message = find_message(messages, &api_version, &kind)?;
    let mut document = Map::new();
    decode::message(messages, message, raw, &mut document)?;
    document.insert("apiVersion".to_owned(), Value::String(api_version));
    document.insert("kind".to_owned(), Value::String(kind));
    Ok(Value::Object(document))
}

/// What Go writes of an object of which nothing is known, as in a bookmark; `None` for kinds without a message.
pub(crate) fn zero(kind: &GroupVersionKind) -> Option<Value> {
    let messages = Messages::get();
    decode::zero(messages, messages.of_kind(&kind.api_version(), &kind.kind)?).ok()
}

/// Encodes a document, by its `apiVersion` and `kind`, as an enveloped message.
pub(crate) fn encode(document: &Value) -> Result<Vec<u8>, Error> {
    encode_as(machinery::meta::api_version(document), machinery::meta::kind(document), document)
}

/// Encodes a document as an enveloped message of the given kind, whatever its own `apiVersion` and `kind` say.
pub(crate) fn encode_as(api_version: &str, kind: &str, document: &Value) -> Result<Vec<u8>, Error> {
    let messages = Messages::get();
    let message = find_message(messages, api_version, kind)?;
    let mut raw = Writer::default();
    encode::message(messages, message, document, &mut raw)?;
    Ok(envelope(api_version, kind, raw.as_slice()))
}

/// Encodes a list. `meta` is its `metadata`; every list message has that in field 1 and the items in field 2.
pub(crate) fn encode_list<'a>(
    api_version: &str,
    list_kind: &str,
    item_kind: &str,
    meta: &Value,
    items: impl IntoIterator<Item = &'a Value>,
) -> Result<Vec<u8>, Error> {
    let messages = Messages::get();
    let item_message = find_message(messages, api_version, item_kind)?;
    let mut raw = Writer::default();
    let list_meta = find_message(messages, "meta.k8s.io/v1", "ListMeta")?;
    let mut encoded = Writer::default();
    encode::message(messages, list_meta, meta, &mut encoded)?;
    raw.bytes(1, encoded.as_slice());
    for item in items {
        let mut encoded = Writer::default();
        encode::message(messages, item_message, item, &mut encoded)?;
        raw.bytes(2, encoded.as_slice());
    }
    Ok(envelope(api_version, list_kind, raw.as_slice()))
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut type_meta = Writer::default();
    type_meta.bytes(1, api_version.as_bytes());
    type_meta.bytes(2, kind.as_bytes());
    let mut envelope = Writer::beginning_with(MAGIC);
    envelope.bytes(1, type_meta.as_slice());
    envelope.bytes(2, raw);
    envelope.bytes(3, b"");
    envelope.bytes(4, b"");
    envelope.finish()
}

/// A frame of a watch: four bytes of length, then a bare `WatchEvent` around an enveloped object.
pub(crate) fn watch_frame(type_: &str, enveloped: &[u8]) -> Vec<u8> {
    let mut object = Writer::default();
    object.bytes(1, enveloped);
    let mut event = Writer::beginning_with(&[0; 4]);
    event.bytes(1, type_.as_bytes());
    event.bytes(2, object.as_slice());
    let mut frame = event.finish();
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// `apiVersion`, `kind` and the message of a `runtime.Unknown`.
fn open_envelope(envelope: &[u8]) -> Result<(String, String, &[u8]), Error> {
    let (mut api_version, mut kind, mut raw): (String, String, &[u8]) = Default::default();
    let mut unknown = Reader::new(envelope);
    while let Some((number, field)) = unknown.next_field()? {
        match number {
            1 => {
                let mut type_meta = Reader::new(field.bytes()?);
                while let Some((number, field)) = type_meta.next_field()? {
                    match number {
                        1 => api_version = field.text()?,
                        2 => kind = field.text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = field.bytes()?,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

fn find_message(messages: &Messages, api_version: &str, kind: &str) -> Result<MessageId, Error> {
    message_of(messages, api_version, kind)
        .ok_or_else(|| Error::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() })
}

pub(crate) fn message_of(messages: &Messages, api_version: &str, kind: &str) -> Option<MessageId> {
    if META_KINDS.contains(&kind) {
        return messages.of_kind("meta.k8s.io/v1", kind);
    }
    messages.of_kind(api_version, kind)
}

#[cfg(test)]
mod tests;
