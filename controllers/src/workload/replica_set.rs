//! ReplicaSets and ReplicationControllers: so many pods, no more and no less.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::Timestamp;
use machinery::{meta, selector::label::Selector, time};
use serde_json::{Map, Value, json};

use super::{number, template};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    ownership::{self, Owner},
    pod::{self, Availability},
};

/// Most pods that are made or deleted at once.
const BURST: i64 = 500;

/// The two kinds that this controller is for, one at a time.
pub(crate) struct ReplicaSets {
    kind: Kind,
    component: &'static str,
    selector: fn(&Value) -> Selector,
}

impl ReplicaSets {
    /// For ReplicaSets.
    pub(crate) fn of_sets() -> Self {
        Self { kind: kind::REPLICA_SET, component: "replicaset-controller", selector: ownership::selector }
    }

    /// For ReplicationControllers.
    pub(crate) fn of_controllers() -> Self {
        let selector = |controller: &Value| {
            let labels = controller.pointer("/spec/selector").and_then(Value::as_object);
            let labels = labels.filter(|labels| !labels.is_empty());
            let pairs = |labels: &Map<String, Value>| {
                Selector::from_labels(labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))))
            };
            labels.map_or_else(Selector::nothing, pairs)
        };
        Self { kind: kind::REPLICATION_CONTROLLER, component: "replication-controller", selector }
    }
}

impl Controller for ReplicaSets {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::POD, self.kind]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        if changed.kind == kind::POD {
            ownership::touched_owners(self.kind, changed, cache, self.selector, due);
        } else if changed.kind == self.kind {
            due.extend(changed.after.as_ref().map(|set| (self.kind, Key::of(set))));
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(set) = cache.get(self.kind, key) else { return Plan::default() };
        let selector = (self.selector)(set);
        let owner = Owner { kind: self.kind, object: set, selector: &selector };
        let owned = owner.owned(kind::POD, cache, pod::is_active);
        if !owned.actions.is_empty() {
            return owned.actions.into();
        }
        let pods = owned.objects;
        let mut plan = Plan::default();
        let manage =
            if meta::deletion_timestamp(set).is_none() { self.manage(&owner, &pods, cache) } else { Vec::new() };
        let (status, again) = status(self.kind, set, &pods, &manage, moment);
        plan.look_again(again);
        let status = (status != set["status"]).then(|| {
            let mut changed = Value::clone(set);
            changed["status"] = status;
            Action::status(self.kind, changed)
        });
        let manage = (!manage.is_empty()).then_some(Action::Many(manage));
        // What fails must be told before it is tried again.
        if moment.failure.is_some() {
            plan.actions.extend(status.into_iter().chain(manage));
        } else {
            plan.actions.extend(manage.into_iter().chain(status));
        }
        plan
    }
}

impl ReplicaSets {
    /// The pods to make or to delete.
    fn manage(&self, owner: &Owner<'_>, pods: &[&Arc<Value>], cache: &Cache) -> Vec<Action> {
        let set = owner.object;
        let active: Vec<&Arc<Value>> = pods.iter().copied().filter(|pod| pod::is_active(pod)).collect();
        let missing = number::or(set, "/spec/replicas", 1) - number::count(&active);
        if missing >= 0 {
            let mut pod = template::pod(&set["spec"]["template"], meta::namespace(set), owner.reference());
            meta::set(&mut pod, "generateName", format!("{}-", meta::name(set)));
            return (0..missing.min(BURST)).map(|_| template::create(pod.clone(), set, self.component)).collect();
        }
        let surplus = (-missing).min(BURST);
        let chosen = to_delete(active, &self.crowd(set, cache), number::length(surplus));
        chosen.into_iter().map(|pod| template::delete(pod, set, self.component)).collect()
    }

    /// How many pods of this set and of those of the same owner each node has.
    fn crowd(&self, set: &Value, cache: &Cache) -> HashMap<String, usize> {
        let mut crowd = HashMap::new();
        let siblings: Vec<&Arc<Value>> = match meta::controller(set).and_then(|owner| owner["uid"].as_str()) {
            Some(uid) => cache.owned(self.kind, uid).collect(),
            None => cache.get(self.kind, &Key::of(set)).into_iter().collect(),
        };
        let pods = siblings.into_iter().flat_map(|sibling| cache.owned(kind::POD, meta::uid(sibling)));
        for pod in pods.filter(|pod| pod::is_active(pod)) {
            *crowd.entry(pod::node_name(pod).unwrap_or_default().to_owned()).or_default() += 1;
        }
        crowd
    }
}

