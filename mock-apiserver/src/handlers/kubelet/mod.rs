//! Subresources of pods that whoever runs the pod's node answers: logs, and commands in containers.

mod connection;
mod forward;
mod remote;

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use machinery::{
    meta,
    names::GroupVersionKind,
    status::{Reason, Status},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Call,
    upgrade::{Wanted, offers_in_web_socket},
};
use crate::{
    registry::Operation,
    request::{Query, check_log_options},
    server::ApiServer,
};
pub(crate) use connection::tunnel;
pub(super) use connection::{Destination, Reach};

/// Where kubelets listen when their node does not say.
const KUBELET_PORT: i64 = 10_250;

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
    let ports = call.query.all("ports").flat_map(|ports| ports.split(','));
    let ports: Vec<u64> = ports.filter_map(|port| port.trim().parse().ok()).collect();
    if !ports.is_empty() {
        options["ports"] = json!(ports);
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
    // Upstream says of the pod that it is not there when its node is not.
    let address = address(server, node).map_err(|status| match status.reason() {
        Reason::NotFound => Status::not_found(&call.endpoint.group_resource(), node),
        _ => status,
    })?;
    let wanted = if subresource == "log" { Wanted::Nothing } else { Wanted::of(&call.parts.headers) };
    if subresource != "log" && wanted == Wanted::Nothing {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let path = match subresource {
        "log" => format!("/containerLogs/{namespace}/{name}/{container}"),
        "portforward" => format!("/portForward/{namespace}/{name}"),
        other => format!("/{other}/{namespace}/{name}/{container}"),
    };
    let reach = Reach::Kubelet(server.config.access.kubelets.clone());
    let kubelet = Destination { address, path, reach };
    // A log is read over HTTP, whatever the client of ours makes of its own connection.
    let (nothing, upgrade) = match subresource {
        "log" => (Some(HeaderMap::new()), None),
        _ => (None, call.parts.extensions.remove::<OnUpgrade>()),
    };
    let headers = nothing.as_ref().unwrap_or(&call.parts.headers);
    match (subresource, wanted) {
        ("portforward", Wanted::Spdy) => return forward::serve(kubelet, wanted, headers, upgrade),
        ("portforward", _) if offers_in_web_socket(headers, forward::TUNNELLED) => {
            return forward::serve(kubelet, wanted, headers, upgrade);
        }
        _ => {}
    }
    let parameters = kubelet_query(subresource, &call.query);
    let path = if parameters.is_empty() { kubelet.path } else { format!("{}?{parameters}", kubelet.path) };
    let kubelet = Destination { path, ..kubelet };
    if wanted == Wanted::Spdy {
        return remote::serve(kubelet, headers, &call.query, upgrade).await;
    }
    let response = kubelet.pass_on(&call.parts.method, headers, upgrade, body).await?;
    // What a kubelet says of a command, clients read themselves; of a log, upstream does.
    if subresource == "log" && !response.status().is_success() {
        return Err(connection::refusal(response).await);
    }
    Ok(response)
}

/// The query of a request to a kubelet, which has its own names for the streams of a command. A flag is set in one way, however the
/// client says it: Python says `True`.
fn kubelet_query(subresource: &str, query: &Query) -> String {
    const LOG_FLAGS: [&str; 3] = ["follow", "previous", "timestamps"];
    const LOG: [&str; 5] = ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"];
    const COMMAND: [(&str, &str); 4] = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
    let mut parameters: Vec<(&str, String)> = Vec::new();
    match subresource {
        "log" => {
            let flags = LOG_FLAGS.iter().filter(|name| query.flag(name) == Some(true));
            parameters.extend(flags.map(|name| (*name, "true".to_owned())));
            parameters.extend(LOG.iter().filter_map(|name| Some((*name, query.get(name)?.to_owned()))));
        }
        "portforward" => parameters.extend(query.all("ports").map(|ports| ("port", ports.to_owned()))),
        _ => {
            let streams = COMMAND.iter().filter(|(name, _)| query.flag(name) == Some(true));
            parameters.extend(streams.map(|(_, name)| (*name, "1".to_owned())));
            parameters.extend(query.all("command").map(|word| ("command", word.to_owned())));
        }
    }
    let pairs =
        parameters.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    pairs.collect::<Vec<_>>().join("&")
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
        if let [only] = containers.as_slice() {
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
pub(super) fn address(server: &ApiServer, node: &str) -> Result<String, Status> {
    let nodes = server.registry.catalog.endpoint("", "v1", "nodes").ok_or_else(Status::unknown_resource)?;
    let node = server.registry.get(&nodes, "", node)?;
    let addresses = node.value().pointer("/status/addresses").and_then(Value::as_array);
    let of_type = |wanted: &str| {
        let mut all = addresses.into_iter().flatten();
        all.find(|address| address["type"] == wanted).and_then(|address| address["address"].as_str())
    };
    let host = ["InternalIP", "ExternalIP", "Hostname"]
        .into_iter()
        .find_map(of_type)
        .ok_or_else(|| Status::failure(Reason::Unknown, "no preferred addresses found; known addresses: []"))?;
    let port = node.value().pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_i64);
    let port = port.filter(|port| *port > 0).unwrap_or(KUBELET_PORT);
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
