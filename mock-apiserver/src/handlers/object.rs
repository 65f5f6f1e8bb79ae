//! Verbs on one object.

use axum::body::Body;
use machinery::{meta, status::Status};
use serde_json::Value;

use super::{Call, body, one};
use crate::{
    registry::{Deleted, Target, deleted_status, orphaning_warning},
    request::parse_get_revision,
    respond::Answer,
    server::ApiServer,
};

/// GET.
pub(super) fn get(server: &ApiServer, call: &Call) -> Result<Answer, Status> {
    if call.query.flag("export") == Some(true) {
        return Err(Status::bad_request("the export parameter, deprecated since v1.14, is no longer supported"));
    }
    server.registry.check_not_future(parse_get_revision(&call.query)?)?;
    let object = server.registry.get(&call.endpoint, &call.info.namespace, &call.info.name)?;
    Ok(one(200, call, object))
}

/// POST to a collection.
pub(super) async fn create(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let object = body::read_object(server, call, body).await?;
    let created = server.registry.create(&call.endpoint, &call.info.namespace, object, &call.context).await?;
    Ok(one(201, call, created))
}

/// PUT.
pub(super) async fn update(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let object = body::read_object(server, call, body).await?;
    let target = call.target();
    check_identity(target, &object)?;
    let registry = &server.registry;
    let storage = call.endpoint.resource.storage_endpoint();
    let may_create = target.subresource.is_empty() && storage.definition().strategy.allows_create_on_update();
    let missing = registry.get(&call.endpoint, target.namespace, target.name).err();
    if let Some(not_found) = missing {
        let uid = meta::uid(&object);
        if !uid.is_empty() {
            return Err(registry.missing_uid(target, uid, call.context.options.dry_run));
        }
        if !may_create {
            return Err(not_found);
        }
        registry.check_may_create(target, &call.context).await?;
        let created = registry.create(&call.endpoint, target.namespace, object, &call.context).await?;
        return Ok(one(201, call, created));
    }
    let updated = registry.replace_with(target, object, &call.context).await?;
    Ok(one(200, call, updated))
}

/// The document of a PUT must be about the object of the URL; it need not say the namespace.
pub(super) fn check_identity(target: Target<'_>, object: &Value) -> Result<(), Status> {
    target.check_name(object)?;
    let namespace = meta::namespace(object);
    if namespace.is_empty() { Ok(()) } else { target.check_namespace(namespace) }
}

/// DELETE of one object.
pub(super) async fn delete(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let options = body::read_delete_options(call, body).await?;
    if let Some(warning) = orphaning_warning(&call.endpoint, &options) {
        call.context.warn(warning);
    }
    let Deleted { object, removed } = server.registry.delete(call.target(), &options, &call.context).await?;
    if !removed {
        let code = if options.orphan_dependents == Some(false) { 202 } else { 200 };
        return Ok(one(code, call, object));
    }
    if call.endpoint.definition().delete_returns_object {
        return Ok(one(200, call, object));
    }
    Ok(Answer::Status(deleted_status(&call.endpoint, &object)))
}
