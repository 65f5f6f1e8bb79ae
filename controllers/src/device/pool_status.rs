//! ResourcePoolStatusRequests: how many devices of pools are taken, answered once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::tainted::{Pool, pool_of_result, pool_of_slice, results};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    node_fit::list,
    workload::number,
};

/// Most pools of an answer, unless the question says less.
const POOLS_MAX: i64 = 100;
/// How often a question about pools that are being published is tried, and how long between.
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: SignedDuration = SignedDuration::from_millis(500);
/// How long an answer is kept, and a question without one.
const KEPT_HOURS: i64 = 1;
const PENDING_HOURS: i64 = 24;

/// The controller of resource pool status requests.
#[derive(Default)]
pub(crate) struct PoolStatus {
    /// How often a question was tried, by its uid.
    attempts: HashMap<String, u32>,
}

impl Controller for PoolStatus {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::RESOURCE_POOL_STATUS_REQUEST, kind::RESOURCE_SLICE, kind::RESOURCE_CLAIM]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        // What pools are is read when a question comes.
        let Some(request) = changed.latest().filter(|_| changed.kind == kind::RESOURCE_POOL_STATUS_REQUEST) else {
            return;
        };
        if changed.after.is_none() {
            self.attempts.remove(meta::uid(request));
        }
        due.push((changed.kind, Key::of(request)));
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let mut plan = Plan::default();
        let Some(request) = cache.get(kind::RESOURCE_POOL_STATUS_REQUEST, key) else { return plan };
        let answered = request["status"].as_object().is_some_and(|status| !status.is_empty());
        let created = time::parse(meta::creation_timestamp(request)).unwrap_or(moment.now);
        let hours = if answered { KEPT_HOURS } else { PENDING_HOURS };
        let ends = created.checked_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX);
        if ends <= moment.now {
            let (kind, object) = (kind::RESOURCE_POOL_STATUS_REQUEST, request.clone());
            plan.actions.push(Action::Delete { kind, object, grace: None, tell: None });
            return plan;
        }
        plan.look_again(Some(ends));
        if answered {
            return plan;
        }
        let pools = pools(request, cache);
        if pools.values().any(|pool| !pool.is_complete()) {
            // What is being published may be complete soon. Upstream gives up after some attempts, without an answer.
            let attempts = self.attempts.entry(meta::uid(request).to_owned()).or_default();
            *attempts = attempts.saturating_add(1);
            if *attempts <= ATTEMPTS_MAX {
                plan.look_again(moment.now.checked_add(PAUSE).ok());
            }
            return plan;
        }
        let mut changed = Value::clone(request);
        changed["status"] = status(request, &pools, cache, moment.now);
        plan.actions.push(Action::status(kind::RESOURCE_POOL_STATUS_REQUEST, changed));
        plan
    }
}

/// The slices of a pool in its newest generation.
#[derive(Default)]
struct Found<'a> {
    generation: i64,
    slices: Vec<&'a Arc<Value>>,
}

impl Found<'_> {
    fn is_complete(&self) -> bool {
        let wanted = self.slices.iter().filter_map(|slice| number::maybe(slice, "/spec/pool/resourceSliceCount"));
        wanted.max().unwrap_or(0) <= number::count(&self.slices)
    }
}

fn pools<'a>(request: &Value, cache: &'a Cache) -> BTreeMap<Pool, Found<'a>> {
    let (driver, name) = (&request["spec"]["driver"], &request["spec"]["poolName"]);
    let mut pools: BTreeMap<Pool, Found<'_>> = BTreeMap::new();
    for slice in cache.all(kind::RESOURCE_SLICE) {
        let pool = pool_of_slice(slice);
        if *driver != pool.driver.as_str() || !name.is_null() && *name != pool.name.as_str() {
            continue;
        }
        let generation = number::at(slice, "/spec/pool/generation");
        let found = pools.entry(pool).or_insert_with(|| Found { generation, slices: Vec::new() });
        if generation > found.generation {
            *found = Found { generation, slices: Vec::new() };
        }
        if generation == found.generation {
            found.slices.push(slice);
        }
    }
    pools
}

