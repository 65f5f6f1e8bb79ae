//! Request bodies: their size, and what they are written in.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use machinery::{limits, status::Status};
use tokio::time::timeout;

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// `application/json`, and bodies that do not say.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMergePatch,
    /// `application/apply-patch+yaml`.
    ApplyPatch,
    /// Anything else.
    Other,
}

impl MediaType {
    /// Reads the `Content-Type` header; parameters are ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(text) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
            return if headers.contains_key(CONTENT_TYPE) { Self::Other } else { Self::Json };
        };
        let name = text.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "" | "application/json" => Self::Json,
            "application/yaml" => Self::Yaml,
            "application/vnd.kubernetes.protobuf" => Self::Protobuf,
            "application/json-patch+json" => Self::JsonPatch,
            "application/merge-patch+json" => Self::MergePatch,
            "application/strategic-merge-patch+json" => Self::StrategicMergePatch,
            "application/apply-patch+yaml" => Self::ApplyPatch,
            _ => Self::Other,
        }
    }
}

/// Reads a whole body; one beyond the limit is refused, as far as it was read, and so is one that does not come in time.
pub(crate) async fn read_body(body: Body, patience: Duration) -> Result<Bytes, Status> {
    let late = |_| Status::timeout("request did not complete within the allotted timeout", 0);
    timeout(patience, collect(body)).await.map_err(late)?
}

async fn collect(mut body: Body) -> Result<Bytes, Status> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("reading the body failed: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.is_empty() && body.is_end_stream() && data.len() <= limits::REQUEST_BODY_BYTES_MAX {
            // It is one piece, as most bodies are.
            return Ok(data);
        }
        if collected.len() + data.len() > limits::REQUEST_BODY_BYTES_MAX {
            return Err(Status::too_large(&format!("limit is {}", limits::REQUEST_BODY_BYTES_MAX)));
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}
