//! Which objects belong to a controller: those it controls and that its selector matches, and those that it adopts.

use std::sync::Arc;

use cluster::{Key, Kind, write::PatchKind};
use machinery::{meta, selector::label::Selector};
use serde_json::{Value, json};

use crate::{
    action::Action,
    cache::{Cache, Changed},
};

/// What belongs to an owner.
pub(crate) struct Owned<'a> {
    /// Those that do.
    pub(crate) objects: Vec<&'a Arc<Value>>,
    /// Adoptions and releases to be done first.
    pub(crate) actions: Vec<Action>,
}

/// An owner, as its controller sees it.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Its kind.
    pub(crate) kind: Kind,
    /// It.
    pub(crate) object: &'a Arc<Value>,
    /// What it selects.
    pub(crate) selector: &'a Selector,
}

impl Owner<'_> {
    /// What of a kind belongs to the owner. `adoptable` tells what nobody's object must be to be adopted.
    pub(crate) fn owned<'a>(&self, kind: Kind, cache: &'a Cache, adoptable: fn(&Value) -> bool) -> Owned<'a> {
        let (mut objects, mut actions) = (Vec::new(), Vec::new());
        let ending = meta::deletion_timestamp(self.object).is_some();
        for object in cache.owned(kind, meta::uid(self.object)) {
            if self.selector.matches_object(object) {
                objects.push(object);
            } else if !ending {
                actions.push(self.release(kind, object));
            }
        }
        if !ending {
            let free = cache.orphans(kind, meta::namespace(self.object));
            let free = free.filter(|object| {
                meta::deletion_timestamp(object).is_none() && adoptable(object) && self.selector.matches_object(object)
            });
            actions.extend(free.map(|object| self.adopt(kind, object)));
        }
        Owned { objects, actions }
    }

    /// The reference to the owner in what it controls.
    pub(crate) fn reference(&self) -> Value {
        reference(self.kind, self.object)
    }

    fn adopt(&self, kind: Kind, object: &Arc<Value>) -> Action {
        self.patch(kind, object, self.reference())
    }

    fn release(&self, kind: Kind, object: &Arc<Value>) -> Action {
        self.patch(kind, object, json!({"$patch": "delete", "uid": meta::uid(self.object)}))
    }

    fn patch(&self, kind: Kind, object: &Arc<Value>, reference: Value) -> Action {
        // The uid makes sure that it is the very object.
        let patch = json!({"metadata": {"uid": meta::uid(object), "ownerReferences": [reference]}});
        Action::Patch { kind, object: object.clone(), subresource: "", how: PatchKind::Strategic, patch }
    }
}

/// A reference to the object that controls another.
pub(crate) fn reference(kind: Kind, object: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": meta::name(object), "uid": meta::uid(object),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The object of kind `of` that controls another, if it is there.
pub(crate) fn controller_of<'a>(of: Kind, object: &Value, cache: &'a Cache) -> Option<&'a Arc<Value>> {
    let reference = meta::controller(object)?;
    let (group, _) = machinery::names::split_api_version(reference["apiVersion"].as_str()?).ok()?;
    if reference["kind"] != of.kind || group != of.group {
        return None;
    }
    cache.get_exact(of, &Key::new(meta::namespace(object), reference["name"].as_str()?), reference["uid"].as_str()?)
}

/// The owners of kind `of` that a change of another object concerns: who controls it, or controlled it, or may adopt it.
pub(crate) fn touched_owners(
    of: Kind,
    changed: &Changed,
    cache: &Cache,
    selector: fn(&Value) -> Selector,
    due: &mut Vec<(Kind, Key)>,
) {
    for state in changed.states() {
        due.extend(controller_of(of, state, cache).map(|owner| (of, Key::of(owner))));
    }
    let orphan = changed.after.as_ref().filter(|after| meta::controller(after).is_none());
    // An orphan that stays what it was to selectors concerns nobody.
    if let Some(orphan) = orphan
        && (changed.differs_at("/metadata/labels") || changed.differs_at("/metadata/ownerReferences"))
    {
        let owners = cache.in_namespace(of, meta::namespace(orphan));
        let owners = owners.filter(|owner| selector(owner).matches_object(orphan));
        due.extend(owners.map(|owner| (of, Key::of(owner))));
    }
}

/// The selector of a workload; one that cannot be read selects nothing.
pub(crate) fn selector(workload: &Value) -> Selector {
    Selector::from_json(workload.pointer("/spec/selector")).unwrap_or_else(|_| Selector::nothing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::kind;

    fn pod(name: &str, labels: Value, owner: Option<&str>) -> (Kind, Value) {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        (
            kind::POD,
            json!({"metadata": {
                "namespace": "n", "name": name, "uid": name, "labels": labels, "ownerReferences": owners,
            }}),
        )
    }

    #[test]
    fn owners_adopt_what_matches_and_release_what_does_not() {
        let set = Arc::new(json!({
            "metadata": {"namespace": "n", "name": "r", "uid": "u"}, "spec": {"selector": {"matchLabels": {"a": "b"}}},
        }));
        let match_ = json!({"a": "b"});
        let cache = Cache::of([
            pod("mine", match_.clone(), Some("u")),
            pod("changed", json!({}), Some("u")),
            pod("orphan", match_.clone(), None),
            pod("foreign", match_, Some("other")),
            (kind::REPLICA_SET, Value::clone(&set)),
        ]);
        let selector = selector(&set);
        let owner = Owner { kind: kind::REPLICA_SET, object: &set, selector: &selector };
        let owned = owner.owned(kind::POD, &cache, |_| true);
        assert_eq!(owned.objects.iter().map(|one| meta::name(one)).collect::<Vec<_>>(), ["mine"]);
        let patched: Vec<(&str, bool)> = owned
            .actions
            .iter()
            .map(|action| match action {
                Action::Patch { object, patch, .. } => {
                    (meta::name(object), patch.pointer("/metadata/ownerReferences/0/$patch").is_some())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(patched, [("changed", true), ("orphan", false)]);
        let mut due = Vec::new();
        let orphan =
            Changed { kind: kind::POD, before: None, after: cache.get(kind::POD, &Key::new("n", "orphan")).cloned() };
        touched_owners(kind::REPLICA_SET, &orphan, &cache, super::selector, &mut due);
        assert_eq!(due, [(kind::REPLICA_SET, Key::new("n", "r"))]);
        due.clear();
        let foreign =
            Changed { kind: kind::POD, before: None, after: cache.get(kind::POD, &Key::new("n", "foreign")).cloned() };
        touched_owners(kind::REPLICA_SET, &foreign, &cache, super::selector, &mut due);
        assert!(due.is_empty());
    }
}
