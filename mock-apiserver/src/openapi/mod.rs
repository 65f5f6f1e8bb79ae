//! Answers about the OpenAPI documents: v3 by group and version under hashed URLs, v2 as a whole.
//!
//! Documents are made when somebody asks, and kept compressed as long as what they describe stays the same.

mod cache;
mod corrections;
mod document;
mod enums;
mod gnostic;
mod index;
mod operation;
mod page;
mod parameters;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, header, request::Parts};
use jiff::SignedDuration;

use crate::{
    handlers,
    request::Query,
    respond::{self, Content},
    server::ApiServer,
};

pub(crate) use cache::Cache;
use cache::{Document, Form};

/// What caches are told of a document under its hashed URL.
const IMMUTABLE: &str = "public, immutable";

/// How long it may be kept.
const KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Answers a request (its body does not matter) whose path, in decoded segments, is this room's.
pub(crate) async fn serve(server: &Arc<ApiServer>, parts: &Parts, segments: &[String]) -> Response<Body> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["openapi", "v3"] => index(server, &parts.headers),
        ["openapi", "v3", key @ ..] => v3(server, parts, &query, key.join("/")).await,
        ["openapi", "v2"] => v2(server, parts).await,
        _ => handlers::page_not_found(),
    }
}

fn index(server: &ApiServer, request: &HeaderMap) -> Response<Body> {
    let index = server.openapi.index(&server.registry.catalog.served());
    respond::cached_response(request, index.hash(), "no-cache, private", || {
        respond::bytes_response(200, Content::text(index.document()), respond::accepts_gzip(request))
    })
}

async fn v3(server: &Arc<ApiServer>, parts: &Parts, query: &Query, key: String) -> Response<Body> {
    let served = server.registry.catalog.served();
    let Some(hash) = server.openapi.index(&served).hash_of(&key).map(str::to_owned) else {
        return handlers::page_not_found();
    };
    let asked = query.get("hash").filter(|asked| !asked.is_empty());
    if asked.is_some_and(|asked| asked != hash) {
        return moved(&format!("/openapi/v3/{key}?hash={hash}"));
    }
    let Some(form) = wanted(&parts.headers, &GNOSTIC_V3, Form::V3(key.clone()), Form::V3Protobuf(key)) else {
        return not_acceptable();
    };
    let cache_control = if asked.is_some() { IMMUTABLE } else { "no-cache, private" };
    let document = make(server, form, hash).await;
    let mut response =
        respond::cached_response(&parts.headers, document.hash(), cache_control, || answer(&document, &parts.headers));
    if asked.is_some() {
        let until = server.registry.clock.now().checked_add(KEPT).ok();
        let until = until.map(|until| until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        response.headers_mut().extend(until.and_then(|until| Some((header::EXPIRES, until.parse().ok()?))));
    }
    response
}

async fn v2(server: &Arc<ApiServer>, parts: &Parts) -> Response<Body> {
    let hash = server.openapi.index(&server.registry.catalog.served()).hash().to_owned();
    let Some(form) = wanted(&parts.headers, &GNOSTIC_V2, Form::V2Json, Form::V2Protobuf) else {
        return not_acceptable();
    };
    let document = make(server, form, hash).await;
    respond::cached_response(&parts.headers, document.hash(), "no-cache, private", || answer(&document, &parts.headers))
}

/// The names of gnostic's v2 message in `Accept`: today's, the one without `@`, and the one of long ago.
const GNOSTIC_V2: [&str; 3] = [
    "com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "com.github.googleapis.gnostic.openapiv2@68f4ded+protobuf",
];

/// The names of gnostic's v3 message in `Accept`.
const GNOSTIC_V3: [&str; 2] =
    ["com.github.proto-openapi.spec.v3.v1.0+protobuf", "com.github.proto-openapi.spec.v3@v1.0+protobuf"];

/// The form of a document that the client likes best.
fn wanted(request: &HeaderMap, gnostic: &[&str], json: Form, protobuf: Form) -> Option<Form> {
    let accept = request.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let clauses = respond::parse_accept(accept);
    if clauses.is_empty() {
        return Some(json);
    }
    clauses.iter().find_map(|clause| match clause {
        clause if clause.matches("json") => Some(json.clone()),
        clause if gnostic.iter().any(|name| clause.matches(name)) => Some(protobuf.clone()),
        _ => None,
    })
}

/// A document, made on a thread where its making holds up nobody.
async fn make(server: &Arc<ApiServer>, form: Form, hash: String) -> Arc<Document> {
    if let Some(document) = server.openapi.find(&form, &hash) {
        return document;
    }
    let server = server.clone();
    let made = tokio::task::spawn_blocking(move || server.openapi.make(&server.registry.catalog.served(), form, hash));
    made.await.unwrap_or_default()
}

fn answer(document: &Document, request: &HeaderMap) -> Response<Body> {
    let mut response = if respond::accepts_gzip(request) {
        let content = Content { media_type: document.media_type(), bytes: document.compressed().to_vec() };
        let mut response = respond::bytes_response(200, content, false);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let content = Content { media_type: document.media_type(), bytes: document.bytes() };
        respond::bytes_response(200, content, false)
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn moved(location: &str) -> Response<Body> {
    let mut response = respond::bytes_response(301, Content::text(""), false);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn not_acceptable() -> Response<Body> {
    respond::bytes_response(406, Content::text(""), false)
}
