//! API aggregation: groups that another server answers for. An APIService with a service says which; requests are passed on,
//! and discovery lists what that server has.

mod availability;
mod discovery;
mod remote;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use machinery::status::Status;
use serde_json::Value;

use crate::{
    authentication::User,
    catalog::Endpoint,
    hooks::Queue,
    outbound::Identity,
    registry::{Change, Reaction, Registry},
    storage::ChangeKind,
};

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
    /// What proves to other servers that they may believe who asks (`--proxy-client-cert-file`).
    identity: Option<Identity>,
}

impl Aggregation {
    pub(crate) fn new(identity: Option<Identity>) -> Self {
        Self { queue: Queue::new(), remotes: ArcSwap::default(), identity }
    }

    /// Passes a request on to the server that answers for its group and version.
    pub(crate) async fn pass_on(
        &self,
        registry: &Registry,
        (group, version): (&str, &str),
        user: &User,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let service = service_of(registry, group, version).ok_or_else(Status::unknown_resource)?;
        remote::pass_on(registry, self.identity.as_ref(), &service, user, request).await
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
