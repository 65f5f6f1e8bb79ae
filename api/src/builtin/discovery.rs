//! `discovery.k8s.io/v1`.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::discovery::v1 as api;

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::Value;

use super::addresses::ip_errors;
use super::cells::{first_three, or};
use super::column::{age, name, text};
use super::core::unreachable_errors;
use super::formats::{invalid, one_of, optional_name, present_one_of};
use super::pointer::{self, default_to, list, list_mut, texts};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::check::immutable;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("discovery.k8s.io", "EndpointSlice", "endpointslices")
            .version("v1", schema_of::<api::EndpointSlice>, columns())
            .rules(Rules {
                generation: true,
                generation_counts: &["labels", "annotations", "ownerReferences", "finalizers"],
                default: |slice| {
                    for port in list_mut(slice, "/ports") {
                        default_to(port, "", "name", "");
                        default_to(port, "", "protocol", "TCP");
                    }
                },
                prepare_for_create: |slice, _| drop_topology(slice),
                prepare_for_update: |slice, _, _, _| drop_topology(slice),
                validate,
                validate_change: |slice, old| {
                    let mut errors = Vec::new();
                    immutable(&mut errors, &Path::new("addressType"), slice.get("addressType"), old.get("addressType"));
                    errors
                },
                ..Rules::PLAIN
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("AddressType", "Kind of the addresses.", |object, _| pointer::text(object, "/addressType").into()),
        text("Ports", "Ports of the endpoints.", |object, _| {
            let ports = list(object, "/ports").iter().map(|port| match pointer::integer(port, "/port") {
                0 => or(pointer::text(port, "/name"), "*").to_owned(),
                number => number.to_string(),
            });
            first_three(ports).into()
        }),
        text("Endpoints", "Addresses of the endpoints.", |object, _| {
            let endpoints = list(object, "/endpoints").iter();
            first_three(endpoints.flat_map(|endpoint| texts(endpoint, "/addresses")).map(str::to_owned)).into()
        }),
        age(),
    ]
}

/// Topology is what v1beta1 had; v1 reads it and lets nobody write it.
fn drop_topology(slice: &mut Value) {
    for endpoint in list_mut(slice, "/endpoints") {
        pointer::object_mut(endpoint, "").map(|endpoint| endpoint.remove("deprecatedTopology"));
    }
}

/// Most endpoints, and most ports, of a slice.
const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20_000;

/// Most addresses of an endpoint, and most zones or nodes that it is meant for.
const ADDRESSES_MAX: usize = 100;
const HINTS_MAX: usize = 8;

fn validate(slice: &Value) -> Errors {
    let mut errors = Vec::new();
    let type_ = pointer::text(slice, "/addressType");
    let endpoints = list(slice, "/endpoints");
    one_of(&mut errors, &Path::new("addressType"), type_, &["FQDN", "IPv4", "IPv6"]);
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(Error::too_many(&Path::new("endpoints"), endpoints.len(), ENDPOINTS_MAX));
        return errors;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(&mut errors, &Path::new("endpoints").index(index), endpoint, type_);
    }
    validate_ports(&mut errors, &Path::new("ports"), list(slice, "/ports"));
    errors
}

fn validate_endpoint(errors: &mut Errors, path: &Path, endpoint: &Value, type_: &str) {
    let addresses: Vec<_> = texts(endpoint, "/addresses").collect();
    let at = path.child("addresses");
    if addresses.is_empty() {
        errors.push(Error::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > ADDRESSES_MAX {
        errors.push(Error::too_many(&at, addresses.len(), ADDRESSES_MAX));
    }
    for (index, address) in addresses.iter().enumerate() {
        validate_address(errors, &at, index, address, type_);
    }
    if let Some(node) = endpoint.get("nodeName").and_then(Value::as_str) {
        invalid(errors, &path.child("nodeName"), &node.into(), names::dns1123_subdomain_errors(node));
    }
    if let Some(host) = endpoint.get("hostname").and_then(Value::as_str) {
        invalid(errors, &path.child("hostname"), &host.into(), names::dns1123_label_errors(host));
    }
    let path = path.child("hints");
    for member in ["forZones", "forNodes"] {
        let rule = if member == "forZones" { label::value_errors } else { names::dns1123_subdomain_errors };
        let path = path.child(member);
        let hints = list(endpoint, &format!("/hints/{member}"));
        if hints.len() > HINTS_MAX {
            errors.push(Error::too_many(&path, hints.len(), HINTS_MAX));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (index, hint) in hints.iter().enumerate() {
            let (path, name) = (path.index(index).child("name"), pointer::text(hint, "/name"));
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path, &name.into()));
            } else {
                invalid(errors, &path, &name.into(), rule(name));
            }
        }
    }
}

/// Where an endpoint is: of the slice's family, and a place that can be reached.
fn validate_address(errors: &mut Errors, addresses: &Path, index: usize, address: &str, type_: &str) {
    let path = addresses.index(index);
    let value = Value::from(address);
    match (type_, address.parse::<IpAddr>()) {
        ("FQDN", _) => {
            // Upstream names the list here, too.
            invalid(errors, addresses, &value, names::dns1123_subdomain_errors(address));
        }
        ("IPv4" | "IPv6", Err(_)) => invalid(errors, &path, &value, ip_errors(address)),
        (family @ ("IPv4" | "IPv6"), Ok(ip)) => {
            if (family == "IPv4") != ip.is_ipv4() {
                let detail = format!("must be an {family} address");
                errors.push(Error::invalid(addresses, &value, &detail));
            }
            invalid(errors, &path, &value, unreachable_errors(address));
        }
        // What the type is wrong about is said of the type.
        _ => {}
    }
}

fn validate_ports(errors: &mut Errors, path: &Path, ports: &[Value]) {
    if ports.len() > PORTS_MAX {
        return errors.push(Error::too_many(path, ports.len(), PORTS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = pointer::text(port, "/name");
        optional_name(errors, &path.child("name"), name, names::dns1123_label_errors);
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        match port.get("protocol").filter(|protocol| !protocol.is_null()) {
            None => errors.push(Error::required(&path.child("protocol"), "")),
            protocol => present_one_of(errors, &path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]),
        }
        if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
            invalid(errors, &path.child("appProtocol"), &protocol.into(), label::key_errors(protocol));
        }
    }
}
