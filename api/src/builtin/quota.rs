//! What objects use of a ResourceQuota. Names, rules and words are those of upstream's quota evaluators.

use std::collections::BTreeSet;

use machinery::quantity::{Format, Quantity};
use serde_json::{Value, json};

use super::pod::{Amounts, amounts, pod_amounts, quality_class};
use super::pointer::{has, integer, list, members, text, texts};

/// Devices that a request for all of them counts for: the most that one claim can get (`AllocationResultsMaxSize`).
const ALL_DEVICES: i64 = 32;

/// The end of the name that counts devices of a class; the class stands before it.
const DEVICES: &str = ".deviceclass.resource.k8s.io/devices";

/// Counts devices of a class as the extended resource that every class is; the class follows.
const IMPLICIT: &str = "requests.deviceclass.resource.kubernetes.io/";

/// Marks claims that the scheduler made for extended resources; their pods are charged already.
const EXTENDED_RESOURCE_CLAIM: &str = "resource.kubernetes.io/extended-resource-claim";

/// The name by which objects of a resource (`pods`, `deployments.apps`) are counted.
pub fn count_name(resource: &str) -> String {
    format!("count/{resource}")
}

/// The resource that a name counts the objects of, if it is such a name.
pub fn counted_resource(name: &str) -> Option<&str> {
    const OLD_NAMES: [&str; 5] = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services"];
    name.strip_prefix("count/").or_else(|| OLD_NAMES.into_iter().find(|old| *old == name))
}

/// The resource whose objects are to be looked at for what a name measures, besides plain counts.
pub fn measured_resource(name: &str) -> &'static str {
    if name.ends_with(DEVICES) || name.starts_with(IMPLICIT) {
        return "resourceclaims.resource.k8s.io";
    }
    match name {
        "services.nodeports" | "services.loadbalancers" => "services",
        "persistentvolumeclaims" | "requests.storage" => "persistentvolumeclaims",
        _ if name.contains(STORAGE_CLASS) => "persistentvolumeclaims",
        _ => "pods",
    }
}

const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

fn number(count: i64) -> Quantity {
    Quantity::new(count, Format::DecimalSi)
}

/// What an object of a resource uses, by name. `extended_resource` tells the extended resource of a device class.
pub fn usage(resource: &str, object: &Value, extended_resource: &dyn Fn(&str) -> Option<String>) -> Amounts {
    let mut usage = match resource {
        "pods" => pod_usage(object),
        "services" => service_usage(object),
        "persistentvolumeclaims" => volume_usage(object),
        "resourceclaims.resource.k8s.io" => device_usage(object, extended_resource),
        _ => Amounts::new(),
    };
    for name in [count_name(resource), resource.to_owned()] {
        if counted_resource(&name) == Some(resource) {
            usage.insert(name, number(1));
        }
    }
    usage
}

fn pod_usage(pod: &Value) -> Amounts {
    let mut usage = Amounts::new();
    if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") {
        return usage;
    }
    usage.insert("pods".to_owned(), number(1));
    for (name, amount) in pod_amounts(pod, "requests", true) {
        if is_native(&name) {
            usage.insert(name.clone(), amount.clone());
        }
        usage.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in pod_amounts(pod, "limits", true) {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            usage.insert(format!("limits.{name}"), amount);
        }
    }
    usage
}

