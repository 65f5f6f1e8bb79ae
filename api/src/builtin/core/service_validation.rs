//! What is wrong with a Service.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label, meta, names,
};
use serde_json::Value;

use super::validation::endpoint_ip_errors;
use crate::builtin::addresses::{cidr_errors, ip_errors, ip_warning};
use crate::builtin::formats::{invalid, labels, one_of, port, port_number, present_one_of, required_name};
use crate::builtin::networking::balancer_addresses;
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::format::Errors;

/// The port of the kubelet, which no load balancer may expose.
const KUBELET_PORT: i64 = 10_250;

/// Names ranges as `loadBalancerSourceRanges` does, and is older.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Longest affinity of a client, in seconds: a day.
const AFFINITY_SECONDS_MAX: i64 = 86_400;

/// Everything wrong with a Service.
pub(super) fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let type_ = text(service, "/spec/type");
    let headless = text(service, "/spec/clusterIP") == "None";
    if list(service, "/spec/ports").is_empty() && !headless && type_ != "ExternalName" {
        errors.push(Error::required(&spec.child("ports"), ""));
    }
    by_type(&mut errors, &spec, service, headless);
    ports(&mut errors, &spec.child("ports"), service);
    labels(&mut errors, &spec.child("selector"), service, "/spec/selector");
    let affinity = text(service, "/spec/sessionAffinity");
    one_of(&mut errors, &spec.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let timeout = service.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds");
    if let Some(value) = timeout.filter(|value| value.as_i64().is_some_and(|s| s <= 0 || s > AFFINITY_SECONDS_MAX)) {
        let path = spec.child("sessionAffinityConfig").child("clientIP").child("timeoutSeconds");
        let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
        errors.push(Error::invalid(&path, value, &detail));
    }
    addresses(&mut errors, &spec, service);
    one_of(&mut errors, &spec.child("type"), type_, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    node_ports(&mut errors, &spec.child("ports"), service, type_);
    duplicate_ports(&mut errors, &spec.child("ports"), service);
    balancer_only(&mut errors, &spec, service, type_);
    policies(&mut errors, &spec, service, type_);
    errors
}

fn by_type(errors: &mut Errors, spec: &Path, service: &Value, headless: bool) {
    let none = Value::from("None");
    match text(service, "/spec/type") {
        "LoadBalancer" => {
            for (index, exposed) in list(service, "/spec/ports").iter().enumerate() {
                let number = integer(exposed, "/port");
                if number == KUBELET_PORT {
                    let path = spec.child("ports").index(index);
                    let detail = "may not expose port 10250 externally since it is used by kubelet";
                    errors.push(Error::invalid(&path, &number.into(), detail));
                }
            }
            if headless {
                let detail = "may not be set to 'None' for LoadBalancer services";
                errors.push(Error::invalid(&spec.child("clusterIPs").index(0), &none, detail));
            }
        }
        "NodePort" if headless => {
            let detail = "may not be set to 'None' for NodePort services";
            errors.push(Error::invalid(&spec.child("clusterIPs").index(0), &none, detail));
        }
        "ExternalName" => {
            let addressed = !text(service, "/spec/clusterIP").is_empty();
            let in_families = !list(service, "/spec/ipFamilies").is_empty();
            let members = [
                ("clusterIPs", addressed),
                ("ipFamilies", in_families),
                ("ipFamilyPolicy", has(service, "/spec/ipFamilyPolicy")),
            ];
            for (member, _) in members.into_iter().filter(|(_, is_set)| *is_set) {
                errors.push(Error::forbidden(&spec.child(member), "may not be set for ExternalName services"));
            }
            let path = spec.child("externalName");
            let name = text(service, "/spec/externalName");
            let name = name.strip_suffix('.').unwrap_or(name);
            required_name(errors, &path, name, names::dns1123_subdomain_errors);
        }
        _ => {}
    }
}

fn ports(errors: &mut Errors, path: &Path, service: &Value) {
    let all = list(service, "/spec/ports");
    let mut seen_names = BTreeSet::new();
    for (index, exposed) in all.iter().enumerate() {
        let path = path.index(index);
        let name = text(exposed, "/name");
        if name.is_empty() && all.len() > 1 {
            errors.push(Error::required(&path.child("name"), ""));
        } else if !name.is_empty() {
            invalid(errors, &path.child("name"), &name.into(), names::dns1123_label_errors(name));
            if !seen_names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), &name.into()));
            }
        }
        port_number(errors, &path.child("port"), integer(exposed, "/port"));
        let protocol = text(exposed, "/protocol");
        one_of(errors, &path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        port(errors, &path.child("targetPort"), exposed.get("targetPort").unwrap_or(&Value::Null));
        if let Some(protocol) = exposed.get("appProtocol").and_then(Value::as_str) {
            invalid(errors, &path.child("appProtocol"), &protocol.into(), label::key_errors(protocol));
        }
    }
}

