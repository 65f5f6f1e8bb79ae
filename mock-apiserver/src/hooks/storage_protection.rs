//! Claims, volumes and classes of their attributes that somebody uses outlive their deletion: a finalizer that each gets when
//! it is made (`StorageObjectInUseProtection`) holds them, and goes when nobody uses them.

use std::sync::Arc;

use futures::future::BoxFuture;
use machinery::{meta, status::Status};
use serde_json::Value;

use super::{Queue, is};
use crate::{
    catalog::Endpoint,
    registry::{Admission, Admitted, Change, Context, Operation, Reaction, Registry, Source, Target},
    storage::{ChangeKind, Stored},
};

/// A resource whose objects are held.
#[derive(Debug)]
struct Protected {
    group: &'static str,
    plural: &'static str,
    finalizer: &'static str,
    is_used: fn(&Registry, &Value) -> bool,
}

/// All of them. Claims come first: `ProtectionUpkeep` asks for them by place.
static PROTECTED: [Protected; 3] = [
    Protected {
        group: "",
        plural: "persistentvolumeclaims",
        finalizer: "kubernetes.io/pvc-protection",
        is_used: is_mounted,
    },
    Protected {
        group: "",
        plural: "persistentvolumes",
        finalizer: "kubernetes.io/pv-protection",
        is_used: |_, volume| text(volume, "/status/phase") == "Bound",
    },
    Protected {
        group: "storage.k8s.io",
        plural: "volumeattributesclasses",
        finalizer: "kubernetes.io/vac-protection",
        is_used: is_referred_to,
    },
];

impl Protected {
    fn of(endpoint: &Endpoint) -> Option<usize> {
        PROTECTED.iter().position(|protected| is(endpoint, protected.group, protected.plural))
    }

    fn holds(&self, object: &Value) -> bool {
        meta::finalizers(object).any(|finalizer| finalizer == self.finalizer)
    }

    /// True if an object is to go and held for no reason.
    fn is_done(&self, registry: &Registry, object: &Value) -> bool {
        meta::deletion_timestamp(object).is_some() && self.holds(object) && !(self.is_used)(registry, object)
    }

    fn let_go(&self, object: &mut Value) {
        let kept: Vec<String> =
            meta::finalizers(object).filter(|finalizer| *finalizer != self.finalizer).map(str::to_owned).collect();
        if kept.is_empty() {
            meta::remove(object, "finalizers");
        } else {
            meta::set(object, "finalizers", kept);
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A pod that a kubelet has, and that is not over.
fn is_at_work(pod: &Value) -> bool {
    !text(pod, "/spec/nodeName").is_empty() && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Names of the claims behind a pod's volumes.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> + '_ {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(|volume| {
        let own = || format!("{}-{}", meta::name(pod), text(volume, "/name"));
        match text(volume, "/persistentVolumeClaim/claimName") {
            "" => volume.get("ephemeral").is_some_and(Value::is_object).then(own),
            name => Some(name.to_owned()),
        }
    })
}

/// Whether any object of a resource is like this.
fn any(registry: &Registry, plural: &str, namespace: &str, is_it: impl Fn(&Value) -> bool) -> bool {
    let Some(endpoint) = registry.catalog.endpoint("", "v1", plural) else { return false };
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    endpoint.resource.space().snapshot().range(&prefix, None).any(|object| is_it(object.value()))
}

fn is_mounted(registry: &Registry, claim: &Value) -> bool {
    let name = meta::name(claim);
    any(registry, "pods", meta::namespace(claim), |pod| is_at_work(pod) && claims_of(pod).any(|used| used == name))
}

/// The classes of attributes that a claim or a volume has, or is to have.
fn classes_of(object: &Value) -> [&str; 3] {
    let members = [
        "/spec/volumeAttributesClassName",
        "/status/currentVolumeAttributesClassName",
        "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
    ];
    members.map(|member| text(object, member))
}

fn is_referred_to(registry: &Registry, class: &Value) -> bool {
    let has = |object: &Value| classes_of(object).contains(&meta::name(class));
    any(registry, "persistentvolumeclaims", "", has) || any(registry, "persistentvolumes", "", has)
}

/// Holds what is new, and lets go at once what nobody uses.
pub(crate) struct StorageProtection;

impl Admission for StorageProtection {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let is_new = write.operation == Operation::Create && write.subresource.is_empty();
        if let Some(index) = Protected::of(write.endpoint).filter(|_| is_new) {
            let protected = &PROTECTED[index];
            if !protected.holds(object) {
                let mut finalizers: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
                finalizers.push(protected.finalizer.to_owned());
                meta::set(object, "finalizers", finalizers);
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn begin_delete(&self, write: &Admitted<'_>, object: &mut Value) {
        let Some(index) = Protected::of(write.endpoint) else { return };
        if !(PROTECTED[index].is_used)(write.registry, object) {
            PROTECTED[index].let_go(object);
        }
    }
}

/// Lets go what was in use when it was deleted, once that is over.
pub(crate) struct ProtectionUpkeep {
    /// Which of `PROTECTED`, namespace and name.
    queue: Queue<(usize, String, String)>,
}

impl ProtectionUpkeep {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::new() }
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let (index, namespace, name) = self.queue.pop().await;
            if let Err(status) = release(&registry, &PROTECTED[index], &namespace, &name).await
                && status.code != 404
            {
                tracing::debug!(namespace, name, error = %status, "an object is held that nobody uses");
            }
        }
    }
}

async fn release(registry: &Registry, protected: &Protected, namespace: &str, name: &str) -> Result<(), Status> {
    let Some(endpoint) = registry.catalog.endpoint(protected.group, "v1", protected.plural) else { return Ok(()) };
    if !protected.is_done(registry, registry.get(&endpoint, namespace, name)?.value()) {
        return Ok(());
    }
    let transform = |current: &Stored| {
        let mut object = current.value().clone();
        if protected.is_done(registry, &object) {
            protected.let_go(&mut object);
        }
        Ok(object)
    };
    let target = Target { endpoint: &endpoint, namespace, name, subresource: "" };
    registry.update(target, Source::Patch, &transform, &Context::server("kube-controller-manager")).await.map(drop)
}

impl Reaction for ProtectionUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        if is(change.endpoint, "", "pods") {
            if change.kind == ChangeKind::Deleted || !is_at_work(object) {
                let claims = registry.catalog.endpoint("", "v1", PROTECTED[0].plural)?;
                for name in claims_of(object) {
                    let claim = registry.get(&claims, meta::namespace(object), &name);
                    if claim.is_ok_and(|claim| meta::deletion_timestamp(claim.value()).is_some()) {
                        self.queue.push((0, meta::namespace(object).to_owned(), name));
                    }
                }
            }
            return None;
        }
        let index = Protected::of(change.endpoint)?;
        let ask = |index: usize, object: &Value| {
            self.queue.push((index, meta::namespace(object).to_owned(), meta::name(object).to_owned()));
        };
        if change.kind != ChangeKind::Deleted && PROTECTED[index].is_done(registry, object) {
            ask(index, object);
        }
        // Whoever referred to a class may do so no more.
        let classes = change.old.map(classes_of).into_iter().chain([classes_of(object)]).flatten();
        for class in classes.filter(|class| !class.is_empty()) {
            self.queue.push((2, String::new(), class.to_owned()));
        }
        None
    }
}
