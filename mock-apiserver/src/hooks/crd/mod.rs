//! CustomResourceDefinitions: each makes a kind that is served from the moment its creator gets the answer.

mod definition;
mod names;
mod presentation;
mod validation;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use machinery::{
    meta,
    names::GroupResource,
    status::{Reason, Status},
};
use serde_json::Value;

use super::Queue;
use crate::{
    catalog::Endpoint,
    registry::{Admission, Admitted, Change, Context, Operation, Reaction, Registry, Selection, Source, Target},
    request::{DeleteOptions, Propagation},
    storage::{ChangeKind, Stored},
};

/// The finalizer that holds a definition until its objects are gone.
const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How long a definition that is being deleted is left as it is: who deleted it and has the answer can begin to watch its end,
/// as clients do. Upstream's controller takes a moment as well, and that long when a definition is young.
const GRACE: Duration = Duration::from_millis(100);

/// Why a definition is not gone yet: nobody has looked at its objects.
const PENDING: &str = "InstanceDeletionPending";

/// The group of definitions.
const GROUP: &str = "apiextensions.k8s.io";

/// Checks definitions and keeps their status.
pub(crate) struct CrdAdmission;

/// True for the resource of definitions themselves.
fn is_crd(endpoint: &Endpoint) -> bool {
    let definition = endpoint.definition();
    definition.group == GROUP && definition.plural == "customresourcedefinitions"
}

impl Admission for CrdAdmission {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let result = if is_crd(write.endpoint) {
            names::fill_in(object);
            Ok(())
        } else {
            check_not_terminating(write)
        };
        Box::pin(std::future::ready(result))
    }

    fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        if is_crd(write.endpoint) {
            let before = object.clone();
            let now = write.registry.clock.now();
            names::set_status(object, &write.registry.catalog.served(), now);
            own_status(write, &before, object);
        }
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let result = match object {
            Some(object) if is_crd(write.endpoint) => {
                let errors = validation::errors(object, write.old, write.registry.feature_gates.new_expressions());
                if errors.is_empty() {
                    Ok(())
                } else {
                    Err(Status::invalid(&write.endpoint.kind(), meta::name(object), &errors))
                }
            }
            _ => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }

    fn begin_delete(&self, write: &Admitted<'_>, object: &mut Value) {
        if !is_crd(write.endpoint) || meta::deletion_timestamp(object).is_some() {
            return;
        }
        let mut finalizers: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
            finalizers.push(CLEANUP_FINALIZER.to_owned());
            meta::set(object, "finalizers", finalizers);
        }
        let condition = names::Condition {
            kind: "Terminating",
            holds: true,
            reason: PENDING,
            message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon".to_owned(),
        };
        names::set_condition(object, &condition, write.registry.clock.now());
    }
}

/// Records that the status is the server's own.
fn own_status(write: &Admitted<'_>, before: &Value, object: &mut Value) {
    if before.get("status") == object.get("status") {
        return;
    }
    let target = Target { endpoint: write.endpoint, namespace: "", name: write.name, subresource: "status" };
    let server = Context::server("kube-apiserver");
    if let Err(status) = write.registry.own(target, Some(before), object, &server) {
        tracing::warn!(name = write.name, error = %status, "nobody is recorded for a definition's status");
    }
}

/// A kind whose definition is being deleted takes no new objects.
fn check_not_terminating(write: &Admitted<'_>) -> Result<(), Status> {
    if write.operation != Operation::Create || !write.endpoint.resource.is_custom() {
        return Ok(());
    }
    let name = write.endpoint.group_resource().to_string();
    let definition = find(write.registry, &name);
    if definition.is_some_and(|definition| meta::deletion_timestamp(definition.value()).is_some()) {
        return Err(Status::failure(
            Reason::MethodNotAllowed,
            "create not allowed while custom resource definition is terminating",
        ));
    }
    Ok(())
}

fn definitions(registry: &Registry) -> Option<Endpoint> {
    registry.catalog.endpoint(GROUP, "v1", "customresourcedefinitions")
}

fn find(registry: &Registry, name: &str) -> Option<Arc<Stored>> {
    definitions(registry)?.resource.space().get(name)
}

/// Serves what definitions define, and cleans up after them.
pub(crate) struct CrdUpkeep {
    queue: Queue<String>,
}

