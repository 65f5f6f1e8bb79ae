//! The pods behind services: EndpointSlices, Endpoints.

pub(crate) mod endpoints;
pub(crate) mod slices;

use std::sync::Arc;

use cluster::{Key, Kind, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::{Map, Value, json};

use crate::{
    cache::{Cache, Changed},
    node_fit::list,
    pod,
};

/// The service of a slice, and what a slice of a service without an address of its own says.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What the pods of a service are; `None`: somebody else says who is behind it.
fn selector(service: &Value) -> Option<Selector> {
    if service["spec"]["type"] == "ExternalName" {
        return None;
    }
    let labels = service["spec"]["selector"].as_object().filter(|labels| !labels.is_empty())?;
    Some(Selector::from_labels(labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))))
}

fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}

/// The services that a change of a pod concerns.
fn touched_by_pod(changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
    if !["/metadata/labels", "/metadata/deletionTimestamp", "/status"].iter().any(|part| changed.differs_at(part)) {
        return;
    }
    let Some(namespace) = changed.latest().map(|pod| meta::namespace(pod)) else { return };
    for service in cache.in_namespace(kind::SERVICE, namespace) {
        let selected = selector(service).is_some_and(|all| changed.states().any(|pod| all.matches_object(pod)));
        if selected {
            due.push((kind::SERVICE, Key::of(service)));
        }
    }
}

/// A pod behind a service.
struct Backend<'a> {
    pod: &'a Arc<Value>,
    ip: &'a str,
    /// Name, protocol and number of each port that the pod has.
    ports: Vec<Value>,
    ready: bool,
    terminating: bool,
}

/// The pods behind a service that have an address, in the order of their names.
fn backends<'a>(service: &'a Value, selector: &Selector, cache: &'a Cache) -> Vec<Backend<'a>> {
    let tolerates_unready = service["spec"]["publishNotReadyAddresses"] == true;
    let namespace = meta::namespace(service);
    let pods = cache.in_namespace(kind::POD, namespace);
    let selected = pods.filter(|pod| !pod::is_terminal(pod) && selector.matches_object(pod));
    let backend = |pod: &'a Arc<Value>| {
        let ip = pod["status"]["podIP"].as_str().filter(|ip| !ip.is_empty())?;
        let terminating = meta::deletion_timestamp(pod).is_some();
        let ready = tolerates_unready || pod::is_ready(pod) && !terminating;
        Some(Backend { pod, ip, ports: ports(service, pod), ready, terminating })
    };
    selected.filter_map(backend).collect()
}

fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let port = |wanted: &Value| {
        let number = target(wanted, pod)?;
        let mut port = Map::new();
        port.insert("name".to_owned(), json!(wanted["name"].as_str().unwrap_or_default()));
        port.insert("protocol".to_owned(), json!(wanted["protocol"].as_str().unwrap_or("TCP")));
        port.insert("port".to_owned(), json!(number));
        if let Some(protocol) = wanted["appProtocol"].as_str() {
            port.insert("appProtocol".to_owned(), json!(protocol));
        }
        Some(Value::Object(port))
    };
    list(service, "/spec/ports").filter_map(port).collect()
}

/// The number of the container's port that is meant.
fn target(wanted: &Value, pod: &Value) -> Option<i64> {
    match &wanted["targetPort"] {
        Value::String(name) => {
            let restartable = list(pod, "/spec/initContainers").filter(|one| one["restartPolicy"] == "Always");
            let containers = list(pod, "/spec/containers").chain(restartable);
            let mut ports = containers.flat_map(|container| list(container, "/ports"));
            let protocol = wanted["protocol"].as_str().unwrap_or("TCP");
            let same =
                |port: &&Value| port["name"] == name.as_str() && port["protocol"].as_str().unwrap_or("TCP") == protocol;
            ports.find(same)?["containerPort"].as_i64()
        }
        other => other.as_i64().filter(|port| *port != 0).or_else(|| wanted["port"].as_i64()),
    }
}

/// The name under which a pod is found in the service's domain.
fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let hostname = pod["spec"]["hostname"].as_str().filter(|name| !name.is_empty())?;
    (pod["spec"]["subdomain"] == meta::name(service)).then_some(hostname)
}

fn target_ref(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_by_name() {
        let pod = json!({"spec": {"containers": [{"ports": [
            {"name": "web", "containerPort": 8080, "protocol": "TCP"}, {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        ]}]}});
        let number = |port: Value| target(&port, &pod);
        assert_eq!(number(json!({"port": 80, "targetPort": "web"})), Some(8080));
        assert_eq!(number(json!({"port": 80, "targetPort": "dns"})), None);
        assert_eq!(number(json!({"port": 53, "targetPort": "dns", "protocol": "UDP"})), Some(53));
        assert_eq!(number(json!({"port": 80, "targetPort": 90})), Some(90));
        assert_eq!(number(json!({"port": 80})), Some(80));
    }
}
