//! `networking.k8s.io`: v1, and the older version of addresses and their ranges, which have the same fields.

mod validation;

pub(super) use validation::balancer_addresses;

use k8s_openapi::api::networking::{v1 as api, v1beta1};

use super::cells::{NONE, load_balancer, or, selector_or_none};
use super::column::{age, name, text};
use super::pointer::{self, default_to, has, list, list_mut, object_mut, texts};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::definition::KeptMetadata;
use machinery::meta;
use serde_json::{Value, json};

const GROUP: &str = "networking.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "IngressClass", "ingressclasses")
            .cluster()
            .version("v1", schema_of::<api::IngressClass>, ingress_class())
            .rules(Rules {
                generation: true,
                default: |class| default_to(class, "/spec/parameters", "scope", "Cluster"),
                validate: validation::ingress_class,
                validate_update: Some(validation::ingress_class_update),
                ..Rules::PLAIN
            }),
        kind(GROUP, "Ingress", "ingresses")
            .short(&["ing"])
            .version("v1", schema_of::<api::Ingress>, ingress())
            .status()
            .rules(Rules {
                initial_status: |_| json!({"loadBalancer": {}}),
                validate: validation::ingress,
                warnings: ingress_warnings,
                validate_subresource: |ingress, _, _| validation::ingress_status(ingress),
                ..Rules::WITH_GENERATION
            }),
        kind(GROUP, "IPAddress", "ipaddresses")
            .cluster()
            .short(&["ip"])
            .version("v1", schema_of::<api::IPAddress>, ip_address())
            .version("v1beta1", schema_of::<v1beta1::IPAddress>, ip_address())
            .deprecated("networking.k8s.io/v1beta1 IPAddress is deprecated in v1.34+, unavailable in v1.37+")
            .rules(Rules {
                validate: validation::ip_address,
                validate_change: validation::ip_address_change,
                name_errors: validation::ip_name_errors,
                ..Rules::PLAIN
            }),
        kind(GROUP, "NetworkPolicy", "networkpolicies")
            .short(&["netpol"])
            .version("v1", schema_of::<api::NetworkPolicy>, network_policy())
            .rules(Rules {
                generation: true,
                default: default_network_policy,
                validate: validation::network_policy,
                ..Rules::PLAIN
            }),
        kind(GROUP, "ServiceCIDR", "servicecidrs")
            .cluster()
            .version("v1", schema_of::<api::ServiceCIDR>, service_cidr())
            .version("v1beta1", schema_of::<v1beta1::ServiceCIDR>, service_cidr())
            .deprecated("networking.k8s.io/v1beta1 ServiceCIDR is deprecated in v1.34+, unavailable in v1.37+")
            .status()
            .rules(Rules {
                status_keeps: KeptMetadata::All,
                validate: validation::service_cidr,
                validate_update: Some(validation::service_cidr_update),
                ..Rules::WITH_STATUS
            }),
    ]
}

fn ingress_class() -> Vec<Column> {
    vec![
        name(),
        text("Controller", "Controller that handles the class.", |object, _| {
            pointer::text(object, "/spec/controller").into()
        }),
        text("Parameters", "Object with further configuration.", |object, _| parameters(object).into()),
        age(),
    ]
}

fn parameters(class: &Value) -> String {
    if !pointer::has(class, "/spec/parameters") {
        return NONE.to_owned();
    }
    let part = |member: &str| pointer::text(class, &format!("/spec/parameters/{member}"));
    match part("apiGroup") {
        "" => format!("{}/{}", part("kind"), part("name")),
        group => format!("{}.{group}/{}", part("kind"), part("name")),
    }
}

/// A new ingress that names its class as was usual once.
fn ingress_warnings(ingress: &Value, old: Option<&Value>) -> Vec<String> {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let is_old_fashioned =
        old.is_none() && meta::annotation(ingress, CLASS).is_some() && !has(ingress, "/spec/ingressClassName");
    let text = format!("annotation \"{CLASS}\" is deprecated, please use 'spec.ingressClassName' instead");
    is_old_fashioned.then_some(text).into_iter().collect()
}

fn ingress() -> Vec<Column> {
    vec![
        name(),
        text("Class", "Class that handles the ingress.", |object, _| {
            or(pointer::text(object, "/spec/ingressClassName"), NONE).into()
        }),
        text("Hosts", "Hosts of the rules.", |object, _| hosts(object).into()),
        text("Address", "Addresses of the load balancer.", |object, _| load_balancer(object).into()),
        text("Ports", "Ports that are open.", |object, _| {
            if list(object, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }
        }),
        age(),
    ]
}

fn hosts(ingress: &Value) -> String {
    const LISTED: usize = 3;
    let rules = list(ingress, "/spec/rules");
    let hosts = rules.iter().map(|rule| pointer::text(rule, "/host")).filter(|host| !host.is_empty());
    let listed = hosts.take(LISTED).collect::<Vec<_>>();
    if listed.len() == LISTED && rules.len() > LISTED {
        return format!("{} + {} more...", listed.join(","), rules.len() - LISTED);
    }
    or(&listed.join(","), "*").to_owned()
}

fn ip_address() -> Vec<Column> {
    vec![name(), text("ParentRef", "Object that holds the address.", |object, _| parent(object).into())]
}

fn parent(address: &Value) -> String {
    if !pointer::has(address, "/spec/parentRef") {
        return NONE.to_owned();
    }
    let part = |member: &str| pointer::text(address, &format!("/spec/parentRef/{member}"));
    let group = if part("group").is_empty() { String::new() } else { format!(".{}", part("group")) };
    let namespace = if part("namespace").is_empty() { String::new() } else { format!("/{}", part("namespace")) };
    format!("{}{group}{namespace}/{}", part("resource").to_lowercase(), part("name"))
}

fn network_policy() -> Vec<Column> {
    vec![
        name(),
        text("Pod-Selector", "Pods that the policy is about.", |object, _| {
            selector_or_none(object, "/spec/podSelector").into()
        }),
        age(),
    ]
}

fn service_cidr() -> Vec<Column> {
    vec![
        name(),
        text("CIDRs", "Ranges of addresses.", |object, _| {
            texts(object, "/spec/cidrs").collect::<Vec<_>>().join(",").into()
        }),
        age(),
    ]
}

/// A policy without types is about what it has rules for, and about ingress always.
fn default_network_policy(policy: &mut Value) {
    for rules in ["ingress", "egress"] {
        for rule in list_mut(policy, &format!("/spec/{rules}")) {
            list_mut(rule, "/ports").for_each(|port| default_to(port, "", "protocol", "TCP"));
        }
    }
    if list(policy, "/spec/policyTypes").is_empty() {
        let has_egress = !list(policy, "/spec/egress").is_empty();
        let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        object_mut(policy, "/spec").map(|spec| spec.insert("policyTypes".to_owned(), types));
    }
}