/// Which pods go first: as `ActivePodsWithRanks` of kube-controller-manager sorts them.
fn to_delete<'a>(mut pods: Vec<&'a Arc<Value>>, crowd: &HashMap<String, usize>, count: usize) -> Vec<&'a Arc<Value>> {
    let crowd_of = |pod: &Value| crowd.get(pod::node_name(pod).unwrap_or_default()).copied().unwrap_or(0);
    pods.sort_by(|one, other| order(one, other, &crowd_of));
    pods.truncate(count);
    pods
}

/// The annotation with which users say which pods may go first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn order(one: &Value, other: &Value, crowd: &dyn Fn(&Value) -> usize) -> Ordering {
    let phase = |pod: &Value| match pod::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost =
        |pod: &Value| meta::annotation(pod, DELETION_COST).and_then(|cost| cost.parse::<i32>().ok()).unwrap_or(0);
    let assigned = |pod: &Value| pod::node_name(pod).is_some();
    // Later is younger; a time that is not there is the youngest of all.
    let later = |one: Option<Timestamp>, other: Option<Timestamp>| match (one, other) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(one), Some(other)) => other.cmp(&one),
    };
    let created = |pod: &Value| time::parse(meta::creation_timestamp(pod));
    assigned(one)
        .cmp(&assigned(other))
        .then_with(|| phase(one).cmp(&phase(other)))
        .then_with(|| pod::is_ready(one).cmp(&pod::is_ready(other)))
        .then_with(|| cost(one).cmp(&cost(other)))
        .then_with(|| crowd(other).cmp(&crowd(one)))
        .then_with(|| later(pod::ready_since(one), pod::ready_since(other)))
        .then_with(|| pod::restarts(other).cmp(&pod::restarts(one)))
        .then_with(|| later(created(one), created(other)))
        .then_with(|| meta::uid(one).cmp(meta::uid(other)))
}

/// The status, and when it will be another although nothing changes.
fn status(
    kind: Kind,
    set: &Value,
    pods: &[&Arc<Value>],
    manage: &[Action],
    moment: Moment<'_>,
) -> (Value, Option<Timestamp>) {
    let labels = set["spec"]["template"]["metadata"]["labels"].as_object();
    let labelled = |pod: &Value| {
        labels
            .into_iter()
            .flatten()
            .all(|(key, value)| meta::label(pod, key) == Some(value.as_str().unwrap_or_default()))
    };
    let min_ready = number::at(set, "/spec/minReadySeconds");
    let (mut replicas, mut fully_labelled, mut ready, mut available, mut terminating) = (0, 0, 0, 0, 0);
    let mut again: Option<Timestamp> = None;
    for pod in pods.iter().filter(|pod| !pod::is_terminal(pod)) {
        if meta::deletion_timestamp(pod).is_some() {
            terminating += 1;
            continue;
        }
        replicas += 1;
        fully_labelled += i64::from(labelled(pod));
        ready += i64::from(pod::is_ready(pod));
        match pod::availability(pod, min_ready, moment.now) {
            Availability::Yes => available += 1,
            Availability::At(at) => again = Some(again.map_or(at, |one| one.min(at))),
            Availability::No => {}
        }
    }
    let mut status = Map::new();
    status.insert("replicas".to_owned(), json!(replicas));
    number::put(
        &mut status,
        &[
            ("fullyLabeledReplicas", fully_labelled),
            ("readyReplicas", ready),
            ("availableReplicas", available),
            ("observedGeneration", meta::generation(set)),
        ],
    );
    if kind == kind::REPLICA_SET {
        status.insert("terminatingReplicas".to_owned(), json!(terminating));
    }
    let conditions = failure_condition(set, manage, moment);
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), json!(conditions));
    }
    (Value::Object(status), again)
}