fn status(request: &Value, pools: &BTreeMap<Pool, Found<'_>>, cache: &Cache, now: Timestamp) -> Value {
    let mut allocated: BTreeMap<Pool, i64> = BTreeMap::new();
    for result in cache.all(kind::RESOURCE_CLAIM).flat_map(|claim| results(claim)) {
        *allocated.entry(pool_of_result(result)).or_default() += 1;
    }
    let limit = number::or(&request["spec"], "/limit", POOLS_MAX);
    let one = |(pool, found): (&Pool, &Found<'_>)| {
        let total: usize = found.slices.iter().map(|slice| list(slice, "/spec/devices").count()).sum();
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let taken = allocated.get(pool).copied().unwrap_or(0);
        let mut status = Map::new();
        for (member, text) in [("driver", &pool.driver), ("poolName", &pool.name)] {
            status.insert(member.to_owned(), json!(text));
        }
        let mut nodes = found.slices.iter().map(|slice| slice["spec"]["nodeName"].as_str());
        let first = nodes.next().flatten();
        if let Some(node) = first.filter(|_| nodes.all(|node| node == first)) {
            status.insert("nodeName".to_owned(), json!(node));
        }
        for (member, number) in [
            ("generation", found.generation),
            ("resourceSliceCount", number::count(&found.slices)),
            ("totalDevices", total),
            ("allocatedDevices", taken),
            ("availableDevices", (total - taken).max(0)),
            ("unavailableDevices", 0),
        ] {
            status.insert(member.to_owned(), json!(number));
        }
        Value::Object(status)
    };
    let listed: Vec<Value> = pools.iter().take(number::length(limit)).map(one).collect();
    let message = format!("Calculated status for {} pools", listed.len());
    json!({
        "poolCount": pools.len(),
        "pools": listed,
        "conditions": [conditions::new("Complete", "True", "CalculationComplete", &message, now)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_its_pools_are_whole() {
        let slice = |name: &str, pool: &str, generation: i64, count: i64| {
            (
                kind::RESOURCE_SLICE,
                json!({"metadata": {"name": name}, "spec": {
                    "driver": "d", "nodeName": "x", "devices": [{"name": "a"}, {"name": "b"}],
                    "pool": {"name": pool, "generation": generation, "resourceSliceCount": count},
                }}),
            )
        };
        let request = |pool: Value| {
            (
                kind::RESOURCE_POOL_STATUS_REQUEST,
                json!({
                    "metadata": {"name": "q", "uid": "q", "creationTimestamp": "2026-01-01T00:00:00Z"},
                    "spec": {"driver": "d", "poolName": pool},
                }),
            )
        };
        let result = json!({"driver": "d", "pool": "p", "device": "a"});
        let claim = (
            kind::RESOURCE_CLAIM,
            json!({
                "metadata": {"namespace": "n", "name": "c"}, "status": {"allocation": {"devices": {"results": [result]}}},
            }),
        );
        let objects = |pool| {
            [request(pool), claim.clone(), slice("1", "p", 1, 1), slice("2", "p", 2, 1), slice("3", "half", 1, 2)]
        };
        let plan = |pool| {
            let moment = Moment { now: time::parse("2026-01-01T00:00:01Z").expect("a time"), failure: None };
            let kind = kind::RESOURCE_POOL_STATUS_REQUEST;
            PoolStatus::default().reconcile(kind, &Key::new("", "q"), &Cache::of(objects(pool)), moment)
        };
        let answer = plan(json!("p"));
        let [Action::Replace { object, .. }] = answer.actions.as_slice() else { panic!("{answer:?}") };
        assert_eq!(
            object["status"]["pools"],
            json!([{
                "driver": "d", "poolName": "p", "nodeName": "x", "generation": 2, "resourceSliceCount": 1,
                "totalDevices": 2, "allocatedDevices": 1, "availableDevices": 1, "unavailableDevices": 0,
            }])
        );
        assert_eq!(object["status"]["conditions"][0]["message"], "Calculated status for 1 pools");
        assert!(plan(Value::Null).actions.is_empty());
    }
}
