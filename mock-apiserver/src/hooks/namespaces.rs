//! Namespaces: which exist from the start, what each one holds, and how they end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use futures::future::BoxFuture;
use machinery::{
    meta,
    names::GroupResource,
    status::{Cause, Status},
    time,
};
use serde_json::{Value, json};

use super::Queue;
use crate::{
    catalog::Endpoint,
    registry::{Admission, Admitted, Change, Context, Operation, Reaction, Registry, Selection, Target},
    request::{DeleteOptions, Propagation},
    storage::ChangeKind,
};

/// Namespaces that exist from the start.
pub(crate) const BUILT_IN: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Those of them that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The label that holds a namespace's own name, so that label selectors can name namespaces.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The finalizer in `spec` that holds a namespace until its content is gone.
const SPEC_FINALIZER: &str = "kubernetes";

/// Keeps namespaces well-formed, and new objects out of those that end.
pub(crate) struct NamespaceLifecycle;

impl Admission for NamespaceLifecycle {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(if is_namespace(write.endpoint) {
            label(object);
            Ok(())
        } else {
            check_namespace(write)
        }))
    }

    fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        if !is_namespace(write.endpoint) {
            return;
        }
        label(object);
        match write.old {
            None => {
                let mut finalizers: Vec<Value> = spec_finalizers(object).to_vec();
                if !finalizers.iter().any(|finalizer| finalizer == SPEC_FINALIZER) {
                    finalizers.push(SPEC_FINALIZER.into());
                }
                object["spec"] = json!({"finalizers": finalizers});
                object["status"] = json!({"phase": "Active"});
            }
            Some(old) if write.subresource != "finalize" => {
                object["spec"] = old.get("spec").cloned().unwrap_or_else(|| json!({}));
            }
            Some(old) => {
                // Through `finalize` nothing but the finalizers of the spec can change.
                let finalizers = spec_finalizers(object).to_vec();
                let metadata = object.get("metadata").cloned().unwrap_or_default();
                *object = old.clone();
                object["metadata"]["managedFields"] = metadata.get("managedFields").cloned().unwrap_or_default();
                if object["metadata"]["managedFields"].is_null() {
                    meta::remove(object, "managedFields");
                }
                object["spec"] = if finalizers.is_empty() { json!({}) } else { json!({"finalizers": finalizers}) };
            }
        }
    }

    fn begin_delete(&self, write: &Admitted<'_>, object: &mut Value) {
        if is_namespace(write.endpoint) && meta::deletion_timestamp(object).is_none() {
            object["status"] = json!({"phase": "Terminating"});
        }
    }

    fn validate<'a>(
        &'a self,
        write: &'a Admitted<'a>,
        _object: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        let protected =
            write.operation == Operation::Delete && is_namespace(write.endpoint) && IMMORTAL.contains(&write.name);
        Box::pin(std::future::ready(if protected {
            let resource = write.endpoint.group_resource();
            Err(Status::forbidden(&resource, write.name, "this namespace may not be deleted"))
        } else {
            Ok(())
        }))
    }
}

fn is_namespace(endpoint: &Endpoint) -> bool {
    let definition = endpoint.definition();
    definition.group.is_empty() && definition.plural == "namespaces"
}

fn label(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    let Some(metadata) = meta::metadata_mut(namespace) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut()
        && !name.is_empty()
    {
        labels.insert(NAME_LABEL.to_owned(), name.into());
    }
}

