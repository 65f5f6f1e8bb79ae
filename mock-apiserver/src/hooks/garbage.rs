//! Garbage collection: objects whose owners are gone go too, in the order and with the finalizers that Kubernetes uses.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use machinery::{field::quote, meta, names, status::Status, time};
use serde_json::{Value, json};

use super::Queue;
use crate::{
    catalog::Endpoint,
    registry::{Change, Context, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Reaction, Registry, Source, Target},
    request::{DeleteOptions, Propagation},
    storage::{ChangeKind, Stored},
};

/// Most uids of deleted objects that are remembered, for owners whose kind is no longer served.
const GONE_MAX: usize = 4096;

/// How often a failed item is tried again before it is given up until its next change.
const ATTEMPTS_MAX: usize = 5;

/// Where an object is: its space and its key in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Id {
    space: String,
    key: Arc<str>,
}

impl Id {
    fn of(endpoint: &Endpoint, object: &Stored) -> Self {
        Self { space: endpoint.resource.space().name().to_owned(), key: object.key().clone() }
    }
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// An object whose owners may be gone.
    Dependent(Id),
    /// An object that is being deleted and has a say in what becomes of its dependents.
    Owner(Id),
}

/// The collector: an index of who is owned by whom, and the work that follows from changes.
pub(crate) struct GarbageCollector {
    index: Mutex<Index>,
    queue: Queue<Work>,
}

#[derive(Default)]
struct Index {
    /// Dependents by the uid of their owner.
    dependents: HashMap<String, BTreeSet<Id>>,
    gone: HashSet<String>,
    gone_order: VecDeque<String>,
    /// Dependents and owners of whom an Event tells that they are in different namespaces.
    warned: HashSet<String>,
}

impl Index {
    fn link(&mut self, owner: &str, dependent: &Id) {
        self.dependents.entry(owner.to_owned()).or_default().insert(dependent.clone());
    }

    fn unlink(&mut self, owner: &str, dependent: &Id) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    fn forget(&mut self, uid: &str) {
        if self.gone.insert(uid.to_owned()) {
            self.gone_order.push_back(uid.to_owned());
        }
        if self.gone_order.len() > GONE_MAX
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    meta::owner_references(object).iter().filter_map(|owner| owner.get("uid").and_then(Value::as_str))
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    meta::finalizers(object).any(|found| found == finalizer)
}

impl Reaction for GarbageCollector {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        let id = Id::of(change.endpoint, change.object);
        let old_owners = change.old.map(meta::owner_references).unwrap_or_default();
        let owners = meta::owner_references(object);
        if !owners.is_empty() || !old_owners.is_empty() {
            self.reindex(change, &id);
        }
        if change.kind == ChangeKind::Deleted {
            self.deleted(registry, object);
            return None;
        }
        if !owners.is_empty() && owners != old_owners {
            self.queue.push(Work::Dependent(id.clone()));
        }
        let has_say = has_finalizer(object, FINALIZER_ORPHAN) || has_finalizer(object, FINALIZER_FOREGROUND);
        if has_say && meta::deletion_timestamp(object).is_some() {
            self.queue.push(Work::Owner(id));
        }
        None
    }
}

impl GarbageCollector {
    pub(crate) fn new() -> Self {
        Self { index: Mutex::default(), queue: Queue::new() }
    }

