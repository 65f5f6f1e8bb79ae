//! What is wrong with the kinds of `networking.k8s.io`.

use std::net::IpAddr;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::builtin::addresses::{cidr_errors, ip_errors};
use crate::builtin::formats::{
    invalid, label_selector, optional_name, port, port_name_errors, port_number, present_one_of, required_name,
};
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::check::immutable;
use crate::format::Errors;

/// Longest name of a controller of ingresses.
const CONTROLLER_MAX: usize = 250;

/// IngressClass: the controller, and then what any class is checked for. Upstream looks in this order.
pub(super) fn ingress_class_update(class: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let [new, was] = [class, old].map(|class| Value::from(text(class, "/spec/controller")));
    immutable(&mut errors, &Path::new("spec").child("controller"), Some(&new), Some(&was));
    errors.extend(ingress_class(class));
    errors
}

/// The addresses at which a load balancer is reached, of a Service or an Ingress.
pub(in crate::builtin) fn balancer_addresses(errors: &mut Errors, path: &Path, object: &Value) {
    for (index, ingress) in list(object, "/status/loadBalancer/ingress").iter().enumerate() {
        let path = path.index(index);
        let (ip, name) = (text(ingress, "/ip"), text(ingress, "/hostname"));
        if !ip.is_empty() {
            invalid(errors, &path.child("ip"), &ip.into(), ip_errors(ip));
        }
        ip_mode(errors, &path.child("ipMode"), ingress);
        if !name.is_empty() {
            invalid(errors, &path.child("hostname"), &name.into(), names::dns1123_subdomain_errors(name));
            if name.parse::<IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(Error::invalid(&path.child("hostname"), &name.into(), detail));
            }
        }
    }
}

/// How an address is reached, of a Service; an Ingress has no such member.
fn ip_mode(errors: &mut Errors, path: &Path, ingress: &Value) {
    if !has(ingress, "/ipMode") {
        return;
    }
    if text(ingress, "/ip").is_empty() {
        errors.push(Error::forbidden(path, "may not be specified when `ip` is not set"));
    } else {
        present_one_of(errors, path, ingress.get("ipMode"), &["Proxy", "VIP"]);
    }
}

/// The status of an Ingress.
pub(super) fn ingress_status(ingress: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    balancer_addresses(&mut errors, &path, ingress);
    errors
}

/// IngressClass: a controller with a domain, and parameters that name an object.
pub(super) fn ingress_class(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let controller = text(class, "/spec/controller");
    if controller.is_empty() || !controller.contains('/') {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        if controller.len() > CONTROLLER_MAX {
            errors.push(Error::too_long(&spec.child("controller"), CONTROLLER_MAX));
        }
        match controller {
            "" => errors.push(Error::required(&spec.child("controller"), "")),
            _ => errors.push(Error::invalid(&spec.child("controller"), &controller.into(), detail)),
        }
    }
    if !has(class, "/spec/parameters") {
        return errors;
    }
    let path = spec.child("parameters");
    typed_reference(&mut errors, &path, class.pointer("/spec/parameters").unwrap_or(&Value::Null));
    let scope = text(class, "/spec/parameters/scope");
    if !has(class, "/spec/parameters/scope") {
        errors.push(Error::required(&path.child("scope"), ""));
        return errors;
    }
    present_one_of(
        &mut errors,
        &path.child("scope"),
        class.pointer("/spec/parameters/scope"),
        &["Cluster", "Namespace"],
    );
    let namespaced = has(class, "/spec/parameters/namespace");
    if scope == "Namespace" && !namespaced {
        let detail = "`parameters.scope` is set to 'Namespace'";
        errors.push(Error::required(&path.child("namespace"), detail));
    } else if scope == "Namespace" {
        let namespace = text(class, "/spec/parameters/namespace");
        let path = path.child("namespace");
        invalid(&mut errors, &path, &namespace.into(), names::dns1123_label_errors(namespace));
    } else if scope == "Cluster" && namespaced {
        let detail = "`parameters.scope` is set to 'Cluster'";
        errors.push(Error::forbidden(&path.child("namespace"), detail));
    }
    errors
}

/// A reference to an object of some group by kind and name.
fn typed_reference(errors: &mut Errors, path: &Path, reference: &Value) {
    if has(reference, "/apiGroup") {
        let group = text(reference, "/apiGroup");
        invalid(errors, &path.child("apiGroup"), &group.into(), names::dns1123_subdomain_errors(group));
    }
    for member in ["kind", "name"] {
        let value = text(reference, &format!("/{member}"));
        required_name(errors, &path.child(member), value, names::path_segment_errors);
    }
}

