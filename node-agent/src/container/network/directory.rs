//! Looks up names and addresses: what the DNS of a cluster and its network know, out of Services, EndpointSlices and Pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use cluster::{Key, Kind, Writer, kind::POD};
use machinery::meta;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    Door, Host, Server,
    name::{self, Name},
};
use crate::container::{environment, process::Whereabouts};

const SERVICE: Kind = Kind { group: "", version: "v1", kind: "Service", plural: "services", namespaced: true };
/// The service of the API server.
const MASTER: (&str, &str) = ("default", "kubernetes");
/// Most pods of a service without an address that are looked at.
const PODS_MAX: usize = 100;
/// Most ports of a pod that are looked at.
const PORTS_MAX: usize = 100;
/// The name server.
const DNS: (&str, u16) = ("10.96.0.10", 53);

/// Where a container asks for names.
pub(crate) struct Directory<'a> {
    writer: &'a Writer,
    pod: &'a Arc<Value>,
}

impl<'a> Directory<'a> {
    /// The one that a pod asks.
    pub(crate) fn new(writer: &'a Writer, pod: &'a Arc<Value>) -> Self {
        Self { writer, pod }
    }

    /// The one that a container asks.
    pub(crate) fn of(place: &'a Whereabouts) -> Self {
        Self::new(&place.writer, &place.pod)
    }

    /// Who answers to a name or an address.
    pub(crate) async fn find(&self, host: &str) -> Option<Host> {
        if let Some(host) = self.own(host).await {
            return Some(host);
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.at_address(&address.to_string()).await;
        }
        for full in name::candidates(host, meta::namespace(self.pod)) {
            let found = match name::parse(&full) {
                Some(Name::Service(service, namespace)) => self.service(&service, &namespace).await,
                Some(Name::Pod(host, service, namespace)) => self.pod_of(&host, &service, &namespace).await,
                Some(Name::Address(address)) => self.at_address(&address).await,
                None => None,
            };
            if let Some(found) = found {
                return Some(Host { name: full, ..found });
            }
        }
        None
    }

    /// The pod itself, and names that it was given.
    async fn own(&self, host: &str) -> Option<Host> {
        let address = self.pod["status"]["podIP"].as_str().unwrap_or_default();
        let own_name = self.pod["spec"]["hostname"].as_str().unwrap_or_else(|| meta::name(self.pod));
        if matches!(host, "localhost" | "127.0.0.1" | "::1") {
            return Some(Host { name: "localhost".to_owned(), ..self.machine(self.pod, "127.0.0.1").await });
        }
        if host == own_name || !address.is_empty() && host == address {
            return Some(Host { name: own_name.to_owned(), ..self.machine(self.pod, address).await });
        }
        let aliases = self.pod["spec"]["hostAliases"].as_array().into_iter().flatten();
        let names =
            |alias: &Value| alias["hostnames"].as_array().is_some_and(|names| names.iter().any(|one| one == host));
        let address = aliases.into_iter().find(|alias| names(alias))?["ip"].as_str()?;
        let found = match address {
            "127.0.0.1" | "::1" => Some(self.machine(self.pod, address).await),
            _ => self.at_address(address).await,
        };
        let silent = || Host { addresses: vec![address.to_owned()], silent: true, ..Host::default() };
        Some(Host { name: host.to_owned(), ..found.unwrap_or_else(silent) })
    }

    /// Whoever has an address: a service, a pod, or nobody, whom packets do not reach.
    async fn at_address(&self, address: &str) -> Option<Host> {
        if address == DNS.0 {
            let doors = BTreeMap::from([(DNS.1, Door::Open(Server::of_dns()))]);
            let name = "kube-dns.kube-system.svc.cluster.local".to_owned();
            return Some(Host { name, addresses: vec![address.to_owned()], doors, silent: true });
        }
        let services = self.list("/api/v1/services", "fieldSelector", &format!("spec.clusterIP={address}")).await;
        if let Some(service) = services.first() {
            let name = format!("{}.{}.svc.cluster.local", meta::name(service), meta::namespace(service));
            return Some(Host { name, ..self.of_service(service).await? });
        }
        let pods = self.list("/api/v1/pods", "fieldSelector", &format!("status.podIP={address}")).await;
        let lives = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        match pods.iter().find(lives) {
            Some(pod) => Some(Host { name: meta::name(pod).to_owned(), ..self.machine(pod, address).await }),
            None => Some(Host { addresses: vec![address.to_owned()], silent: true, ..Host::default() }),
        }
    }

    async fn service(&self, name: &str, namespace: &str) -> Option<Host> {
        let service = self.writer.get(SERVICE, &Key::new(namespace, name)).await.ok()??;
        self.of_service(&service).await
    }