    fn with_index<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        work(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reindex(&self, change: &Change<'_>, id: &Id) {
        self.with_index(|index| {
            change.old.into_iter().flat_map(owner_uids).for_each(|owner| index.unlink(owner, id));
            if change.kind != ChangeKind::Deleted {
                owner_uids(change.object.value()).for_each(|owner| index.link(owner, id));
            }
        });
    }

    /// Asks for those to be looked at for whom a deleted object mattered.
    fn deleted(&self, registry: &Registry, object: &Value) {
        let uid = meta::uid(object);
        let dependents = self.with_index(|index| {
            let dependents = index.dependents.get(uid).cloned().unwrap_or_default();
            if !dependents.is_empty() {
                index.forget(uid);
            }
            dependents
        });
        dependents.into_iter().for_each(|dependent| self.queue.push(Work::Dependent(dependent)));
        for owner in meta::owner_references(object) {
            // An owner in the foreground may have waited for this object only.
            if let Some((endpoint, owner)) = find_owner(registry, owner, meta::namespace(object)) {
                self.queue.push(Work::Owner(Id::of(&endpoint, &owner)));
            }
        }
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let work = self.queue.pop().await;
            for _ in 0..ATTEMPTS_MAX {
                match self.sync(&registry, &work).await {
                    Ok(()) => break,
                    Err(status) if status.code == 409 => tokio::task::yield_now().await,
                    Err(status) => {
                        tracing::warn!(?work, error = %status, "garbage could not be collected");
                        break;
                    }
                }
            }
        }
    }

    async fn sync(&self, registry: &Registry, work: &Work) -> Result<(), Status> {
        let (Work::Dependent(id) | Work::Owner(id)) = work;
        let Some((endpoint, object)) = find(registry, id) else { return Ok(()) };
        match work {
            Work::Dependent(_) => self.sync_dependent(registry, &endpoint, &object).await,
            Work::Owner(_) => self.sync_owner(registry, &endpoint, &object).await,
        }
    }

    /// Deletes an object without owners, or takes references to owners that are gone out of it.
    async fn sync_dependent(&self, registry: &Registry, endpoint: &Endpoint, object: &Stored) -> Result<(), Status> {
        let value = object.value();
        let is_being_deleted = meta::deletion_timestamp(value).is_some();
        if is_being_deleted && !has_finalizer(value, FINALIZER_FOREGROUND) {
            return Ok(());
        }
        let owners = meta::owner_references(value);
        if owners.is_empty() {
            return Ok(());
        }
        self.warn_of_namespaces(registry, endpoint, value).await;
        let states: Vec<Owner> = owners.iter().map(|owner| self.state(registry, owner, endpoint, value)).collect();
        if states.contains(&Owner::Solid) {
            let gone: HashSet<&str> = owner_uids(value)
                .zip(&states)
                .filter(|(_, state)| **state != Owner::Solid)
                .map(|(uid, _)| uid)
                .collect();
            if gone.is_empty() {
                return Ok(());
            }
            return disown(registry, endpoint, object, &gone).await;
        }
        let has_dependents = self.with_index(|index| index.dependents.contains_key(meta::uid(value)));
        let policy = if states.contains(&Owner::Waiting) && has_dependents || has_finalizer(value, FINALIZER_FOREGROUND)
        {
            Propagation::Foreground
        } else if has_finalizer(value, FINALIZER_ORPHAN) {
            Propagation::Orphan
        } else {
            Propagation::Background
        };
        let options = DeleteOptions {
            propagation: Some(policy),
            uid: Some(meta::uid(value).to_owned()),
            ..DeleteOptions::default()
        };
        let target = target(endpoint, value);
        match registry.delete(target, &options, &collector()).await {
            Err(status) if status.code != 404 => Err(status),
            _ => Ok(()),
        }
    }

    /// Tells in an Event, once, of owners that are in another namespace than their dependent.
    async fn warn_of_namespaces(&self, registry: &Registry, endpoint: &Endpoint, dependent: &Value) {
        for owner in meta::owner_references(dependent) {
            let is_new = || {
                let key = format!("{}/{}", meta::uid(dependent), owner["uid"].as_str().unwrap_or_default());
                self.with_index(|index| index.warned.len() < GONE_MAX && index.warned.insert(key))
            };
            if is_elsewhere(registry, owner, endpoint, dependent)
                && is_new()
                && let Err(status) = announce_elsewhere(registry, owner, dependent).await
            {
                tracing::debug!(error = %status, "an event could not be written");
            }
        }
    }