impl Reaction for CrdUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        if is_crd(change.endpoint) {
            let name = meta::name(object);
            if change.kind == ChangeKind::Deleted {
                registry.catalog.remove_custom(&definition::group_resource(object));
                self.reconsider(registry, object);
            } else {
                serve(registry, object);
                if meta::deletion_timestamp(object).is_some() {
                    self.queue.push(name.to_owned());
                }
            }
        } else if change.kind == ChangeKind::Deleted && change.endpoint.resource.is_custom() {
            let name = change.endpoint.group_resource().to_string();
            let is_ending =
                find(registry, &name).is_some_and(|found| meta::deletion_timestamp(found.value()).is_some());
            if is_ending {
                self.queue.push(name);
            }
        }
        None
    }
}

/// Serves a definition whose names were accepted.
pub(crate) fn serve(registry: &Registry, object: &Value) {
    if names::is_established(object) {
        let by_webhook = object.pointer("/spec/conversion/strategy").is_some_and(|strategy| strategy == "Webhook");
        registry.catalog.put_custom(definition::of(object), by_webhook, registry.store.as_ref());
    }
}

impl CrdUpkeep {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::new() }
    }

    /// Names of a deleted definition are free again: others of its group may want them.
    fn reconsider(&self, registry: &Registry, deleted: &Value) {
        let Some(endpoint) = definitions(registry) else { return };
        for other in endpoint.resource.space().snapshot().range("", None) {
            let other = other.value();
            if other.pointer("/spec/group") == deleted.pointer("/spec/group") && !names::is_established(other) {
                self.queue.push(meta::name(other).to_owned());
            }
        }
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let name = self.queue.pop().await;
            if find(&registry, &name).is_some_and(|found| names::is_pending(found.value())) {
                let registry = registry.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    report(&name, begin(&registry, &name).await);
                });
            } else {
                report(&name, sync(&registry, &name).await);
            }
        }
    }
}

fn report(name: &str, outcome: Result<(), Status>) {
    if let Err(status) = outcome {
        tracing::warn!(name, error = %status, "a definition could not be kept up");
    }
}

/// Begins to delete the objects of a definition; what follows is done when it is seen to have begun.
async fn begin(registry: &Registry, name: &str) -> Result<(), Status> {
    let condition = names::Condition {
        kind: "Terminating",
        holds: true,
        reason: "InstanceDeletionInProgress",
        message: "CustomResource deletion is in progress".to_owned(),
    };
    let now = registry.clock.now();
    change(registry, name, "status", &|object| {
        // Another one of the same name may have come meanwhile.
        if names::is_pending(object) {
            names::set_condition(object, &condition, now);
        }
    })
    .await
}

/// Brings one definition to where it should be.
async fn sync(registry: &Registry, name: &str) -> Result<(), Status> {
    let Some(found) = find(registry, name) else { return Ok(()) };
    let is_ending = meta::deletion_timestamp(found.value()).is_some();
    if is_ending && !empty(registry, &definition::group_resource(found.value())).await? {
        return Ok(());
    }
    // Its status is computed anew by every write.
    change(registry, name, "", &|object| {
        if is_ending {
            let kept: Vec<String> = meta::finalizers(object)
                .filter(|finalizer| *finalizer != CLEANUP_FINALIZER)
                .map(str::to_owned)
                .collect();
            meta::set(object, "finalizers", kept);
        }
    })
    .await
}

/// Changes a definition on the server's own account; one that is gone is fine.
async fn change(
    registry: &Registry,
    name: &str,
    subresource: &str,
    by: &(dyn Fn(&mut Value) + Send + Sync),
) -> Result<(), Status> {
    let Some(endpoint) = definitions(registry) else { return Ok(()) };
    let target = Target { endpoint: &endpoint, namespace: "", name, subresource };
    let transform = |current: &Stored| {
        let mut object = current.value().clone();
        by(&mut object);
        Ok(object)
    };
    match registry.update(target, Source::Patch, &transform, &Context::server("kube-apiserver")).await {
        Err(status) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// Deletes every object of a definition; true when none is left.
async fn empty(registry: &Registry, resource: &GroupResource) -> Result<bool, Status> {
    let served = registry.catalog.served();
    let Some(found) = served.resources.iter().find(|found| found.is_custom() && found.group_resource() == *resource)
    else {
        return Ok(true);
    };
    let endpoint = found.storage_endpoint();
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let everything = Selection::namespace(&endpoint, "");
    registry
        .delete_collection(&endpoint, &everything, &Default::default(), &options, &Context::server("kube-apiserver"))
        .await?;
    Ok(found.space().snapshot().is_empty())
}
