//! Documents of request bodies.

use axum::body::{Body, Bytes};
use machinery::{
    field::quote,
    json_type::json_type,
    meta,
    names::{GroupVersionKind, split_api_version},
    status::Status,
};
use serde_json::{Map, Value};

use super::Call;
use crate::{
    protobuf, registry,
    request::{DeleteOptions, MediaType, Parsed, parse_json, parse_struct, parse_yaml, read_body},
    server::ApiServer,
};

/// Reads and decodes the document of a create or an update.
pub(super) async fn read_object(server: &ApiServer, call: &Call, body: Body) -> Result<Value, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body, call.patience).await?;
    let parsed = parse(call, &call.endpoint.definition().kind, media_type, &bytes)?;
    let object = server.registry.decode(&call.endpoint, parsed, &call.context)?;
    if let Some(notes) = &call.context.notes {
        notes.hear(&object, |object| server.registry.shown(&call.endpoint, object, &call.context));
    }
    Ok(object)
}

/// Parses a document of a kind.
fn parse(call: &Call, kind: &str, media_type: MediaType, bytes: &Bytes) -> Result<Parsed, Status> {
    let endpoint = &call.endpoint;
    match media_type {
        MediaType::Json => {
            let read = if endpoint.resource.is_custom() { parse_json } else { parse_struct };
            let parsed = read(bytes).map_err(|error| registry::malformed(kind, bytes, &error))?;
            let parsed = typed(parsed).map_err(|why| registry::malformed(kind, bytes, &why))?;
            // Only built-in kinds take what is missing from the URL.
            if endpoint.resource.is_custom() && meta::kind(&parsed.value).is_empty() {
                let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(bytes));
                return Err(registry::unrecognized(kind, bytes, &why));
            }
            if let Err(why) = split_api_version(meta::api_version(&parsed.value)) {
                return Err(registry::unrecognized(kind, bytes, &why));
            }
            Ok(Parsed { json: Some(bytes.clone()), ..parsed })
        }
        MediaType::Yaml => {
            let parsed = parse_yaml(bytes).map_err(|error| registry::unrecognized(kind, bytes, &error))?;
            typed(parsed).map_err(|why| registry::malformed(kind, bytes, &why))
        }
        MediaType::Protobuf if !endpoint.resource.is_custom() => {
            let kind = endpoint.kind();
            let value = protobuf::decode(bytes, &kind).map_err(|error| not_protobuf(&kind.kind, &error))?;
            Ok(Parsed::of(value, Vec::new()))
        }
        _ if endpoint.resource.is_custom() => Err(Status::unsupported_media_type(&ACCEPTED[..2])),
        _ => Err(Status::unsupported_media_type(&ACCEPTED)),
    }
}

/// Why no version and kind can be read from a document: upstream does that first, and shows the type that it reads them into.
/// `null` reads as an empty object.
fn untyped(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(members) => ["apiVersion", "kind"].into_iter().find_map(|name| {
            let found = members.get(name).filter(|found| !found.is_string() && !found.is_null())?;
            let found = json_type(found);
            Some(format!("json: cannot unmarshal {found} into Go struct field .{name} of type string"))
        }),
        other => Some(format!(
            "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            json_type(other)
        )),
    }
}

/// A document of which version and kind can be read; nothing at all is an empty object.
fn typed(parsed: Parsed) -> Result<Parsed, String> {
    match untyped(&parsed.value) {
        Some(why) => Err(why),
        None if parsed.value.is_null() => Ok(Parsed { value: Value::Object(Map::new()), ..parsed }),
        None => Ok(parsed),
    }
}

/// The versions in which upstream knows the kinds that are posted to subresources, where they are more than the one; of an
/// Eviction it takes all, of a Scale only the first.
const SUBRESOURCE_KINDS: [(&str, &[&str]); 2] = [
    ("Eviction", &["policy/v1", "policy/v1beta1"]),
    ("Scale", &["autoscaling/v1", "apps/v1beta1", "apps/v1beta2", "extensions/v1beta1"]),
];