/// Ports that nobody could tell apart. Upstream shows them as its internal type, whose members begin with capitals.
fn duplicate_ports(errors: &mut Errors, path: &Path, service: &Value) {
    let mut seen = BTreeSet::new();
    for (index, exposed) in list(service, "/spec/ports").iter().enumerate() {
        let (number, protocol) = (integer(exposed, "/port"), text(exposed, "/protocol"));
        if !seen.insert((number, protocol)) {
            let protocol = Value::from(protocol);
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}"
            );
            errors.push(Error::duplicate_shown(&path.index(index), &shown, ""));
        }
    }
}

/// What only a load balancer has.
fn balancer_only(errors: &mut Errors, spec: &Path, service: &Value, type_: &str) {
    const DETAIL: &str = "may only be used when `type` is 'LoadBalancer'";
    let balanced = type_ == "LoadBalancer";
    // The capital is upstream's.
    let ranges = spec.child("LoadBalancerSourceRanges");
    if !balanced && !list(service, "/spec/loadBalancerSourceRanges").is_empty() {
        errors.push(Error::forbidden(&ranges, DETAIL));
    }
    for (index, range) in texts(service, "/spec/loadBalancerSourceRanges").enumerate() {
        let range = range.trim();
        invalid(errors, &ranges.index(index), &range.into(), cidr_errors(range));
    }
    let annotation = meta::annotation(service, SOURCE_RANGES);
    if let Some(told) = annotation.filter(|_| list(service, "/spec/loadBalancerSourceRanges").is_empty()) {
        let path = Path::new("metadata").child("annotations").key(SOURCE_RANGES);
        if !balanced {
            errors.push(Error::forbidden(&path, DETAIL));
        }
        for range in told.split(',').map(str::trim).filter(|_| !told.trim().is_empty()) {
            invalid(errors, &path, &range.into(), cidr_errors(range));
        }
    }
    if !balanced && has(service, "/spec/allocateLoadBalancerNodePorts") {
        errors.push(Error::forbidden(&spec.child("allocateLoadBalancerNodePorts"), DETAIL));
    }
    if let Some(class) = service.pointer("/spec/loadBalancerClass").and_then(Value::as_str) {
        let path = spec.child("loadBalancerClass");
        if balanced {
            invalid(errors, &path, &class.into(), label::key_errors(class));
        } else {
            errors.push(Error::forbidden(&path, DETAIL));
        }
    }
}

