//! `discovery.k8s.io/v1`.

use k8s_openapi::api::discovery::v1 as api;

use machinery::field::{Error, Path};
use serde_json::Value;

use super::cells::{first_three, or};
use super::column::{age, name, text};
use super::formats::{invalid, ip_errors, one_of, optional_name};
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

/// Most endpoints, and most ports, of a slice.
const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20_000;

fn validate(slice: &Value) -> Errors {
    let mut errors = Vec::new();
    let type_ = pointer::text(slice, "/addressType");
    one_of(&mut errors, &Path::new("addressType"), type_, &["FQDN", "IPv4", "IPv6"]);
    let endpoints = list(slice, "/endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        return vec![Error::too_many(&Path::new("endpoints"), endpoints.len(), ENDPOINTS_MAX)];
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = Path::new("endpoints").index(index).child("addresses");
        if list(endpoint, "/addresses").is_empty() {
            errors.push(Error::required(&path, "must contain at least 1 address"));
        }
        for (index, address) in texts(endpoint, "/addresses").enumerate().filter(|_| type_ != "FQDN") {
            invalid(&mut errors, &path.index(index), &address.into(), ip_errors(address));
        }
    }
    let ports = list(slice, "/ports");
    if ports.len() > PORTS_MAX {
        return vec![Error::too_many(&Path::new("ports"), ports.len(), PORTS_MAX)];
    }
    for (index, port) in ports.iter().enumerate() {
        let path = Path::new("ports").index(index);
        let name = pointer::text(port, "/name");
        optional_name(&mut errors, &path.child("name"), name, machinery::names::dns1123_label_errors);
        one_of(&mut errors, &path.child("protocol"), pointer::text(port, "/protocol"), &["SCTP", "TCP", "UDP"]);
    }
    errors
}
