//! Calls servers that the configuration of webhooks names: over TLS, and only over TLS.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use machinery::{field::quote, json_fault::json_fault, json_type::json_type, status::Status, yaml};
use serde_json::Value;

use crate::{
    outbound::{self, Site},
    registry::Registry,
};

/// Where a server is, and what it is called.
struct Destination {
    /// The name in the certificate.
    name: String,
    /// What is connected to.
    host: String,
    port: u16,
    /// Path and query.
    path: String,
    /// The URL as errors show it.
    shown: String,
}

/// Posts a document to the server of a `clientConfig`, and returns the document that it answers.
pub(crate) async fn post(
    registry: &Registry,
    config: &Value,
    document: &Value,
    timeout: Duration,
) -> Result<Value, String> {
    let destination = destination(registry, config, timeout);
    let destination = match destination {
        Ok(destination) => destination,
        Err((shown, why)) => return Err(format!("Post {}: {why}", quote(&shown))),
    };
    let shown = destination.shown.clone();
    let call = call(destination, config, document);
    match tokio::time::timeout(timeout, call).await {
        Err(_) => Err(format!("Post {}: context deadline exceeded", quote(&shown))),
        Ok(Err(Failure::Connection(why))) => Err(format!("Post {}: {why}", quote(&shown))),
        Ok(Err(Failure::Answer(why))) => Err(why),
        Ok(Ok(answer)) => Ok(answer),
    }
}

enum Failure {
    /// No answer.
    Connection(String),
    /// An answer that is none.
    Answer(String),
}

fn destination(registry: &Registry, config: &Value, timeout: Duration) -> Result<Destination, (String, String)> {
    let query = format!("timeout={}s", timeout.as_secs());
    if let Some(url) = config.get("url").and_then(Value::as_str) {
        let separator = if url.contains('?') { '&' } else { '?' };
        let shown = format!("{url}{separator}{query}");
        let uri: Uri = shown.parse().map_err(|error| (shown.clone(), format!("{error}")))?;
        let Some(host) = uri.host().filter(|_| uri.scheme_str() == Some("https")) else {
            return Err((shown, "unsupported protocol scheme".to_owned()));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // As Go's client does: envtest writes two slashes before the path.
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        let path = format!("/{}?{}", segments.join("/"), uri.query().unwrap_or_default());
        return Ok(Destination { name: host.clone(), host, port: uri.port_u16().unwrap_or(443), path, shown });
    }
    let service = config.get("service").unwrap_or(&Value::Null);
    let text = |member: &str| service.get(member).and_then(Value::as_str).unwrap_or_default();
    let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
    let name = format!("{}.{}.svc", text("name"), text("namespace"));
    let path = format!("/{}?{query}", text("path").trim_start_matches('/'));
    let shown = format!("https://{name}:{port}{path}");
    match outbound::resolve(registry, text("namespace"), text("name"), port) {
        Ok((host, port)) => Ok(Destination { name, host, port, path, shown }),
        Err(why) => Err((shown, why.to_string())),
    }
}

async fn call(destination: Destination, config: &Value, document: &Value) -> Result<Value, Failure> {
    let Destination { name, host, port, path, .. } = destination;
    let site = Site { name, host, port, path, tls: true };
    let bundle = config.get("caBundle").and_then(Value::as_str).unwrap_or_default();
    let connector = outbound::trusting(bundle).map_err(Failure::Connection)?;
    let body = serde_json::to_vec(document).map_err(|error| Failure::Connection(error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&site.path)
        .header(header::HOST, site.authority())
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::Connection(error.to_string()))?;
    let response = site.answer(&connector, request).await.map_err(Failure::Connection)?;
    let (status, body) = (response.status(), response.body());
    if !status.is_success() {
        return Err(Failure::Answer(unsuccessful(status, body)));
    }
    if body.is_empty() {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let why = format!("0-length response with status code: {} and content type: {kind}", status.as_u16());
        return Err(Failure::Answer(why));
    }
    read(body).map_err(|why| Failure::Answer(format!("couldn't get version/kind; json parse error: {why}")))
}

/// Reads a document, which may be YAML; the error is what Go says.
fn read(body: &[u8]) -> Result<Value, String> {
    let is_json = body.trim_ascii_start().starts_with(b"{");
    let document = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) if is_json => return Err(json_fault(body).unwrap_or_else(|| error.to_string())),
        Err(_) => yaml::parse(body).map_err(|error| error.to_string())?,
    };
    match document {
        Value::Object(_) => Ok(document),
        other => {
            let structure = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
            Err(format!("json: cannot unmarshal {} into Go value of type {structure}", json_type(&other)))
        }
    }
}

/// What client-go says about an answer that is not a success.
fn unsuccessful(status: StatusCode, body: &[u8]) -> String {
    let told: Option<Status> = serde_json::from_slice(body).ok();
    if let Some(told) = told.filter(|told| !told.message.is_empty()) {
        return told.message;
    }
    let shown = String::from_utf8_lossy(&body[..body.len().min(2048)]).into_owned();
    let shown = shown.trim();
    let known = match status.as_u16() {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        403 | 406 | 415 if !shown.is_empty() => shown,
        403 => "the server does not allow access to the requested resource",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        406 => "the server was unable to respond with a content type that the client supports",
        409 => "the server reported a conflict",
        415 => "the server was unable to accept the content type of the request",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        500.. => {
            return format!("an error on the server ({}) has prevented the request from succeeding", quote(shown));
        }
        code => {
            return format!("the server responded with the status code {code} but did not return more information");
        }
    };
    known.to_owned()
}