fn addresses(errors: &mut Errors, spec: &Path, service: &Value) {
    let all = || Value::from(list(service, "/spec/clusterIPs").to_vec());
    let (one, path) = (text(service, "/spec/clusterIP"), spec.child("clusterIPs"));
    if let Some(first) = texts(service, "/spec/clusterIPs").next() {
        if one.is_empty() {
            errors.push(Error::invalid(&path, &all(), "must be empty when `clusterIP` is not specified"));
        } else if first != one {
            errors.push(Error::invalid(&path, &all(), "first value must match `clusterIP`"));
        }
    }
    let families: Vec<bool> = texts(service, "/spec/clusterIPs").map(|ip| ip.contains(':')).collect();
    if families.len() > 2 {
        errors.push(Error::invalid(&path, &all(), "may only hold up to 2 values"));
    } else if families.len() == 2 && families[0] == families[1] {
        errors.push(Error::invalid(&path, &all(), "may specify no more than one IP for each IP family"));
    }
    for (index, ip) in texts(service, "/spec/clusterIPs").enumerate() {
        if one == "None" && index > 0 {
            errors.push(Error::invalid(&path, &all(), "'None' must be the first and only value"));
            break;
        }
        if ip != "None" {
            invalid(errors, &spec.child("clusterIPs").index(index), &ip.into(), ip_errors(ip));
        }
    }
    for (index, ip) in texts(service, "/spec/externalIPs").enumerate() {
        let path = spec.child("externalIPs").index(index);
        match ip_errors(ip) {
            good if good.is_empty() => invalid(errors, &path, &ip.into(), endpoint_ip_errors(ip)),
            faults => invalid(errors, &path, &ip.into(), faults),
        }
    }
    let families = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    let policy = service.pointer("/spec/ipFamilyPolicy");
    present_one_of(errors, &spec.child("ipFamilyPolicy"), policy, &families);
    let mut seen = BTreeSet::new();
    for (index, family) in list(service, "/spec/ipFamilies").iter().enumerate() {
        let path = spec.child("ipFamilies").index(index);
        present_one_of(errors, &path, Some(family), &["IPv4", "IPv6"]);
        if !seen.insert(family.as_str()) {
            errors.push(Error::duplicate(&path, family));
        }
    }
}

fn node_ports(errors: &mut Errors, path: &Path, service: &Value, type_: &str) {
    let mut seen = BTreeSet::new();
    for (index, exposed) in list(service, "/spec/ports").iter().enumerate() {
        let number = integer(exposed, "/nodePort");
        let path = path.index(index).child("nodePort");
        if number == 0 {
            continue;
        }
        if type_ == "ClusterIP" {
            errors.push(Error::forbidden(&path, "may not be used when `type` is 'ClusterIP'"));
        }
        if !seen.insert((number, text(exposed, "/protocol"))) {
            errors.push(Error::duplicate(&path, &number.into()));
        }
    }
}

fn policies(errors: &mut Errors, spec: &Path, service: &Value, type_: &str) {
    let external = text(service, "/spec/externalTrafficPolicy");
    let exposed = is_exposed(service, type_);
    if exposed {
        one_of(errors, &spec.child("externalTrafficPolicy"), external, &["Cluster", "Local"]);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(Error::invalid(&spec.child("externalTrafficPolicy"), &external.into(), detail));
    }
    let health = integer(service, "/spec/healthCheckNodePort");
    let path = spec.child("healthCheckNodePort");
    match needs_health_check(service) {
        true if health != 0 => port_number(errors, &path, health),
        false if health != 0 => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(&path, &health.into(), detail));
        }
        _ => {}
    }
    if matches!(type_, "ClusterIP" | "NodePort" | "LoadBalancer") {
        let path = spec.child("internalTrafficPolicy");
        match service.pointer("/spec/internalTrafficPolicy").filter(|internal| !internal.is_null()) {
            None => errors.push(Error::required(&path, "")),
            internal => present_one_of(errors, &path, internal, &["Cluster", "Local"]),
        }
    }
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    let distribution = service.pointer("/spec/trafficDistribution");
    present_one_of(errors, &spec.child("trafficDistribution"), distribution, &distributions);
}

/// Whether nodes or addresses outside of the cluster lead to the service.
fn is_exposed(service: &Value, type_: &str) -> bool {
    let has_external_ips = !list(service, "/spec/externalIPs").is_empty();
    matches!(type_, "NodePort" | "LoadBalancer") || type_ == "ClusterIP" && has_external_ips
}

/// Whether load balancers ask nodes if they have a pod of the service.
fn needs_health_check(service: &Value) -> bool {
    text(service, "/spec/type") == "LoadBalancer" && text(service, "/spec/externalTrafficPolicy") == "Local"
}

/// The status: where the load balancer is.
pub(super) fn validate_status(service: &Value) -> Errors {
    let mut errors = Vec::new();
    balancer_addresses(&mut errors, &Path::new("status").child("loadBalancer").child("ingress"), service);
    errors
}

