//! StatefulSets: pods with names, in order.

mod identity;

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Map, Value, json};

use super::{
    number,
    revision::{self, Current, REVISION_HASH, Revisions},
};
use crate::{
    action::{Action, Tell},
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    ownership::{self, Owner},
    pod::{self, Availability},
};

pub(super) const COMPONENT: &str = "statefulset-controller";
/// The label with the hash of a revision.
const HASH: &str = "controller.kubernetes.io/hash";

/// The stateful set controller.
pub(crate) struct StatefulSets;

impl Controller for StatefulSets {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::STATEFUL_SET, kind::POD, kind::CONTROLLER_REVISION, kind::PERSISTENT_VOLUME_CLAIM]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        match changed.kind {
            kind::STATEFUL_SET => due.extend(changed.after.as_ref().map(|set| (kind::STATEFUL_SET, Key::of(set)))),
            // They are looked up when a pod needs them.
            kind::PERSISTENT_VOLUME_CLAIM => {}
            _ => ownership::touched_owners(kind::STATEFUL_SET, changed, cache, ownership::selector, due),
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(set) = cache.get(kind::STATEFUL_SET, key) else { return Plan::default() };
        if meta::deletion_timestamp(set).is_some() {
            return Plan::default();
        }
        let selector = ownership::selector(set);
        let owner = Owner { kind: kind::STATEFUL_SET, object: set, selector: &selector };
        let pods = owner.owned(kind::POD, cache, |_| true);
        let revisions = owner.owned(kind::CONTROLLER_REVISION, cache, |_| true);
        let own_name = |action: &Action| match action {
            Action::Patch { kind: of, object, .. } => {
                *of != kind::POD || meta::controller(object).is_some() || identity::ordinal(set, object).is_some()
            }
            _ => true,
        };
        // A pod with another name is not adopted.
        let adoptions: Vec<Action> = pods.actions.into_iter().chain(revisions.actions).filter(own_name).collect();
        if !adoptions.is_empty() {
            return adoptions.into();
        }
        let revisions = Revisions::of(revisions.objects);
        let update = match revisions.current(&owner, HASH, cache) {
            Current::Is(revision) => revision,
            Current::Write(action) => return vec![*action].into(),
            Current::Collision => return collide(set).into(),
        };
        let current =
            set["status"]["currentRevision"].as_str().and_then(|name| revisions.named(name)).unwrap_or(update);
        let look = Look { set, owner, cache, now: moment.now, current, update, pods: by_ordinal(set, &pods.objects) };
        let (mut actions, again) = look.next();
        if actions.is_empty() {
            let used = |revision: &Value| {
                let name = meta::name(revision);
                [meta::name(current), meta::name(update)].contains(&name)
                    || pods.objects.iter().any(|pod| meta::label(pod, REVISION_HASH) == Some(name))
            };
            actions = revisions.surplus(number::or(set, "/spec/revisionHistoryLimit", 10), used);
        }
        let status = look.status();
        if status != set["status"] {
            let mut changed = Value::clone(set);
            changed["status"] = status;
            actions.insert(0, Action::status(kind::STATEFUL_SET, changed));
        }
        Plan { actions, again }
    }
}

fn collide(set: &Arc<Value>) -> Vec<Action> {
    let mut changed = Value::clone(set);
    changed["status"]["collisionCount"] = json!(number::at(set, "/status/collisionCount") + 1);
    vec![Action::status(kind::STATEFUL_SET, changed)]
}

fn by_ordinal<'a>(set: &Value, pods: &[&'a Arc<Value>]) -> BTreeMap<i64, &'a Arc<Value>> {
    pods.iter().filter_map(|pod| Some((identity::ordinal(set, pod)?, *pod))).collect()
}

/// One look at a set.
struct Look<'a> {
    set: &'a Arc<Value>,
    owner: Owner<'a>,
    cache: &'a Cache,
    now: Timestamp,
    current: &'a Arc<Value>,
    update: &'a Arc<Value>,
    pods: BTreeMap<i64, &'a Arc<Value>>,
}

impl<'a> Look<'a> {
    fn replicas(&self) -> i64 {
        number::or(self.set, "/spec/replicas", 1)
    }

    /// The ordinals that are to be there.
    fn ordinals(&self) -> std::ops::Range<i64> {
        let start = number::at(self.set, "/spec/ordinals/start");
        start..start.saturating_add(self.replicas())
    }

