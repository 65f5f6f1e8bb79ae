//! The objects of the cluster as the watches tell them, found by what controllers ask for.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cluster::{Change, Key, Kind, Objects, claim_reference, kind};
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;

use crate::pod;

/// One object that is not any more what it was.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// Its kind.
    pub(crate) kind: Kind,
    /// What it was; `None` when it is new.
    pub(crate) before: Option<Arc<Value>>,
    /// What it is; `None` when it is gone.
    pub(crate) after: Option<Arc<Value>>,
}

impl Changed {
    /// What it was and what it is.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.before.iter().chain(&self.after)
    }

    /// What it is, or was last.
    pub(crate) fn latest(&self) -> Option<&Arc<Value>> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// Whether a part of it, named by a JSON pointer, is another than before.
    pub(crate) fn differs_at(&self, pointer: &str) -> bool {
        let before = self.before.as_ref().and_then(|object| object.pointer(pointer));
        before != self.after.as_ref().and_then(|object| object.pointer(pointer))
    }
}

/// What is known of the cluster. Every look-up costs as much as it finds.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    objects: Objects,
    /// Objects in namespaces that nobody controls, by kind and namespace.
    orphans: HashMap<(Kind, String), BTreeSet<Key>>,
    /// Pods by their node; those without one are under the empty name.
    on_node: HashMap<String, BTreeSet<Key>>,
    /// Pods by the claims and templates that they name.
    users: HashMap<Key, BTreeSet<Key>>,
    /// When the last change of an object that tells by changing was seen.
    seen: HashMap<(Kind, Key), Timestamp>,
}

impl Cache {
    /// Takes a change in; gives back what is different.
    pub(crate) fn apply(&mut self, change: Change, now: Timestamp) -> Vec<Changed> {
        match change {
            Change::Listed(kind, documents) => {
                let present: BTreeSet<Key> = documents.iter().map(|document| Key::of(document)).collect();
                let gone: Vec<Arc<Value>> =
                    self.objects.all(kind).filter(|object| !present.contains(&Key::of(object))).cloned().collect();
                let gone = gone.into_iter().map(|object| self.take_out(kind, &object));
                let mut changes: Vec<Changed> = gone.collect();
                changes.extend(documents.into_iter().filter_map(|document| self.put(kind, document, now)));
                changes
            }
            Change::Applied(kind, document) => self.put(kind, document, now).into_iter().collect(),
            Change::Deleted(kind, document) => vec![self.take_out(kind, &document)],
            Change::Lost(kind, reason) => {
                tracing::info!(kind = kind.plural, reason, "connection lost");
                Vec::new()
            }
        }
    }

    fn put(&mut self, kind: Kind, document: Arc<Value>, now: Timestamp) -> Option<Changed> {
        let before = self.objects.put(kind, document.clone());
        let same = |before: &Arc<Value>| {
            meta::resource_version(before) == meta::resource_version(&document)
                && meta::uid(before) == meta::uid(&document)
                && !meta::resource_version(before).is_empty()
        };
        if before.as_ref().is_some_and(same) {
            return None;
        }
        if let Some(before) = &before {
            self.index(kind, before, false);
        }
        self.index(kind, &document, true);
        if kind == kind::LEASE {
            self.seen.insert((kind, Key::of(&document)), now);
        }
        Some(Changed { kind, before, after: Some(document) })
    }

    fn take_out(&mut self, kind: Kind, document: &Arc<Value>) -> Changed {
        let key = Key::of(document);
        let before = self.objects.remove(kind, &key);
        if let Some(before) = &before {
            self.index(kind, before, false);
        }
        self.seen.remove(&(kind, key));
        Changed { kind, before: before.or_else(|| Some(document.clone())), after: None }
    }

    fn index(&mut self, kind: Kind, object: &Value, keep: bool) {
        let key = Key::of(object);
        if kind.namespaced && meta::controller(object).is_none() {
            note(&mut self.orphans, (kind, key.namespace.clone()), key.clone(), keep);
        }
        if kind != kind::POD {
            return;
        }
        note(&mut self.on_node, pod::node_name(object).unwrap_or_default().to_owned(), key.clone(), keep);
        for name in claim_reference::claim_names(object).into_iter().chain(claim_reference::template_names(object)) {
            note(&mut self.users, Key::new(key.namespace.as_str(), name), key.clone(), keep);
        }
    }