/// Ingress: rules or a default, each of which leads to a backend.
pub(super) fn ingress(ingress: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let none = Value::Null;
    let spec = ingress.get("spec").unwrap_or(&none);
    if list(spec, "/rules").is_empty() && !has(spec, "/defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, &Value::Null, detail));
    }
    if let Some(default) = spec.get("defaultBackend").filter(|backend| !backend.is_null()) {
        backend(&mut errors, &path.child("defaultBackend"), default);
    }
    for (index, rule) in list(spec, "/rules").iter().enumerate() {
        let path = path.child("rules").index(index);
        let name = text(rule, "/host");
        if name.parse::<IpAddr>().is_ok() {
            errors.push(Error::invalid(&path.child("host"), &name.into(), "must be a DNS name, not an IP address"));
        }
        if !name.is_empty() {
            host(&mut errors, &path.child("host"), name);
        }
        if has(rule, "/http") {
            paths(&mut errors, &path.child("http").child("paths"), rule);
        }
    }
    for (index, tls) in list(spec, "/tls").iter().enumerate() {
        let path = path.child("tls").index(index);
        for (index, name) in texts(tls, "/hosts").enumerate() {
            host(&mut errors, &path.child("hosts").index(index), name);
        }
        let secret = text(tls, "/secretName");
        optional_name(&mut errors, &path.child("secretName"), secret, names::dns1123_subdomain_errors);
    }
    let class = text(spec, "/ingressClassName");
    if has(spec, "/ingressClassName") {
        invalid(&mut errors, &path.child("ingressClassName"), &class.into(), names::dns1123_subdomain_errors(class));
    }
    errors
}

fn host(errors: &mut Errors, path: &Path, name: &str) {
    if name.contains('*') {
        invalid(errors, path, &name.into(), wildcard_errors(name));
    } else {
        invalid(errors, path, &name.into(), names::dns1123_subdomain_errors(name));
    }
}

/// Why a name is no domain under a wildcard.
fn wildcard_errors(name: &str) -> Vec<String> {
    let below = name.strip_prefix("*.");
    if below.is_some_and(|domain| names::dns1123_subdomain_errors(domain).is_empty()) {
        return Vec::new();
    }
    let message = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
    let format = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
    vec![names::format_error(message, format, &["*.example.com"])]
}

fn paths(errors: &mut Errors, path: &Path, rule: &Value) {
    let all = list(rule, "/http/paths");
    if all.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, item) in all.iter().enumerate() {
        let path = path.index(index);
        let place = text(item, "/path");
        match text(item, "/pathType") {
            "" if !has(item, "/pathType") => {
                errors.push(Error::required(&path.child("pathType"), "pathType must be specified"));
                // Nothing else is looked at.
                continue;
            }
            "Exact" | "Prefix" => {
                if !place.starts_with('/') {
                    errors.push(Error::invalid(&path.child("path"), &place.into(), "must be an absolute path"));
                }
                for part in ["//", "/./", "/../", "%2f", "%2F"] {
                    if place.contains(part) {
                        let detail = format!("must not contain '{part}'");
                        errors.push(Error::invalid(&path.child("path"), &place.into(), &detail));
                    }
                }
                for end in ["/..", "/."] {
                    if place.ends_with(end) {
                        let detail = format!("cannot end with '{end}'");
                        errors.push(Error::invalid(&path.child("path"), &place.into(), &detail));
                    }
                }
            }
            "ImplementationSpecific" => {
                if !place.is_empty() && !place.starts_with('/') {
                    errors.push(Error::invalid(&path.child("path"), &place.into(), "must be an absolute path"));
                }
            }
            other => {
                let types = ["Exact", "ImplementationSpecific", "Prefix"];
                errors.push(Error::not_supported(&path.child("pathType"), &other.into(), &types));
            }
        }
        backend(errors, &path.child("backend"), item.get("backend").unwrap_or(&Value::Null));
    }
}

