//! API aggregation: groups that another server answers for. An APIService with a service says which; requests are passed on,
//! and discovery lists what that server has.

mod availability;
mod discovery;
mod remote;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    catalog::Endpoint,
    hooks::Queue,
    registry::{Change, Reaction, Registry},
    storage::ChangeKind,
};

pub(crate) use remote::pass_on;

const GROUP: &str = "apiregistration.k8s.io";

/// What other servers have, as far as they have been asked.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    /// Grows with every change.
    pub(crate) generation: u64,
    /// By the name of the APIService.
    versions: Vec<RemoteVersion>,
}

/// A version of a group that another server answers for.
#[derive(Clone, Debug, PartialEq)]
struct RemoteVersion {
    group: String,
    version: String,
    /// The entries of its `APIResourceList`.
    resources: Vec<Value>,
}

/// Keeps track of APIServices that name a service.
#[derive(Debug)]
pub(crate) struct Aggregation {
    /// Names of APIServices that are to be looked at.
    queue: Queue<String>,
    remotes: ArcSwap<Remotes>,
}

impl Aggregation {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::new(), remotes: ArcSwap::default() }
    }

    /// What other servers have.
    pub(crate) fn remotes(&self) -> Arc<Remotes> {
        self.remotes.load_full()
    }
}

fn endpoint(registry: &Registry) -> Option<Endpoint> {
    registry.catalog.endpoint(GROUP, "v1", "apiservices")
}

/// The APIService of a version that names a service.
fn service_of(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let stored = endpoint(registry)?.resource.space().get(&format!("{version}.{group}"))?;
    has_service(stored.value()).then(|| stored.value().clone())
}

fn has_service(service: &Value) -> bool {
    service.pointer("/spec/service").is_some_and(Value::is_object)
}

/// True when another server answers for a version of a group.
pub(crate) fn is_remote(registry: &Registry, group: &str, version: &str) -> bool {
    !group.is_empty() && service_of(registry, group, version).is_some()
}

/// Names of all APIServices that name a service.
fn names(registry: &Registry) -> Vec<String> {
    let Some(endpoint) = endpoint(registry) else { return Vec::new() };
    let snapshot = endpoint.resource.space().snapshot();
    let remote = snapshot.range("", None).filter(|stored| has_service(stored.value()));
    remote.map(|stored| machinery::meta::name(stored.value()).to_owned()).collect()
}

impl Reaction for Aggregation {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let definition = change.endpoint.definition();
        let object = change.object.value();
        match (&*definition.group, &*definition.plural) {
            (GROUP, "apiservices") => {
                let spec = |service: &Value| service.get("spec").cloned();
                let differs = change.old.is_none_or(|old| spec(old) != spec(object));
                if differs || change.kind == ChangeKind::Deleted {
                    self.queue.push(machinery::meta::name(object).to_owned());
                }
            }
            // Where a server is may have changed.
            ("", "services") | ("discovery.k8s.io", "endpointslices") => {
                names(registry).into_iter().for_each(|name| self.queue.push(name));
            }
            _ => {}
        }
        None
    }
}
