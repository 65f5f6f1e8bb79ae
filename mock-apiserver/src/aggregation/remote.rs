//! A server that answers for a group: requests are passed on to it over TLS.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use machinery::{
    field::quote,
    status::{Reason, Status},
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use crate::{
    authentication::User,
    handlers,
    outbound::{self, Identity, Trust},
    registry::Registry,
};

/// How long connecting may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Headers by which the other server knows who asks (request header authentication).
const USER: HeaderName = HeaderName::from_static("x-remote-user");
const USER_UID: HeaderName = HeaderName::from_static("x-remote-uid");
const USER_GROUP: HeaderName = HeaderName::from_static("x-remote-group");
const USER_EXTRA: &str = "x-remote-extra-";

/// Where an APIService's server is.
struct Backend {
    /// The name in its certificate.
    name: String,
    host: String,
    port: u16,
    tls: TlsConnector,
}

/// Passes a request on to the server of an APIService.
pub(super) async fn pass_on(
    registry: &Registry,
    identity: Option<&Identity>,
    service: &Value,
    user: &User,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let unavailable = |why: String| Status::failure(Reason::ServiceUnavailable, why);
    let backend =
        Backend::of(registry, identity, service).map_err(|_| unavailable("service unavailable".to_owned()))?;
    let failed = |why: String| unavailable(format!("error trying to reach service: {why}"));
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let mut headers = parts.headers;
    identify(&mut headers, user);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut response = backend.send(&parts.method, path, headers, body).await.map_err(failed)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let other = hyper::upgrade::on(&mut response);
        if let Some(client) = upgrade {
            tokio::spawn(handlers::tunnel(client, other));
        }
        return Ok(response.map(|_| Body::empty()));
    }
    Ok(response.map(Body::new))
}

/// Asks the server of an APIService for a document.
pub(super) async fn get(
    registry: &Registry,
    identity: Option<&Identity>,
    service: &Value,
    path: &str,
) -> Result<(StatusCode, bytes::Bytes), String> {
    use http_body_util::{BodyExt as _, Limited};
    let backend = Backend::of(registry, identity, service)?;
    let path: PathAndQuery = path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    identify(&mut headers, &User::new("system:kube-aggregator", &["system:masters"]));
    let response = backend.send(&Method::GET, path, headers, Body::empty()).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), machinery::limits::OBJECT_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
}

/// Says who asks, and nothing that the client said about that.
fn identify(headers: &mut HeaderMap, user: &User) {
    let claimed: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-remote-")).cloned().collect();
    for name in claimed.iter().chain([&header::AUTHORIZATION, &header::HOST]) {
        headers.remove(name);
    }
    let value = |text: &str| HeaderValue::from_str(text).ok();
    headers.extend(value(&user.name).map(|name| (USER, name)));
    headers.extend(value(&user.uid).filter(|uid| !uid.is_empty()).map(|uid| (USER_UID, uid)));
    for group in &user.groups {
        if let Some(group) = value(group) {
            headers.append(USER_GROUP, group);
        }
    }
    for (key, texts) in &user.extra {
        let Ok(name) = HeaderName::from_bytes(format!("{USER_EXTRA}{}", key.to_lowercase()).as_bytes()) else {
            continue;
        };
        for text in texts {
            if let Some(text) = value(text) {
                headers.append(name.clone(), text);
            }
        }
    }
}

impl Backend {
    fn of(registry: &Registry, identity: Option<&Identity>, service: &Value) -> Result<Self, String> {
        let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/spec/service/namespace"), text("/spec/service/name"));
        let port = service.pointer("/spec/service/port").and_then(Value::as_u64).unwrap_or(443);
        let (host, port) = outbound::resolve(registry, namespace, name, port).map_err(|why| why.to_string())?;
        let insecure = service.pointer("/spec/insecureSkipTLSVerify").and_then(Value::as_bool) == Some(true);
        let trust = if insecure { Trust::Anybody } else { Trust::bundle(text("/spec/caBundle"))? };
        let tls = TlsConnector::from(outbound::client_config(&trust, identity.cloned())?);
        Ok(Self { name: format!("{name}.{namespace}.svc"), host, port, tls })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        let Self { name, host, port, tls } = self;
        let server = ServerName::try_from(name.clone()).map_err(|error| error.to_string())?;
        let connect = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(|error| outbound::dialling(host, *port, &error))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            tls.connect(server, stream).await.map_err(|error| outbound::handshake(&error))
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| format!("dial tcp {host}:{port}: i/o timeout"))?
    }

    async fn send(
        &self,
        method: &Method,
        path: PathAndQuery,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<hyper::body::Incoming>, String> {
        let stream = self.connect().await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to an aggregated server broke");
            }
        });
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.into();
        *request.headers_mut() = headers;
        let host = if self.port == 443 { self.name.clone() } else { format!("{}:{}", self.name, self.port) };
        let host = HeaderValue::from_str(&host).map_err(|error| format!("{}: {error}", quote(&host)))?;
        request.headers_mut().insert(header::HOST, host);
        sender.send_request(request).await.map_err(|error| error.to_string())
    }
}
