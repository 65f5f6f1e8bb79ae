//! PATCH.

use axum::body::Body;
use bytes::Bytes;
use machinery::{
    json_type::json_type,
    status::{Details, Reason, Status},
};
use serde_json::{Map, Value};

use super::{Call, one};
use crate::{
    registry::{Patch, json_error},
    request::{MediaType, Parsed, parse_json, read_body, strict_faults},
    respond::Answer,
    server::ApiServer,
};

/// Changes an object as a patch says.
pub(super) async fn patch(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let media_type = accepted(call)?;
    let bytes = read_body(body, call.patience).await?;
    if media_type == MediaType::ApplyPatch {
        return super::apply::apply(server, call, &bytes).await;
    }
    let (patch, duplicates) = decode(media_type, &bytes)?;
    let patched = server.registry.patch(call.target(), &patch, &duplicates, &call.context).await?;
    Ok(one(200, call, patched))
}

/// The kind of patch, if the resource takes it.
pub(super) fn accepted(call: &Call) -> Result<MediaType, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    match media_type {
        MediaType::ApplyPatch => return Ok(media_type),
        MediaType::JsonPatch | MediaType::MergePatch => {}
        MediaType::StrategicMergePatch if !call.endpoint.resource.is_custom() => {}
        _ if call.endpoint.resource.is_custom() => {
            return Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ]));
        }
        _ => {
            return Err(Status::failure(Reason::UnsupportedMediaType, "415: Unsupported Media Type")
                .with_details(Details::default()));
        }
    }
    Ok(media_type)
}

/// Reads a patch, and what strict parsing says about it.
pub(super) fn decode(media_type: MediaType, bytes: &Bytes) -> Result<(Patch, Vec<String>), Status> {
    // What reads strategic merge patches says of errors no more than what they are.
    let before = if media_type == MediaType::StrategicMergePatch { "" } else { "error decoding patch: " };
    let Parsed { value, duplicates, .. } =
        parse_json(bytes).map_err(|error| Status::bad_request(format!("{before}{error}")))?;
    let patch = match media_type {
        MediaType::JsonPatch => {
            let faults = operation_faults(bytes, &value, duplicates);
            let patch = patch::json::Patch::parse(value).map_err(|error| json_error(&error))?;
            return Ok((Patch::Json(patch), faults));
        }
        MediaType::MergePatch if value.is_object() => Patch::Merge(value),
        MediaType::MergePatch if value.is_null() => return Err(Status::bad_request("Invalid JSON Patch")),
        MediaType::StrategicMergePatch if value.is_object() => Patch::Strategic(value),
        MediaType::StrategicMergePatch if value.is_null() => Patch::Strategic(Value::Object(Map::new())),
        _ => {
            let found = json_type(&value);
            return Err(Status::bad_request(format!(
                "{before}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    Ok((patch, duplicates))
}

/// What strict parsing says about the operations of a JSON patch.
fn operation_faults(bytes: &[u8], value: &Value, duplicates: Vec<String>) -> Vec<String> {
    const MEMBERS: [&str; 4] = ["op", "path", "from", "value"];
    let operations = value.as_array().into_iter().flatten().enumerate();
    let unknown: Vec<String> = operations
        .flat_map(|(index, operation)| {
            let members = operation.as_object().into_iter().flat_map(Map::keys);
            members
                .filter(|member| !MEMBERS.contains(&member.as_str()))
                .map(move |member| format!("[{index}].{member}"))
        })
        .collect();
    let found = if unknown.is_empty() { duplicates } else { strict_faults(bytes, &unknown) };
    found.into_iter().map(|fault| format!("json patch {fault}")).collect()
}
