//! What queues may have of device classes, and what they have (Volcano's capacity plugin).
//!
//! Accounting is by what claims ask for, not by what they got. A claim counts once in a queue, however many pods use it.

use std::collections::{BTreeMap, BTreeSet};

use api::{convert, hub};
use cluster::{Generation, Key};
use machinery::quantity::{Format, Quantity};
use serde_json::Value;

use crate::scheduler::claims::PodClaim;

/// What a queue's keys for device classes begin with, or have behind a dimension and a dot.
const DEVICE_CLASS: &str = "deviceclass/";

/// A claim, across generations.
type ClaimId = (&'static str, Key);

/// What the tasks of one queue have.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    amounts: BTreeMap<String, Quantity>,
    claims: BTreeSet<ClaimId>,
    pods: i64,
}

/// What one task adds to what its queue has.
pub(super) struct Increment {
    amounts: BTreeMap<String, Quantity>,
    claims: Vec<(ClaimId, BTreeMap<String, Quantity>)>,
}

impl Increment {
    /// What a pod with these claims takes.
    pub(super) fn of(pod: &Value, claims: &[PodClaim]) -> Self {
        let of_claim = |claim: &PodClaim| (id(claim.generation, &claim.document), asked(&claim.document));
        Self { amounts: requests(pod), claims: claims.iter().map(of_claim).collect() }
    }

    /// What several take together. A claim that two of them share counts twice, as it does in Volcano.
    pub(super) fn together(all: impl Iterator<Item = Self>) -> Self {
        let mut together = Self { amounts: BTreeMap::new(), claims: Vec::new() };
        for one in all {
            for (name, amount) in one.amounts {
                let sum = together.amounts.get(&name).map_or_else(|| amount.clone(), |sum| sum.add(&amount));
                together.amounts.insert(name, sum);
            }
            together.claims.extend(one.claims);
        }
        together
    }
}

/// What the containers of a pod ask for together.
fn requests(pod: &Value) -> BTreeMap<String, Quantity> {
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for (name, amount) in container["resources"]["requests"].as_object().into_iter().flatten() {
            let Ok(amount) = Quantity::from_json(amount) else { continue };
            let sum = sums.get(name).map_or_else(|| amount.clone(), |sum| sum.add(&amount));
            sums.insert(name.clone(), sum);
        }
    }
    sums
}

fn id(generation: Generation, claim: &Value) -> ClaimId {
    (generation.name, Key::of(claim))
}

/// What a claim asks for, by key: exact counts of devices, and the capacity that is asked of them. Alternatives and whole
/// pools are not counted.
fn asked(claim: &Value) -> BTreeMap<String, Quantity> {
    let mut asked: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut add = |key: String, amount: Quantity| {
        let sum = asked.get(&key).map_or_else(|| amount.clone(), |sum| sum.add(&amount));
        asked.insert(key, sum);
    };
    for request in convert::claim(claim).map(|claim| claim.requests).unwrap_or_default() {
        let hub::RequestAsk::Exactly(ask) = request.ask else { continue };
        let (Some(class), hub::Amount::Exact(count)) = (ask.class, ask.amount) else { continue };
        let count = count.max(1);
        add(format!("{DEVICE_CLASS}{class}"), Quantity::new(count, Format::DecimalSi));
        for (dimension, amount) in ask.capacity {
            add(format!("{dimension}.{DEVICE_CLASS}{class}"), amount.mul_i64(count));
        }
    }
    asked
}

impl Share {
    /// Whether a queue of this capability may have more.
    pub(super) fn admits(&self, capability: &Value, increment: &Increment) -> bool {
        let limit = |key: &str| capability.get(key).and_then(|value| Quantity::from_json(value).ok());
        let within = |key: &str, more: &Quantity, max: &Quantity| {
            let sum = self.amounts.get(key).map_or_else(|| more.clone(), |have| have.add(more));
            sum <= *max
        };
        let basic = increment.amounts.iter().all(|(key, more)| limit(key).is_none_or(|max| within(key, more, &max)));
        basic && self.admits_devices(capability, increment)
    }

