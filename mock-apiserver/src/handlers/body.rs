//! Documents of request bodies.

use axum::body::Body;
use machinery::status::Status;
use serde_json::Value;

use super::Call;
use crate::{
    registry,
    request::{DeleteOptions, MediaType, Parsed, parse_json, read_body},
    server::ApiServer,
};

/// Reads and decodes the document of a create or an update.
pub(super) async fn read_object(server: &ApiServer, call: &Call, body: Body) -> Result<Value, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body).await?;
    let parsed = parse(call, media_type, &bytes)?;
    server.registry.decode(&call.endpoint, parsed, &call.context)
}

/// Parses a document of any kind that may stand in a body.
pub(super) fn parse(call: &Call, media_type: MediaType, bytes: &[u8]) -> Result<Parsed, Status> {
    match media_type {
        MediaType::Json => parse_json(bytes).map_err(|error| registry::malformed(&call.endpoint, bytes, &error)),
        _ => Err(Status::unsupported_media_type(&["application/json"])),
    }
}

/// The options of a delete: from the body when there is one, else from the query.
pub(super) async fn read_delete_options(call: &Call, body: Body) -> Result<DeleteOptions, Status> {
    let media_type = MediaType::of(&call.parts.headers);
    let bytes = read_body(body).await?;
    if bytes.is_empty() {
        return DeleteOptions::from_query(&call.query);
    }
    DeleteOptions::from_body(&parse(call, media_type, &bytes)?.value)
}
