//! The plug-in `NamespaceAutoProvision`: what is created in a namespace that there is not, creates it.

use futures::future::BoxFuture;
use machinery::{
    meta,
    status::{Reason, Status},
};
use serde_json::{Value, json};

use crate::registry::{Admission, Admitted, Context, Operation};

/// Creates namespaces when something is created in them.
pub(crate) struct NamespaceProvision;

impl NamespaceProvision {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "NamespaceAutoProvision";
}

impl Admission for NamespaceProvision {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let namespace =
            Some(write.namespace).filter(|name| !name.is_empty()).unwrap_or(meta::namespace(object)).to_owned();
        let lacks = write.operation == Operation::Create
            && write.endpoint.resource.is_namespaced()
            && !write.dry_run()
            && write.registry.namespace(&namespace).is_none();
        Box::pin(async move { if lacks { provide(write, &namespace).await } else { Ok(()) } })
    }
}

async fn provide(write: &Admitted<'_>, name: &str) -> Result<(), Status> {
    let Some(endpoint) = write.registry.catalog.endpoint("", "v1", "namespaces") else { return Ok(()) };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    match write.registry.create(&endpoint, "", namespace, &Context::server("kube-apiserver")).await {
        Err(status) if status.reason() != Reason::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}
