//! The index of the v3 documents, each with a hash of what it describes.

use std::{collections::BTreeMap, env, fs, sync::OnceLock, time::UNIX_EPOCH};

use api::definition::SchemaSource;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::page;
use crate::{
    catalog::{Endpoint, Served},
    discovery,
};

/// Hashes of all documents, and of everything.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) generation: u64,
    hashes: BTreeMap<String, String>,
    hash: String,
}

impl Index {
    /// The index of what is served. Hashes come from what identifies the definitions, without making the documents: the
    /// program for kinds that are compiled in, the schema for those of CRDs.
    pub(super) fn of(served: &Served) -> Self {
        let mut hashes = BTreeMap::new();
        for (key, endpoints) in discovery::endpoints(served) {
            let mut digest = Sha256::new();
            digest.update(program_identity());
            endpoints.iter().for_each(|endpoint| identify(&mut digest, endpoint));
            hashes.insert(key, hex(&digest.finalize()));
        }
        for page in page::pages(served) {
            let mut digest = Sha256::new();
            digest.update(program_identity());
            digest.update(&page.key);
            hashes.insert(page.key, hex(&digest.finalize()));
        }
        let mut digest = Sha256::new();
        for (key, hash) in &hashes {
            digest.update(format!("{key} {hash}\n"));
        }
        Self { generation: served.generation, hashes, hash: hex(&digest.finalize()) }
    }

    /// The hash of the document with this key: `api/v1`, `apis/apps/v1`.
    pub(super) fn hash_of(&self, key: &str) -> Option<&str> {
        self.hashes.get(key).map(String::as_str)
    }

    /// The hash of everything.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The index as clients read it.
    pub(super) fn document(&self) -> String {
        let entry = |(key, hash): (&String, &String)| {
            (key.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{key}?hash={hash}")}))
        };
        let paths: Map<String, Value> = self.hashes.iter().map(entry).collect();
        json!({"paths": paths}).to_string()
    }
}

/// Everything about a kind that its document shows and that may differ between two runs of one program.
fn identify(digest: &mut Sha256, endpoint: &Endpoint) {
    let definition = endpoint.definition();
    digest.update(format!(
        "{} {} {} {:?} {:?} {:?}\n",
        definition.kind,
        definition.list_kind,
        definition.plural,
        definition.scope,
        definition.verbs,
        endpoint.subresources(),
    ));
    if let SchemaSource::Given(schema) = &endpoint.version().schema {
        digest.update(crate::json::encode(schema));
    }
}

/// Which program this is: its version, size and age on disk.
fn program_identity() -> &'static str {
    static IDENTITY: OnceLock<String> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let file = env::current_exe().and_then(fs::metadata);
        let age = |file: &fs::Metadata| Some(file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos());
        let (length, age) = file.map_or((0, 0), |file| (file.len(), age(&file).unwrap_or_default()));
        format!("{} {length} {age}\n", env!("CARGO_PKG_VERSION"))
    })
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02X}")).collect()
}