    /// The objects by kind and key.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// One object.
    pub(crate) fn get(&self, kind: Kind, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(kind, key)
    }

    /// One object, if it is still the one of that uid.
    pub(crate) fn get_exact(&self, kind: Kind, key: &Key, uid: &str) -> Option<&Arc<Value>> {
        self.get(kind, key).filter(|object| meta::uid(object) == uid)
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.all(kind)
    }

    /// All objects of a kind in a namespace.
    pub(crate) fn in_namespace<'a>(&'a self, kind: Kind, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Value>> {
        self.objects.in_namespace(kind, namespace)
    }

    /// The objects of a kind that the object of this uid controls.
    pub(crate) fn owned<'a>(&'a self, kind: Kind, uid: &str) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        self.objects.controlled_by(kind, uid)
    }

    /// The objects of a kind in a namespace that nobody controls.
    pub(crate) fn orphans<'a>(&'a self, kind: Kind, namespace: &str) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let keys = self.orphans.get(&(kind, namespace.to_owned()));
        keys.into_iter().flatten().filter_map(move |key| self.objects.get(kind, key))
    }

    /// The pods of a node; of the empty name: those without one.
    pub(crate) fn on_node<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        self.on_node.get(node).into_iter().flatten().filter_map(|key| self.objects.get(kind::POD, key))
    }

    /// The pods that name a claim, or a template.
    pub(crate) fn users(&self, named: &Key) -> impl Iterator<Item = &Key> {
        self.users.get(named).into_iter().flatten()
    }

    /// When the last change of a Lease was seen. By the clock of this process: nodes may have others.
    pub(crate) fn seen(&self, lease: &Key) -> Option<Timestamp> {
        self.seen.get(&(kind::LEASE, lease.clone())).copied()
    }
}

#[cfg(test)]
impl Cache {
    /// A cache of these objects.
    pub(crate) fn of(objects: impl IntoIterator<Item = (Kind, Value)>) -> Self {
        let mut cache = Self::default();
        for (kind, object) in objects {
            cache.apply(Change::Applied(kind, Arc::new(object)), Timestamp::UNIX_EPOCH);
        }
        cache
    }
}

/// Keeps an entry of an index, or forgets it.
fn note<I: Eq + std::hash::Hash, E: Ord>(index: &mut HashMap<I, BTreeSet<E>>, under: I, entry: E, keep: bool) {
    if keep {
        index.entry(under).or_default().insert(entry);
    } else if let Some(entries) = index.get_mut(&under) {
        entries.remove(&entry);
        if entries.is_empty() {
            index.remove(&under);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, version: u32, owner: Option<&str>, node: &str) -> Value {
        let owners: Vec<Value> = owner.map(|uid| json!({"uid": uid, "controller": true})).into_iter().collect();
        json!({
            "metadata": {
                "namespace": "n", "name": name, "uid": name, "resourceVersion": version.to_string(),
                "ownerReferences": owners,
            },
            "spec": {"nodeName": node},
        })
    }

    #[test]
    fn what_is_looked_up_follows_what_changes() {
        let mut cache = Cache::of([(kind::POD, pod("a", 1, Some("x"), "")), (kind::POD, pod("b", 2, None, "node"))]);
        let names = |found: Vec<&Arc<Value>>| found.iter().map(|one| meta::name(one).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(cache.owned(kind::POD, "x").collect()), ["a"]);
        assert_eq!(names(cache.orphans(kind::POD, "n").collect()), ["b"]);
        assert_eq!(names(cache.on_node("node").collect()), ["b"]);
        let apply = |cache: &mut Cache, change| cache.apply(change, Timestamp::UNIX_EPOCH);
        let changes = apply(&mut cache, Change::Applied(kind::POD, Arc::new(pod("a", 3, None, "node"))));
        assert!(changes[0].differs_at("/spec/nodeName") && !changes[0].differs_at("/metadata/name"));
        assert_eq!(cache.owned(kind::POD, "x").count(), 0);
        assert_eq!(names(cache.on_node("node").collect()), ["a", "b"]);
        // A list tells what is different, and nothing of what is not.
        let listed = vec![Arc::new(pod("a", 3, None, "node"))];
        let changes = apply(&mut cache, Change::Listed(kind::POD, listed));
        assert_eq!(changes.len(), 1);
        assert!(changes[0].after.is_none());
        assert_eq!(names(cache.on_node("node").collect()), ["a"]);
    }
}
