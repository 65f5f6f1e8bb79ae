//! Subresources: the object seen from one side.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use machinery::status::Status;

use super::{Call, object, patch};
use crate::{
    respond::{self, Shape},
    server::ApiServer,
};

/// Answers a request to a subresource.
pub(super) async fn serve(
    server: &Arc<ApiServer>,
    call: &Call,
    verb: &'static str,
    body: Body,
) -> Result<Response<Body>, Status> {
    let representation = respond::negotiate(&call.parts.headers, &call.query, Shape::Object, &call.endpoint)?;
    let answer = match (call.info.subresource.as_str(), verb) {
        ("status", "get") => object::get(server, call)?,
        ("status", "update") => object::update(server, call, body).await?,
        ("status", "patch") => patch::patch(server, call, body).await?,
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(respond::render(&server.registry.clock, &representation, answer))
}
