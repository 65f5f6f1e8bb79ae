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
pub(crate) struct DefaultClasses;

/// Where a class is missing, and among what to look for the default.
struct Classes {
    /// The member of `spec` that names the class.
    member: &'static str,
    /// An older way to name it.
    annotation: &'static str,
    group: &'static str,
    plural: &'static str,
    /// Marks the default; the first that any class has counts.
    marks: &'static [&'static str],
}

const STORAGE: Classes = Classes {
    member: "storageClassName",
    annotation: "volume.beta.kubernetes.io/storage-class",
    group: "storage.k8s.io",
    plural: "storageclasses",
    marks: &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
};

const INGRESS: Classes = Classes {
    member: "ingressClassName",
    annotation: "kubernetes.io/ingress.class",
    group: "networking.k8s.io",
    plural: "ingressclasses",
    marks: &["ingressclass.kubernetes.io/is-default-class"],
};

impl Admission for DefaultClasses {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let is_new = write.operation == Operation::Create && write.kind.is_none();
        let classes = match () {
            () if is_new && is(write.endpoint, "", "persistentvolumeclaims") => Some(&STORAGE),
            () if is_new && is(write.endpoint, "networking.k8s.io", "ingresses") => Some(&INGRESS),
            () => None,
        };
        if let Some(classes) = classes {
            fill_in(write.registry, object, classes);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn fill_in(registry: &Registry, object: &mut Value, classes: &Classes) {
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
fn default_class(registry: &Registry, classes: &Classes) -> Option<Arc<Stored>> {
    let endpoint = registry.catalog.endpoint(classes.group, "v1", classes.plural)?;
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
