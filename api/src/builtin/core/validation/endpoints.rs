//! What is wrong with Endpoints.

use std::net::IpAddr;

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::Value;

use crate::builtin::addresses::ip_errors;
use crate::builtin::formats::{invalid, one_of, optional_name, port_number};
use crate::builtin::pointer::{integer, list, text};
use crate::format::Errors;

/// Endpoints: addresses that can be reached, and ports that can be told apart.
pub(in crate::builtin::core) fn endpoints(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, subset) in list(object, "/subsets").iter().enumerate() {
        let path = Path::new("subsets").index(index);
        if list(subset, "/addresses").is_empty() && list(subset, "/notReadyAddresses").is_empty() {
            errors.push(Error::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for member in ["addresses", "notReadyAddresses"] {
            for (index, address) in list(subset, &format!("/{member}")).iter().enumerate() {
                endpoint_address(&mut errors, &path.child(member).index(index), address);
            }
        }
        let ports = list(subset, "/ports");
        for (index, exposed) in ports.iter().enumerate() {
            let path = path.child("ports").index(index);
            match text(exposed, "/name") {
                "" if ports.len() > 1 => errors.push(Error::required(&path.child("name"), "")),
                name => optional_name(&mut errors, &path.child("name"), name, names::dns1123_label_errors),
            }
            port_number(&mut errors, &path.child("port"), integer(exposed, "/port"));
            one_of(&mut errors, &path.child("protocol"), text(exposed, "/protocol"), &["SCTP", "TCP", "UDP"]);
            if let Some(protocol) = exposed.get("appProtocol").and_then(Value::as_str) {
                invalid(&mut errors, &path.child("appProtocol"), &protocol.into(), label::key_errors(protocol));
            }
        }
    }
    errors
}

fn endpoint_address(errors: &mut Errors, path: &Path, address: &Value) {
    let ip = text(address, "/ip");
    invalid(errors, &path.child("ip"), &ip.into(), ip_errors(ip));
    optional_name(errors, &path.child("hostname"), text(address, "/hostname"), names::dns1123_label_errors);
    if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
        invalid(errors, &path.child("nodeName"), &node.into(), names::dns1123_subdomain_errors(node));
    }
    invalid(errors, &path.child("ip"), &ip.into(), endpoint_ip_errors(ip));
}

/// Why nothing can be reached at an address.
pub(in crate::builtin) fn endpoint_ip_errors(text: &str) -> Vec<String> {
    let Ok(ip) = text.parse::<IpAddr>() else { return vec!["must be a valid IP address".to_owned()] };
    let link_local_unicast = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let link_local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    };
    let faults = [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local_unicast, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    faults.into_iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| fault).collect()
}
