//! ControllerRevisions: what a workload was, so that it can be so again.

use std::sync::Arc;

use cluster::{Key, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::{hash, number, template};
use crate::{action::Action, cache::Cache, ownership::Owner};

/// The label that says of which revision a pod is.
pub(super) const REVISION_HASH: &str = "controller-revision-hash";

/// The revisions of a workload, the oldest first.
pub(super) struct Revisions<'a> {
    /// All of them.
    pub(super) all: Vec<&'a Arc<Value>>,
}

/// The revision of the present template, or what to write before there is one.
pub(super) enum Current<'a> {
    /// It is there.
    Is(&'a Arc<Value>),
    /// It is made, or gets a new number.
    Write(Box<Action>),
    /// Another object has its name: the next hash will be another.
    Collision,
}

impl<'a> Revisions<'a> {
    pub(super) fn of(mut all: Vec<&'a Arc<Value>>) -> Self {
        all.sort_by_key(|revision| (number(revision), meta::creation_timestamp(revision), meta::name(revision)));
        Self { all }
    }

    /// The revision of a name.
    pub(super) fn named(&self, name: &str) -> Option<&'a Arc<Value>> {
        self.all.iter().copied().find(|revision| meta::name(revision) == name)
    }

    /// The revision of the workload's present template. `hash_label` is where it says its hash.
    pub(super) fn current(&self, owner: &Owner<'_>, hash_label: &str, cache: &Cache) -> Current<'a> {
        let workload = owner.object;
        let data = data(&workload["spec"]["template"]);
        let last = self.all.last().map_or(0, |last| number(last));
        if let Some(same) = self.all.iter().rev().copied().find(|revision| revision["data"] == data) {
            if number(same) == last {
                return Current::Is(same);
            }
            // It was before, and is again: history goes on.
            let mut renewed = Value::clone(same);
            renewed["revision"] = json!(last + 1);
            let kind = kind::CONTROLLER_REVISION;
            return Current::Write(Box::new(Action::Replace { kind, object: renewed, subresource: "" }));
        }
        let hash = hash::of(&data, number::maybe(workload, "/status/collisionCount"));
        let key = Key::new(meta::namespace(workload), format!("{}-{hash}", meta::name(workload)));
        if cache.get(kind::CONTROLLER_REVISION, &key).is_some() {
            return Current::Collision;
        }
        let mut made = json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "labels": workload["spec"]["template"]["metadata"]["labels"],
                "annotations": annotations(workload),
                "ownerReferences": [owner.reference()],
            },
            "data": data,
            "revision": last + 1,
        });
        template::set_label(&mut made, hash_label, &hash);
        Current::Write(Box::new(Action::Create { kind: kind::CONTROLLER_REVISION, object: made, tell: None }))
    }

    /// Those beyond the limit that nobody uses any more.
    pub(super) fn surplus(&self, limit: i64, is_used: impl Fn(&Value) -> bool) -> Vec<Action> {
        let unused: Vec<&Arc<Value>> = self.all.iter().copied().filter(|revision| !is_used(revision)).collect();
        let surplus = unused.len().saturating_sub(number::length(limit));
        let delete = |revision: &Arc<Value>| Action::Delete {
            kind: kind::CONTROLLER_REVISION,
            object: revision.clone(),
            grace: None,
            tell: None,
        };
        unused.into_iter().take(surplus).map(delete).collect()
    }
}

fn annotations(workload: &Value) -> Value {
    let own = |key: &str| key == "kubectl.kubernetes.io/last-applied-configuration";
    meta::annotations(workload)
        .filter(|(key, _)| !own(key))
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

/// The number of a revision.
pub(super) fn number(revision: &Value) -> i64 {
    revision["revision"].as_i64().unwrap_or(0)
}

/// What a revision keeps: a patch that puts the template back.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(members) = template.as_object_mut() {
        members.insert("$patch".to_owned(), json!("replace"));
    }
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub(super) fn template_of(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(members) = template.as_object_mut() {
        members.remove("$patch");
    }
    template
}
