//! `Notes`: what is found out about a request while it is answered, for whoever writes it down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Extensions;
use machinery::meta;
use serde_json::Value;

use super::Level;
use crate::authorization::Acting;

/// What is found out about a request that is written down. Requests of which nothing is written down carry none.
#[derive(Debug)]
pub(crate) struct Notes {
    level: Level,
    found: Mutex<Found>,
}

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By key; the first that says something about a key counts, as upstream has it.
    pub(super) annotations: BTreeMap<String, String>,
    /// What the request names that its path does not: name, namespace, uid and revision of the object that was sent.
    pub(super) named: [String; 4],
    /// The object that was sent, read and with its defaults.
    pub(super) object: Option<Value>,
    /// Whom the request acts as.
    pub(super) acting: Option<Acting>,
}

impl Notes {
    pub(super) fn new(level: Level) -> Arc<Self> {
        Arc::new(Self { level, found: Mutex::default() })
    }

    /// Those of a request.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<Arc<Self>>()
    }

    /// Whether objects that were sent are written down.
    pub(crate) fn hears(&self) -> bool {
        self.level >= Level::Request
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something about the request, under a key.
    pub(crate) fn annotate(&self, key: &str, text: impl Into<String>) {
        self.found().annotations.entry(key.to_owned()).or_insert_with(|| text.into());
    }

    /// Whom the request acts as.
    pub(crate) fn acts_as(&self, acting: &Acting) {
        self.found().acting = Some(acting.clone());
    }

    /// The object that was sent; `whole` makes of it what is written down, where that is wanted.
    pub(crate) fn hear(&self, object: &Value, whole: impl FnOnce(&Value) -> Value) {
        let named = [meta::name(object), meta::namespace(object), meta::uid(object), meta::resource_version(object)];
        let named = named.map(str::to_owned);
        let heard = self.hears().then(|| whole(object));
        let mut found = self.found();
        found.named = named;
        found.object = heard;
    }
}
