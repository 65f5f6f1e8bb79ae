//! Services: the addresses and node ports that each one gets for itself.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
};

use api::builtin;
use futures::future::BoxFuture;
use machinery::{
    field::{Error, Path},
    meta,
    status::Status,
};
use serde_json::{Value, json};

use crate::{
    catalog::Endpoint,
    config::Config,
    registry::{Admission, Admitted, Change, Context, Reaction, Registry},
    service_range::ServiceRange,
    storage::ChangeKind,
};

/// Node ports: kube-apiserver's default range.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Which addresses and node ports are taken, and by whom.
#[derive(Default)]
struct Taken {
    ips: HashMap<Ipv4Addr, String>,
    ports: HashMap<i64, String>,
    /// Where the search for a free one goes on, so that two services that are made at once get different ones.
    next_ip: u32,
    next_port: i64,
}

impl Taken {
    fn free_ip(&mut self, range: ServiceRange) -> Option<Ipv4Addr> {
        let size = range.size();
        // The network, the server itself and the broadcast address are nobody's.
        for _ in 0..size {
            self.next_ip = (self.next_ip + 1) % size;
            let candidate = range.at(self.next_ip);
            let reserved = self.next_ip < 2 || self.next_ip == size - 1;
            if !reserved && !self.ips.contains_key(&candidate) {
                return Some(candidate);
            }
        }
        None
    }

    fn free_port(&mut self) -> Option<i64> {
        let count = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        for _ in 0..count {
            self.next_port = (self.next_port + 1) % count;
            let candidate = NODE_PORTS.start() + self.next_port;
            if !self.ports.contains_key(&candidate) {
                return Some(candidate);
            }
        }
        None
    }
}

/// Gives services their addresses and ports, and takes note of those that are in use.
#[derive(Clone, Default)]
pub(crate) struct ServiceAddresses {
    taken: Arc<Mutex<Taken>>,
    range: ServiceRange,
}

fn is_service(endpoint: &Endpoint) -> bool {
    let definition = endpoint.definition();
    definition.group.is_empty() && definition.plural == "services"
}

fn key(service: &Value) -> String {
    format!("{}/{}", meta::namespace(service), meta::name(service))
}

impl ServiceAddresses {
    pub(crate) fn new(range: ServiceRange) -> Self {
        Self { range, ..Self::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Taken) -> T) -> T {
        work(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What another service has already, or what lies outside of the ranges.
    fn errors(&self, service: &Value) -> Vec<Error> {
        let spec = Path::new("spec");
        let own = key(service);
        let mut errors = Vec::new();
        self.with(|taken| {
            if let Some(text) = builtin::cluster_ip(service) {
                let path = spec.child("clusterIPs");
                let refuse = |why: String| {
                    Error::invalid(&path, &json!([text]), &format!("failed to allocate IP {text}: {why}"))
                };
                match text.parse::<Ipv4Addr>() {
                    Ok(ip) if !self.range.has_host(ip) => {
                        errors.push(refuse("the provided network does not match the current range".to_owned()));
                    }
                    Ok(ip) if taken.ips.get(&ip).is_some_and(|holder| *holder != own) => {
                        errors.push(refuse("provided IP is already allocated".to_owned()));
                    }
                    _ => {}
                }
            }
            let listed = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
            let listed = listed
                .enumerate()
                .map(|(index, port)| (spec.child("ports").index(index).child("nodePort"), &port["nodePort"]));
            let of_health = [(spec.child("healthCheckNodePort"), &service["spec"]["healthCheckNodePort"])];
            for (path, port) in listed.chain(of_health) {
                let Some(port) = port.as_i64().filter(|port| *port != 0) else { continue };
                if !NODE_PORTS.contains(&port) {
                    let why = format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        NODE_PORTS.start(),
                        NODE_PORTS.end()
                    );
                    errors.push(Error::invalid(&path, &port.into(), &why));
                } else if taken.ports.get(&port).is_some_and(|holder| *holder != own) {
                    errors.push(Error::invalid(&path, &port.into(), "provided port is already allocated"));
                }
            }
        });
        errors
    }
}

impl Admission for ServiceAddresses {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let errors = if is_service(write.endpoint) && write.subresource.is_empty() {
            builtin::family_errors(object, write.old.is_none())
        } else {
            Vec::new()
        };
        Box::pin(std::future::ready(if errors.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid(&write.endpoint.kind(), meta::name(object), &errors))
        }))
    }

    fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        if !is_service(write.endpoint) || !write.subresource.is_empty() {
            return;
        }
        self.with(|taken| {
            if builtin::needs_cluster_ip(object)
                && let Some(ip) = taken.free_ip(self.range)
            {
                builtin::set_cluster_ip(object, &ip.to_string());
            }
            builtin::allocate_node_ports(object, || taken.free_port());
        });
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let errors = match object {
            Some(service) if is_service(write.endpoint) => self.errors(service),
            _ => Vec::new(),
        };
        let result = match object {
            Some(service) if !errors.is_empty() => {
                Err(Status::invalid(&write.endpoint.kind(), meta::name(service), &errors))
            }
            _ => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }
}

