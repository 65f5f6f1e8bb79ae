//! Why a node is no place for a pod, with what the node has and the pod wants: for people who ask.

use api::hub::NodeSelector;
use cluster::Key;
use machinery::quantity::{Format, Quantity};
use serde_json::Value;

use super::{
    Options,
    binding::{self, Readiness},
    filter::{ANOTHER_PLACE, CORDONED, FULL, PORT_TAKEN, TAINTED},
    node::{NodeState, PlacedPod},
    refusal::{NOT_AVAILABLE, Refusal},
    search::{Reach, Search},
};

/// Each refusal in a line.
pub(super) fn of(search: &Search<'_>, node: &NodeState, refusals: &[Refusal], options: &Options) -> Vec<String> {
    refusals
        .iter()
        .map(|refusal| match facts(search, node, &refusal.reason, options) {
            Some(facts) => format!("{}: {facts}", refusal.reason),
            None => refusal.reason.clone(),
        })
        .collect()
}

fn facts(search: &Search<'_>, node: &NodeState, reason: &str, options: &Options) -> Option<String> {
    let wants = &search.wants;
    if let Some(resource) = reason.strip_prefix("Insufficient ") {
        let (wanted, all) = (wants.requests.get(resource), node.allocatable.get(resource));
        let requested = node.requested.get(resource);
        let amount = |amount| shown(resource, amount);
        return Some(match (all, requested) {
            (0, _) => format!("the pod wants {}, the node has none", amount(wanted)),
            (_, 0) => format!("the pod wants {}, the node has {}", amount(wanted), amount(all)),
            _ => {
                let left = amount(all.saturating_sub(requested).max(0));
                format!("the pod wants {}, {left} of {} are left", amount(wanted), amount(all))
            }
        });
    }
    match reason {
        TAINTED => {
            let taint = allocator::taint::blocking_taint(&node.taints, &wants.tolerations)?;
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            Some(format!("the pod does not tolerate {}{value}:{}", taint.key, taint.effect))
        }
        CORDONED => Some(format!("`kubectl uncordon {}` changes that", node.name())),
        FULL => Some(format!("it takes {} and has {}", node.pods_max, node.pods.len())),
        ANOTHER_PLACE => place_facts(wants.spec, node),
        PORT_TAKEN => {
            let taken = |pod: &PlacedPod| {
                let port = wants.host_ports.iter().find(|one| pod.host_ports.iter().any(|other| one.clashes(other)))?;
                Some(format!("pod {}/{} has {port}", pod.namespace, pod.name))
            };
            node.pods.values().find_map(|pod| taken(pod))
        }
        NOT_AVAILABLE => claim_facts(search, node, options),
        _ => None,
    }
}

/// CPU in thousandths, memory in powers of two.
fn shown(resource: &str, amount: i64) -> String {
    let binary = ["memory", "ephemeral-storage"].contains(&resource) || resource.starts_with("hugepages-");
    match resource {
        "cpu" => Quantity::from_milli(amount, Format::DecimalSi).to_string(),
        _ if binary => Quantity::new(amount, Format::BinarySi).to_string(),
        _ => amount.to_string(),
    }
}

/// Which labels are other than the pod selects.
fn place_facts(spec: &Value, node: &NodeState) -> Option<String> {
    let wrong = spec["nodeSelector"].as_object().into_iter().flatten().filter_map(|(key, value)| {
        let wanted = value.as_str().unwrap_or_default();
        match node.label(key) {
            Some(has) if has == wanted => None,
            Some(has) => Some(format!("the pod selects {key}={wanted}, the node has {key}={has}")),
            None => Some(format!("the pod selects {key}={wanted}, the node has no label {key}")),
        }
    });
    let wrong: Vec<String> = wrong.collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// Which allocated claim cannot be used, and why.
fn claim_facts(search: &Search<'_>, node: &NodeState, options: &Options) -> Option<String> {
    let position = search.unreachable_on(node).into_iter().next()?;
    let Some(wanted) = search.wanted.get(position) else {
        return Some("the claim for its extended resources is allocated elsewhere".to_owned());
    };
    let document = &wanted.claim.document;
    let claim = Key::of(document);
    match (&wanted.allocated, binding::readiness(document, (options.now)(), options.binding_timeout)) {
        (Some(Reach::Nowhere), Readiness::Failed(why)) => Some(format!("claim {claim}: {why}")),
        (Some(Reach::Nodes(selector)), _) => {
            let pods = api::convert::reserved_pods(document);
            let others: Vec<&str> =
                pods.iter().filter(|pod| !pod.is(search.pod)).map(|pod| pod.name.as_str()).collect();
            let users = match others.as_slice() {
                [] => String::new(),
                [one] => format!(", and pod {one} uses it"),
                many => format!(", and {} pods use it", many.len()),
            };
            Some(format!("claim {claim} is allocated on {}{users}", nodes(selector)))
        }
        _ => None,
    }
}

/// The nodes that a selector means, in words.
fn nodes(selector: &NodeSelector) -> String {
    let requirement = |one: &api::hub::NodeRequirement| match one.operator.as_str() {
        "In" if one.key == "metadata.name" => one.values.join(" or "),
        "In" => format!("nodes with {}={}", one.key, one.values.join(" or ")),
        operator => format!("nodes with {} {operator} {}", one.key, one.values.join(",")),
    };
    let term = |term: &api::hub::NodeSelectorTerm| {
        let all = term.match_fields.iter().chain(&term.match_expressions);
        all.map(requirement).collect::<Vec<_>>().join(" and ")
    };
    selector.terms.iter().map(term).collect::<Vec<_>>().join(", or ")
}
