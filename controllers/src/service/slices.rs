//! EndpointSlices of services.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::{Backend, HEADLESS, backends, hostname, is_headless, selector, target_ref, touched_by_pod};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    node_fit::list,
    ownership, pod,
};

/// The label with the name of the service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who writes a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Most endpoints of a slice: `--max-endpoints-per-slice`.
const ENDPOINTS_MAX: usize = 100;

/// The endpoint slice controller.
pub(crate) struct EndpointSlices;

impl Controller for EndpointSlices {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::SERVICE, kind::POD, kind::ENDPOINT_SLICE, kind::NODE]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        match changed.kind {
            kind::SERVICE => due.extend(changed.after.as_ref().map(|service| (kind::SERVICE, Key::of(service)))),
            kind::POD => touched_by_pod(changed, cache, due),
            kind::ENDPOINT_SLICE => {
                let owners = changed.states().filter_map(|one| ownership::controller_of(kind::SERVICE, one, cache));
                due.extend(owners.map(|service| (kind::SERVICE, Key::of(service))));
            }
            // Zones are read when endpoints are written.
            _ => {}
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(service) = cache.get(kind::SERVICE, key) else { return Plan::default() };
        let Some(selector) = selector(service).filter(|_| meta::deletion_timestamp(service).is_none()) else {
            return Plan::default();
        };
        let ours = |slice: &&Arc<Value>| meta::label(slice, MANAGED_BY) == Some(MANAGER);
        let slices: Vec<&Arc<Value>> = cache.owned(kind::ENDPOINT_SLICE, meta::uid(service)).filter(ours).collect();
        // By their ports: a slice has the same for all of its endpoints.
        let mut wanted: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
        for backend in backends(service, &selector, cache) {
            let ports = json!(backend.ports);
            let group = wanted.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new()));
            group.1.push(endpoint(service, &backend, cache));
        }
        if wanted.is_empty() {
            // One slice says that there is nobody.
            wanted.insert(String::new(), (Value::Null, Vec::new()));
        }
        plan(service, &slices, wanted).into()
    }
}

fn endpoint(service: &Value, backend: &Backend<'_>, cache: &Cache) -> Value {
    let serving = pod::is_ready(backend.pod) || service["spec"]["publishNotReadyAddresses"] == true;
    let mut endpoint = json!({
        "addresses": [backend.ip],
        "conditions": {"ready": backend.ready, "serving": serving, "terminating": backend.terminating},
        "targetRef": target_ref(backend.pod),
    });
    if let Some(node) = pod::node_name(backend.pod) {
        endpoint["nodeName"] = json!(node);
        let zone = cache.get(kind::NODE, &Key::new("", node));
        if let Some(zone) = zone.and_then(|node| meta::label(node, "topology.kubernetes.io/zone")) {
            endpoint["zone"] = json!(zone);
        }
    }
    if let Some(hostname) = hostname(service, backend.pod) {
        endpoint["hostname"] = json!(hostname);
    }
    endpoint
}

fn same_ports(slice: &Value, ports: &Value) -> bool {
    let empty = |ports: &Value| ports.as_array().is_none_or(Vec::is_empty);
    slice["ports"] == *ports || empty(&slice["ports"]) && empty(ports)
}

/// Who an endpoint is: the pod behind it.
fn who(endpoint: &Value) -> &Value {
    &endpoint["targetRef"]["uid"]
}

/// What to write so that the slices of a service have the wanted endpoints: each stays in its slice, new ones go where
/// there is room.
fn plan(service: &Arc<Value>, slices: &[&Arc<Value>], wanted: BTreeMap<String, (Value, Vec<Value>)>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut left: Vec<&Arc<Value>> = slices.to_vec();
    for (ports, mut endpoints) in wanted.into_values() {
        let (own, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|slice| same_ports(slice, &ports));
        left = others;
        let mut filled: Vec<(&Arc<Value>, Vec<Value>)> = Vec::new();
        for slice in own {
            let keeps = |one: &Value| list(slice, "/endpoints").any(|known| who(known) == who(one));
            let (kept, others): (Vec<Value>, Vec<Value>) = endpoints.into_iter().partition(keeps);
            endpoints = others;
            filled.push((slice, kept));
        }
        for (_, kept) in &mut filled {
            let room = ENDPOINTS_MAX.saturating_sub(kept.len()).min(endpoints.len());
            kept.extend(endpoints.drain(..room));
        }
        let mut alone = filled.iter().all(|(_, kept)| kept.is_empty());
        for (slice, kept) in filled {
            if kept.is_empty() && !std::mem::take(&mut alone) {
                left.push(slice);
            } else {
                actions.extend(update(service, slice, kept));
            }
        }
        let is_placeholder = endpoints.is_empty() && alone;
        for chunk in endpoints.chunks(ENDPOINTS_MAX) {
            actions.push(make(service, &ports, chunk.to_vec()));
        }
        if is_placeholder {
            actions.push(make(service, &ports, Vec::new()));
        }
    }
    let delete = |slice: &Arc<Value>| Action::Delete {
        kind: kind::ENDPOINT_SLICE,
        object: slice.clone(),
        grace: None,
        tell: None,
    };
    actions.extend(left.into_iter().filter(|slice| meta::deletion_timestamp(slice).is_none()).map(delete));
    actions
}

