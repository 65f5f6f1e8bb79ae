//! Delete: preconditions, grace, finalizers, and what remains.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use machinery::{
    meta,
    names::GroupResource,
    status::{Details, Status},
    time,
};
use serde_json::Value;

use super::{
    Context, Registry, Selection,
    admission::{Admitted, Operation, Rounds},
    metadata::{self, FINALIZER_FOREGROUND, FINALIZER_ORPHAN},
    reactions::Change,
    update::{Owners, Target, is_finished},
};
use crate::{
    catalog::Endpoint,
    request::{DeleteOptions, ListOptions, Propagation},
    respond::List,
    storage::{ChangeKind, Draft, Error, Expected, Stored, Write},
};

/// How often a delete is tried again when others write the object meanwhile.
const ATTEMPTS_MAX: usize = 1000;

/// How long a pod may take to stop when it does not say.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What became of an object.
pub(crate) struct Deleted {
    /// The object as it was last, or as it is now when it is still there.
    pub(crate) object: Arc<Stored>,
    /// It is gone.
    pub(crate) removed: bool,
}

impl Registry {
    /// Deletes an object, or begins to.
    pub(crate) async fn delete(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<Deleted, Status> {
        self.delete_if(target, options, context, true).await
    }

    /// The same for a pod whose eviction was admitted, which nobody is asked about again.
    pub(super) async fn delete_evicted(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<Deleted, Status> {
        self.delete_if(target, options, context, false).await
    }

    async fn delete_if(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        context: &Context,
        is_asked: bool,
    ) -> Result<Deleted, Status> {
        for _ in 0..ATTEMPTS_MAX {
            let current = self.get(target.endpoint, target.namespace, target.name)?.for_writing();
            check_preconditions(target, options, current.value())?;
            let write = Admitted {
                registry: self,
                context,
                operation: Operation::Delete,
                endpoint: target.endpoint,
                namespace: target.namespace,
                name: target.name,
                subresource: "",
                kind: None,
                delete: Some(options),
                old: Some(current.value()),
                rounds: Rounds::default(),
            };
            if is_asked {
                self.admit_delete(&write).await?;
            }
            if let Some(deleted) = self.delete_once(&write, options, &current).await? {
                return Ok(deleted);
            }
        }
        Err(Status::modified(&target.endpoint.group_resource(), target.name))
    }

    async fn delete_once(
        &self,
        write: &Admitted<'_>,
        options: &DeleteOptions,
        current: &Arc<Stored>,
    ) -> Result<Option<Deleted>, Status> {
        let endpoint = write.endpoint;
        let storage = endpoint.resource.storage_endpoint();
        let mut object = current.value().clone();
        let policy = options.propagation.or_else(|| {
            options.orphan_dependents.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background })
        });
        let policy = policy.or_else(|| default_propagation(&storage, &object));
        propagate(&mut object, policy);
        for plugin in &self.admission {
            plugin.begin_delete(write, &mut object);
        }
        let is_graceful = storage.definition().graceful_delete;
        let marks = self.mark(&mut object, is_graceful, options);
        if !marks && object == *current.value() && !is_finished(&object) {
            // Nothing changes: it is being deleted already, and no sooner than before.
            return Ok(Some(Deleted { object: current.clone(), removed: false }));
        }
        let style = endpoint.resource.style();
        if is_finished(&object) {
            // What could have taken its time says when it goes, and is seen to say so.
            let says_when = is_graceful && object != *current.value();
            let last = match (says_when, options.dry_run) {
                (false, _) => current.clone(),
                (true, true) => Draft::transient(current.key().clone(), object, storage.head(), style),
                (true, false) => match self.put_marked(&storage, object, current).await? {
                    Some(marked) => marked,
                    None => return Ok(None),
                },
            };
            if options.dry_run {
                return Ok(Some(Deleted { object: last, removed: true }));
            }
            let removed = self.remove(&storage, &last).await?;
            return Ok(removed.map(|object| Deleted { object, removed: true }));
        }
        if options.dry_run {
            let object = Draft::transient(current.key().clone(), object, storage.head(), style);
            return Ok(Some(Deleted { object, removed: false }));
        }
        let marked = self.replace(endpoint, object, current, Owners::Own, false).await?;
        Ok(marked.map(|object| Deleted { object, removed: false }))
    }

    /// Stores an object whose time is over before it is removed. `None` when another write came first.
    async fn put_marked(
        &self,
        storage: &Endpoint,
        object: Value,
        current: &Arc<Stored>,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let draft = Draft::new(current.key().clone(), object, storage.head(), storage.resource.style());
        let expected = Expected::Revision(current.revision());
        match self.store.commit(storage.resource.space(), Write::Put { draft, expected }).await {
            Ok(marked) => {
                let old = Some(current.value());
                self.react(&Change { endpoint: storage, kind: ChangeKind::Updated, object: &marked, old }).await;
                Ok(Some(marked))
            }
            Err(Error::Conflict) => Ok(None),
            Err(error) => Err(Status::internal(error)),
        }
    }

