//! Counters that devices take from: whether they are there, and have enough.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::hub::Slice;
use machinery::quantity::Quantity;

use super::{
    finding::{Finding, Severity},
    world::{Generation, Stored},
};

/// A pool: driver, name, generation.
type Pool<'a> = (&'a str, &'a str, i64);

/// Counters by set, and by name.
type Sets<'a> = BTreeMap<&'a str, &'a BTreeMap<String, Quantity>>;

/// Checks what the devices of Kubernetes' slices take from counters; prototypes have theirs in the pool itself.
pub(super) fn check(slices: &[(&Stored<'_>, Arc<Slice>)], generation: Generation, findings: &mut Vec<Finding>) {
    if generation != Generation::Kubernetes {
        return;
    }
    let mut pools: HashMap<Pool<'_>, Sets<'_>> = HashMap::new();
    // A set in a slice that lacks others may be in one that is elsewhere.
    let mut seen: HashMap<Pool<'_>, i64> = HashMap::new();
    for (_, slice) in slices {
        *seen.entry(pool_of(slice)).or_default() += 1;
        let sets = pools.entry(pool_of(slice)).or_default();
        sets.extend(slice.counter_sets.iter().map(|set| (set.name.as_str(), &set.counters)));
    }
    for (one, slice) in slices.iter().filter(|(one, _)| !one.refused) {
        let pool = pool_of(slice);
        let whole = slice.slice_count.is_none_or(|wanted| seen.get(&pool).is_some_and(|seen| *seen >= wanted));
        let Some(sets) = pools.get(&pool).filter(|_| whole) else { continue };
        for (index, device) in slice.devices.iter().enumerate() {
            for (position, taken) in device.consumes.iter().enumerate() {
                let path = format!("spec.devices[{index}].consumesCounters[{position}]");
                let mut found = |severity, part: String, message: &str, there: Option<String>| {
                    let mut finding = one.source.finding(severity, "counter", &format!("{path}.{part}"), message);
                    finding.details.extend(there);
                    findings.push(finding);
                };
                let Some(counters) = sets.get(taken.counter_set.as_str()) else {
                    let message = format!("no counter set {:?} in the pool {}/{}", taken.counter_set, pool.0, pool.1);
                    found(Severity::Error, "counterSet".to_owned(), &message, list(sets.keys().copied()));
                    continue;
                };
                for (name, wanted) in &taken.counters {
                    let part = format!("counters[{name}]");
                    match counters.get(name) {
                        None => {
                            let message = format!("no counter {name:?} in the counter set {:?}", taken.counter_set);
                            found(Severity::Error, part, &message, list(counters.keys().map(String::as_str)));
                        }
                        Some(has) if has < wanted => {
                            let (device, set) = (&device.name, &taken.counter_set);
                            let message = format!(
                                "device {device} takes {wanted} of {name}, of which {set} has {has}: nobody can have it"
                            );
                            found(Severity::Warning, part, &message, None);
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }
}

fn pool_of(slice: &Slice) -> Pool<'_> {
    (&slice.driver, &slice.pool, slice.generation)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| format!("there are: {}", names.join(", ")))
}
