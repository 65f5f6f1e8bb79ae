//! Answers about what is served, as clients discover it.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, request::Parts};

use crate::{handlers, server::ApiServer};

/// Answers a request (its body does not matter) whose path, in decoded segments, is this room's.
pub(crate) async fn serve(_server: &Arc<ApiServer>, _parts: &Parts, _segments: &[String]) -> Response<Body> {
    handlers::page_not_found()
}
