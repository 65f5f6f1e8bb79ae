//! The plug-in `OwnerReferencesPermissionEnforcement`: who gives an object to an owner, and so to the garbage collector, must be
//! allowed to delete it; who makes the owner wait for it must be allowed to set the owner's finalizers.

use futures::future::BoxFuture;
use machinery::{meta, names::split_api_version, status::Status};
use serde_json::Value;

use crate::{
    authorization::{Action, On},
    hooks::is,
    registry::{Admission, Admitted, Operation},
};

/// Refuses owner references that their author may not set.
pub(crate) struct OwnerPermissions;

impl OwnerPermissions {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "OwnerReferencesPermissionEnforcement";
}

impl Admission for OwnerPermissions {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let writes = matches!(write.operation, Operation::Create | Operation::Update) && write.kind.is_none();
        // Statuses of pods cannot change their owners.
        let is_pod_status = write.subresource == "status" && is(write.endpoint, "", "pods");
        let checked = match object.filter(|_| writes && !is_pod_status) {
            Some(object) => check(write, object).map_err(|why| write.forbidden(Some(object), &why)),
            None => Ok(()),
        };
        Box::pin(std::future::ready(checked))
    }
}

fn check(write: &Admitted<'_>, object: &Value) -> Result<(), String> {
    let (new, old) = (owners(object), write.old.map(owners).unwrap_or_default());
    if new == old {
        return Ok(());
    }
    let definition = write.endpoint.definition();
    let own = On::Resource {
        group: &definition.group,
        resource: &definition.plural,
        subresource: write.subresource,
        namespace: write.namespace,
        name: write.name,
    };
    ask(write, "delete", own)
        .map_err(|why| format!("cannot set an ownerRef on a resource you can't delete: {why}, <nil>"))?;
    let blocks = |owner: &&Value| owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true);
    let was_blocking = |owner: &&Value| old.iter().any(|old| old.get("uid") == owner.get("uid") && blocks(&old));
    new.iter().filter(|owner| blocks(owner) && !was_blocking(owner)).try_for_each(|owner| may_block(write, owner))
}

/// Whether an owner may be made to wait.
fn may_block(write: &Admitted<'_>, owner: &Value) -> Result<(), String> {
    let (api_version, kind) = (meta::api_version(owner), meta::kind(owner));
    let served = write.registry.catalog.served();
    let endpoint =
        split_api_version(api_version).ok().and_then(|(group, version)| served.endpoint_of_kind(group, version, kind));
    let Some(endpoint) = endpoint else {
        return Err(format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {api_version} Kind {kind}: \
             no matches for kind {kind:?} in version {api_version:?}"
        ));
    };
    let definition = endpoint.definition();
    let finalizers = On::Resource {
        group: &definition.group,
        resource: &definition.plural,
        subresource: "finalizers",
        namespace: if endpoint.resource.is_namespaced() { write.namespace } else { "" },
        name: owner.get("name").and_then(Value::as_str).unwrap_or_default(),
    };
    ask(write, "update", finalizers).map_err(|why| {
        format!(
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {why}, <nil>"
        )
    })
}

/// Whether the author may do something; if not, why.
fn ask(write: &Admitted<'_>, verb: &str, on: On<'_>) -> Result<(), String> {
    let decision = write.registry.authorizer.decide(write.registry, &write.context.user, &Action::to(verb, on));
    if decision.is_allowed() { Ok(()) } else { Err(decision.reason.clone()) }
}

fn owners(object: &Value) -> &[Value] {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
