//! Default classes: the storage class of a volume claim, and the class of an ingress, that names none.

use std::sync::Arc;

use futures::future::BoxFuture;
use machinery::{meta, status::Status};
use serde_json::Value;

use super::is;
use crate::{
    registry::{Admission, Admitted, Operation, Registry},
    storage::Stored,
};

/// Fills in the class that an administrator has marked as the default.
pub(crate) struct DefaultClass {
    /// Where a class is missing: the group and the plural of the objects.
    of: (&'static str, &'static str),
    /// The member of `spec` that names the class.
    member: &'static str,
    /// An older way to name it.
    annotation: &'static str,
    /// Among what to look for the default: the group and the plural of the classes.
    among: (&'static str, &'static str),
    /// Marks the default; the first that any class has counts.
    marks: &'static [&'static str],
}

impl DefaultClass {
    /// The plug-in `DefaultStorageClass`.
    pub(crate) const STORAGE: Self = Self {
        of: ("", "persistentvolumeclaims"),
        member: "storageClassName",
        annotation: "volume.beta.kubernetes.io/storage-class",
        among: ("storage.k8s.io", "storageclasses"),
        marks: &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
    };

    /// The plug-in `DefaultIngressClass`.
    pub(crate) const INGRESS: Self = Self {
        of: ("networking.k8s.io", "ingresses"),
        member: "ingressClassName",
        annotation: "kubernetes.io/ingress.class",
        among: ("networking.k8s.io", "ingressclasses"),
        marks: &["ingressclass.kubernetes.io/is-default-class"],
    };
}

impl Admission for DefaultClass {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let is_new = write.operation == Operation::Create && write.kind.is_none();
        if is_new && is(write.endpoint, self.of.0, self.of.1) {
            fill_in(write.registry, object, self);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn fill_in(registry: &Registry, object: &mut Value, classes: &DefaultClass) {
    let named = object.get("spec").and_then(|spec| spec.get(classes.member)).is_some_and(|named| !named.is_null());
    if named || meta::annotation(object, classes.annotation).is_some() {
        return;
    }
    let Some(class) = default_class(registry, classes) else { return };
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(classes.member.to_owned(), meta::name(class.value()).into());
    }
}

/// The newest of those that are marked; of equally new ones the first by name.
fn default_class(registry: &Registry, classes: &DefaultClass) -> Option<Arc<Stored>> {
    let endpoint = registry.catalog.endpoint(classes.among.0, "v1", classes.among.1)?;
    let snapshot = endpoint.resource.space().snapshot();
    let is_marked = |class: &Value| classes.marks.iter().any(|mark| meta::annotation(class, mark) == Some("true"));
    let marked = snapshot.range("", None).filter(|class| is_marked(class.value()));
    marked
        .reduce(|best, class| {
            let is_newer = meta::creation_timestamp(class.value()) > meta::creation_timestamp(best.value());
            if is_newer { class } else { best }
        })
        .cloned()
}
