//! From a request to an answer: one file per verb. Knows requests and the registry, never storage's insides.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use machinery::status::Status;

use crate::{
    catalog::Endpoint,
    discovery, meta, openapi,
    request::{Location, Query, RequestInfo, parse_path},
    respond::{self, Answer, Shape},
    server::ApiServer,
};

/// Answers any request.
pub(crate) async fn serve(server: Arc<ApiServer>, request: Request<Body>) -> Response<Body> {
    let Some(location) = parse_path(request.uri().path()) else {
        return page_not_found();
    };
    match location {
        Location::Resource(info) => serve_resource(&server, info, request).await,
        Location::Other(segments) => {
            let (parts, _) = request.into_parts();
            match segments.first().map(String::as_str) {
                Some("api" | "apis") => discovery::serve(&server, &parts, &segments).await,
                Some("openapi") => openapi::serve(&server, &parts, &segments).await,
                _ => meta::serve(&server, &parts, &segments).await,
            }
        }
    }
}

/// What a verb needs to know.
pub(crate) struct Call {
    pub(crate) info: RequestInfo,
    pub(crate) endpoint: Endpoint,
    pub(crate) query: Query,
    pub(crate) parts: Parts,
}

async fn serve_resource(server: &Arc<ApiServer>, info: RequestInfo, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let Some(endpoint) = server.registry.catalog.endpoint(&info.group, &info.version, &info.resource) else {
        if server.registry.catalog.served().has_group(&info.group) {
            return respond::render_status(&parts.headers, &query, &Status::unknown_resource());
        }
        return page_not_found();
    };
    let call = Call { info, endpoint, query, parts };
    match answer(server, &call, body).await {
        Ok(response) => response,
        Err(status) => respond::render_status(&call.parts.headers, &call.query, &status),
    }
}

async fn answer(server: &Arc<ApiServer>, call: &Call, _body: Body) -> Result<Response<Body>, Status> {
    if call.parts.method == Method::GET && !call.info.name.is_empty() {
        let representation = respond::negotiate(&call.parts.headers, &call.query, Shape::Object, &call.endpoint)?;
        let object = server.registry.get(&call.endpoint, &call.info.namespace, &call.info.name)?;
        let answer = Answer::Object { code: 200, endpoint: call.endpoint.clone(), object };
        return Ok(respond::render(&server.registry.clock, &representation, answer));
    }
    Err(Status::method_not_allowed())
}

/// The answer to a path nobody knows.
pub(crate) fn page_not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