fn is_native(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn service_usage(service: &Value) -> Amounts {
    let ports = i64::try_from(list(service, "/spec/ports").len()).unwrap_or(i64::MAX);
    let node_ports = list(service, "/spec/ports").iter().filter(|port| integer(port, "/nodePort") != 0).count();
    let (balancers, node_ports) = match text(service, "/spec/type") {
        "NodePort" => (0, ports),
        "LoadBalancer" if service.pointer("/spec/allocateLoadBalancerNodePorts") == Some(&json!(false)) => {
            (1, i64::try_from(node_ports).unwrap_or(i64::MAX))
        }
        "LoadBalancer" => (1, ports),
        _ => (0, 0),
    };
    Amounts::from([
        ("services.loadbalancers".to_owned(), number(balancers)),
        ("services.nodeports".to_owned(), number(node_ports)),
    ])
}

fn volume_usage(claim: &Value) -> Amounts {
    let mut usage = Amounts::from([("persistentvolumeclaims".to_owned(), number(1))]);
    let storage = amounts(claim, "/spec/resources/requests").remove("storage");
    let class = text(claim, "/spec/storageClassName");
    if !class.is_empty() {
        usage.insert(format!("{class}{STORAGE_CLASS}persistentvolumeclaims"), number(1));
    }
    if let Some(storage) = storage {
        if !class.is_empty() {
            usage.insert(format!("{class}{STORAGE_CLASS}requests.storage"), storage.clone());
        }
        usage.insert("requests.storage".to_owned(), storage);
    }
    usage
}

/// Devices by class. Of alternatives, each class counts with the most that any of them asks for.
fn device_usage(claim: &Value, extended_resource: &dyn Fn(&str) -> Option<String>) -> Amounts {
    let mut usage = Amounts::new();
    let mut charge = |class: &str, count: i64| {
        let mut names = vec![format!("{class}{DEVICES}")];
        if machinery::meta::annotation(claim, EXTENDED_RESOURCE_CLAIM) != Some("true") {
            names.push(format!("{IMPLICIT}{class}"));
            names.extend(extended_resource(class).map(|name| format!("requests.{name}")));
        }
        for name in names {
            let sum = usage.get(&name).map_or_else(|| number(count), |known: &Quantity| known.add(&number(count)));
            usage.insert(name, sum);
        }
    };
    for request in list(claim, "/spec/devices/requests") {
        let alternatives = list(request, "/firstAvailable");
        let mut most: Vec<(&str, i64)> = Vec::new();
        let exact = request.get("exactly").into_iter();
        for asked in exact.chain(alternatives) {
            let (class, count) = (text(asked, "/deviceClassName"), device_count(asked));
            match most.iter_mut().find(|(known, _)| *known == class) {
                Some((_, known)) => *known = (*known).max(count),
                None => most.push((class, count)),
            }
        }
        most.into_iter().for_each(|(class, count)| charge(class, count));
    }
    usage
}

fn device_count(request: &Value) -> i64 {
    match (text(request, "/allocationMode"), integer(request, "/count")) {
        ("All", _) => ALL_DEVICES,
        (_, 0) => 1,
        (_, count) => count,
    }
}

/// Whether a quota is about an object of a resource, as far as its scopes go.
pub fn quota_is_about(quota: &Value, resource: &str, object: &Value) -> bool {
    quota_scopes(quota).iter().all(|scope| is_in_scope(scope, resource, object))
}

/// The scopes of a quota, all as selectors.
pub fn quota_scopes(quota: &Value) -> Vec<Value> {
    let exists = texts(quota, "/spec/scopes").map(|scope| json!({"scopeName": scope, "operator": "Exists"}));
    exists.chain(list(quota, "/spec/scopeSelector/matchExpressions").iter().cloned()).collect()
}

/// Whether an object of a resource is in a scope.
pub fn is_in_scope(scope: &Value, resource: &str, object: &Value) -> bool {
    let name = text(scope, "/scopeName");
    let terminating =
        || has(object, "/spec/activeDeadlineSeconds") && integer(object, "/spec/activeDeadlineSeconds") >= 0;
    match (resource, name) {
        ("pods", "Terminating") => terminating(),
        ("pods", "NotTerminating") => !terminating(),
        ("pods", "BestEffort") => quality_class(object) == "BestEffort",
        ("pods", "NotBestEffort") => quality_class(object) != "BestEffort",
        ("pods", "PriorityClass") => has_value(scope, text(object, "/spec/priorityClassName")),
        ("pods", "CrossNamespacePodAffinity") => reaches_other_namespaces(object),
        ("persistentvolumeclaims", "VolumeAttributesClass") => {
            has_value(scope, text(object, "/spec/volumeAttributesClassName"))
        }
        _ => false,
    }
}

fn has_value(scope: &Value, value: &str) -> bool {
    let is_listed = || texts(scope, "/values").any(|wanted| wanted == value);
    match text(scope, "/operator") {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "DoesNotExist" => value.is_empty(),
        _ => !value.is_empty(),
    }
}

fn reaches_other_namespaces(pod: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|affinity| {
        let terms = |member: &str| list(pod, &format!("/spec/affinity/{affinity}/{member}"));
        let required = terms("requiredDuringSchedulingIgnoredDuringExecution").iter();
        let preferred = terms("preferredDuringSchedulingIgnoredDuringExecution").iter();
        let preferred = preferred.filter_map(|weighted| weighted.get("podAffinityTerm"));
        required.chain(preferred).any(|term| !list(term, "/namespaces").is_empty() || has(term, "/namespaceSelector"))
    })
}

