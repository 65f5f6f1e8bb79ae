//! Keeps `status.used` of quotas true.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use api::builtin::Amounts;
use futures::future::BoxFuture;
use machinery::{
    meta,
    status::{Reason, Status},
};
use serde_json::{Value, json};

use super::{super::Queue, count, endpoint, quotas};
use crate::{
    registry::{Change, Context, Reaction, Registry, Source, Target},
    storage::{ChangeKind, Stored},
};

/// How long a charged write may be on its way; after that it is taken for one that never came.
const PATIENCE: Duration = Duration::from_secs(5);

/// An object that a quota was charged for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    namespace: String,
    resource: String,
    name: String,
}

impl Write {
    pub(super) fn new(namespace: &str, resource: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), resource: resource.to_owned(), name: name.to_owned() }
    }
}

/// Counts again what went away, and what else changed how much it uses.
pub(crate) struct QuotaUpkeep {
    queue: Queue<String>,
    /// Charged, and not stored yet. As long as there is some in a namespace, counting would lose its charge.
    expected: Mutex<HashMap<Write, Instant>>,
}

impl QuotaUpkeep {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::new(), expected: Mutex::default() }
    }

    fn with_expected<T>(&self, work: impl FnOnce(&mut HashMap<Write, Instant>) -> T) -> T {
        work(&mut self.expected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of a write that is charged.
    pub(super) fn expect(&self, write: Write) {
        self.with_expected(|expected| expected.insert(write, Instant::now()));
    }

    /// Takes note that a charged write may not have come about.
    pub(super) fn withdraw(&self, namespace: &str) {
        self.queue.push(namespace.to_owned());
    }

    fn is_expecting(&self, namespace: &str) -> bool {
        self.with_expected(|expected| {
            expected.retain(|_, since| since.elapsed() < PATIENCE);
            expected.keys().any(|write| write.namespace == namespace)
        })
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let namespace = self.queue.pop().await;
            if self.is_expecting(&namespace) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                self.queue.push(namespace);
                continue;
            }
            for quota in quotas(&registry, &namespace) {
                if let Err(status) = self.recount(&registry, &namespace, meta::name(quota.value())).await {
                    match status.reason() {
                        Reason::NotFound => {}
                        Reason::Conflict => self.queue.push(namespace.clone()),
                        _ => tracing::warn!(namespace, error = %status, "a quota could not be counted"),
                    }
                }
            }
        }
    }

    async fn recount(&self, registry: &Registry, namespace: &str, name: &str) -> Result<(), Status> {
        let Some(endpoint) = endpoint(registry) else { return Ok(()) };
        let transform = |current: &Stored| {
            if self.is_expecting(namespace) {
                return Err(Status::conflict(&endpoint.group_resource(), name, "writes are on their way"));
            }
            let mut quota = current.value().clone();
            set_status(&mut quota, &count::used(registry, namespace, current.value()));
            Ok(quota)
        };
        let target = Target { endpoint: &endpoint, namespace, name, subresource: "status" };
        registry.update(target, Source::Patch, &transform, &Context::server("kube-controller-manager")).await.map(drop)
    }
}

fn set_status(quota: &mut Value, used: &Amounts) {
    let hard = quota.pointer("/spec/hard").cloned().unwrap_or_else(|| json!({}));
    quota["status"] = json!({"hard": hard, "used": used});
}

impl Reaction for QuotaUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        let namespace = meta::namespace(object);
        if namespace.is_empty() {
            return None;
        }
        let resource = change.endpoint.group_resource().to_string();
        let had_charge = change.kind != ChangeKind::Deleted
            && self.with_expected(|expected| {
                !expected.is_empty() && expected.remove(&Write::new(namespace, &resource, meta::name(object))).is_some()
            });
        if resource == "resourcequotas" && change.kind != ChangeKind::Deleted {
            let spec = |quota: &Value| quota.get("spec").cloned().unwrap_or_default();
            let is_new = change.old.is_none_or(|old| spec(old) != spec(object));
            let (namespace, name) = (namespace.to_owned(), meta::name(object).to_owned());
            return is_new.then(|| self.count_now(registry, namespace, name));
        }
        let uses_less = match change.kind {
            ChangeKind::Created => false,
            ChangeKind::Updated => !had_charge && is_measured(&resource),
            ChangeKind::Deleted => true,
        };
        if uses_less && !quotas(registry, namespace).is_empty() {
            self.queue.push(namespace.to_owned());
        }
        None
    }
}

/// Objects that may come to use less while they exist.
fn is_measured(resource: &str) -> bool {
    matches!(resource, "pods" | "services" | "persistentvolumeclaims" | "resourceclaims.resource.k8s.io")
}

impl QuotaUpkeep {
    /// A quota holds from the moment its creator gets the answer.
    fn count_now<'a>(&'a self, registry: &'a Registry, namespace: String, name: String) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.recount(registry, &namespace, &name).await.is_err() {
                self.queue.push(namespace);
            }
        })
    }
}
