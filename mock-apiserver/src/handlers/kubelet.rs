//! Subresources of pods that whoever runs the pod's node answers: logs, and commands in containers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use machinery::{
    field::quote,
    meta,
    names::GroupVersionKind,
    status::{Reason, Status},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Call;
use crate::{registry::Operation, request::check_log_options, server::ApiServer};

/// Where kubelets listen when their node does not say.
const KUBELET_PORT: i64 = 10_250;

/// Headers that belong to one connection, or that the connection to the kubelet gets anew.
const OWN_HEADERS: [header::HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION];

/// Has a connection to a pod admitted. Reading logs is not one.
async fn admit(server: &ApiServer, call: &Call) -> Result<(), Status> {
    let kind = match call.info.subresource.as_str() {
        "exec" => "PodExecOptions",
        "attach" => "PodAttachOptions",
        "portforward" => "PodPortForwardOptions",
        _ => return Ok(()),
    };
    let kind = GroupVersionKind::new("", "v1", kind);
    let mut options = json!({"apiVersion": "v1", "kind": kind.kind});
    for flag in ["stdin", "stdout", "stderr", "tty"] {
        if call.query.flag(flag) == Some(true) {
            options[flag] = true.into();
        }
    }
    if let Some(container) = call.query.get("container") {
        options["container"] = container.into();
    }
    let command: Vec<&str> = call.query.all("command").collect();
    if !command.is_empty() {
        options["command"] = json!(command);
    }
    server.registry.admit_about(Operation::Connect, call.target(), &kind, &mut options, &call.context).await
}

/// Answers `log`, `exec`, `attach` and `portforward`.
pub(super) async fn serve(server: &ApiServer, call: &mut Call, body: Body) -> Result<Response<Body>, Status> {
    let pod = server.registry.get(&call.endpoint, &call.info.namespace, &call.info.name)?;
    let pod = pod.value();
    admit(server, call).await?;
    let subresource = call.info.subresource.as_str();
    if subresource == "log" {
        check_log_options(&call.info.name, &call.query)?;
    }
    let container = match subresource {
        "portforward" => String::new(),
        _ => container(pod, call.query.get("container").unwrap_or_default())?,
    };
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        if subresource == "log" {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", call.info.name)));
    }
    let address = address(server, node)?;
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let path = match subresource {
        "log" => format!("/containerLogs/{namespace}/{name}/{container}"),
        "portforward" => format!("/portForward/{namespace}/{name}"),
        other => format!("/{other}/{namespace}/{name}/{container}"),
    };
    let query = call.parts.uri.query().unwrap_or_default();
    let path = if query.is_empty() { path } else { format!("{path}?{query}") };
    let upgrade = call.parts.extensions.remove::<OnUpgrade>();
    pass_on(&address, &path, &call.parts.method, &call.parts.headers, upgrade, body).await
}

/// The container that is meant; a pod with a single one needs no name.
fn container(pod: &Value, wanted: &str) -> Result<String, Status> {
    let names = |member: &str| -> Vec<&str> {
        let list = pod.pointer(&format!("/spec/{member}")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
    };
    let (containers, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let pod_name = meta::name(pod);
    if wanted.is_empty() {
        if let ([only], [], []) = (containers.as_slice(), init.as_slice(), ephemeral.as_slice()) {
            return Ok((*only).to_owned());
        }
        let mut message =
            format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", containers.join(" "));
        if !init.is_empty() {
            message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        if !ephemeral.is_empty() {
            message.push_str(&format!(" or one of the ephemeral containers: [{}]", ephemeral.join(" ")));
        }
        return Err(Status::bad_request(message));
    }
    if containers.iter().chain(&init).chain(&ephemeral).any(|name| *name == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(Status::bad_request(format!("container {wanted} is not valid for pod {pod_name}")))
}

/// Where the kubelet of a node listens.
fn address(server: &ApiServer, node: &str) -> Result<String, Status> {
    let nodes = server.registry.catalog.endpoint("", "v1", "nodes").ok_or_else(Status::unknown_resource)?;
    let node = server.registry.get(&nodes, "", node)?;
    let addresses = node.value().pointer("/status/addresses").and_then(Value::as_array);
    let of_type = |wanted: &str| {
        let mut all = addresses.into_iter().flatten();
        all.find(|address| address["type"] == wanted).and_then(|address| address["address"].as_str())
    };
    let host = ["InternalIP", "ExternalIP", "Hostname"].into_iter().find_map(of_type).ok_or_else(|| {
        Status::internal(format!(
            "no preferred addresses found; known addresses: []: node {}",
            meta::name(node.value())
        ))
    })?;
    let port = node.value().pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_i64);
    let port = port.filter(|port| *port > 0).unwrap_or(KUBELET_PORT);
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// Passes a request on to a kubelet, and what it answers back; after an upgrade, bytes go both ways.
async fn pass_on(
    address: &str,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    upgrade: Option<OnUpgrade>,
    body: Body,
) -> Result<Response<Body>, Status> {
    let failed = |error: &dyn std::fmt::Display| {
        Status::failure(Reason::Unknown, format!("Get {}: {error}", quote(&format!("http://{address}{path}"))))
    };
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| failed(&format!("dial tcp {address}: connect: {}", reason(&error))))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "the connection to a kubelet broke");
        }
    });
    let path: PathAndQuery = path.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.into();
    request.headers_mut().extend(headers.clone());
    for name in OWN_HEADERS {
        request.headers_mut().remove(name);
    }
    let host = address.parse().map_err(|error: header::InvalidHeaderValue| failed(&error))?;
    request.headers_mut().insert(header::HOST, host);
    let mut response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let kubelet = hyper::upgrade::on(&mut response);
        if let Some(client) = upgrade {
            tokio::spawn(tunnel(client, kubelet));
        }
        return Ok(response.map(|_| Body::empty()));
    }
    if response.status().is_success() {
        return Ok(response.map(Body::new));
    }
    Err(refusal(response).await)
}

/// What a kubelet refused, as a Status: it answers in plain text.
async fn refusal(response: Response<hyper::body::Incoming>) -> Status {
    const SHOWN_MAX: usize = 4096;
    let code = response.status().as_u16();
    let text =
        response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_else(|_| Bytes::new());
    let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN_MAX)]).trim().to_owned();
    let reason = match code {
        400 => Reason::BadRequest,
        404 => Reason::NotFound,
        _ => Reason::InternalError,
    };
    Status::failure(reason, text).with_code(code)
}

async fn tunnel(client: OnUpgrade, kubelet: OnUpgrade) {
    let (client, kubelet) = match tokio::try_join!(client, kubelet) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a connection was not upgraded");
            return;
        }
    };
    let (mut client, mut kubelet) = (TokioIo::new(client), TokioIo::new(kubelet));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut kubelet).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
}

/// The operating system's words for why nobody answers, as Go prints them.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        _ => error.to_string(),
    }
}