/// Refuses what is posted to a subresource in a version that it does not take.
fn check_version(kind: &GroupVersionKind, given: &str) -> Result<(), Status> {
    let own = kind.api_version();
    let known = SUBRESOURCE_KINDS.iter().find(|(name, _)| *name == kind.kind).map_or(&[][..], |(_, versions)| versions);
    if given.is_empty() || given == own || (kind.kind == "Eviction" && known.contains(&given)) {
        return Ok(());
    }
    if known.contains(&given) {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({own})"
        )));
    }
    let (kind, version) = (&kind.kind, given.rsplit('/').next().unwrap_or_default());
    Err(Status::bad_request(format!(
        "{kind} in version {} cannot be handled as a {kind}: {}",
        quote(version),
        registry::not_registered(kind, given)
    )))
}

/// Reads a document that is posted to a subresource: its kind must be the given one, in a version that it is taken in.
pub(super) async fn read_document(
    server: &ApiServer,
    call: &Call,
    kind: &GroupVersionKind,
    body: Body,
) -> Result<Value, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body, call.patience).await?;
    let mut document = match media_type {
        MediaType::Protobuf => protobuf::decode(&bytes, kind).map_err(|error| not_protobuf(&kind.kind, &error))?,
        _ => parse(call, &kind.kind, media_type, &bytes)?.value,
    };
    let Some(members) = document.as_object_mut() else {
        return Err(Status::bad_request(format!("the body is no {}", kind.kind)));
    };
    let found = members.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !found.is_empty() && found != kind.kind {
        let given = members.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let version = given.rsplit('/').next().unwrap_or_default();
        let why = server.registry.not_convertible(kind, given, found);
        return Err(Status::bad_request(format!(
            "{found} in version {} cannot be handled as a {}: {why}",
            quote(version),
            kind.kind
        )));
    }
    let given = members.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    check_version(kind, given.strip_prefix('/').unwrap_or(given))?;
    if members.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        return Err(Status::bad_request("metadata must be an object"));
    }
    let namespace = members.get("metadata").and_then(|metadata| metadata.get("namespace")).and_then(Value::as_str);
    if namespace.is_some_and(|namespace| !namespace.is_empty() && namespace != call.info.namespace) {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    members.insert("apiVersion".to_owned(), kind.api_version().into());
    members.insert("kind".to_owned(), kind.kind.as_str().into());
    if let Some(notes) = &call.context.notes {
        notes.hear(&document, Value::clone);
    }
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
        let mut options = DeleteOptions::from_query(&call.query)?;
        if call.info.name.is_empty() {
            // There the revision is that of the list.
            options.resource_version = None;
        }
        return Ok(options);
    }
    let kind = GroupVersionKind::new("", "v1", DELETE_OPTIONS);
    let options = match media_type {
        MediaType::Protobuf => {
            protobuf::decode(&bytes, &kind).map_err(|error| Status::bad_request(error.to_string()))?
        }
        MediaType::Json => {
            let no_json = |error: String| Status::bad_request(registry::no_type_meta(&error));
            let options = parse_json(&bytes).map_err(no_json)?.value;
            untyped(&options).map_or(Ok(options), |why| Err(no_json(why)))?
        }
        _ => parse(call, DELETE_OPTIONS, media_type, &bytes)?.value,
    };
    let given = meta::kind(&options);
    if !["", DELETE_OPTIONS].contains(&given) {
        let version = Some(meta::api_version(&options)).filter(|version| !version.is_empty()).unwrap_or("v1");
        return Err(Status::bad_request(format!(
            "no kind {} is registered for version {} in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
            quote(given),
            quote(version)
        )));
    }
    DeleteOptions::from_body(&options)
}

const DELETE_OPTIONS: &str = "DeleteOptions";
