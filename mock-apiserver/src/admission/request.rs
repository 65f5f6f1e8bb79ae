//! A write as policies and webhooks see it: the objects in one version, and `AdmissionRequest`.

use std::borrow::Cow;

use machinery::{meta, names::GroupVersionKind, status::Status};
use serde_json::{Map, Value, json};

use super::matching::object_name;
use crate::{
    catalog::Endpoint,
    registry::{Admitted, Operation, from_storage},
};

/// An object in the version of an endpoint.
pub(super) fn seen<'v>(write: &Admitted<'_>, endpoint: &Endpoint, object: &'v Value) -> Cow<'v, Value> {
    if endpoint.is_storage() || write.kind.is_some() {
        return Cow::Borrowed(object);
    }
    let mut object = object.clone();
    from_storage(endpoint, &mut object);
    Cow::Owned(object)
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(endpoint: &Endpoint) -> Value {
    let definition = endpoint.definition();
    json!({"group": definition.group, "version": endpoint.version().name, "resource": definition.plural})
}

/// `AdmissionRequest` without uid and objects, for something that sees the write in the version of `endpoint`.
pub(super) fn document(write: &Admitted<'_>, endpoint: &Endpoint, object: Option<&Value>) -> Value {
    let shown = write.kind.cloned().unwrap_or_else(|| endpoint.kind());
    let sent = write.kind.cloned().unwrap_or_else(|| write.endpoint.kind());
    let mut request = json!({
        "kind": kind(&shown),
        "resource": resource(endpoint),
        "requestKind": kind(&sent),
        "requestResource": resource(write.endpoint),
        "operation": write.operation.as_str(),
        "userInfo": write.context.user_info(),
        "dryRun": write.dry_run(),
        "options": options(write),
    });
    let namespace = match write.namespace {
        // A namespace is in itself here.
        "" if write.endpoint.definition().group.is_empty() && write.endpoint.definition().plural == "namespaces" => {
            object_name(write, object)
        }
        namespace => namespace,
    };
    let texts = [
        ("name", object_name(write, object)),
        ("namespace", namespace),
        ("subResource", write.subresource),
        ("requestSubResource", write.subresource),
    ];
    for (member, text) in texts {
        if !text.is_empty() {
            request[member] = text.into();
        }
    }
    request
}

/// `CreateOptions` and the like, as the client gave them.
fn options(write: &Admitted<'_>) -> Value {
    let mut options = Map::new();
    let given = &write.context.options;
    let kind = match write.operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    options.insert("kind".to_owned(), kind.into());
    options.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
    if write.dry_run() {
        options.insert("dryRun".to_owned(), json!(["All"]));
    }
    match write.delete {
        Some(delete) => {
            if let Some(seconds) = delete.grace_period_seconds {
                options.insert("gracePeriodSeconds".to_owned(), seconds.into());
            }
            let mut preconditions = Map::new();
            for (member, wanted) in [("uid", &delete.uid), ("resourceVersion", &delete.resource_version)] {
                if let Some(wanted) = wanted {
                    preconditions.insert(member.to_owned(), wanted.as_str().into());
                }
            }
            if !preconditions.is_empty() {
                options.insert("preconditions".to_owned(), preconditions.into());
            }
            if let Some(orphan) = delete.orphan_dependents {
                options.insert("orphanDependents".to_owned(), orphan.into());
            }
            if let Some(propagation) = delete.propagation {
                options.insert("propagationPolicy".to_owned(), format!("{propagation:?}").into());
            }
        }
        None => {
            if !given.field_manager.is_empty() {
                options.insert("fieldManager".to_owned(), given.field_manager.as_str().into());
            }
            if given.says_field_validation {
                options.insert("fieldValidation".to_owned(), given.field_validation.as_str().into());
            }
        }
    }
    Value::Object(options)
}

/// A document that a policy or webhook made in the version of `endpoint`, as an object of the storage version.
pub(super) fn absorb(write: &Admitted<'_>, endpoint: &Endpoint, mut document: Value) -> Result<Value, Status> {
    if write.kind.is_some() {
        return Ok(document);
    }
    write.registry.shape(endpoint, &mut document)?;
    if meta::metadata_mut(&mut document).is_none() {
        return Err(Status::bad_request("metadata must be an object"));
    }
    write.registry.to_storage(endpoint, &mut document, write.context)?;
    Ok(document)
}