/// Whether a pod says as a whole what it asks for (KEP-2837): of the resources that it can say it of.
fn states_resources(pod: &Value) -> bool {
    let mut stated = members(pod, "/spec/resources/requests").chain(members(pod, "/spec/resources/limits"));
    stated.any(|(resource, _)| matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-"))
}

/// What a pod must state to be counted by a quota with these names, and does not: `limits.cpu for: a,b; …`.
pub fn unstated<'a>(pod: &Value, names: impl Iterator<Item = &'a str>) -> Option<String> {
    if states_resources(pod) {
        return None;
    }
    let mut missing: Vec<String> = Vec::new();
    for name in names {
        let (member, resource) = match name {
            "cpu" | "memory" => ("requests", name),
            "requests.cpu" | "requests.memory" => ("requests", &name["requests.".len()..]),
            "limits.cpu" | "limits.memory" => ("limits", &name["limits.".len()..]),
            _ => continue,
        };
        let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
        let without = containers.filter(|container| {
            !members(container, &format!("/resources/{member}")).any(|(stated, _)| stated == resource)
        });
        let without: BTreeSet<&str> = without.map(|container| text(container, "/name")).collect();
        if !without.is_empty() {
            missing.push(format!("{name} for: {}", Vec::from_iter(without).join(",")));
        }
    }
    missing.sort();
    (!missing.is_empty()).then(|| format!("must specify {}", missing.join("; ")))
}

/// Amounts as messages show them: `cpu=1,pods=2`.
pub fn shown_amounts(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(resource: &str, object: Value) -> String {
        shown_amounts(&usage(resource, &object, &|class| (class == "gpu").then(|| "example.com/gpu".to_owned())))
    }

    #[test]
    fn pods_use_what_their_containers_ask_for() {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": {
            "requests": {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "2"}, "limits": {"cpu": "1", "example.com/gpu": "2"},
        }}]}});
        assert_eq!(
            shown("pods", pod),
            "count/pods=1,cpu=500m,limits.cpu=1,memory=1Gi,pods=1,requests.cpu=500m,requests.example.com/gpu=2,requests.memory=1Gi"
        );
        assert_eq!(shown("pods", json!({"status": {"phase": "Failed"}})), "count/pods=1");
    }

    #[test]
    fn claims_use_devices_by_class() {
        let claim = json!({"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
            {"name": "b", "exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
            {"name": "c", "firstAvailable": [
                {"name": "x", "deviceClassName": "gpu", "count": 1}, {"name": "y", "deviceClassName": "gpu", "count": 3},
            ]},
        ]}}});
        assert_eq!(
            shown("resourceclaims.resource.k8s.io", claim),
            "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=5,\
             nic.deviceclass.resource.k8s.io/devices=32,requests.deviceclass.resource.kubernetes.io/gpu=5,\
             requests.deviceclass.resource.kubernetes.io/nic=32,requests.example.com/gpu=5"
        );
    }

    #[test]
    fn other_objects_are_counted() {
        assert_eq!(shown("configmaps", json!({})), "configmaps=1,count/configmaps=1");
        assert_eq!(shown("deployments.apps", json!({})), "count/deployments.apps=1");
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}});
        assert_eq!(
            shown("services", service),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
        );
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        assert_eq!(
            shown("persistentvolumeclaims", claim),
            "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
             fast.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi"
        );
    }

    #[test]
    fn scopes_narrow_a_quota() {
        let about = |quota: Value, pod: Value| quota_is_about(&json!({"spec": quota}), "pods", &pod);
        let burst =
            json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}], "priorityClassName": "high"}});
        assert!(about(json!({"scopes": ["NotBestEffort", "NotTerminating"]}), burst.clone()));
        assert!(!about(json!({"scopes": ["BestEffort"]}), burst.clone()));
        let class = |operator: &str, values: Value| json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}});
        assert!(about(class("In", json!(["high"])), burst.clone()));
        assert!(!about(class("NotIn", json!(["high"])), burst.clone()));
        assert!(!quota_is_about(&json!({"spec": {"scopes": ["BestEffort"]}}), "configmaps", &burst));
    }

    #[test]
    fn pods_must_state_what_is_counted() {
        let pod =
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}]}});
        assert_eq!(
            unstated(&pod, ["pods", "limits.cpu", "memory"].into_iter()),
            Some("must specify limits.cpu for: a; memory for: a,b".to_owned())
        );
        assert_eq!(unstated(&pod, ["pods"].into_iter()), None);
        let several =
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a"}], "initContainers": [{"name": "aa"}]}});
        let mut whole = several.clone();
        whole["spec"]["resources"] = json!({"requests": {"example.com/gpu": "1"}});
        assert!(unstated(&whole, ["cpu"].into_iter()).is_some());
        whole["spec"]["resources"] = json!({"limits": {"memory": "1Gi"}});
        assert_eq!(unstated(&whole, ["cpu"].into_iter()), None);
        let sorted = "must specify cpu for: a,aa,b";
        assert_eq!(unstated(&several, ["cpu"].into_iter()).as_deref(), Some(sorted), "as upstream's sets are shown");
    }
}