fn labels(service: &Value) -> Value {
    let own = |key: &str| [SERVICE_NAME, MANAGED_BY, HEADLESS].contains(&key);
    let mut labels: serde_json::Map<String, Value> =
        meta::labels(service).filter(|(key, _)| !own(key)).map(|(key, value)| (key.to_owned(), json!(value))).collect();
    labels.insert(SERVICE_NAME.to_owned(), json!(meta::name(service)));
    labels.insert(MANAGED_BY.to_owned(), json!(MANAGER));
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), json!(""));
    }
    Value::Object(labels)
}

fn update(service: &Value, slice: &Arc<Value>, endpoints: Vec<Value>) -> Option<Action> {
    let labels = labels(service);
    let present: Vec<&Value> = list(slice, "/endpoints").collect();
    let same = present.len() == endpoints.len() && endpoints.iter().all(|one| present.contains(&one));
    if same && slice["metadata"]["labels"] == labels {
        return None;
    }
    let mut changed = Value::clone(slice);
    changed["endpoints"] = json!(endpoints);
    meta::set(&mut changed, "labels", labels);
    Some(Action::Replace { kind: kind::ENDPOINT_SLICE, object: changed, subresource: "" })
}

fn make(service: &Arc<Value>, ports: &Value, endpoints: Vec<Value>) -> Action {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", meta::name(service)),
            "namespace": meta::namespace(service),
            "labels": labels(service),
            "ownerReferences": [ownership::reference(kind::SERVICE, service)],
        },
        "addressType": service["spec"]["ipFamilies"][0].as_str().unwrap_or("IPv4"),
        "endpoints": endpoints,
        "ports": ports,
    });
    Action::Create { kind: kind::ENDPOINT_SLICE, object: slice, tell: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(names: std::ops::Range<usize>) -> Vec<Value> {
        names.map(|number| json!({"addresses": ["10.0.0.1"], "targetRef": {"uid": number.to_string()}})).collect()
    }

    fn service() -> Arc<Value> {
        Arc::new(json!({"metadata": {"namespace": "n", "name": "s", "uid": "s"}, "spec": {}}))
    }

    fn slice(name: &str, names: std::ops::Range<usize>) -> Arc<Value> {
        Arc::new(json!({
            "metadata": {"namespace": "n", "name": name, "labels": labels(&service())},
            "endpoints": endpoints(names), "ports": [{"port": 80}],
        }))
    }

    /// What is written: name of the slice, how many endpoints.
    fn writes(slices: &[Arc<Value>], wanted: Vec<Value>) -> Vec<(String, usize)> {
        let slices: Vec<&Arc<Value>> = slices.iter().collect();
        let wanted = match wanted.is_empty() {
            true => BTreeMap::from([(String::new(), (Value::Null, wanted))]),
            false => BTreeMap::from([(String::new(), (json!([{"port": 80}]), wanted))]),
        };
        let size = |object: &Value| object["endpoints"].as_array().map_or(0, Vec::len);
        let word = |action: Action| match action {
            Action::Create { object, .. } => ("new".to_owned(), size(&object)),
            Action::Replace { object, .. } => (meta::name(&object).to_owned(), size(&object)),
            Action::Delete { object, .. } => (format!("-{}", meta::name(&object)), 0),
            other => panic!("{other:?}"),
        };
        plan(&service(), &slices, wanted).into_iter().map(word).collect()
    }

    #[test]
    fn endpoints_stay_in_their_slices() {
        let own = |name: &str, size: usize| (name.to_owned(), size);
        assert_eq!(writes(&[], vec![]), [own("new", 0)]);
        assert_eq!(writes(&[], endpoints(0..150)), [own("new", 100), own("new", 50)]);
        assert_eq!(writes(&[slice("a", 0..2)], endpoints(0..2)), []);
        assert_eq!(writes(&[slice("a", 0..99), slice("b", 99..120)], endpoints(0..121)), [own("a", 100)]);
        assert_eq!(writes(&[slice("a", 0..2), slice("b", 2..4)], endpoints(2..4)), [own("-a", 0)]);
        assert_eq!(writes(&[slice("a", 0..2)], vec![]), [own("new", 0), own("-a", 0)]);
    }
}
