//! `discovery.k8s.io/v1`.

use k8s_openapi::api::discovery::v1 as api;

use super::cells::{first_three, or};
use super::column::{age, name, text};
use super::pointer::{self, default_to, list, list_mut, texts};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("discovery.k8s.io", "EndpointSlice", "endpointslices")
            .version("v1", schema_of::<api::EndpointSlice>, columns())
            .rules(Rules {
                generation: true,
                default: |slice| {
                    for port in list_mut(slice, "/ports") {
                        default_to(port, "", "name", "");
                        default_to(port, "", "protocol", "TCP");
                    }
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