fn backend(errors: &mut Errors, path: &Path, backend: &Value) {
    match (has(backend, "/service"), has(backend, "/resource")) {
        (true, true) => {
            errors.push(Error::invalid(path, &"".into(), "cannot set both resource and service backends"));
        }
        (false, false) => errors.push(Error::invalid(path, &"".into(), "resource or service backend is required")),
        (false, true) => typed_reference(errors, &path.child("resource"), &backend["resource"]),
        (true, false) => {
            let outer = path;
            let path = path.child("service");
            let name = text(backend, "/service/name");
            required_name(errors, &path.child("name"), name, names::dns1123_label_errors);
            let (name, number) = (text(backend, "/service/port/name"), integer(backend, "/service/port/number"));
            match (name, number) {
                ("", 0) => errors.push(Error::required(outer, "port name or number is required")),
                ("", number) => port_number(errors, &path.child("port").child("number"), number),
                (name, 0) => {
                    invalid(errors, &path.child("port").child("name"), &name.into(), port_name_errors(name));
                }
                _ => errors.push(Error::invalid(outer, &"".into(), "cannot set both port name & port number")),
            }
        }
    }
}

/// NetworkPolicy: peers and ports of its rules.
pub(super) fn network_policy(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let selector = policy.pointer("/spec/podSelector").unwrap_or(&Value::Null);
    label_selector(&mut errors, &path.child("podSelector"), selector);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(policy, &format!("/spec/{rules}")).iter().enumerate() {
            let path = path.child(rules).index(index);
            for (index, allowed) in list(rule, "/ports").iter().enumerate() {
                policy_port(&mut errors, &path.child("ports").index(index), allowed);
            }
            for (index, peer) in list(rule, &format!("/{peers}")).iter().enumerate() {
                policy_peer(&mut errors, &path.child(peers).index(index), peer);
            }
        }
    }
    let path = path.child("policyTypes");
    let types = list(policy, "/spec/policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(Error::invalid(&path, &types.to_vec().into(), detail));
        return errors;
    }
    for (index, type_) in types.iter().enumerate() {
        present_one_of(&mut errors, &path.index(index), Some(type_), &["Ingress", "Egress"]);
    }
    errors
}

fn policy_port(errors: &mut Errors, path: &Path, allowed: &Value) {
    present_one_of(errors, &path.child("protocol"), allowed.get("protocol"), &["TCP", "UDP", "SCTP"]);
    let number = allowed.get("port").filter(|number| !number.is_null());
    if let Some(number) = number {
        port(errors, &path.child("port"), number);
    }
    let Some(end) = allowed.get("endPort").filter(|end| !end.is_null()) else { return };
    let path = path.child("endPort");
    match number {
        None => errors.push(Error::invalid(&path, end, "may not be specified when `port` is not specified")),
        Some(start) if start.is_string() => {
            errors.push(Error::invalid(&path, end, "may not be specified when `port` is non-numeric"));
        }
        Some(start) => {
            let end = end.as_i64().unwrap_or_default();
            if start.as_i64().is_some_and(|start| end < start) {
                // The value shown is that of the port.
                errors.push(Error::invalid(&path, start, "must be greater than or equal to `port`"));
            }
            port_number(errors, &path, end);
        }
    }
}

fn policy_peer(errors: &mut Errors, path: &Path, peer: &Value) {
    let mut found = 0;
    for member in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.get(member).filter(|selector| !selector.is_null()) {
            found += 1;
            label_selector(errors, &path.child(member), selector);
        }
    }
    if has(peer, "/ipBlock") {
        let path = path.child("ipBlock");
        let cidr = text(peer, "/ipBlock/cidr");
        required_name(errors, &path.child("cidr"), cidr, cidr_errors);
        for (index, except) in texts(peer, "/ipBlock/except").enumerate() {
            invalid(errors, &path.child("except").index(index), &except.into(), cidr_errors(except));
        }
        if found > 0 {
            errors.push(Error::forbidden(&path, "may not specify both ipBlock and another peer"));
        }
    } else if found == 0 {
        errors.push(Error::required(path, "must specify a peer"));
    }
}

/// Why a name is no IP address in its one canonical spelling.
pub(super) fn ip_name_errors(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Ok(address) if address.to_string() == name => Vec::new(),
        _ => vec!["must be a canonical format IP address".to_owned()],
    }
}

