//! Documents of request bodies.

use axum::body::{Body, Bytes};
use machinery::{names::GroupVersionKind, status::Status};
use serde_json::Value;

use super::Call;
use crate::{
    protobuf, registry,
    request::{DeleteOptions, MediaType, Parsed, parse_json, parse_yaml, read_body},
    server::ApiServer,
};

/// Reads and decodes the document of a create or an update.
pub(super) async fn read_object(server: &ApiServer, call: &Call, body: Body) -> Result<Value, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body, call.patience).await?;
    let parsed = parse(call, media_type, &bytes)?;
    server.registry.decode(&call.endpoint, parsed, &call.context)
}

/// Parses a document of the endpoint's kind.
fn parse(call: &Call, media_type: MediaType, bytes: &Bytes) -> Result<Parsed, Status> {
    let endpoint = &call.endpoint;
    match media_type {
        MediaType::Json => {
            let parsed = parse_json(bytes).map_err(|error| registry::malformed(endpoint, bytes, &error))?;
            match not_an_object(&parsed.value) {
                Some(kind) => Err(registry::malformed(endpoint, bytes, &no_type_meta(kind))),
                None => Ok(Parsed { json: Some(bytes.clone()), ..parsed }),
            }
        }
        MediaType::Yaml => parse_yaml(bytes).map_err(|error| registry::malformed(endpoint, bytes, &error)),
        MediaType::Protobuf if !endpoint.resource.is_custom() => {
            let kind = endpoint.kind();
            let value = protobuf::decode(bytes, &kind).map_err(|error| not_protobuf(&kind.kind, &error))?;
            Ok(Parsed::of(value, Vec::new()))
        }
        _ if endpoint.resource.is_custom() => Err(Status::unsupported_media_type(&ACCEPTED[..2])),
        _ => Err(Status::unsupported_media_type(&ACCEPTED)),
    }
}

/// What a JSON document is that is no object; `null` reads as an empty one.
fn not_an_object(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) | Value::Null => None,
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
    }
}

/// Upstream first reads a version and a kind, and shows the type that it reads them into.
fn no_type_meta(kind: &str) -> String {
    format!(
        "json: cannot unmarshal {kind} into Go value of type struct {{ APIVersion string \
         \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )
}

/// Reads a document that is posted to a subresource: its kind must be the given one, in any version of the group.
pub(super) async fn read_document(call: &Call, kind: &GroupVersionKind, body: Body) -> Result<Value, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body, call.patience).await?;
    let mut document = match media_type {
        MediaType::Protobuf => protobuf::decode(&bytes, kind).map_err(|error| not_protobuf(&kind.kind, &error))?,
        _ => parse(call, media_type, &bytes)?.value,
    };
    let Some(members) = document.as_object_mut() else {
        return Err(Status::bad_request(format!("the body is no {}", kind.kind)));
    };
    let found = members.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !found.is_empty() && found != kind.kind {
        return Err(Status::bad_request(format!(
            "{found} in version \"{}\" cannot be handled as a {}",
            kind.version, kind.kind
        )));
    }
    if members.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        return Err(Status::bad_request("metadata must be an object"));
    }
    members.insert("apiVersion".to_owned(), kind.api_version().into());
    members.insert("kind".to_owned(), kind.kind.as_str().into());
    Ok(document)
}

/// What bodies may be written in; protobuf, the last, only for kinds that have messages.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

fn not_protobuf(kind: &str, error: &protobuf::Error) -> Status {
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error}"))
}

/// The options of a delete: from the body when there is one, else from the query.
pub(super) async fn read_delete_options(call: &Call, body: Body) -> Result<DeleteOptions, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body, call.patience).await?;
    if bytes.is_empty() {
        return DeleteOptions::from_query(&call.query);
    }
    let options = match media_type {
        MediaType::Protobuf => {
            let kind = GroupVersionKind::new("", "v1", "DeleteOptions");
            protobuf::decode(&bytes, &kind).map_err(|error| Status::bad_request(error.to_string()))?
        }
        _ => parse(call, media_type, &bytes)?.value,
    };
    DeleteOptions::from_body(&options)
}
