//! HTTP responses: codes, headers, compression.

use std::io::Write;

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use machinery::status::Status;

use super::{unread, warning};

/// Bodies up to this size are never compressed: kube-apiserver's threshold.
const COMPRESS_ABOVE_BYTES: usize = 128 * 1024;

/// The header by which a request is found in an audit log.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What is longer of a name that a client gives its request is left out.
const AUDIT_ID_CHARS_MAX: usize = 64;

/// A body that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Value of `Content-Type`.
    pub(crate) media_type: &'static str,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Content {
    /// Plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { media_type: "text/plain; charset=utf-8", bytes: text.into().into_bytes() }
    }
}

/// A response with a body, compressed when the body is large and the client takes gzip.
pub(crate) fn bytes_response(code: u16, content: Content, gzip: bool) -> Response<Body> {
    let Content { media_type, bytes } = content;
    let compressed = if gzip && bytes.len() > COMPRESS_ABOVE_BYTES { compress(&bytes).ok() } else { None };
    match compressed {
        None => with_type(code, media_type, unread::body(bytes)),
        Some(compressed) => {
            let mut response = with_type(code, media_type, unread::body(compressed));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            response
        }
    }
}

/// A response to a client that may have the document already: 304 when its `If-None-Match` names `hash`. `Vary` is by `Accept`.
pub(crate) fn cached_response(
    request: &HeaderMap,
    hash: &str,
    cache_control: &'static str,
    content: impl FnOnce() -> Response<Body>,
) -> Response<Body> {
    let etag = format!("\"{hash}\"");
    let held = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|held| held.split(',').any(|one| one.trim().trim_start_matches("W/") == etag));
    let mut response = if held { with_code(304, Body::empty()) } else { content() };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&etag).ok().map(|value| (header::ETAG, value)));
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response
}

/// The name under which a client wants its request written down, as far as upstream takes it over.
pub(crate) fn asked_id(headers: &HeaderMap) -> Option<String> {
    let asked = headers.get(AUDIT_ID)?.to_str().ok().filter(|asked| !asked.is_empty())?;
    Some(asked.chars().take(AUDIT_ID_CHARS_MAX).collect())
}

/// Adds what every response carries, where it is not there already.
pub(crate) fn identify(response: &mut Response<Body>, audit_id: &str) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if let Ok(value) = HeaderValue::from_str(audit_id) {
        headers.insert(AUDIT_ID, value);
    }
}

/// Adds one `Warning` header for each distinct warning.
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for value in warning::headers(warnings) {
        response.headers_mut().append(header::WARNING, value);
    }
}

/// Tells the client when to come back, if the Status does.
pub(super) fn add_retry_after(response: &mut Response<Body>, status: &Status) {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if seconds > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// A response of a media type.
pub(super) fn with_type(code: u16, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = with_code(code, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn with_code(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Compresses at the fastest level, as upstream does.
pub(crate) fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_bodies_are_compressed() {
        for (size, gzip, expected) in [
            (COMPRESS_ABOVE_BYTES + 1, true, true),
            (COMPRESS_ABOVE_BYTES, true, false),
            (COMPRESS_ABOVE_BYTES + 1, false, false),
        ] {
            let content = Content { media_type: "application/json", bytes: vec![b' '; size] };
            let response = bytes_response(200, content, gzip);
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), expected, "{size} {gzip}");
        }
    }

    #[test]
    fn a_document_held_by_the_client_is_not_sent_again() {
        for (held, expected) in [("\"x\", W/\"AB12\"", 304), ("\"AB12\"", 304), ("AB12", 200), ("", 200)] {
            let mut request = HeaderMap::new();
            request.insert(header::IF_NONE_MATCH, held.parse().expect("a header value"));
            let response =
                cached_response(&request, "AB12", "public", || bytes_response(200, Content::text("x"), false));
            assert_eq!(response.status(), expected, "{held}");
            assert_eq!(response.headers()[header::ETAG], "\"AB12\"");
        }
    }
}
