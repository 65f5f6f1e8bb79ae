//! Calls servers that the configuration of webhooks names: over TLS, and only over TLS.
//!
//! A service is reached at its endpoints, or, when it is an `ExternalName`, at that name. The latter is how a webhook that runs on
//! this machine is used with its in-cluster configuration: a Service of type `ExternalName` with the name `localhost`. The
//! certificate must be for `<service>.<namespace>.svc` either way.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use machinery::{field::quote, limits, meta};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, Error as TlsError, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::registry::Registry;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = limits::OBJECT_BYTES_MAX * 4;

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
        let path = uri.path_and_query().map_or_else(|| format!("/?{query}"), ToString::to_string);
        return Ok(Destination { name: host.clone(), host, port: uri.port_u16().unwrap_or(443), path, shown });
    }
    let service = config.get("service").unwrap_or(&Value::Null);
    let text = |member: &str| service.get(member).and_then(Value::as_str).unwrap_or_default();
    let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
    let name = format!("{}.{}.svc", text("name"), text("namespace"));
    let path = format!("/{}?{query}", text("path").trim_start_matches('/'));
    let shown = format!("https://{name}:{port}{path}");
    match resolve(registry, text("namespace"), text("name"), port) {
        Ok((host, port)) => Ok(Destination { name, host, port, path, shown }),
        Err(why) => Err((shown, why)),
    }
}

/// Where a service is.
fn resolve(registry: &Registry, namespace: &str, name: &str, port: u64) -> Result<(String, u16), String> {
    let missing = || format!("service {} not found", quote(name));
    let services = registry.catalog.endpoint("", "v1", "services").ok_or_else(missing)?;
    let service = services.resource.space().get(&services.resource.key(namespace, name)).ok_or_else(missing)?;
    let service = service.value();
    if service.pointer("/spec/type").is_some_and(|kind| kind == "ExternalName") {
        let host = service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default();
        let port = u16::try_from(port).map_err(|_| format!("port {port} is out of range"))?;
        return Ok((host.to_owned(), port));
    }
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let found = ports.into_iter().flatten().find(|found| found["port"].as_u64() == Some(port));
    let found = found.ok_or_else(|| format!("no service port {port} found for service {}", quote(name)))?;
    let port_name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    let none = || format!("no endpoints available for service {}", quote(name));
    let slices = registry.catalog.endpoint("discovery.k8s.io", "v1", "endpointslices").ok_or_else(none)?;
    let snapshot = slices.resource.space().snapshot();
    let prefix = format!("{namespace}/");
    snapshot
        .range(&prefix, None)
        .map(|slice| slice.value())
        .filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name))
        .find_map(|slice| address(slice, port_name))
        .ok_or_else(none)
}

/// The first ready endpoint of a slice.
fn address(slice: &Value, port_name: &str) -> Option<(String, u16)> {
    let list = |member: &str| slice.get(member).and_then(Value::as_array).into_iter().flatten();
    let named = |port: &&Value| port.get("name").and_then(Value::as_str).unwrap_or_default() == port_name;
    let port = list("ports").find(named)?.get("port")?.as_u64()?;
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
    let endpoint = list("endpoints").find(is_ready)?;
    let host = endpoint.get("addresses")?.as_array()?.first()?.as_str()?;
    Some((host.to_owned(), u16::try_from(port).ok()?))
}

async fn call(destination: Destination, config: &Value, document: &Value) -> Result<Value, Failure> {
    let Destination { name, host, port, path, .. } = destination;
    let tls = tls(config).map_err(Failure::Connection)?;
    let server = ServerName::try_from(name.clone()).map_err(|error| Failure::Connection(error.to_string()))?;
    let refused = |error: std::io::Error| Failure::Connection(dialling(&host, port, &error));
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(refused)?;
    let stream = tls.connect(server, stream).await.map_err(|error| Failure::Connection(handshake(&error)))?;
    let broken = |error: hyper::Error| Failure::Connection(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let body = serde_json::to_vec(document).map_err(|error| Failure::Connection(error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, if port == 443 { name } else { format!("{name}:{port}") })
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::Connection(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    connection.abort();
    let body = body.map_err(|error| Failure::Connection(error.to_string()))?.to_bytes();
    if !status.is_success() {
        return Err(Failure::Answer(unsuccessful(status, &body)));
    }
    serde_json::from_slice(&body).map_err(|error| {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        Failure::Answer(format!("couldn't get version/kind; json parse error: {error} ({shown})"))
    })
}

/// What client-go says about an answer that is not a success.
fn unsuccessful(status: StatusCode, body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(2048)]).into_owned();
    match status.as_u16() {
        404 => "the server could not find the requested resource".to_owned(),
        400 => "the server rejected our request for an unknown reason".to_owned(),
        500.. => format!("an error on the server ({}) has prevented the request from succeeding", quote(shown.trim())),
        code => format!("the server responded with the status code {code} but did not return more information"),
    }
}

/// As Go's `net` puts it.
fn dialling(host: &str, port: u16, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {host}:{port}: connect: connection refused")
        }
        std::io::ErrorKind::TimedOut => format!("dial tcp {host}:{port}: i/o timeout"),
        _ => format!("dial tcp: lookup {host}: {error}"),
    }
}

/// As Go's `crypto/x509` puts it, where users know the words.
fn handshake(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let prefix = "tls: failed to verify certificate: x509";
    match tls {
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{prefix}: certificate signed by unknown authority")
        }
        Some(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("{prefix}: certificate is valid for other names than the one of the webhook"),
        Some(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            format!("{prefix}: certificate has expired or is not yet valid")
        }
        _ => error.to_string(),
    }
}

/// Trusts what `caBundle` says, and nobody else.
fn tls(config: &Value) -> Result<TlsConnector, String> {
    let bundle = config.get("caBundle").and_then(Value::as_str).unwrap_or_default();
    let pem = STANDARD.decode(bundle).map_err(|error| format!("caBundle is no base64: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle is no PEM: {error:?}"))?;
        roots.add(certificate).map_err(|error| format!("unable to load root certificates: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
