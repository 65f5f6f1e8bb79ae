//! `networking.k8s.io/v1`.

use k8s_openapi::api::networking::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const GROUP: &str = "networking.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "IngressClass", "ingressclasses")
            .cluster()
            .version("v1", schema_of::<api::IngressClass>, name_and_age())
            .rules(Rules { generation: true, ..Rules::PLAIN }),
        kind(GROUP, "Ingress", "ingresses")
            .short(&["ing"])
            .version("v1", schema_of::<api::Ingress>, name_and_age())
            .status()
            .rules(Rules::WITH_GENERATION),
        kind(GROUP, "IPAddress", "ipaddresses").cluster().short(&["ip"]).version(
            "v1",
            schema_of::<api::IPAddress>,
            name_and_age(),
        ),
        kind(GROUP, "NetworkPolicy", "networkpolicies")
            .short(&["netpol"])
            .version("v1", schema_of::<api::NetworkPolicy>, name_and_age())
            .rules(Rules { generation: true, ..Rules::PLAIN }),
        kind(GROUP, "ServiceCIDR", "servicecidrs")
            .cluster()
            .version("v1", schema_of::<api::ServiceCIDR>, name_and_age())
            .status()
            .rules(Rules::WITH_STATUS),
    ]
}
