//! PodDisruptionBudgets: how many pods may go.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use crate::{
    action::Action,
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    event::Remark,
    ownership::{self, selector},
    pod,
    workload::number,
};

const COMPONENT: &str = "controllermanager";
/// How long an eviction is believed to be on its way: upstream's `DeletionTimeout`.
const EVICTION_SECONDS: i64 = 120;

/// The disruption controller.
pub(crate) struct Disruption;

impl Controller for Disruption {
    fn kinds(&self) -> Vec<Kind> {
        let scaled = SCALED.map(|(kind, _)| kind);
        [kind::POD_DISRUPTION_BUDGET, kind::POD, kind::DEPLOYMENT].into_iter().chain(scaled).collect()
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        if changed.kind == kind::POD_DISRUPTION_BUDGET {
            due.extend(changed.after.as_ref().map(|budget| (changed.kind, Key::of(budget))));
            return;
        }
        let budgets = cache.in_namespace(kind::POD_DISRUPTION_BUDGET, meta::namespace(object));
        let concerned = budgets.filter(|budget| match changed.kind {
            kind::POD => changed.states().any(|pod| selector(budget).matches_object(pod)),
            // What a budget takes a share of.
            _ => changed.differs_at("/spec/replicas") && selector(budget).matches_object(&object["spec"]["template"]),
        });
        due.extend(concerned.map(|budget| (kind::POD_DISRUPTION_BUDGET, Key::of(budget))));
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(budget) = cache.get(kind::POD_DISRUPTION_BUDGET, key) else { return Plan::default() };
        let selector = selector(budget);
        let pods: Vec<&Arc<Value>> =
            cache.in_namespace(kind::POD, &key.namespace).filter(|pod| selector.matches_object(pod)).collect();
        let mut plan = Plan::default();
        if pods.is_empty() {
            let message = "No matching pods found";
            plan.actions
                .push(Action::Remark { about: budget.clone(), remark: Remark::normal(COMPONENT, "NoPods", message) });
        }
        let (status, again) = match expected(budget, &pods, cache) {
            Ok(expected) => status(budget, &pods, expected, moment.now),
            Err(why) => {
                let remark = Remark::warning(
                    COMPONENT,
                    "CalculateExpectedPodCountFailed",
                    format!("Failed to calculate the number of expected pods: {why}"),
                );
                plan.actions.push(Action::Remark { about: budget.clone(), remark });
                (failed(budget, &why, moment.now), None)
            }
        };
        plan.look_again(again);
        if status == budget["status"] {
            // Nothing is said twice about what stays.
            plan.actions.clear();
        } else {
            let mut changed = Value::clone(budget);
            changed["status"] = status;
            plan.actions.push(Action::status(kind::POD_DISRUPTION_BUDGET, changed));
        }
        plan
    }
}

/// Who says how many pods there should be, and where.
const SCALED: [(Kind, &str); 3] = [
    (kind::REPLICA_SET, "/spec/replicas"),
    (kind::REPLICATION_CONTROLLER, "/spec/replicas"),
    (kind::STATEFUL_SET, "/spec/replicas"),
];

/// How many pods there should be, and how many of them healthy.
fn expected(budget: &Value, pods: &[&Arc<Value>], cache: &Cache) -> Result<(i64, i64), String> {
    let spec = &budget["spec"];
    if !spec["maxUnavailable"].is_null() {
        let expected = scale(pods, cache)?;
        let fewer = number::scaled(spec, "/maxUnavailable", expected, true).unwrap_or(0);
        return Ok((expected, (expected - fewer).max(0)));
    }
    match &spec["minAvailable"] {
        Value::String(_) => {
            let expected = scale(pods, cache)?;
            Ok((expected, number::scaled(spec, "/minAvailable", expected, true).unwrap_or(0)))
        }
        other => Ok((number::count(pods), other.as_i64().unwrap_or(0))),
    }
}

/// How many pods the controllers of these pods want.
fn scale(pods: &[&Arc<Value>], cache: &Cache) -> Result<i64, String> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = meta::controller(pod) else { continue };
        let known = SCALED.iter().find_map(|(of, at)| Some((ownership::controller_of(*of, pod, cache)?, *at)));
        let Some((set, at)) = known else {
            let kind = owner["kind"].as_str().unwrap_or_default();
            let resource = format!(
                "{}s.{}",
                kind.to_lowercase(),
                owner["apiVersion"].as_str().unwrap_or_default().split('/').next().unwrap_or_default()
            );
            return Err(format!("{resource} does not implement the scale subresource"));
        };
        let set = ownership::controller_of(kind::DEPLOYMENT, set, cache).unwrap_or(set);
        wanted.insert(meta::uid(set), number::or(set, at, 1));
    }
    Ok(wanted.values().sum())
}