    /// Whether a queue of this capability may have more devices.
    pub(super) fn admits_devices(&self, capability: &Value, increment: &Increment) -> bool {
        let limit = |key: &str| capability.get(key).and_then(|value| Quantity::from_json(value).ok());
        let within = |key: &str, more: &Quantity, max: &Quantity| {
            let sum = self.amounts.get(key).map_or_else(|| more.clone(), |have| have.add(more));
            sum <= *max
        };
        self.new_amounts(increment).iter().all(|(key, more)| match key.split_once(&format!(".{DEVICE_CLASS}")) {
            // Where a class is listed, a dimension that is not is not to be had.
            Some((_, class)) => match limit(key) {
                Some(max) => within(key, more, &max),
                None => limit(&format!("{DEVICE_CLASS}{class}")).is_none(),
            },
            // No devices at all is no limit.
            None => limit(key).is_none_or(|max| max.is_zero() || within(key, more, &max)),
        })
    }

    fn new_amounts(&self, increment: &Increment) -> BTreeMap<String, Quantity> {
        let mut all: BTreeMap<String, Quantity> = BTreeMap::new();
        for (_, amounts) in increment.claims.iter().filter(|(claim, _)| !self.claims.contains(claim)) {
            for (key, more) in amounts {
                let sum = all.get(key).map_or_else(|| more.clone(), |sum| sum.add(more));
                all.insert(key.clone(), sum);
            }
        }
        all
    }

    /// The queue has more.
    pub(super) fn take(&mut self, increment: &Increment) {
        let more = self.new_amounts(increment);
        let basic = increment.amounts.clone().into_iter();
        for (key, amount) in basic.chain(more) {
            let sum = self.amounts.get(&key).map_or_else(|| amount.clone(), |have| have.add(&amount));
            self.amounts.insert(key, sum);
        }
        self.claims.extend(increment.claims.iter().map(|(claim, _)| claim.clone()));
        self.pods += 1;
    }

    /// As `status.allocated` has it; what is zero is left out.
    pub(super) fn allocated(&self) -> Value {
        let mut all: serde_json::Map<String, Value> = self
            .amounts
            .iter()
            .filter(|(_, amount)| !amount.is_zero())
            .map(|(key, amount)| (key.clone(), amount.to_string().into()))
            .collect();
        if self.pods > 0 {
            all.insert("pods".to_owned(), self.pods.to_string().into());
        }
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::generation;
    use serde_json::json;

    fn claim(name: &str, count: i64, cores: Option<&str>) -> PodClaim {
        let mut exactly = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count});
        if let Some(cores) = cores {
            exactly["capacity"] = json!({"requests": {"cores": cores}});
        }
        let document = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"namespace": "n", "name": name},
            "spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}},
        });
        PodClaim { entry: name.to_owned(), generation: generation::GA, document: document.into() }
    }

    fn increment(claims: &[PodClaim]) -> Increment {
        Increment::of(&json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}]}}), claims)
    }

    #[test]
    fn the_reference_cases_of_the_capacity_plugin() {
        let admits = |capability: Value, first: &[PodClaim], second: &[PodClaim]| {
            let mut share = Share::default();
            let fits = share.admits(&capability, &increment(first));
            share.take(&increment(first));
            (fits, share.admits(&capability, &increment(second)), share.allocated())
        };
        let two = json!({"deviceclass/gpu": "2"});
        assert!(!admits(two.clone(), &[claim("a", 2, None)], &[claim("b", 1, None)]).1);
        // One claim of several pods counts once.
        let one = json!({"deviceclass/gpu": "1"});
        let (_, again, allocated) = admits(one, &[claim("a", 1, None)], &[claim("a", 1, None)]);
        assert!(again);
        assert_eq!(allocated, json!({"cpu": "1", "deviceclass/gpu": "1", "pods": "1"}));
        let cores = json!({"deviceclass/gpu": 2, "cores.deviceclass/gpu": 400});
        assert!(!admits(cores.clone(), &[claim("a", 1, Some("300"))], &[claim("b", 1, Some("200"))]).1);
        assert!(admits(cores, &[claim("a", 1, Some("200"))], &[claim("b", 1, Some("200"))]).1);
        // Nothing is no limit; a dimension that is not listed beside its class is not to be had.
        assert!(admits(json!({"deviceclass/gpu": "0"}), &[claim("a", 9, None)], &[claim("b", 9, None)]).1);
        assert!(!admits(two, &[claim("a", 1, Some("1"))], &[]).0);
        assert!(!admits(json!({"cpu": "1"}), &[], &[]).1);
    }
}