    /// What an owner reference is worth.
    fn state(&self, registry: &Registry, owner: &Value, endpoint: &Endpoint, dependent: &Value) -> Owner {
        let uid = owner.get("uid").and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = owner_endpoint(registry, owner) else {
            let gone = self.with_index(|index| index.gone.contains(uid));
            return if gone { Owner::Gone } else { Owner::Solid };
        };
        if kind.resource.is_namespaced() && !endpoint.resource.is_namespaced() {
            // Such a reference cannot be resolved; upstream leaves the object alone.
            return Owner::Solid;
        }
        match find_owner(registry, owner, meta::namespace(dependent)) {
            None => Owner::Gone,
            Some((_, found)) => {
                let value = found.value();
                let waits = meta::deletion_timestamp(value).is_some() && has_finalizer(value, FINALIZER_FOREGROUND);
                if waits { Owner::Waiting } else { Owner::Solid }
            }
        }
    }

    /// Does what the finalizers of an object that is being deleted ask for.
    async fn sync_owner(&self, registry: &Registry, endpoint: &Endpoint, object: &Stored) -> Result<(), Status> {
        let value = object.value();
        if meta::deletion_timestamp(value).is_none() {
            return Ok(());
        }
        let uid = meta::uid(value);
        let ids = self.with_index(|index| index.dependents.get(uid).cloned().unwrap_or_default());
        if has_finalizer(value, FINALIZER_ORPHAN) {
            for (endpoint, dependent) in ids.iter().filter_map(|id| find(registry, id)) {
                disown(registry, &endpoint, &dependent, &HashSet::from([uid])).await?;
            }
            return remove_finalizer(registry, endpoint, value, FINALIZER_ORPHAN).await;
        }
        if !has_finalizer(value, FINALIZER_FOREGROUND) {
            return Ok(());
        }
        let mut is_blocked = false;
        for id in ids {
            let Some((_, dependent)) = find(registry, &id) else { continue };
            is_blocked |= meta::owner_references(dependent.value())
                .iter()
                .any(|owner| owner["uid"] == uid && owner["blockOwnerDeletion"] == true);
            self.queue.push(Work::Dependent(id));
        }
        if is_blocked {
            return Ok(());
        }
        remove_finalizer(registry, endpoint, value, FINALIZER_FOREGROUND).await
    }
}

/// Whether an owner is in another namespace than its dependent, where it cannot own it.
fn is_elsewhere(registry: &Registry, owner: &Value, endpoint: &Endpoint, dependent: &Value) -> bool {
    let Some(kind) = owner_endpoint(registry, owner).filter(|kind| kind.resource.is_namespaced()) else { return false };
    if !endpoint.resource.is_namespaced() {
        return true;
    }
    if find_owner(registry, owner, meta::namespace(dependent)).is_some() {
        return false;
    }
    let (name, uid) = (owner["name"].as_str().unwrap_or_default(), owner["uid"].as_str().unwrap_or_default());
    let spaces = registry.catalog.endpoint("", "v1", "namespaces").map(|found| found.resource.space().snapshot());
    let space = kind.resource.storage_endpoint().resource.space().clone();
    spaces.is_some_and(|namespaces| {
        let mut names = namespaces.range("", None).map(|namespace| meta::name(namespace.value()).to_owned());
        names.any(|namespace| {
            space.get(&format!("{namespace}/{name}")).is_some_and(|found| meta::uid(found.value()) == uid)
        })
    })
}

async fn announce_elsewhere(registry: &Registry, owner: &Value, dependent: &Value) -> Result<(), Status> {
    const COMPONENT: &str = "garbage-collector-controller";
    let Some(events) = registry.catalog.endpoint("", "v1", "events") else { return Ok(()) };
    let namespace = meta::namespace(dependent);
    let now = registry.clock.now();
    let name = format!("{}.{:x}", meta::name(dependent), now.as_nanosecond());
    let now = time::format_seconds(now);
    let text = |member: &str| owner.get(member).and_then(Value::as_str).unwrap_or_default();
    let message = format!(
        "ownerRef [{}/{}, namespace: {namespace}, name: {}, uid: {}] does not exist in namespace {}",
        text("apiVersion"),
        text("kind"),
        text("name"),
        text("uid"),
        quote(namespace)
    );
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": meta::api_version(dependent), "kind": meta::kind(dependent), "namespace": namespace,
            "name": meta::name(dependent), "uid": meta::uid(dependent),
            "resourceVersion": meta::resource_version(dependent),
        },
        "reason": "OwnerRefInvalidNamespace", "message": message, "type": "Warning", "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": COMPONENT}, "reportingComponent": COMPONENT, "reportingInstance": "",
    });
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    registry.create(&events, namespace, event, &collector()).await.map(drop)
}

