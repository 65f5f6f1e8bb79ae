//! The `proxy` subresource: a request passed on to a pod, to a pod behind a service, or to a kubelet.

use axum::body::Body;
use http::Response;
use hyper::upgrade::OnUpgrade;
use machinery::{
    meta,
    names::GroupVersionKind,
    status::{Reason, Status},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Call,
    kubelet::{self, Destination, Reach},
};
use crate::{registry::Operation, server::ApiServer};

/// What stays written out in a segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'%').add(b'/');

/// Answers any method below `proxy`.
pub(super) async fn serve(server: &ApiServer, call: &mut Call, body: Body) -> Result<Response<Body>, Status> {
    admit(server, call).await?;
    let (scheme, name, port) = named_port(&call.info.name)?;
    let is_node = call.info.resource == "nodes";
    let address = match call.info.resource.as_str() {
        "nodes" => kubelet::address(server, &name)?,
        "services" => behind_service(server, call, &name, &port)?,
        _ => of_pod(server, call, &name, &port)?,
    };
    let upgrade = call.parts.extensions.remove::<OnUpgrade>();
    let reach = match scheme.as_str() {
        // A port of its own is not the kubelet's.
        "" if is_node && port.is_empty() => Reach::Kubelet(server.config.access.kubelets.clone()),
        "https" => Reach::Tls,
        _ => Reach::Plain,
    };
    let address = match (is_node, address.rsplit_once(':')) {
        (true, Some((host, _))) if !port.is_empty() => format!("{host}:{port}"),
        _ => address,
    };
    let destination = Destination { address, path: path(call), reach };
    destination.pass_on(&call.parts.method, &call.parts.headers, upgrade, body).await.map_err(|status| {
        let why = status.message.split_once("\": ").map_or(status.message.as_str(), |(_, why)| why);
        Status::failure(Reason::ServiceUnavailable, format!("error trying to reach service: {why}"))
    })
}

/// Has the connection admitted.
async fn admit(server: &ApiServer, call: &Call) -> Result<(), Status> {
    let kind = match call.info.resource.as_str() {
        "nodes" => "NodeProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "PodProxyOptions",
    };
    let kind = GroupVersionKind::new("", "v1", kind);
    let mut options = json!({"apiVersion": "v1", "kind": kind.kind});
    let path = path_below(call);
    if !path.is_empty() {
        options["path"] = path.into();
    }
    server.registry.admit_about(Operation::Connect, call.target(), &kind, &mut options, &call.context).await
}

/// The path below `proxy`; empty when the request ends there.
fn path_below(call: &Call) -> String {
    let mut path = String::new();
    for segment in &call.info.rest {
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    if call.parts.uri.path().ends_with('/') {
        path.push('/');
    }
    path
}

/// The path and query for the other side.
fn path(call: &Call) -> String {
    let mut path = path_below(call);
    if path.is_empty() {
        path.push('/');
    }
    match call.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// Scheme, name and port of `[scheme:]name[:port]`.
fn named_port(text: &str) -> Result<(String, String, String), Status> {
    let parts: Vec<&str> = text.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return Err(Status::bad_request(format!("invalid proxy request {text:?}"))),
    };
    if !matches!(scheme, "" | "http" | "https") {
        return Err(Status::bad_request(format!("invalid proxy request {text:?}")));
    }
    Ok((scheme.to_owned(), name.to_owned(), port.to_owned()))
}

/// Where a pod listens: at its address, on the port that is asked for or the first one it declares.
fn of_pod(server: &ApiServer, call: &Call, name: &str, port: &str) -> Result<String, Status> {
    let pod = server.registry.get(&call.endpoint, &call.info.namespace, name)?;
    let address = pod.value().pointer("/status/podIP").and_then(Value::as_str).unwrap_or_default();
    if address.is_empty() {
        return Err(Status::bad_request("address not allowed"));
    }
    let containers = pod.value().pointer("/spec/containers").and_then(Value::as_array);
    let mut ports = containers.into_iter().flatten().filter_map(|container| container["ports"].as_array()).flatten();
    let port = match port {
        "" => ports.next().and_then(|port| port["containerPort"].as_u64()).unwrap_or(80).to_string(),
        given if given.parse::<u16>().is_ok() => given.to_owned(),
        named => {
            let found = ports.find(|port| port["name"] == named).and_then(|port| port["containerPort"].as_u64());
            found.map(|port| port.to_string()).ok_or_else(|| Status::bad_request(format!("invalid port {named:?}")))?
        }
    };
    Ok(joined(address, &port))
}

/// The first ready endpoint of a service.
fn behind_service(server: &ApiServer, call: &Call, name: &str, port: &str) -> Result<String, Status> {
    let namespace = &call.info.namespace;
    let service = server.registry.get(&call.endpoint, namespace, name)?;
    let ports = service.value().pointer("/spec/ports").and_then(Value::as_array);
    let found = ports.into_iter().flatten().find(|known| {
        port.is_empty()
            || known["name"] == port
            || known["port"].as_u64().is_some_and(|known| known.to_string() == port)
    });
    let unavailable = |why: String| Status::failure(Reason::ServiceUnavailable, why);
    let found = found.ok_or_else(|| unavailable(format!("no service port {port:?} found for service {name:?}")))?;
    let port_name = found["name"].as_str().unwrap_or_default();
    let none = || unavailable(format!("no endpoints available for service {name:?}"));
    let slices = server.registry.catalog.endpoint("discovery.k8s.io", "v1", "endpointslices").ok_or_else(none)?;
    let snapshot = slices.resource.space().snapshot();
    let prefix = format!("{namespace}/");
    let mut of_service = snapshot
        .range(&prefix, None)
        .filter(|slice| meta::label(slice.value(), "kubernetes.io/service-name") == Some(name));
    of_service.find_map(|slice| ready_address(slice.value(), port_name)).ok_or_else(none)
}

fn ready_address(slice: &Value, port_name: &str) -> Option<String> {
    let port = slice["ports"].as_array()?.iter().find(|port| port["name"].as_str().unwrap_or_default() == port_name)?;
    let ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
    let endpoint = slice["endpoints"].as_array()?.iter().find(ready)?;
    Some(joined(endpoint["addresses"].get(0)?.as_str()?, &port["port"].as_u64()?.to_string()))
}

fn joined(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_may_carry_a_port() {
        for (text, expected) in [
            ("p", ("", "p", "")),
            ("p:80", ("", "p", "80")),
            ("http:p:web", ("http", "p", "web")),
            ("https:p:443", ("https", "p", "443")),
        ] {
            let (scheme, name, port) = named_port(text).expect(text);
            assert_eq!((scheme.as_str(), name.as_str(), port.as_str()), expected);
        }
        assert_eq!(named_port("ftp:p:443").expect_err("refused").code, 400);
        assert_eq!(named_port("a:b:c:d").expect_err("refused").code, 400);
    }

    #[test]
    fn the_first_ready_endpoint_is_taken() {
        let slice = json!({
            "ports": [{"name": "", "port": 80}, {"name": "web", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
                {"addresses": ["fd00::1"], "conditions": {"ready": true}},
            ],
        });
        assert_eq!(ready_address(&slice, "web").as_deref(), Some("[fd00::1]:8080"));
        assert_eq!(ready_address(&slice, "").as_deref(), Some("[fd00::1]:80"));
        assert_eq!(ready_address(&slice, "none"), None);
    }
}