    fn in_order(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] != "Parallel"
    }

    fn rolls(&self) -> bool {
        self.set["spec"]["updateStrategy"]["type"] != "OnDelete"
    }

    fn partition(&self) -> i64 {
        number::at(self.set, "/spec/updateStrategy/rollingUpdate/partition")
    }

    fn availability(&self, pod: &Value) -> Availability {
        if pod::phase(pod) != "Running" || meta::deletion_timestamp(pod).is_some() {
            return Availability::No;
        }
        pod::availability(pod, number::at(self.set, "/spec/minReadySeconds"), self.now)
    }

    /// The revision that a new pod of an ordinal gets.
    fn revision_of(&self, ordinal: i64) -> &'a Arc<Value> {
        if !self.rolls() {
            return self.update;
        }
        let kept = number::maybe(self.set, "/spec/updateStrategy/rollingUpdate/partition")
            .unwrap_or_else(|| number::at(self.set, "/status/currentReplicas"));
        if ordinal < self.ordinals().start.saturating_add(kept) { self.current } else { self.update }
    }

    /// What to do next, and when to look again.
    fn next(&self) -> (Vec<Action>, Option<Timestamp>) {
        let again = self.pods.values().filter_map(|pod| match self.availability(pod) {
            Availability::At(at) => Some(at),
            _ => None,
        });
        let again = again.min();
        let keep: Vec<Action> = self
            .pods
            .iter()
            .flat_map(|(ordinal, pod)| {
                identity::keep_claims(&self.owner, pod, !self.ordinals().contains(ordinal), *ordinal, self.cache)
            })
            .collect();
        if !keep.is_empty() {
            return (keep, again);
        }
        let (mut actions, done) = self.fill();
        if done {
            let (shrink, done) = self.shrink();
            actions.extend(shrink);
            if done && self.rolls() {
                actions.extend(self.roll());
            }
        }
        (actions, again)
    }

    /// Makes what is missing. False: the next one must wait.
    fn fill(&self) -> (Vec<Action>, bool) {
        let (mut told, mut claims, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        let mut done = true;
        for ordinal in self.ordinals() {
            let pod = self.pods.get(&ordinal);
            let waits = match pod {
                None => {
                    claims.extend(identity::make_claims(self.set, ordinal, self.cache));
                    writes.push(self.make(ordinal));
                    true
                }
                Some(pod) if meta::deletion_timestamp(pod).is_some() => true,
                Some(pod) if pod::is_terminal(pod) => {
                    told.push(self.recreating(pod));
                    writes.push(self.delete(pod));
                    true
                }
                Some(pod) => {
                    if pod::phase(pod) == "Pending" {
                        claims.extend(identity::make_claims(self.set, ordinal, self.cache));
                    }
                    self.availability(pod) != Availability::Yes
                }
            };
            if waits && self.in_order() {
                done = false;
                break;
            }
        }
        let mut actions = told;
        actions.extend([claims, writes].into_iter().filter(|list| !list.is_empty()).map(Action::Many));
        (actions, done)
    }

    /// Deletes what is too much, the last first. False: the next one must wait.
    fn shrink(&self) -> (Vec<Action>, bool) {
        let ordinals = self.ordinals();
        let first_unhealthy = self.pods.iter().find(|(_, pod)| !is_healthy(pod)).map(|(ordinal, _)| *ordinal);
        let mut actions = Vec::new();
        for (ordinal, pod) in self.pods.iter().rev().filter(|(ordinal, _)| !ordinals.contains(ordinal)) {
            if meta::deletion_timestamp(pod).is_some() {
                if self.in_order() {
                    return (actions, false);
                }
                continue;
            }
            let waits = self.in_order() && !is_healthy(pod) && first_unhealthy != Some(*ordinal);
            if waits {
                return (actions, false);
            }
            actions.push(self.delete(pod));
            if self.in_order() {
                return (actions, false);
            }
        }
        (actions, true)
    }

    /// Replaces pods of other revisions, the last first, as long as enough work.
    fn roll(&self) -> Vec<Action> {
        let ordinals = self.ordinals();
        let lowest = ordinals.start.saturating_add(self.partition());
        let rolling = &self.set["spec"]["updateStrategy"]["rollingUpdate"];
        let bound = number::scaled(rolling, "/maxUnavailable", self.replicas(), true).unwrap_or(1).max(1);
        let working =
            |ordinal: &i64| self.pods.get(ordinal).is_some_and(|pod| self.availability(pod) == Availability::Yes);
        let mut room = bound - number::count(&ordinals.clone().filter(|ordinal| !working(ordinal)).collect::<Vec<_>>());
        let mut actions = Vec::new();
        for ordinal in (lowest..ordinals.end).rev() {
            let Some(pod) = self.pods.get(&ordinal) else { continue };
            let old = meta::label(pod, REVISION_HASH) != Some(meta::name(self.update));
            let broken = !working(&ordinal);
            if meta::deletion_timestamp(pod).is_some() || !old {
                if broken && bound == 1 {
                    return actions;
                }
                continue;
            }
            // What does not work anyway may go, and is no loss.
            if !broken {
                if room <= 0 {
                    return actions;
                }
                room -= 1;
            }
            actions.push(self.delete(pod));
            if bound == 1 {
                return actions;
            }
        }
        actions
    }

    fn make(&self, ordinal: i64) -> Action {
        let revision = self.revision_of(ordinal);
        let from = revision::template_of(revision);
        let pod = identity::pod(&self.owner, &from, meta::name(revision), ordinal);
        let tell = self.tell("create", meta::name(&pod), ("SuccessfulCreate", "FailedCreate"));
        Action::Create { kind: kind::POD, object: pod, tell: Some(tell) }
    }

    fn delete(&self, pod: &Arc<Value>) -> Action {
        let tell = self.tell("delete", meta::name(pod), ("SuccessfulDelete", "FailedDelete"));
        Action::Delete { kind: kind::POD, object: pod.clone(), grace: None, tell: Some(tell) }
    }

    fn tell(&self, verb: &str, pod: &str, (done, failed): (&'static str, &'static str)) -> Tell {
        let set = meta::name(self.set);
        Tell {
            about: self.set.clone(),
            component: COMPONENT,
            done: (done, format!("{verb} Pod {{}} in StatefulSet {set} successful")),
            failed: (failed, format!("{verb} Pod {pod} in StatefulSet {set} failed error: {{}}")),
        }
    }

    fn recreating(&self, pod: &Value) -> Action {
        let (reason, word) = if pod::phase(pod) == "Failed" {
            ("RecreatingFailedPod", "failed")
        } else {
            ("RecreatingTerminatedPod", "terminated")
        };
        let message = format!("StatefulSet {} is recreating {word} Pod {}", Key::of(self.set), meta::name(pod));
        let remark = match word {
            "failed" => Remark::warning(COMPONENT, reason, message),
            _ => Remark::normal(COMPONENT, reason, message),
        };
        Action::Remark { about: self.set.clone(), remark }
    }

    fn status(&self) -> Value {
        let (mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0);
        let of = |pod: &Value, revision: &Value| meta::label(pod, REVISION_HASH) == Some(meta::name(revision));
        for pod in self.pods.values() {
            let running = pod::phase(pod) == "Running" && pod::is_ready(pod);
            ready += i64::from(running);
            available += i64::from(self.availability(pod) == Availability::Yes);
            if meta::deletion_timestamp(pod).is_none() {
                current += i64::from(of(pod, self.current));
                updated += i64::from(of(pod, self.update));
            }
        }
        let replicas = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        let mut current_revision = meta::name(self.current);
        if self.rolls() && updated == replicas && ready == replicas && replicas == self.replicas() {
            (current, current_revision) = (updated, meta::name(self.update));
        }
        let mut status = Map::new();
        for (member, number) in [("replicas", replicas), ("availableReplicas", available)] {
            status.insert(member.to_owned(), json!(number));
        }
        // Upstream says this one even when it is zero.
        status.insert("collisionCount".to_owned(), json!(number::at(self.set, "/status/collisionCount")));
        number::put(
            &mut status,
            &[
                ("observedGeneration", meta::generation(self.set)),
                ("readyReplicas", ready),
                ("currentReplicas", current),
                ("updatedReplicas", updated),
            ],
        );
        status.insert("currentRevision".to_owned(), json!(current_revision));
        status.insert("updateRevision".to_owned(), json!(meta::name(self.update)));
        Value::Object(status)
    }
}