impl Reaction for ServiceAddresses {
    fn observe<'a>(&'a self, _registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        if is_service(change.endpoint) {
            self.with(|taken| {
                if let Some(old) = change.old {
                    release(taken, old);
                }
                if change.kind != ChangeKind::Deleted {
                    hold(taken, change.object.value());
                }
            });
        }
        None
    }
}

fn hold(taken: &mut Taken, service: &Value) {
    let own = key(service);
    if let Some(ip) = builtin::cluster_ip(service).and_then(|ip| ip.parse().ok()) {
        taken.ips.insert(ip, own.clone());
    }
    for port in builtin::node_ports(service) {
        taken.ports.insert(port, own.clone());
    }
}

fn release(taken: &mut Taken, service: &Value) {
    if let Some(ip) = builtin::cluster_ip(service).and_then(|ip| ip.parse().ok()) {
        taken.ips.remove(&ip);
    }
    for port in builtin::node_ports(service) {
        taken.ports.remove(&port);
    }
}

/// kube-apiserver's default port, which the Service of a server without a socket names.
const SECURE_PORT: u16 = 6443;

/// Creates the Service through which pods reach the server itself, and its endpoints: the address that is advertised, or that
/// of the socket, or, where nobody else could reach that, the host's.
pub(crate) async fn create_kubernetes(registry: &Registry, config: &Config) -> Result<(), Status> {
    let port = config.listens_on.map_or(SECURE_PORT, |address| address.port());
    create_own(registry, ("", "v1", "services"), own_service(config.service_range, port)).await?;
    let listens_on = config.listens_on.map(|address| address.ip());
    let listens_on = listens_on.filter(|address| !address.is_loopback() && !address.is_unspecified());
    let Some(address) = config.advertise_address.or(listens_on).or_else(host_address) else { return Ok(()) };
    create_own(registry, ("", "v1", "endpoints"), own_endpoints(address, port)).await?;
    create_own(registry, ("discovery.k8s.io", "v1", "endpointslices"), own_slice(address, port)).await
}

/// Creates an object called `kubernetes` in the namespace `default`, unless there is one.
async fn create_own(
    registry: &Registry,
    (group, version, plural): (&str, &str, &str),
    object: Value,
) -> Result<(), Status> {
    let Some(endpoint) = registry.catalog.endpoint(group, version, plural) else { return Ok(()) };
    if registry.get(&endpoint, "default", "kubernetes").is_ok() {
        return Ok(());
    }
    registry.create(&endpoint, "default", object, &Context::server("kube-apiserver")).await.map(drop)
}

/// The address by which other hosts know this one, as far as its routes tell. Nothing is sent.
fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 of RFC 5737: where the default route leads.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn own_endpoints(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": [{"ip": address.to_string()}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    })
}

fn own_slice(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": if address.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

fn own_service(range: ServiceRange, port: u16) -> Value {
    let own_ip = range.at(1).to_string();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": own_ip, "clusterIPs": [own_ip],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    })
}
