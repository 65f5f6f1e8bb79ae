//! Where services are.
//!
//! A service is reached at its endpoints, or, when it is an `ExternalName`, at that name. The latter is how a server that runs on
//! this machine is used with its in-cluster configuration: a Service of type `ExternalName` with the name `localhost`. The
//! certificate must be for `<service>.<namespace>.svc` either way.

use machinery::{field::quote, meta};
use serde_json::Value;

use crate::registry::Registry;

/// Why a service is nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("service {} not found", quote(.0))]
    NoService(String),
    #[error("no service port {port} found for service {}", quote(.service))]
    NoPort { service: String, port: u64 },
    #[error("port {0} is out of range")]
    BadPort(u64),
    #[error("no endpoints available for service {}", quote(.0))]
    NoSlices(String),
    #[error("no endpoints available for service {}", quote(.service))]
    NoAddress { service: String, port_name: String },
}

/// Where a service is.
pub(crate) fn resolve(
    registry: &Registry,
    namespace: &str,
    name: &str,
    port: u64,
) -> Result<(String, u16), Unreachable> {
    let missing = || Unreachable::NoService(name.to_owned());
    let services = registry.catalog.endpoint("", "v1", "services").ok_or_else(missing)?;
    let service = services.resource.space().get(&services.resource.key(namespace, name)).ok_or_else(missing)?;
    let service = service.value();
    if service.pointer("/spec/type").is_some_and(|kind| kind == "ExternalName") {
        let host = service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default();
        let port = u16::try_from(port).map_err(|_| Unreachable::BadPort(port))?;
        return Ok((host.to_owned(), port));
    }
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let found = ports.into_iter().flatten().find(|found| found["port"].as_u64() == Some(port));
    let found = found.ok_or_else(|| Unreachable::NoPort { service: name.to_owned(), port })?;
    let port_name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    let none = || Unreachable::NoSlices(name.to_owned());
    let slices = registry.catalog.endpoint("discovery.k8s.io", "v1", "endpointslices").ok_or_else(none)?;
    let snapshot = slices.resource.space().snapshot();
    let prefix = format!("{namespace}/");
    let mut own = snapshot
        .range(&prefix, None)
        .map(|slice| slice.value())
        .filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name))
        .peekable();
    own.peek().ok_or_else(none)?;
    own.find_map(|slice| address(slice, port_name))
        .ok_or_else(|| Unreachable::NoAddress { service: name.to_owned(), port_name: port_name.to_owned() })
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