fn is_healthy(pod: &Value) -> bool {
    pod::phase(pod) == "Running" && pod::is_ready(pod) && meta::deletion_timestamp(pod).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::selector::label::Selector;

    fn set(spec: Value) -> Arc<Value> {
        let mut set = json!({
            "metadata": {"namespace": "n", "name": "web", "uid": "u", "generation": 1},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {}},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            },
        });
        for (member, value) in spec.as_object().expect("members") {
            set["spec"][member] = value.clone();
        }
        Arc::new(set)
    }

    /// `2:old:ready`
    fn pod(text: &str) -> (Kind, Value) {
        let [ordinal, revision, state] = text.split(':').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (phase, ready) = match state {
            "ready" => ("Running", "True"),
            "failed" => ("Failed", "False"),
            _ => ("Running", "False"),
        };
        let mut pod = json!({
            "metadata": {"namespace": "n", "name": format!("web-{ordinal}"), "uid": ordinal,
                "labels": {REVISION_HASH: revision}},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        });
        if state == "ending" {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        (kind::POD, pod)
    }

    /// `+name` for what is made, `-name` for what is deleted.
    fn next(spec: Value, pods: &[&str]) -> Vec<String> {
        let (set, selector) = (set(spec), Selector::everything());
        let cache = Cache::of(pods.iter().map(|text| pod(text)));
        let revision = |name: &str| Arc::new(json!({"metadata": {"name": name}, "data": {"spec": {"template": {}}}}));
        let (current, update) = (revision("old"), revision("new"));
        let owner = Owner { kind: kind::STATEFUL_SET, object: &set, selector: &selector };
        let all: Vec<&Arc<Value>> = cache.all(kind::POD).collect();
        let look = Look {
            set: &set,
            owner,
            cache: &cache,
            now: Timestamp::UNIX_EPOCH,
            current: &current,
            update: &update,
            pods: by_ordinal(&set, &all),
        };
        let mut told = Vec::new();
        for action in look.next().0 {
            let list = if let Action::Many(list) = action { list } else { vec![action] };
            for one in list {
                match one {
                    Action::Create { object, .. } => {
                        let revision = meta::label(&object, REVISION_HASH).unwrap_or_default();
                        told.push(format!("+{}:{revision}", meta::name(&object)));
                    }
                    Action::Delete { object, .. } => told.push(format!("-{}", meta::name(&object))),
                    _ => {}
                }
            }
        }
        told
    }

    #[test]
    fn pods_come_and_go_in_order() {
        let table: &[(Value, &[&str], &[&str])] = &[
            (json!({}), &[], &["+web-0:new"]),
            (json!({}), &["0:new:starting"], &[]),
            (json!({}), &["0:new:ready"], &["+web-1:new"]),
            (json!({}), &["0:new:ready", "1:new:failed"], &["-web-1"]),
            (json!({"podManagementPolicy": "Parallel"}), &["1:new:starting"], &["+web-0:new", "+web-2:new"]),
            (json!({"ordinals": {"start": 5}, "replicas": 1}), &[], &["+web-5:new"]),
            (json!({"replicas": 1}), &["0:new:ready", "1:new:ready", "2:new:ready"], &["-web-2"]),
            (json!({"replicas": 1}), &["0:new:ready", "1:new:ready", "2:new:ending"], &[]),
            (
                json!({"replicas": 1, "podManagementPolicy": "Parallel"}),
                &["0:new:ready", "1:new:ready", "2:new:ready"],
                &["-web-2", "-web-1"],
            ),
        ];
        for (spec, pods, expected) in table {
            assert_eq!(next(spec.clone(), pods), *expected, "{spec} {pods:?}");
        }
    }

    #[test]
    fn updates_go_from_the_last_to_the_partition() {
        let rolling = |rolling: Value| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}});
        let old = ["0:old:ready", "1:old:ready", "2:old:ready"];
        assert_eq!(next(rolling(json!({"partition": 0})), &old), ["-web-2"]);
        assert_eq!(next(rolling(json!({"partition": 0})), &["0:old:ready", "1:old:ready", "2:new:ready"]), ["-web-1"]);
        assert!(next(rolling(json!({"partition": 2})), &["0:old:ready", "1:old:ready", "2:new:ready"]).is_empty());
        assert_eq!(next(rolling(json!({"partition": 2})), &["0:old:ready"]), ["+web-1:old"]);
        assert_eq!(next(rolling(json!({"partition": 0, "maxUnavailable": 2})), &old), ["-web-2", "-web-1"]);
        assert!(next(json!({"updateStrategy": {"type": "OnDelete"}}), &old).is_empty());
        assert_eq!(next(json!({"updateStrategy": {"type": "OnDelete"}}), &["0:old:ready"]), ["+web-1:new"]);
    }
}