    /// Marks an object as being deleted. False when it is so already and nothing changes.
    fn mark(&self, object: &mut Value, is_graceful: bool, options: &DeleteOptions) -> bool {
        // These two upstream marks on ways of their own, and with nothing but the time.
        let has_only_time = matches!(
            (meta::api_version(object), meta::kind(object)),
            ("v1", "Namespace") | ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        );
        let later = |at: Timestamp, seconds: i64| at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at);
        let Some(marked) = meta::deletion_timestamp(object) else {
            let grace = if is_graceful { grace_seconds(object, options) } else { 0 };
            let at = later(self.clock.now(), grace);
            if has_only_time {
                meta::set(object, "deletionTimestamp", time::format_seconds(at));
            } else {
                metadata::mark_deleted(object, at, grace);
            }
            return true;
        };
        if !is_graceful {
            return true;
        }
        // A deletion that has begun can only be made shorter, by somebody who says how long it may take.
        let present = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        match options.grace_period_seconds.map(at_least_a_moment).filter(|grace| *grace < present) {
            Some(grace) => {
                let at = time::parse(marked).map_or_else(|| self.clock.now(), |at| later(at, grace - present));
                let generation = meta::generation(object);
                metadata::mark_deleted(object, at, grace);
                if generation > 0 {
                    meta::set(object, "generation", generation);
                }
                true
            }
            None => false,
        }
    }

    /// Deletes everything that is selected, one by one. Returns the list as it was before.
    pub(crate) async fn delete_collection(
        &self,
        endpoint: &Endpoint,
        selection: &Selection,
        list_options: &ListOptions,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<List, Status> {
        let list = self.list(endpoint, selection, list_options)?;
        for object in &list.objects {
            let target = Target {
                endpoint,
                namespace: meta::namespace(object.value()),
                name: meta::name(object.value()),
                subresource: "",
            };
            match self.delete(target, options, context).await {
                Err(status) if status.code == 404 => {}
                other => drop(other?),
            }
        }
        Ok(list)
    }
}

/// Puts the finalizer of a policy on, and takes the others off. `None` keeps what is there.
fn propagate(object: &mut Value, policy: Option<Propagation>) {
    let Some(policy) = policy else { return };
    let wanted = match policy {
        Propagation::Orphan => Some(FINALIZER_ORPHAN),
        Propagation::Foreground => Some(FINALIZER_FOREGROUND),
        Propagation::Background => None,
    };
    let mut finalizers: Vec<String> = meta::finalizers(object)
        .filter(|finalizer| ![FINALIZER_ORPHAN, FINALIZER_FOREGROUND].contains(finalizer))
        .map(str::to_owned)
        .collect();
    finalizers.extend(wanted.map(str::to_owned));
    let is_unchanged = meta::finalizers(object).all(|before| finalizers.iter().any(|after| after == before))
        && meta::finalizers(object).count() == finalizers.len();
    if is_unchanged {
        return;
    }
    // Upstream has them in a set.
    finalizers.sort_unstable();
    if finalizers.is_empty() {
        meta::remove(object, "finalizers");
    } else {
        meta::set(object, "finalizers", finalizers);
    }
}

/// What a client is told that deletes an object of the kind and does not say what becomes of its pods.
pub(crate) fn orphaning_warning(endpoint: &Endpoint, options: &DeleteOptions) -> Option<&'static str> {
    let silent = options.propagation.is_none() && options.orphan_dependents.is_none();
    (silent && endpoint.group_resource().to_string() == "jobs.batch").then_some(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set \
         propagationPolicy=Orphan to suppress this warning",
    )
}

/// What becomes of dependents when nobody says: these two kinds leave them alone, for historic reasons.
fn default_propagation(storage: &Endpoint, object: &Value) -> Option<Propagation> {
    let chosen =
        meta::finalizers(object).any(|finalizer| [FINALIZER_ORPHAN, FINALIZER_FOREGROUND].contains(&finalizer));
    if chosen {
        return None;
    }
    match storage.group_resource().to_string().as_str() {
        "replicationcontrollers" | "jobs.batch" => Some(Propagation::Orphan),
        _ => None,
    }
}

/// How long a pod may take to stop. One that runs nowhere, or no more, takes no time.
fn grace_seconds(pod: &Value, options: &DeleteOptions) -> i64 {
    let scheduled = pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if !scheduled || phase == "Succeeded" || phase == "Failed" {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    at_least_a_moment(options.grace_period_seconds.or(own).unwrap_or(DEFAULT_GRACE_SECONDS))
}

/// Less than nothing is a second.
fn at_least_a_moment(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds }
}

pub(super) fn check_preconditions(target: Target<'_>, options: &DeleteOptions, current: &Value) -> Result<(), Status> {
    // Upstream names the kind here, not the resource.
    let definition = target.endpoint.definition();
    let kind = GroupResource::new(definition.group.clone(), definition.kind.clone());
    let conflict = |why: String| Status::conflict(&kind, target.name, &why);
    let (uid, revision) = (meta::uid(current), meta::resource_version(current));
    match (&options.uid, &options.resource_version) {
        (Some(wanted), _) if wanted != uid => Err(conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been \
             deleted and then recreated"
        ))),
        (_, Some(wanted)) if wanted != revision => Err(conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        ))),
        _ => Ok(()),
    }
}

/// The Status of a finished delete.
pub(crate) fn deleted_status(endpoint: &Endpoint, object: &Stored) -> Status {
    let resource = endpoint.group_resource();
    Status::success(
        0,
        Some(Details {
            name: meta::name(object.value()).to_owned(),
            group: resource.group,
            kind: resource.resource,
            uid: meta::uid(object.value()).to_owned(),
            ..Details::default()
        }),
    )
}
