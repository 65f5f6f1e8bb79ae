//! Answers about the server itself: version, health, metrics, and the list of paths.

mod health;
mod metrics;
mod version;
mod zpage;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, header, request::Parts};
use machinery::status::{Details, Status};
use serde_json::{Value, json};

use crate::{
    discovery, handlers,
    request::Query,
    respond::{self, Content},
    server::ApiServer,
};
use health::Check;

pub(crate) use metrics::{Answered, Metrics, RequestLabels};
pub(crate) use version::{git_version, raw_version};

/// Answers a request (its body does not matter) whose path, in decoded segments, is this room's.
pub(crate) async fn serve(server: &Arc<ApiServer>, parts: &Parts, segments: &[String]) -> Response<Body> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_exact =
        matches!(segments.first(), Some(&("healthz" | "livez" | "readyz" | "metrics" | "statusz" | "flagz")));
    if is_exact && parts.uri.path().ends_with('/') {
        return handlers::page_not_found();
    }
    match segments.as_slice() {
        [] => indented(&crate::json::encode(&json!({"paths": paths(server)}))),
        ["version"] => match check_readable(parts, "json") {
            Ok(()) => indented(&version::document(server.registry.feature_gates.release())),
            Err(status) => respond::render_status(&parts.headers, &query, &status),
        },
        ["metrics"] => {
            let gates = &server.registry.feature_gates;
            let now = metrics::Now { gates, served: &server.registry.catalog.served(), in_flight: &server.in_flight };
            exposition(server.metrics.render(&now), parts)
        }
        ["metrics", "slis"] => exposition(metrics::health(&checks(server, "readyz")), parts),
        ["statusz"] => zpage::status(server, parts, &query),
        ["flagz"] => zpage::flags(server, parts, &query),
        [endpoint @ ("healthz" | "livez" | "readyz"), check @ ..] => {
            health(endpoint, &check.join("/"), &checks(server, endpoint), &query)
        }
        [".well-known", "openid-configuration"] => {
            let scheme = if server.config.tls.is_some() { "https" } else { "http" };
            let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
            let document = || server.authenticator.issuer().configuration(&format!("{scheme}://{host}"));
            identity(document, "json", parts, &query)
        }
        ["openid", "v1", "jwks"] => identity(|| server.authenticator.issuer().jwks(), "jwk-set+json", parts, &query),
        _ => handlers::page_not_found(),
    }
}

/// A text for Prometheus.
fn exposition(text: String, parts: &Parts) -> Response<Body> {
    let content = Content {
        media_type: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        bytes: text.into_bytes(),
    };
    respond::bytes_response(200, content, respond::accepts_gzip(&parts.headers))
}

/// How long others may keep what they learn about the issuer of tokens (upstream's `cacheControl`).
const IDENTITY_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// A document about the issuer of tokens, which is there to be read, as `application/<subtype>`.
fn identity(
    document: impl FnOnce() -> Result<Value, Status>,
    subtype: &'static str,
    parts: &Parts,
    query: &Query,
) -> Response<Body> {
    match check_readable(parts, subtype).and_then(|()| document()) {
        Ok(document) => {
            let media_type = if subtype == "json" { "application/json" } else { "application/jwk-set+json" };
            let content = Content { media_type, bytes: document.to_string().into_bytes() };
            let mut response = respond::bytes_response(200, content, false);
            response.headers_mut().insert(header::CACHE_CONTROL, IDENTITY_CACHE);
            response
        }
        Err(status) => respond::render_status(&parts.headers, query, &status),
    }
}

/// What is checked. A server that is about to end is alive, and no longer ready.
fn checks(server: &ApiServer, endpoint: &str) -> Vec<Check> {
    let passed = |name| Check { name, passes: true };
    let is_readiness = endpoint == "readyz";
    let first: &[&str] = if is_readiness {
        &["ping", "log", "etcd", "etcd-readiness", "informer-sync"]
    } else {
        &["ping", "log", "loopback-serving-certificate", "etcd"]
    };
    let mut checks: Vec<Check> = first.iter().chain(&health::OF_START).copied().map(passed).collect();
    if is_readiness {
        let ends = server.config.ending.is_cancelled() || server.shutdown.is_cancelled();
        checks.push(Check { name: "shutdown", passes: !ends });
    }
    checks
}

fn health(endpoint: &str, check: &str, checks: &[Check], query: &Query) -> Response<Body> {
    let is_one = !check.is_empty();
    let report = if check.is_empty() {
        health::report(endpoint, checks, query)
    } else {
        match checks.iter().find(|found| found.name == check) {
            Some(check) => {
                let text =
                    if check.passes { "ok".to_owned() } else { "internal server error: reason withheld\n".to_owned() };
                health::Report { healthy: check.passes, text }
            }
            None => return handlers::page_not_found(),
        }
    };
    let code = if report.healthy { 200 } else { 500 };
    let mut response = respond::bytes_response(code, Content::text(report.text), false);
    if !is_one {
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// Every path that leads somewhere, sorted.
fn paths(server: &ApiServer) -> Vec<String> {
    let mut paths = discovery::paths(&server.registry.catalog.served());
    paths.extend(
        [
            "/.well-known/openid-configuration",
            "/apis/",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/",
            "/openid/v1/jwks",
            "/metrics",
            "/metrics/slis",
            "/statusz",
            "/flagz",
            "/version",
        ]
        .map(str::to_owned),
    );
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{endpoint}"));
        paths.extend(checks(server, endpoint).iter().map(|check| format!("/{endpoint}/{}", check.name)));
    }
    paths.sort();
    paths
}

fn indented(json: &[u8]) -> Response<Body> {
    let bytes = respond::indent(json);
    respond::bytes_response(200, Content { media_type: "application/json", bytes }, false)
}

/// Refuses a request for what is there to be read, and as `application/<subtype>` alone.
fn check_readable(parts: &Parts, subtype: &str) -> Result<(), Status> {
    if parts.method != Method::GET {
        return Err(Status::method_not_allowed().with_details(Details::default()));
    }
    respond::check_subtype(&parts.headers, subtype)
}