fn spec_finalizers(namespace: &Value) -> &[Value] {
    namespace.pointer("/spec/finalizers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A new object needs a namespace, and one that is not about to end.
fn check_namespace(write: &Admitted<'_>) -> Result<(), Status> {
    if write.operation != Operation::Create || !write.endpoint.resource.is_namespaced() {
        return Ok(());
    }
    let Some(namespace) = write.registry.namespace(write.namespace) else {
        return Err(Status::not_found(&GroupResource::new("", "namespaces"), write.namespace));
    };
    if meta::deletion_timestamp(namespace.value()).is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {} because it is being terminated", write.namespace);
    let mut status = Status::forbidden(&write.endpoint.group_resource(), write.name, &why);
    if let Some(details) = &mut status.details {
        details.causes = vec![Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {} is being terminated", write.namespace),
            field: "metadata.namespace".to_owned(),
        }];
    }
    Err(status)
}

/// What every namespace holds.
struct Fixture {
    plural: &'static str,
    kind: &'static str,
    name: &'static str,
}

const FIXTURES: [Fixture; 2] = [
    Fixture { plural: "serviceaccounts", kind: "ServiceAccount", name: "default" },
    Fixture { plural: "configmaps", kind: "ConfigMap", name: "kube-root-ca.crt" },
];

/// Takes note of namespaces that begin or end, and does what follows.
pub(crate) struct NamespaceUpkeep {
    queue: Queue<String>,
    /// Namespaces that are ending.
    ending: RwLock<BTreeSet<String>>,
    /// The certificate authority that clients in pods trust, in PEM.
    root_certificate: String,
}

impl Reaction for NamespaceUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        if is_namespace(change.endpoint) {
            let name = meta::name(object);
            let is_ending = change.kind != ChangeKind::Deleted && meta::deletion_timestamp(object).is_some();
            let mut ending = self.ending.write().unwrap_or_else(PoisonError::into_inner);
            if is_ending {
                ending.insert(name.to_owned());
            } else {
                ending.remove(name);
            }
            drop(ending);
            if is_ending {
                self.queue.push(name.to_owned());
            }
            let is_new = !is_ending && change.kind == ChangeKind::Created;
            let name = name.to_owned();
            return is_new.then(|| self.furnish_now(registry, name));
        }
        let namespace = meta::namespace(object);
        if namespace.is_empty() {
            return None;
        }
        let is_fixture = || {
            let definition = change.endpoint.definition();
            FIXTURES.iter().any(|fixture| {
                definition.group.is_empty() && definition.plural == fixture.plural && meta::name(object) == fixture.name
            })
        };
        let changed = change.kind != ChangeKind::Created;
        if changed && (self.is_ending(namespace) || is_fixture()) {
            self.queue.push(namespace.to_owned());
        }
        None
    }
}

impl NamespaceUpkeep {
    pub(crate) fn new(root_certificate: String) -> Self {
        Self { queue: Queue::new(), ending: RwLock::default(), root_certificate }
    }

