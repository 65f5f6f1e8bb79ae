//! What was decided or written here, and the cluster has not told of yet.

use std::sync::Arc;

use api::convert;
use cluster::{Change, Key, Kind, generation};
use machinery::meta;
use serde_json::Value;

use super::{super::decision::Placement, World};

impl World {
    /// Takes a decision for granted, so that nobody else is given the same while it is written.
    pub fn assume(&mut self, pod: &Value, placement: &Placement) {
        self.place(pod, &placement.node);
        for claim in &placement.claims {
            if let Some(allocation) = &claim.allocation {
                let key = Key::of(&claim.document);
                self.assumed.insert((claim.generation.claim, key.clone()));
                self.hold(claim.generation, key, allocation.results.clone());
            }
        }
        if let Some(extended) = &placement.extended {
            self.hold(generation::GA, extended.holder(pod), extended.results().to_vec());
        }
    }

    /// The claims of an assumed placement are written: these are they as they are now.
    pub fn settle_claims(&mut self, pod: &Value, placement: &Placement, written: &[(Kind, Value)]) {
        self.end_assumption(pod, placement);
        for (position, (kind, document)) in written.iter().enumerate() {
            // What was decided upon was there: it is gone again, and so is what it held.
            match placement.claims.get(position) {
                Some(claim) if self.objects.get(*kind, &Key::of(document)).is_none() => {
                    self.hold(claim.generation, Key::of(document), Vec::new());
                }
                _ => self.note(*kind, document),
            }
        }
    }

    /// An assumed placement came to nothing.
    pub fn give_up(&mut self, pod: &Value, placement: &Placement) {
        self.end_assumption(pod, placement);
        self.unplace(meta::uid(pod));
        for claim in &placement.claims {
            let key = Key::of(&claim.document);
            let known = self.objects.get(claim.generation.claim, &key).cloned();
            let results = known.and_then(|document| convert::allocated_devices(&document).ok());
            self.hold(claim.generation, key, results.unwrap_or_default());
        }
    }

    fn end_assumption(&mut self, pod: &Value, placement: &Placement) {
        for claim in &placement.claims {
            self.assumed.remove(&(claim.generation.claim, Key::of(&claim.document)));
        }
        if let Some(extended) = &placement.extended {
            self.hold(generation::GA, extended.holder(pod), Vec::new());
        }
    }

    /// Takes in an object as a write of our own left it, before the watch tells of it.
    pub fn note(&mut self, kind: Kind, document: &Value) {
        let key = Key::of(document);
        let newer = self.objects.get(kind, &key).filter(|known| revision(known) > revision(document)).cloned();
        if let Some(newer) = newer {
            // The watch was faster, and has told of what others made of it since.
            self.apply(&Change::Applied(kind, newer));
            return;
        }
        let taken = self.apply(&Change::Applied(kind, Arc::new(document.clone())));
        if let Some(revision) = revision(document).filter(|_| taken.is_some()) {
            self.written.insert((kind, key), revision);
        }
    }

    /// Whether a change is older than what we wrote ourselves. Revisions of one resource can be compared (KEP-5504).
    pub(super) fn is_stale(&mut self, kind: Kind, document: &Value) -> bool {
        if self.written.is_empty() {
            return false;
        }
        let key = (kind, Key::of(document));
        let (Some(written), Some(seen)) = (self.written.get(&key), revision(document)) else { return false };
        let stale = seen < *written;
        if !stale {
            self.written.remove(&key);
        }
        stale
    }
}

fn revision(document: &Value) -> Option<u64> {
    meta::resource_version(document).parse().ok()
}