/// What is taken, and soon will not be.
pub(super) fn warnings(service: &Value) -> Vec<String> {
    let spec = Path::new("spec");
    let type_ = text(service, "/spec/type");
    let is_headless = type_ == "ClusterIP" && text(service, "/spec/clusterIP") == "None";
    let external = !list(service, "/spec/externalIPs").is_empty();
    let named = !text(service, "/spec/externalName").is_empty();
    let mut warnings = Vec::new();
    let mut warn = |is_used: bool, text: &str| warnings.extend(is_used.then(|| text.to_owned()));
    let balancer = text(service, "/spec/loadBalancerIP");
    warn(is_headless && !balancer.is_empty(), "spec.loadBalancerIP is ignored for headless services");
    warn(is_headless && external, "spec.externalIPs is ignored for headless services");
    let sticky = is_headless && text(service, "/spec/sessionAffinity") == "ClientIP";
    warn(sticky, "spec.SessionAffinity is ignored for headless services");
    for (index, ip) in texts(service, "/spec/externalIPs").enumerate() {
        ip_warning(&spec.child("externalIPs").index(index), ip).iter().for_each(|text| warn(true, text));
    }
    let deprecated = external && !is_headless && type_ != "ExternalName";
    warn(deprecated, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    ip_warning(&spec.child("loadBalancerIP"), balancer).iter().for_each(|text| warn(true, text));
    let ignored = external && type_ == "ExternalName";
    warn(ignored, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    let misnamed = named && type_ != "ExternalName";
    warn(misnamed, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    let close = text(service, "/spec/trafficDistribution") == "PreferClose";
    warn(close, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
    warnings
}

/// What changed that may not, and then what any service is checked for. Upstream looks in this order.
pub(super) fn validate_update(service: &Value, old: &Value) -> Errors {
    let mut errors = validate_change(service, old);
    errors.extend(validate(service));
    errors
}

/// Once a service has an address, a port for health checks or a class, it keeps it.
fn validate_change(service: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let addressed = |service: &Value| text(service, "/spec/type") != "ExternalName";
    let first = |service: &Value| texts(service, "/spec/clusterIPs").next().unwrap_or_default().to_owned();
    if addressed(service) && addressed(old) && !first(old).is_empty() && first(service) != first(old) {
        let all: Value = list(service, "/spec/clusterIPs").to_vec().into();
        let path = Path::new("spec").child("clusterIPs").index(0);
        errors.push(Error::invalid(&path, &all, "may not change once set"));
    }
    let spec = Path::new("spec");
    let port = |service: &Value| integer(service, "/spec/healthCheckNodePort");
    if needs_health_check(service) && needs_health_check(old) && port(service) != port(old) {
        errors.push(Error::forbidden(&spec.child("healthCheckNodePort"), "field is immutable"));
    }
    let class = |service: &Value| service.pointer("/spec/loadBalancerClass").cloned().unwrap_or_default();
    let balanced = |service: &Value| text(service, "/spec/type") == "LoadBalancer";
    if balanced(service) && balanced(old) && class(service) != class(old) {
        errors.push(Error::invalid(&spec.child("loadBalancerClass"), &class(service), "may not change once set"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::core::service::default;
    use serde_json::json;

    fn service(spec: Value) -> Value {
        let mut service = json!({"spec": spec});
        default(&mut service);
        service
    }

    #[test]
    fn services_are_checked_in_upstreams_words() {
        let cases = [
            (json!({"ports": [{"port": 80}]}), ""),
            (json!({"clusterIP": "None"}), ""),
            (json!({}), "spec.ports: Required value"),
            (
                json!({"ports": [{"port": 0}]}),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (json!({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}), "spec.ports[0].name: Required value"),
            (
                json!({"ports": [{"port": 1, "nodePort": 30000}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
            (
                json!({"type": "Bogus", "ports": [{"port": 1}]}),
                "spec.type: Unsupported value: \"Bogus\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
        ];
        for (spec, expected) in cases {
            let found = validate(&service(spec)).first().map(Error::to_string).unwrap_or_default();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn addresses_stay() {
        let old = json!({"spec": {"clusterIPs": ["10.96.0.1"], "type": "ClusterIP"}});
        let new = json!({"spec": {"clusterIPs": ["10.96.0.9"], "type": "ClusterIP"}});
        assert_eq!(
            validate_change(&new, &old)[0].to_string(),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.0.9\"]: may not change once set"
        );
    }
}
