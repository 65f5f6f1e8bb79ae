//! `Cache`: documents that were asked for, compressed.

use std::{
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::{
    document, gnostic,
    index::Index,
    page::{self, Page},
};
use crate::{catalog::Served, discovery, json, respond};

/// A document and its encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// A v3 document, by its key in the index, in JSON.
    V3(String),
    /// A v3 document as a protobuf message.
    V3Protobuf(String),
    /// The v2 document in JSON.
    V2Json,
    /// The v2 document as a protobuf message.
    V2Protobuf,
}

/// A document that is ready.
#[derive(Debug, Default)]
pub(super) struct Document {
    hash: String,
    media_type: &'static str,
    compressed: Vec<u8>,
}

impl Document {
    /// The hash of what it describes.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Its media type.
    pub(super) fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Its bytes, compressed by gzip.
    pub(super) fn compressed(&self) -> &[u8] {
        &self.compressed
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.compressed.len() * 12);
        // What this server compressed, it can decompress.
        let _ = GzDecoder::new(self.compressed.as_slice()).read_to_end(&mut bytes);
        bytes
    }
}

/// The index, and the documents that were asked for. At most one document per form is kept.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    index: ArcSwapOption<Index>,
    documents: DashMap<Form, Arc<Document>>,
    /// Held while a document is made: clients that want the same one wait for it, and memory is needed once.
    making: Mutex<()>,
}

impl Cache {
    /// The index of what is served.
    pub(super) fn index(&self, served: &Served) -> Arc<Index> {
        if let Some(index) = self.index.load_full().filter(|index| index.generation == served.generation) {
            return index;
        }
        let index = Arc::new(Index::of(served));
        self.documents.retain(|form, _| match form {
            Form::V3(key) | Form::V3Protobuf(key) => index.hash_of(key).is_some(),
            Form::V2Json | Form::V2Protobuf => true,
        });
        self.index.store(Some(index.clone()));
        index
    }

    /// A document that was made before and still says the truth.
    pub(super) fn find(&self, form: &Form, hash: &str) -> Option<Arc<Document>> {
        self.documents.get(form).filter(|document| document.hash == hash).map(|document| document.clone())
    }

    /// Makes a document. Takes as long as a blink; call it where it may.
    pub(super) fn make(&self, served: &Served, form: Form, hash: String) -> Arc<Document> {
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = self.find(&form, &hash) {
            return document;
        }
        let (media_type, bytes) = encode(served, &form);
        let compressed = respond::compress(&bytes).unwrap_or_default();
        let document = Arc::new(Document { hash, media_type, compressed });
        self.documents.insert(form, document.clone());
        document
    }
}

/// The media type and the bytes of a document.
pub(super) fn encode(served: &Served, form: &Form) -> (&'static str, Vec<u8>) {
    match form {
        Form::V3(key) => ("application/json", json::encode(&v3(served, key))),
        Form::V3Protobuf(key) => {
            ("application/com.github.proto-openapi.spec.v3.v1.0+protobuf", gnostic::v3::encode(&v3(served, key)))
        }
        Form::V2Json => ("application/json", json::encode(&v2(served))),
        Form::V2Protobuf => {
            ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", gnostic::v2::encode(&v2(served)))
        }
    }
}

fn v3(served: &Served, key: &str) -> Value {
    let endpoints = discovery::endpoints(served).into_iter().find(|(found, _)| found == key);
    match endpoints {
        Some((key, endpoints)) => document::v3(Page::of_version(&key).as_slice(), &endpoints),
        None => {
            let pages: Vec<Page> = page::pages(served).into_iter().filter(|page| page.key == key).collect();
            document::v3(&pages, &[])
        }
    }
}

fn v2(served: &Served) -> Value {
    let (mut pages, mut all) = (page::pages(served), Vec::new());
    for (key, endpoints) in discovery::endpoints(served) {
        pages.extend(Page::of_version(&key));
        all.extend(endpoints);
    }
    document::v2(&pages, &all)
}
