//! Service: its defaults, and the addresses and node ports that a server allocates for it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::builtin::pointer::{self, default_to, has, integer, list, list_mut, object_mut, text};

/// How long a client of a service with `ClientIP` affinity stays with its pod: three hours.
const AFFINITY_SECONDS: i64 = 10_800;

/// The defaults of a Service.
pub(super) fn default(service: &mut Value) {
    default_to(service, "/spec", "sessionAffinity", "None");
    match text(service, "/spec/sessionAffinity") {
        "ClientIP" => {
            default_to(service, "/spec", "sessionAffinityConfig", json!({}));
            default_to(service, "/spec/sessionAffinityConfig", "clientIP", json!({}));
            default_to(service, "/spec/sessionAffinityConfig/clientIP", "timeoutSeconds", AFFINITY_SECONDS);
        }
        _ => drop(object_mut(service, "/spec").and_then(|spec| spec.remove("sessionAffinityConfig"))),
    }
    default_to(service, "/spec", "type", "ClusterIP");
    for port in list_mut(service, "/spec/ports") {
        default_to(port, "", "protocol", "TCP");
        let number = integer(port, "/port");
        if let Some(port) = port.as_object_mut()
            && matches!(port.get("targetPort"), None | Some(Value::Null))
        {
            port.insert("targetPort".to_owned(), number.into());
        }
        if port.get("targetPort").is_some_and(|target| target == 0 || target == "") {
            pointer::object_mut(port, "").map(|port| port.insert("targetPort".to_owned(), number.into()));
        }
    }
    let type_ = text(service, "/spec/type").to_owned();
    let external = matches!(type_.as_str(), "NodePort" | "LoadBalancer");
    let has_external_ips = !list(service, "/spec/externalIPs").is_empty();
    if external || (type_ == "ClusterIP" && has_external_ips) {
        default_to(service, "/spec", "externalTrafficPolicy", "Cluster");
    }
    if external || type_ == "ClusterIP" {
        default_to(service, "/spec", "internalTrafficPolicy", "Cluster");
    }
    if type_ == "LoadBalancer" {
        default_to(service, "/spec", "allocateLoadBalancerNodePorts", true);
        for ingress in list_mut(service, "/status/loadBalancer/ingress") {
            if !text(ingress, "/ip").is_empty() {
                default_to(ingress, "", "ipMode", "VIP");
            }
        }
    }
}

/// Fills in the IP families of a new service in a cluster with IPv4 alone.
pub(super) fn choose_families(service: &mut Value) {
    if text(service, "/spec/type") == "ExternalName" {
        return;
    }
    let free = text(service, "/spec/clusterIP") == "None" && pointer::members(service, "/spec/selector").count() == 0;
    if free && !has(service, "/spec/ipFamilyPolicy") && !has(service, "/spec/ipFamilies") {
        // Nobody serves a headless service without selector: whoever writes its endpoints may use both families.
        default_to(service, "/spec", "ipFamilyPolicy", "RequireDualStack");
        default_to(service, "/spec", "ipFamilies", json!(["IPv4", "IPv6"]));
    }
    default_to(service, "/spec", "ipFamilyPolicy", "SingleStack");
    if list(service, "/spec/ipFamilies").is_empty() {
        object_mut(service, "/spec").map(|spec| spec.insert("ipFamilies".to_owned(), json!(["IPv4"])));
    }
    align_cluster_ips(service);
}

/// `clusterIP` is the first of `clusterIPs`; whoever writes one writes both.
fn align_cluster_ips(service: &mut Value) {
    let one = text(service, "/spec/clusterIP").to_owned();
    let first = pointer::texts(service, "/spec/clusterIPs").next().unwrap_or_default().to_owned();
    let Some(spec) = object_mut(service, "/spec") else { return };
    if first.is_empty() && !one.is_empty() {
        spec.insert("clusterIPs".to_owned(), json!([one]));
    } else if one.is_empty() && !first.is_empty() {
        spec.insert("clusterIP".to_owned(), first.into());
    }
}

/// What a PUT that does not mention addresses and ports keeps, as long as the type has them.
pub(super) fn keep_allocations(service: &mut Value, old: &Value) {
    let (type_, old_type) = (text(service, "/spec/type").to_owned(), text(old, "/spec/type"));
    let has_cluster_ip = type_ != "ExternalName";
    if has_cluster_ip && old_type != "ExternalName" {
        for member in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if !has(service, &format!("/spec/{member}")) || text_is_empty(service, member) {
                let kept = old.pointer("/spec").and_then(|spec| spec.get(member)).cloned();
                if let (Some(spec), Some(kept)) = (object_mut(service, "/spec"), kept) {
                    spec.insert(member.to_owned(), kept);
                }
            }
        }
    }
    if has_cluster_ip {
        follow_the_changed_one(service, old);
    }
    if !has_cluster_ip && old_type != "ExternalName" {
        let members = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"];
        drop_what_was_kept(service, old, &members);
    }
    if needs_node_ports(service) && needs_node_ports(old) {
        keep_node_ports(service, old);
    }
    drop_what_the_type_lacks(service, old);
    let local = text(service, "/spec/externalTrafficPolicy") == "Local";
    let balanced = type_ == "LoadBalancer" && old_type == "LoadBalancer";
    if balanced && local && integer(service, "/spec/healthCheckNodePort") == 0 {
        let kept = integer(old, "/spec/healthCheckNodePort");
        if kept != 0
            && let Some(spec) = object_mut(service, "/spec")
        {
            spec.insert("healthCheckNodePort".to_owned(), kept.into());
        }
    }
    align_cluster_ips(service);
}