    async fn of_service(&self, service: &Value) -> Option<Host> {
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        let slices = self.slices(service).await;
        let ready: Vec<(&Value, &Value)> = endpoints(&slices, service["spec"]["publishNotReadyAddresses"] == true);
        if address == "None" {
            let mut host = Host::default();
            for (_, endpoint) in ready.iter().take(PODS_MAX) {
                host.addresses.extend(endpoint["addresses"][0].as_str().map(str::to_owned));
            }
            // Who connects reaches the first of them.
            if let Some(pod) = self.target(ready.first()?.1).await {
                host.doors = self.machine(&pod, "").await.doors;
            }
            return Some(host);
        }
        if address.is_empty() {
            // It is a name for something outside, where nothing is.
            return None;
        }
        let master = (meta::namespace(service), meta::name(service)) == MASTER;
        let mut doors = BTreeMap::new();
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            if !matches!(port["protocol"].as_str(), None | Some("TCP")) {
                continue;
            }
            let Some(number) = port["port"].as_u64().and_then(|number| u16::try_from(number).ok()) else { continue };
            let server = if master { Some(Server::of_api()) } else { self.behind(port, &ready).await };
            doors.insert(number, server.map_or(Door::Refuses, Door::Open));
        }
        Some(Host { name: String::new(), addresses: vec![address.to_owned()], doors, silent: true })
    }

    /// Who answers for a port of a service.
    async fn behind(&self, port: &Value, ready: &[(&Value, &Value)]) -> Option<Server> {
        let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
        for (slice, endpoint) in ready {
            let ports = slice["ports"].as_array().into_iter().flatten();
            let target = ports.into_iter().find(|one| name(one) == name(port)).and_then(|one| one["port"].as_u64());
            let Some(target) = target.and_then(|number| u16::try_from(number).ok()) else { continue };
            let Some(pod) = self.target(endpoint).await else {
                // An address that somebody wrote by hand leads out of the cluster.
                continue;
            };
            return Server::of_pod(&pod, target, &self.files(&pod).await);
        }
        None
    }

    /// One pod of a service, by its host name.
    async fn pod_of(&self, host: &str, service: &str, namespace: &str) -> Option<Host> {
        let service = self.writer.get(SERVICE, &Key::new(namespace, service)).await.ok()??;
        let slices = self.slices(&service).await;
        let all = endpoints(&slices, service["spec"]["publishNotReadyAddresses"] == true);
        let (_, endpoint) = all.into_iter().find(|(_, endpoint)| endpoint["hostname"] == host)?;
        let pod = self.target(endpoint).await?;
        Some(self.machine(&pod, endpoint["addresses"][0].as_str()?).await)
    }

    /// A pod as a machine in the network.
    async fn machine(&self, pod: &Value, address: &str) -> Host {
        let addresses: Vec<String> = (!address.is_empty()).then(|| address.to_owned()).into_iter().collect();
        let files = self.files(pod).await;
        let door = |port| Some((port, Door::Open(Server::of_pod(pod, port, &files)?)));
        let doors = ports(pod).into_iter().take(PORTS_MAX).filter_map(door).collect();
        Host { name: String::new(), addresses, doors, silent: false }
    }

    /// What the containers of a pod see in their volumes.
    async fn files(&self, pod: &Value) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            files.extend(environment::mounted(self.writer, pod, container).await);
        }
        files
    }

    async fn target(&self, endpoint: &Value) -> Option<Value> {
        let reference = &endpoint["targetRef"];
        let key = Key::new(reference["namespace"].as_str()?, reference["name"].as_str()?);
        self.writer.get(POD, &key).await.ok()?
    }

    async fn slices(&self, service: &Value) -> Vec<Value> {
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", meta::namespace(service));
        self.list(&path, "labelSelector", &format!("kubernetes.io/service-name={}", meta::name(service))).await
    }

    async fn list(&self, path: &str, parameter: &str, selector: &str) -> Vec<Value> {
        let selector = utf8_percent_encode(selector, NON_ALPHANUMERIC);
        let request = http::Request::get(format!("{path}?{parameter}={selector}")).body(Vec::new());
        let Ok(request) = request else { return Vec::new() };
        match self.writer.client().request::<Value>(request).await {
            Ok(mut list) => match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            Err(error) => {
                tracing::debug!(path, %error, "the network is not known");
                Vec::new()
            }
        }
    }
}

/// Endpoints that take connections, with their slices.
fn endpoints(slices: &[Value], unready: bool) -> Vec<(&Value, &Value)> {
    let mut seen = BTreeSet::new();
    let all = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten().map(move |endpoint| (slice, endpoint)));
    let ready = all.filter(|(_, endpoint)| unready || endpoint["conditions"]["ready"] != false);
    ready.filter(|(_, endpoint)| seen.insert(endpoint["addresses"][0].as_str().unwrap_or_default())).collect()
}

/// The ports at which something may listen in a pod.
fn ports(pod: &Value) -> BTreeSet<u16> {
    let containers = ["containers", "initContainers"].into_iter();
    let containers = containers.flat_map(|member| pod["spec"][member].as_array().into_iter().flatten());
    let of_container = |container: &Value| {
        let image = crate::image::find(container["image"].as_str().unwrap_or_default());
        let served = image.into_iter().flat_map(|image| image.serves.iter().map(|served| served.port));
        let declared = container["ports"].as_array().into_iter().flatten();
        let declared = declared.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok());
        let words =
            ["command", "args"].into_iter().flat_map(|member| container[member].as_array().into_iter().flatten());
        let told = words.filter_map(Value::as_str).flat_map(|word| word.split(|one: char| !one.is_ascii_digit()));
        let told = told.filter_map(|number| number.parse::<u16>().ok());
        served.chain(declared).chain(told).collect::<Vec<_>>()
    };
    containers.flat_map(of_container).chain([80, 443, 8080]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ready_endpoints_take_connections() {
        let slices = [json!({"endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.1"]},
        ]})];
        assert_eq!((endpoints(&slices, false).len(), endpoints(&slices, true).len()), (1, 2));
    }

    #[test]
    fn ports_are_declared_known_or_told() {
        let pod = json!({"spec": {"containers": [
            {"image": "redis"}, {"ports": [{"containerPort": 9000}]}, {"args": ["--listen=:5678"]},
        ]}});
        let found = ports(&pod);
        assert!([6379, 9000, 5678, 80].iter().all(|port| found.contains(port)), "{found:?}");
    }
}
