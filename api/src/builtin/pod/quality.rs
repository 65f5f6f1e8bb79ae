//! The quality-of-service class of a pod.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

use crate::builtin::pointer::{list, members};

/// `Guaranteed`, `Burstable` or `BestEffort`, from the CPU and memory that the containers ask for.
pub(in crate::builtin) fn class(pod: &Value) -> &'static str {
    let mut requests = BTreeMap::new();
    let mut limits = BTreeMap::new();
    let mut guaranteed = true;
    for container in list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers")) {
        add(&mut requests, container, "/resources/requests");
        let limited = add(&mut limits, container, "/resources/limits");
        guaranteed &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && same(&requests, &limits) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds a container's CPU and memory to the sums; how many of the two it states.
fn add<'a>(sums: &mut BTreeMap<&'a str, Quantity>, container: &'a Value, pointer: &str) -> usize {
    let mut stated = 0;
    for (resource, value) in members(container, pointer).filter(|(name, _)| matches!(*name, "cpu" | "memory")) {
        let Ok(amount) = Quantity::from_json(value) else { continue };
        if amount.sign() <= 0 {
            continue;
        }
        stated += 1;
        let sum = match sums.get(resource) {
            Some(sum) => sum.add(&amount),
            None => amount,
        };
        sums.insert(resource, sum);
    }
    stated
}

fn same(requests: &BTreeMap<&str, Quantity>, limits: &BTreeMap<&str, Quantity>) -> bool {
    requests.len() == limits.len()
        && requests.iter().all(|(name, request)| limits.get(name).is_some_and(|limit| limit.sub(request).is_zero()))
}