    fn is_ending(&self, namespace: &str) -> bool {
        let ending = self.ending.read().unwrap_or_else(PoisonError::into_inner);
        !ending.is_empty() && ending.contains(namespace)
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let namespace = self.queue.pop().await;
            match self.sync(&registry, &namespace).await {
                Ok(false) => {}
                Ok(true) => {
                    let upkeep = self.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(RETRY).await;
                        upkeep.queue.push(namespace);
                    });
                }
                Err(status) => tracing::warn!(namespace, error = %status, "a namespace could not be kept up"),
            }
        }
    }

    /// Brings one namespace to where it should be.
    /// True when it is to be tried again, because something would not go.
    async fn sync(&self, registry: &Registry, name: &str) -> Result<bool, Status> {
        let Some(namespace) = registry.namespace(name) else { return Ok(false) };
        if meta::deletion_timestamp(namespace.value()).is_none() {
            return self.furnish(registry, name).await.map(|()| false);
        }
        let content = empty(registry, name).await?;
        finish(registry, name, &content).await?;
        Ok(!content.failures.is_empty())
    }

    /// Creates what a new namespace holds, before anybody can ask for it.
    fn furnish_now<'a>(&'a self, registry: &'a Registry, namespace: String) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(status) = self.furnish(registry, &namespace).await {
                tracing::warn!(namespace, error = %status, "a namespace lacks what it should hold");
            }
        })
    }

    /// Creates what is missing in a namespace.
    pub(crate) async fn furnish(&self, registry: &Registry, namespace: &str) -> Result<(), Status> {
        let context = Context::server("kube-controller-manager");
        for fixture in &FIXTURES {
            let Some(endpoint) = registry.catalog.endpoint("", "v1", fixture.plural) else { continue };
            if registry.get(&endpoint, namespace, fixture.name).is_ok() {
                continue;
            }
            let mut object = json!({
                "apiVersion": "v1", "kind": fixture.kind, "metadata": {"name": fixture.name, "namespace": namespace}
            });
            if fixture.kind == "ConfigMap" {
                object["data"] = json!({"ca.crt": self.root_certificate});
                object["metadata"]["annotations"] = json!({
                    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver \
                     when using internal endpoints such as the internal service IP or kubernetes.default.svc. \
                     No other usage is guaranteed across distributions of Kubernetes clusters."
                });
            }
            match registry.create(&endpoint, namespace, object, &context).await {
                Err(status) if !matches!(status.code, 403 | 404 | 409) => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Creates the namespaces that exist from the start, with what they hold.
pub(crate) async fn create_built_in(registry: &Registry) -> Result<(), Status> {
    let Some(endpoint) = registry.catalog.endpoint("", "v1", "namespaces") else { return Ok(()) };
    let context = Context::server("kube-apiserver");
    for name in BUILT_IN {
        if registry.namespace(name).is_none() {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            registry.create(&endpoint, "", object, &context).await?;
        }
    }
    Ok(())
}

/// How long to wait before content that could not be deleted is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// What is left in a namespace, and what could not be deleted.
#[derive(Default)]
struct Content {
    remaining: Vec<Remaining>,
    failures: Vec<String>,
}

/// What is left of one resource in a namespace.
struct Remaining {
    resource: GroupResource,
    count: usize,
    finalizers: BTreeMap<String, usize>,
}

/// Deletes everything in a namespace. Returns what is still there.
async fn empty(registry: &Registry, namespace: &str) -> Result<Content, Status> {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let context = Context::server("kube-controller-manager");
    let mut content = Content::default();
    for resource in &registry.catalog.served().resources {
        let endpoint = resource.storage_endpoint();
        if !resource.is_namespaced() || !Arc::ptr_eq(&endpoint.resource, resource) || !has_verbs(resource) {
            continue;
        }
        let selection = Selection::namespace(&endpoint, namespace);
        for object in registry.list(&endpoint, &selection, &Default::default())?.objects {
            let target = Target { endpoint: &endpoint, namespace, name: meta::name(object.value()), subresource: "" };
            match registry.delete(target, &options, &context).await {
                Err(status) if status.code != 404 => content.failures.push(status.message),
                _ => {}
            }
        }
        let left = registry.list(&endpoint, &selection, &Default::default())?.objects;
        if left.is_empty() {
            continue;
        }
        let mut finalizers = BTreeMap::new();
        for finalizer in left.iter().flat_map(|object| meta::finalizers(object.value())) {
            *finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
        content.remaining.push(Remaining { resource: resource.group_resource(), count: left.len(), finalizers });
    }
    Ok(content)
}

/// Kinds that are only posted to (reviews, bindings) hold nothing.
fn has_verbs(resource: &crate::catalog::Resource) -> bool {
    let verbs = &resource.definition.verbs;
    verbs.is_empty() || (verbs.iter().any(|verb| verb == "delete") && verbs.iter().any(|verb| verb == "list"))
}

/// Ends a namespace that is empty, or writes down why it cannot end.
async fn finish(registry: &Registry, name: &str, content: &Content) -> Result<(), Status> {
    let Some(endpoint) = registry.catalog.endpoint("", "v1", "namespaces") else { return Ok(()) };
    let is_empty = content.remaining.is_empty();
    let subresource = if is_empty { "finalize" } else { "status" };
    let target = Target { endpoint: &endpoint, namespace: "", name, subresource };
    let now = time::format_seconds(registry.clock.now());
    let transform = |current: &crate::storage::Stored| {
        let mut namespace = current.value().clone();
        if is_empty {
            let kept: Vec<Value> =
                spec_finalizers(&namespace).iter().filter(|finalizer| *finalizer != SPEC_FINALIZER).cloned().collect();
            namespace["spec"] = json!({"finalizers": kept});
        } else {
            set_conditions(&mut namespace, content, &now);
        }
        Ok(namespace)
    };
    let context = Context::server("kube-controller-manager");
    match registry.update(target, crate::registry::Source::Patch, &transform, &context).await {
        Err(status) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// Writes upstream's five conditions of an ending namespace.
fn set_conditions(namespace: &mut Value, content: &Content, now: &str) {
    let remaining = &content.remaining;
    let mut counts: Vec<String> = remaining
        .iter()
        .map(|left| format!("{} has {} resource instances", full_name(&left.resource), left.count))
        .collect();
    counts.sort();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in remaining.iter().flat_map(|left| &left.finalizers) {
        *finalizers.entry(finalizer).or_default() += count;
    }
    let finalizers: Vec<String> =
        finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let finalizing = !finalizers.is_empty();
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        match content.failures.as_slice() {
            [] => (
                "NamespaceDeletionContentFailure",
                false,
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization".to_owned(),
            ),
            failures => (
                "NamespaceDeletionContentFailure",
                true,
                "ContentDeletionFailed",
                format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", ")),
            ),
        },
        (
            "NamespaceContentRemaining",
            true,
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", counts.join(", ")),
        ),
        if finalizing {
            (
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", ")),
            )
        } else {
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".to_owned(),
            )
        },
    ];
    let old = namespace.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let conditions: Vec<Value> = conditions
        .into_iter()
        .map(|(kind, holds, reason, message)| {
            let status = if holds { "True" } else { "False" };
            let since = old
                .iter()
                .find(|known| known["type"] == kind && known["status"] == status)
                .and_then(|known| known["lastTransitionTime"].as_str())
                .unwrap_or(now);
            json!({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message})
        })
        .collect();
    namespace["status"] = json!({"phase": "Terminating", "conditions": conditions});
}

/// `resource.group`, with upstream's dot after a resource of the core group.
fn full_name(resource: &GroupResource) -> String {
    format!("{}.{}", resource.resource, resource.group)
}