fn status(
    budget: &Value,
    pods: &[&Arc<Value>],
    (expected, desired): (i64, i64),
    now: Timestamp,
) -> (Value, Option<Timestamp>) {
    let (mut disrupted, mut again) = (Map::new(), None::<Timestamp>);
    for (name, since) in budget["status"]["disruptedPods"].as_object().into_iter().flatten() {
        let there = pods.iter().any(|pod| meta::name(pod) == name && meta::deletion_timestamp(pod).is_none());
        let ends = since.as_str().and_then(time::parse);
        let ends = ends.and_then(|since| since.checked_add(SignedDuration::from_secs(EVICTION_SECONDS)).ok());
        if let Some(ends) = ends.filter(|ends| there && *ends > now) {
            disrupted.insert(name.clone(), since.clone());
            again = Some(again.map_or(ends, |one| one.min(ends)));
        }
    }
    let healthy = |pod: &&&Arc<Value>| {
        meta::deletion_timestamp(pod).is_none() && !disrupted.contains_key(meta::name(pod)) && pod::is_ready(pod)
    };
    let healthy = number::count(&pods.iter().filter(healthy).collect::<Vec<_>>());
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let (value, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut status = Map::new();
    for (member, number) in [
        ("currentHealthy", healthy),
        ("desiredHealthy", desired),
        ("expectedPods", expected),
        ("disruptionsAllowed", allowed),
        ("observedGeneration", meta::generation(budget)),
    ] {
        status.insert(member.to_owned(), json!(number));
    }
    if !disrupted.is_empty() {
        status.insert("disruptedPods".to_owned(), Value::Object(disrupted));
    }
    status.insert("conditions".to_owned(), json!([condition(budget, value, reason, "", now)]));
    (Value::Object(status), again)
}

/// Nothing may be disrupted while it is not known what is asked for.
fn failed(budget: &Value, why: &str, now: Timestamp) -> Value {
    let mut status = budget["status"].as_object().cloned().unwrap_or_default();
    status.insert("disruptionsAllowed".to_owned(), json!(0));
    status.insert("observedGeneration".to_owned(), json!(meta::generation(budget)));
    status.insert("conditions".to_owned(), json!([condition(budget, "False", "SyncFailed", why, now)]));
    Value::Object(status)
}

fn condition(budget: &Value, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = conditions::new("DisruptionAllowed", status, reason, message, now);
    condition["message"] = json!(message);
    condition["observedGeneration"] = json!(meta::generation(budget));
    let mut list = conditions::of(&budget["status"]);
    conditions::set(&mut list, condition);
    conditions::find(&list, "DisruptionAllowed").cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_what_is_healthy_beyond_what_is_wanted() {
        let pod = |name: &str, ready: &str| {
            (
                kind::POD,
                json!({
                    "metadata": {"namespace": "n", "name": name, "uid": name, "labels": {"a": "b"}, "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]},
                    "status": {"conditions": [{"type": "Ready", "status": ready}]},
                }),
            )
        };
        let allowed = |spec: Value, disrupted: Value| {
            let mut budget = json!({
                "metadata": {"namespace": "n", "name": "b", "generation": 1}, "spec": spec,
                "status": {"disruptedPods": disrupted},
            });
            budget["spec"]["selector"] = json!({"matchLabels": {"a": "b"}});
            let set = json!({"metadata": {"namespace": "n", "name": "r", "uid": "r"}, "spec": {"replicas": 4}});
            let cache = Cache::of([
                (kind::POD_DISRUPTION_BUDGET, budget),
                (kind::REPLICA_SET, set),
                pod("1", "True"),
                pod("2", "True"),
                pod("3", "True"),
                pod("4", "False"),
            ]);
            let moment = Moment { now: time::parse("2026-01-01T00:00:00Z").expect("a time"), failure: None };
            let plan = Disruption.reconcile(kind::POD_DISRUPTION_BUDGET, &Key::new("n", "b"), &cache, moment);
            let [Action::Replace { object, .. }] = plan.actions.as_slice() else { panic!("{plan:?}") };
            let status = &object["status"];
            ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]
                .map(|of| status[of].as_i64().unwrap_or(-1))
        };
        assert_eq!(allowed(json!({"minAvailable": 2}), json!({})), [1, 3, 2, 4]);
        assert_eq!(allowed(json!({"minAvailable": "60%"}), json!({})), [0, 3, 3, 4]);
        assert_eq!(allowed(json!({"maxUnavailable": "50%"}), json!({})), [1, 3, 2, 4]);
        let recent = json!({"1": "2025-12-31T23:59:00Z", "2": "2025-12-31T23:00:00Z", "gone": "2025-12-31T23:59:00Z"});
        assert_eq!(allowed(json!({"maxUnavailable": 2}), recent), [0, 2, 2, 4]);
    }
}