/// What is no load balancer any more is not reached as one.
pub(super) fn forget_balancer(service: &mut Value) {
    if text(service, "/spec/type") != "LoadBalancer"
        && let Some(balancer) = object_mut(service, "/status/loadBalancer")
    {
        balancer.clear();
    }
}

/// A client that knows only one of `clusterIP` and `clusterIPs` changes only that; the other follows.
fn follow_the_changed_one(service: &mut Value, old: &Value) {
    let (one, old_one) = (text(service, "/spec/clusterIP").to_owned(), text(old, "/spec/clusterIP"));
    let same_list = list(service, "/spec/clusterIPs") == list(old, "/spec/clusterIPs");
    let first = text(service, "/spec/clusterIPs/0").to_owned();
    let Some(spec) = object_mut(service, "/spec") else { return };
    if one != old_one && same_list {
        spec.insert("clusterIPs".to_owned(), json!([one]));
    } else if one == old_one && !same_list && !first.is_empty() {
        spec.insert("clusterIP".to_owned(), first.into());
    }
}

fn text_is_empty(service: &Value, member: &str) -> bool {
    match service.pointer("/spec").and_then(|spec| spec.get(member)) {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    }
}

/// A change of type drops what the old type had, unless the client changed it in the same write.
fn drop_what_was_kept(service: &mut Value, old: &Value, members: &[&str]) {
    let Some(spec) = object_mut(service, "/spec") else { return };
    for member in members {
        if spec.get(*member) == old.pointer("/spec").and_then(|spec| spec.get(*member)) {
            spec.remove(*member);
        }
    }
}

