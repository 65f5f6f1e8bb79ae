//! `Shown`: an object as the client of an endpoint sees it.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    catalog::Endpoint,
    json::{self, Style},
    registry::from_storage,
    storage::Stored,
};

/// An object in the version that the client asked for: parsed, and as JSON in two pieces.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// JSON up to and including the comma after `kind` and `apiVersion`.
    pub(super) head: Bytes,
    /// The rest of the JSON.
    pub(super) tail: Bytes,
    value: Held,
}

#[derive(Clone, Debug)]
enum Held {
    Stored(Arc<Stored>),
    Own(Box<Value>),
}

impl Shown {
    /// A stored object at an endpoint; converted when the version of the endpoint has other contents.
    pub(super) fn of_stored(endpoint: &Endpoint, object: &Arc<Stored>) -> Self {
        match endpoint.version().from_storage {
            None if !endpoint.narrows() => {
                Self { head: endpoint.head().clone(), tail: object.json_tail(), value: Held::Stored(object.clone()) }
            }
            _ => {
                let mut value = object.whole();
                from_storage(endpoint, &mut value);
                Self::encode(value, endpoint.head(), endpoint.resource.style())
            }
        }
    }

    /// A document that is stored nowhere.
    pub(super) fn of_document(document: &Value, api_version: &str, kind: &str, style: Style) -> Self {
        Self::encode(document.clone(), &json::head(api_version, kind, style), style)
    }

    /// The object, perhaps without its managed fields. Its `apiVersion` may still be that of its storage version.
    pub(super) fn value(&self) -> &Value {
        match &self.value {
            Held::Stored(stored) => stored.value(),
            Held::Own(value) => value,
        }
    }

    /// The object with its managed fields. Its `apiVersion` may still be that of its storage version.
    pub(super) fn whole(&self) -> Cow<'_, Value> {
        match &self.value {
            Held::Stored(stored) => Cow::Owned(stored.whole()),
            Held::Own(value) => Cow::Borrowed(value),
        }
    }

    /// `metadata` of the object, with its managed fields.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.value().get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Held::Stored(stored) = &self.value
            && let Some(entries) = stored.managed_fields()
        {
            metadata.insert("managedFields".to_owned(), entries);
        }
        metadata
    }

    /// The whole object as JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        [&self.head[..], &self.tail[..]].concat()
    }

    fn encode(value: Value, head: &[u8], style: Style) -> Self {
        let encoded = json::encode_object(&value, b"", head, style);
        let bytes = Bytes::from(encoded.bytes);
        let at = encoded.head.min(bytes.len());
        Self { head: bytes.slice(..at), tail: bytes.slice(at..), value: Held::Own(Box::new(value)) }
    }
}