/// What an owner reference is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The owner exists.
    Solid,
    /// The owner exists, and waits for its dependents to go first.
    Waiting,
    /// The owner does not exist.
    Gone,
}

fn collector() -> Context {
    Context::server("kube-controller-manager")
}

fn target<'a>(endpoint: &'a Endpoint, object: &'a Value) -> Target<'a> {
    Target { endpoint, namespace: meta::namespace(object), name: meta::name(object), subresource: "" }
}

fn find(registry: &Registry, id: &Id) -> Option<(Endpoint, Arc<Stored>)> {
    let served = registry.catalog.served();
    let resource = served.resources.iter().find(|resource| resource.space().name() == id.space)?;
    let endpoint = resource.storage_endpoint();
    let object = resource.space().get(&id.key)?;
    Some((endpoint, object))
}

fn owner_endpoint(registry: &Registry, owner: &Value) -> Option<Endpoint> {
    let text = |member: &str| owner.get(member).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = names::split_api_version(text("apiVersion")).ok()?;
    registry.catalog.served().endpoint_of_kind(group, version, text("kind")).cloned()
}

/// The owner that a reference names, if it exists with that uid.
fn find_owner(registry: &Registry, owner: &Value, namespace: &str) -> Option<(Endpoint, Arc<Stored>)> {
    let name = owner.get("name").and_then(Value::as_str)?;
    let endpoint = owner_endpoint(registry, owner)?.resource.storage_endpoint();
    let found = endpoint.resource.space().get(&endpoint.resource.key(namespace, name))?;
    (owner["uid"] == meta::uid(found.value())).then_some((endpoint, found))
}

/// Takes references to some owners out of an object.
async fn disown(
    registry: &Registry,
    endpoint: &Endpoint,
    object: &Stored,
    owners: &HashSet<&str>,
) -> Result<(), Status> {
    let uid = meta::uid(object.value());
    let transform = |current: &Stored| {
        let mut value = current.value().clone();
        if meta::uid(&value) == uid {
            let kept: Vec<Value> = meta::owner_references(&value)
                .iter()
                .filter(|owner| !owner["uid"].as_str().is_some_and(|uid| owners.contains(uid)))
                .cloned()
                .collect();
            set_or_remove(&mut value, "ownerReferences", kept);
        }
        Ok(value)
    };
    ignore_absence(registry.update(target(endpoint, object.value()), Source::Patch, &transform, &collector()).await)
}

async fn remove_finalizer(
    registry: &Registry,
    endpoint: &Endpoint,
    object: &Value,
    finalizer: &str,
) -> Result<(), Status> {
    let uid = meta::uid(object);
    let transform = |current: &Stored| {
        let mut value = current.value().clone();
        if meta::uid(&value) == uid {
            let kept: Vec<Value> =
                meta::finalizers(&value).filter(|found| *found != finalizer).map(Value::from).collect();
            set_or_remove(&mut value, "finalizers", kept);
        }
        Ok(value)
    };
    ignore_absence(registry.update(target(endpoint, object), Source::Patch, &transform, &collector()).await)
}

fn set_or_remove(object: &mut Value, member: &str, list: Vec<Value>) {
    if list.is_empty() {
        meta::remove(object, member);
    } else {
        meta::set(object, member, list);
    }
}

fn ignore_absence<T>(result: Result<T, Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}