/// A service that changes its type loses what only the old type has, unless the client changed that too and means it.
fn drop_what_the_type_lacks(service: &mut Value, old: &Value) {
    let type_ = text(service, "/spec/type").to_owned();
    let ports = |service: &Value| {
        let ports = list(service, "/spec/ports").iter().map(|port| integer(port, "/nodePort"));
        ports.filter(|port| *port != 0).collect::<BTreeSet<_>>()
    };
    let kept = ports(service).is_subset(&ports(old));
    if !uses_node_ports(&type_) && uses_node_ports(text(old, "/spec/type")) && kept {
        for port in list_mut(service, "/spec/ports") {
            object_mut(port, "").map(|port| port.remove("nodePort"));
        }
    }
    if type_ != "LoadBalancer" {
        drop_what_was_kept(service, old, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    let has_external_ips = !list(service, "/spec/externalIPs").is_empty();
    let exposed = uses_node_ports(&type_) || (type_ == "ClusterIP" && has_external_ips);
    if !exposed {
        drop_what_was_kept(service, old, &["externalTrafficPolicy"]);
    }
    if type_ != "LoadBalancer" || text(service, "/spec/externalTrafficPolicy") != "Local" {
        drop_what_was_kept(service, old, &["healthCheckNodePort"]);
    }
}

fn keep_node_ports(service: &mut Value, old: &Value) {
    let taken: Vec<_> = list(service, "/spec/ports").iter().map(|port| integer(port, "/nodePort")).collect();
    let same = |port: &Value, other: &Value| {
        integer(port, "/port") == integer(other, "/port") && text(port, "/protocol") == text(other, "/protocol")
    };
    for port in list_mut(service, "/spec/ports") {
        if integer(port, "/nodePort") != 0 {
            continue;
        }
        let kept = list(old, "/spec/ports").iter().find(|other| same(port, other));
        let kept = kept.map(|other| integer(other, "/nodePort")).unwrap_or_default();
        if kept != 0
            && !taken.contains(&kept)
            && let Some(port) = port.as_object_mut()
        {
            port.insert("nodePort".to_owned(), kept.into());
        }
    }
}

/// Whether a server chooses node ports for the service: a load balancer may do without.
fn needs_node_ports(service: &Value) -> bool {
    let wanted = service.pointer("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool).unwrap_or(true);
    match text(service, "/spec/type") {
        "LoadBalancer" => wanted,
        type_ => uses_node_ports(type_),
    }
}

fn uses_node_ports(type_: &str) -> bool {
    matches!(type_, "NodePort" | "LoadBalancer")
}

/// True when a server must choose a cluster IP for the service.
pub fn needs_cluster_ip(service: &Value) -> bool {
    let type_ = text(service, "/spec/type");
    matches!(type_, "ClusterIP" | "NodePort" | "LoadBalancer") && text(service, "/spec/clusterIP").is_empty()
}

/// The cluster IP that the service holds, if any: what no other service may have.
pub fn cluster_ip(service: &Value) -> Option<&str> {
    Some(text(service, "/spec/clusterIP")).filter(|ip| !ip.is_empty() && *ip != "None")
}

/// Writes the chosen cluster IP.
pub fn set_cluster_ip(service: &mut Value, ip: &str) {
    if let Some(spec) = object_mut(service, "/spec") {
        spec.insert("clusterIP".to_owned(), ip.into());
        spec.insert("clusterIPs".to_owned(), json!([ip]));
    }
}

/// The node ports that the service holds.
pub fn node_ports(service: &Value) -> impl Iterator<Item = i64> {
    let ports = list(service, "/spec/ports").iter().map(|port| integer(port, "/nodePort"));
    ports.chain([integer(service, "/spec/healthCheckNodePort")]).filter(|port| *port != 0)
}

/// Asks for a node port wherever the service needs one and has none. Ports that differ only in their protocol share one.
pub fn allocate_node_ports(service: &mut Value, mut next: impl FnMut() -> Option<i64>) {
    let taken: BTreeSet<i64> = node_ports(service).collect();
    let mut next = || loop {
        match next() {
            Some(port) if taken.contains(&port) => {}
            other => break other,
        }
    };
    let mut chosen: Vec<(i64, i64)> = Vec::new();
    let reached = if needs_node_ports(service) { "/spec/ports" } else { "" };
    for port in list_mut(service, reached) {
        let number = integer(port, "/port");
        let node_port = match integer(port, "/nodePort") {
            0 => chosen.iter().find(|(other, _)| *other == number).map(|(_, shared)| *shared).or_else(&mut next),
            present => Some(present),
        };
        if let (Some(node_port), Some(port)) = (node_port, port.as_object_mut()) {
            chosen.push((number, node_port));
            port.insert("nodePort".to_owned(), node_port.into());
        }
    }
    // A load balancer asks nodes on a port of its own, whatever else it reaches them by.
    if text(service, "/spec/type") == "LoadBalancer"
        && text(service, "/spec/externalTrafficPolicy") == "Local"
        && integer(service, "/spec/healthCheckNodePort") == 0
        && let (Some(port), Some(spec)) = (next(), object_mut(service, "/spec"))
    {
        spec.insert("healthCheckNodePort".to_owned(), port.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_reads_as_upstream_shows_it() {
        let mut service = json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
        default(&mut service);
        choose_families(&mut service);
        assert!(needs_cluster_ip(&service));
        set_cluster_ip(&mut service, "10.96.0.7");
        assert_eq!(
            service["spec"],
            json!({
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "selector": {"a": "b"},
                "sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            })
        );
    }

    #[test]
    fn a_headless_service_gets_no_address() {
        let mut service = json!({"spec": {"clusterIP": "None", "selector": {"a": "b"}}});
        default(&mut service);
        choose_families(&mut service);
        assert!(!needs_cluster_ip(&service));
        assert_eq!(service["spec"]["clusterIPs"], json!(["None"]));
        assert_eq!(cluster_ip(&service), None);
    }

    #[test]
    fn node_ports_are_chosen_once_per_port() {
        let mut service = json!({"spec": {"type": "NodePort", "ports": [
            {"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 80, "nodePort": 30080},
        ]}});
        default(&mut service);
        let mut free = [30080, 30001, 30002].into_iter();
        allocate_node_ports(&mut service, || free.next());
        assert_eq!(node_ports(&service).collect::<Vec<_>>(), [30001, 30001, 30080]);
    }

    #[test]
    fn an_update_keeps_what_was_allocated() {
        let old = json!({"spec": {
            "type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
        }});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]}});
        keep_allocations(&mut new, &old);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.7");
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
        assert!(new["spec"]["ports"][1].get("nodePort").is_none());
        let mut moved = old.clone();
        moved["spec"]["clusterIP"] = "10.96.0.8".into();
        keep_allocations(&mut moved, &old);
        assert_eq!(moved["spec"]["clusterIPs"], json!(["10.96.0.8"]));
        let mut internal = old.clone();
        internal["spec"]["type"] = "ClusterIP".into();
        keep_allocations(&mut internal, &old);
        assert!(internal["spec"]["ports"][0].get("nodePort").is_none());
        let mut external = old.clone();
        external["spec"]["type"] = "ExternalName".into();
        keep_allocations(&mut external, &old);
        assert!(external["spec"].get("clusterIP").is_none());
    }
}
