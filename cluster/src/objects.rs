//! The objects of a cluster at one moment, by kind and key.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use machinery::meta;
use serde_json::Value;

use crate::{Change, Kind};

/// Namespace and name; the namespace of a cluster-wide object is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl Key {
    /// Makes one from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a document.
    pub fn of(document: &Value) -> Self {
        Self::new(meta::namespace(document), meta::name(document))
    }
}

/// `namespace/name`, or the name alone.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// Objects by kind and key, in key order, and by the object that controls them.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    kinds: BTreeMap<Kind, OfKind>,
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    by_key: BTreeMap<Key, Arc<Value>>,
    /// Keys of controlled objects, by uid of the controller.
    by_controller: HashMap<String, BTreeSet<Key>>,
}

impl OfKind {
    fn put(&mut self, document: Arc<Value>) -> Option<Arc<Value>> {
        let key = Key::of(&document);
        let before = self.by_key.insert(key.clone(), document.clone());
        let (old, new) = (before.as_deref().and_then(controller_uid), controller_uid(&document));
        if old != new {
            old.into_iter().for_each(|uid| self.let_go(uid, &key));
            if let Some(uid) = new {
                self.by_controller.entry(uid.to_owned()).or_default().insert(key);
            }
        }
        before
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.by_key.remove(key)?;
        if let Some(uid) = controller_uid(&before) {
            self.let_go(uid, key);
        }
        Some(before)
    }

    /// The object is not controlled any more by that of this uid.
    fn let_go(&mut self, controller: &str, key: &Key) {
        if let Some(keys) = self.by_controller.get_mut(controller) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_controller.remove(controller);
            }
        }
    }
}

fn controller_uid(document: &Value) -> Option<&str> {
    meta::controller(document)?.get("uid")?.as_str()
}

impl Objects {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One object.
    pub fn get(&self, kind: Kind, key: &Key) -> Option<&Arc<Value>> {
        self.kinds.get(&kind)?.by_key.get(key)
    }

    /// All objects of a kind, in key order.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.kinds.get(&kind).into_iter().flat_map(|of_kind| of_kind.by_key.values())
    }

    /// The objects of a kind whose controller has that uid, in key order.
    pub fn controlled_by<'a>(&'a self, kind: Kind, uid: &str) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let of_kind = self.kinds.get(&kind);
        let keys = of_kind.and_then(|of_kind| of_kind.by_controller.get(uid)).into_iter().flatten();
        keys.filter_map(move |key| of_kind?.by_key.get(key))
    }

    /// All objects of a kind in a namespace, in the order of their names.
    pub fn in_namespace<'a>(&'a self, kind: Kind, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Value>> {
        let from = Key::new(namespace, "");
        let objects = self.kinds.get(&kind).into_iter().flat_map(move |of_kind| of_kind.by_key.range(from.clone()..));
        objects.take_while(move |(key, _)| key.namespace == namespace).map(|(_, object)| object)
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.kinds.get(&kind).map_or(0, |of_kind| of_kind.by_key.len())
    }

    /// Adds or replaces one object; gives back what it replaced.
    pub fn put(&mut self, kind: Kind, document: Arc<Value>) -> Option<Arc<Value>> {
        self.kinds.entry(kind).or_default().put(document)
    }

    /// Removes one object.
    pub fn remove(&mut self, kind: Kind, key: &Key) -> Option<Arc<Value>> {
        self.kinds.get_mut(&kind)?.remove(key)
    }

    /// Takes a change in. Gives back the documents before the change: the replaced or removed one, or, for a new list of
    /// a kind, all that were there.
    pub fn apply(&mut self, change: &Change) -> Vec<Arc<Value>> {
        match change {
            Change::Listed(kind, documents) => {
                let mut fresh = OfKind::default();
                documents.iter().for_each(|document| drop(fresh.put(document.clone())));
                self.kinds.insert(*kind, fresh).unwrap_or_default().by_key.into_values().collect()
            }
            Change::Applied(kind, document) => self.put(*kind, document.clone()).into_iter().collect(),
            Change::Deleted(kind, document) => self.remove(*kind, &Key::of(document)).into_iter().collect(),
            Change::Lost(..) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{NODE, POD};
    use serde_json::json;

    fn pod(name: &str, version: u32) -> Arc<Value> {
        Arc::new(json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()}}))
    }

    #[test]
    fn changes_add_up() {
        let mut objects = Objects::new();
        assert!(objects.apply(&Change::Listed(POD, vec![pod("a", 1), pod("b", 2)])).is_empty());
        assert_eq!(objects.apply(&Change::Applied(POD, pod("a", 3))), [pod("a", 1)]);
        assert_eq!(objects.apply(&Change::Deleted(POD, pod("b", 4))), [pod("b", 2)]);
        assert_eq!(objects.count(POD), 1);
        assert_eq!(objects.in_namespace(POD, "n").count(), 1);
        assert_eq!(objects.in_namespace(POD, "m").count(), 0);
        assert_eq!(objects.count(NODE), 0);
        assert_eq!(objects.apply(&Change::Listed(POD, vec![])), [pod("a", 3)]);
        assert!(objects.get(POD, &Key::new("n", "a")).is_none());
    }

    #[test]
    fn the_controlled_follow_their_controller() {
        let owned = |name: &str, uid: &str| {
            Arc::new(json!({"metadata": {"name": name, "ownerReferences": [
                {"uid": "other"}, {"uid": uid, "controller": true}
            ]}}))
        };
        let names = |objects: &Objects, uid: &str| -> Vec<String> {
            objects.controlled_by(POD, uid).map(|object| meta::name(object).to_owned()).collect()
        };
        let mut objects = Objects::new();
        objects.apply(&Change::Listed(POD, vec![owned("b", "x"), owned("a", "x"), pod("free", 1)]));
        assert_eq!(names(&objects, "x"), ["a", "b"]);
        assert!(names(&objects, "other").is_empty());
        objects.apply(&Change::Applied(POD, owned("a", "y")));
        assert_eq!((names(&objects, "x"), names(&objects, "y")), (vec!["b".to_owned()], vec!["a".to_owned()]));
        objects.apply(&Change::Deleted(POD, owned("b", "x")));
        assert!(names(&objects, "x").is_empty());
        objects.apply(&Change::Listed(POD, vec![]));
        assert!(names(&objects, "y").is_empty());
    }
}
