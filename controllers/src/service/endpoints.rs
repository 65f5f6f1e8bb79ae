//! Endpoints of services, for clients that do not know slices.

use std::collections::BTreeMap;

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Map, Value, json};

use super::{Backend, HEADLESS, backends, hostname, is_headless, selector, target_ref, touched_by_pod};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    pod,
};

/// The label that says who writes the object.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// The annotation that says that some addresses are left out, and from how many on they are.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const ADDRESSES_MAX: usize = 1000;

/// The endpoints controller.
pub(crate) struct Endpoints;

impl Controller for Endpoints {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::SERVICE, kind::POD, kind::ENDPOINTS]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        match changed.kind {
            kind::POD => touched_by_pod(changed, cache, due),
            // Both have one name.
            _ => due.extend(changed.latest().map(|object| (kind::SERVICE, Key::of(object)))),
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let present = cache.get(kind::ENDPOINTS, key);
        let Some(service) = cache.get(kind::SERVICE, key) else {
            let ours = present.filter(|object| meta::label(object, MANAGED_BY) == Some(MANAGER));
            let delete = ours.map(|object| Action::Delete {
                kind: kind::ENDPOINTS,
                object: object.clone(),
                grace: None,
                tell: None,
            });
            return delete.into_iter().collect::<Vec<_>>().into();
        };
        let Some(selector) = selector(service).filter(|_| meta::deletion_timestamp(service).is_none()) else {
            return Plan::default();
        };
        let mut backends = backends(service, &selector, cache);
        backends.retain(|backend| !backend.terminating || service["spec"]["publishNotReadyAddresses"] == true);
        let truncated = backends.len() > ADDRESSES_MAX;
        backends.truncate(ADDRESSES_MAX);
        let subsets = subsets(service, &backends);
        let labels = labels(service);
        let mut object = present.map_or_else(
            || json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"namespace": key.namespace, "name": key.name}}),
            |object| Value::clone(object),
        );
        let before = object.clone();
        meta::set(&mut object, "labels", labels);
        if truncated {
            object["metadata"]["annotations"][OVER_CAPACITY] = json!("truncated");
        } else if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(OVER_CAPACITY);
        }
        match (subsets.is_empty(), object.as_object_mut()) {
            (true, Some(members)) => drop(members.remove("subsets")),
            (_, _) => object["subsets"] = json!(subsets),
        }
        let action = match present {
            Some(_) if object == before => return Plan::default(),
            Some(_) => Action::Replace { kind: kind::ENDPOINTS, object, subresource: "" },
            None => Action::Create { kind: kind::ENDPOINTS, object, tell: None },
        };
        vec![action].into()
    }
}

fn labels(service: &Value) -> Map<String, Value> {
    let mut labels: Map<String, Value> =
        meta::labels(service).map(|(key, value)| (key.to_owned(), json!(value))).collect();
    labels.insert(MANAGED_BY.to_owned(), json!(MANAGER));
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), json!(""));
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

/// Addresses with the same ports, together.
fn subsets(service: &Value, backends: &[Backend<'_>]) -> Vec<Value> {
    let mut groups: BTreeMap<String, (&[Value], [Vec<Value>; 2])> = BTreeMap::new();
    let needs_ports = service["spec"]["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    for backend in backends.iter().filter(|backend| !needs_ports || !backend.ports.is_empty()) {
        let key = json!(backend.ports).to_string();
        let group = groups.entry(key).or_insert_with(|| (backend.ports.as_slice(), Default::default()));
        group.1[usize::from(!backend.ready)].push(address(service, backend));
    }
    let subset = |(ports, [mut ready, mut waiting]): (&[Value], [Vec<Value>; 2])| {
        let mut subset = Map::new();
        for (member, addresses) in [("addresses", &mut ready), ("notReadyAddresses", &mut waiting)] {
            addresses.sort_by(|one, other| one["ip"].as_str().cmp(&other["ip"].as_str()));
            if !addresses.is_empty() {
                subset.insert(member.to_owned(), json!(addresses));
            }
        }
        if !ports.is_empty() {
            subset.insert("ports".to_owned(), ports.iter().map(port).collect());
        }
        Value::Object(subset)
    };
    groups.into_values().map(subset).collect()
}

/// A port here has no name rather than an empty one.
fn port(port: &Value) -> Value {
    let mut port = port.clone();
    if port["name"] == "" {
        drop(port.as_object_mut().map(|members| members.remove("name")));
    }
    port
}

fn address(service: &Value, backend: &Backend<'_>) -> Value {
    let mut address = json!({"ip": backend.ip, "targetRef": target_ref(backend.pod)});
    if let Some(node) = pod::node_name(backend.pod) {
        address["nodeName"] = json!(node);
    }
    if let Some(hostname) = hostname(service, backend.pod) {
        address["hostname"] = json!(hostname);
    }
    address
}