/// IPAddress: whose it is stays.
pub(super) fn ip_address_change(address: &Value, old: &Value) -> Errors {
    let parent = |address: &Value| {
        ["group", "resource", "namespace", "name"]
            .map(|member| Value::from(text(address, &format!("/spec/parentRef/{member}"))))
    };
    let [group, resource, namespace, name] = parent(address);
    if parent(old) == parent(address) {
        return Vec::new();
    }
    let shown = match has(address, "/spec/parentRef") {
        true => format!("{{\"Group\":{group},\"Resource\":{resource},\"Namespace\":{namespace},\"Name\":{name}}}"),
        false => "null".to_owned(),
    };
    vec![Error::invalid_shown(&Path::new("spec").child("parentRef"), &shown, "field is immutable")]
}

/// ServiceCIDR: the ranges stay; only a second one, of the other family, may be added.
pub(super) fn service_cidr_update(object: &Value, old: &Value) -> Errors {
    let path = Path::new("spec").child("cidrs");
    let (new, was) = (list(object, "/spec/cidrs"), list(old, "/spec/cidrs"));
    if new.len() == 2 && was.len() == 1 {
        let mut errors = service_cidr(object);
        immutable(&mut errors, &path.index(0), new.first(), was.first());
        return errors;
    }
    let mut errors = Vec::new();
    if new.len() != was.len() {
        let all = object.pointer("/spec/cidrs").unwrap_or(&Value::Null);
        errors.push(Error::invalid(&path, all, "field is immutable"));
        return errors;
    }
    for (index, (new, was)) in new.iter().zip(was).enumerate() {
        immutable(&mut errors, &path.index(index), Some(new), Some(was));
    }
    errors
}

/// IPAddress: it belongs to somebody.
pub(super) fn ip_address(address: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("parentRef");
    if !has(address, "/spec/parentRef") {
        return vec![Error::required(&path, "")];
    }
    let at = |member: &str| text(address, &format!("/spec/parentRef/{member}"));
    optional_name(&mut errors, &path.child("group"), at("group"), names::dns1123_subdomain_errors);
    for member in ["resource", "name"] {
        required_name(&mut errors, &path.child(member), at(member), names::path_segment_errors);
    }
    optional_name(&mut errors, &path.child("namespace"), at("namespace"), names::path_segment_errors);
    errors
}

/// ServiceCIDR: one range, or one of each family.
pub(super) fn service_cidr(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("cidrs");
    let ranges: Vec<_> = texts(object, "/spec/cidrs").collect();
    let all = || Value::from(ranges.clone());
    match ranges.len() {
        0 => errors.push(Error::required(&path, "at least one CIDR required")),
        1 | 2 => {}
        _ => errors.push(Error::invalid(&path, &all(), "may only hold up to 2 values")),
    }
    let families = ranges.iter().filter(|range| range.contains(':')).count();
    if ranges.len() == 2 && families != 1 {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(Error::invalid(&path, &all(), detail));
    }
    for (index, range) in ranges.iter().enumerate() {
        invalid(&mut errors, &path.index(index), &(*range).into(), cidr_errors(range));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn ingresses_lead_somewhere() {
        let rule = |host: &str, path: Value| json!({"spec": {"rules": [{"host": host, "http": {"paths": [path]}}]}});
        let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
        let cases = [
            (json!({"spec": {}}), "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
            (rule("a.b", json!({"path": "/", "pathType": "Prefix", "backend": backend})), ""),
            (rule("*.b", json!({"path": "/", "pathType": "Prefix", "backend": backend})), ""),
            (
                rule("1.2.3.4", json!({"path": "/", "pathType": "Prefix", "backend": backend})),
                "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            ),
            (
                rule("a", json!({"path": "/", "backend": backend})),
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
            ),
            (
                rule("a", json!({"path": "x", "pathType": "Exact", "backend": backend})),
                "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path",
            ),
            (
                rule("a", json!({"path": "/", "pathType": "Exact", "backend": {}})),
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
            ),
            (
                rule("a", json!({"path": "/", "pathType": "Exact", "backend": {"service": {"name": "s"}}})),
                "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
            ),
        ];
        for (object, expected) in cases {
            assert_eq!(said(&ingress(&object)).first().map_or("", String::as_str), expected);
        }
    }

    #[test]
    fn policies_name_peers_and_ports() {
        let policy = json!({"spec": {"podSelector": {}, "ingress": [{
            "from": [{}, {"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "ports": [{"protocol": "TCP", "port": 80, "endPort": 70}],
        }]}});
        assert_eq!(
            said(&network_policy(&policy)),
            [
                "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
                "spec.ingress[0].from[0]: Required value: must specify a peer",
            ]
        );
    }
}