fn failure_condition(set: &Value, manage: &[Action], moment: Moment<'_>) -> Vec<Value> {
    let mut list = conditions::of(&set["status"]);
    let reason = match manage.first() {
        Some(Action::Create { .. }) => "FailedCreate",
        Some(Action::Delete { .. }) => "FailedDelete",
        _ => "",
    };
    match moment.failure {
        Some(why) if !reason.is_empty() => {
            // It is told once, as it was at first.
            if conditions::find(&list, "ReplicaFailure").is_none() {
                conditions::set(&mut list, conditions::new("ReplicaFailure", "True", reason, why, moment.now));
            }
        }
        _ => conditions::remove(&mut list, "ReplicaFailure"),
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i64, min_ready: i64) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "r", "uid": "r", "generation": 2},
            "spec": {
                "replicas": replicas, "minReadySeconds": min_ready, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}},
            },
            "status": {"replicas": 0},
        })
    }

    fn pod(name: &str, phase: &str, ready: Option<&str>, node: &str) -> Value {
        let conditions: Vec<Value> = ready
            .map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}))
            .into_iter()
            .collect();
        json!({
            "metadata": {
                "namespace": "n", "name": name, "uid": name, "labels": {"a": "b"},
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true},
                ],
            },
            "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": conditions},
        })
    }

    const READY: Option<&str> = Some("2026-01-01T00:00:00Z");

    fn plan(set: Value, pods: Vec<Value>, failure: Option<&str>) -> Plan {
        let mut cache = vec![(kind::REPLICA_SET, set)];
        cache.extend(pods.into_iter().map(|pod| (kind::POD, pod)));
        let now = time::parse("2026-01-01T00:00:10Z").expect("a time");
        ReplicaSets::of_sets().reconcile(
            kind::REPLICA_SET,
            &Key::new("n", "r"),
            &Cache::of(cache),
            Moment { now, failure },
        )
    }

    fn writes(plan: &Plan) -> (usize, Vec<String>, Value) {
        let (mut made, mut deleted, mut status) = (0, Vec::new(), Value::Null);
        for action in &plan.actions {
            match action {
                Action::Many(many) => {
                    for one in many {
                        match one {
                            Action::Create { .. } => made += 1,
                            Action::Delete { object, .. } => deleted.push(meta::name(object).to_owned()),
                            other => panic!("{other:?}"),
                        }
                    }
                }
                Action::Replace { object, subresource: "status", .. } => status = object["status"].clone(),
                other => panic!("{other:?}"),
            }
        }
        (made, deleted, status)
    }

    #[test]
    fn pods_are_made_and_counted() {
        let pods =
            || vec![pod("a", "Running", READY, "x"), pod("b", "Pending", None, ""), pod("c", "Failed", None, "x")];
        let (made, deleted, status) = writes(&plan(set(4, 0), pods(), None));
        assert_eq!((made, deleted.len()), (2, 0));
        assert_eq!(
            status,
            json!({
                "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
                "observedGeneration": 2, "terminatingReplicas": 0,
            })
        );
        // What is ready not long enough is not available, and is looked at again when it is.
        let waiting = plan(set(2, 30), pods(), None);
        assert_eq!(writes(&waiting).2.get("availableReplicas"), None);
        assert_eq!(waiting.again, time::parse("2026-01-01T00:00:30Z"));
    }

    #[test]
    fn a_failure_is_told_before_the_next_attempt() {
        let failed = plan(set(1, 0), vec![], Some("pods \"r-\" is forbidden"));
        assert!(matches!(failed.actions.as_slice(), [Action::Replace { .. }, Action::Many(_)]), "{failed:?}");
        let condition = &writes(&failed).2["conditions"][0];
        assert_eq!((condition["reason"].as_str(), condition["status"].as_str()), (Some("FailedCreate"), Some("True")));
    }

    #[test]
    fn the_least_useful_pods_go_first() {
        let mut cheap = pod("cheap", "Running", READY, "x");
        cheap["metadata"]["annotations"] = json!({DELETION_COST: "-1"});
        let mut restarted = pod("restarted", "Running", READY, "y");
        restarted["status"]["containerStatuses"] = json!([{"restartCount": 3}]);
        let pods = vec![
            pod("crowded", "Running", READY, "x"),
            restarted,
            pod("fresh", "Running", Some("2026-01-01T00:00:05Z"), "y"),
            pod("unready", "Running", None, "x"),
            cheap,
            pod("unassigned", "Pending", None, ""),
            pod("pending", "Pending", None, "z"),
            pod("best", "Running", READY, "y"),
        ];
        let (_, deleted, _) = writes(&plan(set(0, 0), pods, None));
        // Node x has three, y has three as well: then who was ready last, who restarted most.
        assert_eq!(deleted, ["unassigned", "pending", "unready", "cheap", "fresh", "restarted", "best", "crowded"]);
    }
}
