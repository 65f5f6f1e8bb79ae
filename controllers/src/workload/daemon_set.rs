//! DaemonSets: one pod on every node that is meant.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Key, Kind, kind};
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::{
    number,
    revision::{Current, REVISION_HASH, Revisions},
    template,
};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    node_fit,
    ownership::{self, Owner},
    pod::{self, Availability},
};

const COMPONENT: &str = "daemonset-controller";
/// Most pods that are made or deleted at once.
const BURST: usize = 250;
/// The label that old clients look at.
const GENERATION_LABEL: &str = "pod-template-generation";
/// How old a pod that ended must be before another one takes its place.
const REPLACE_SECONDS: i64 = 1;

/// The daemon set controller.
pub(crate) struct DaemonSets;

impl Controller for DaemonSets {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::DAEMON_SET, kind::POD, kind::NODE, kind::CONTROLLER_REVISION]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        match changed.kind {
            kind::DAEMON_SET => due.extend(changed.after.as_ref().map(|set| (kind::DAEMON_SET, Key::of(set)))),
            kind::NODE => {
                let moved = |set: &&Arc<Value>| {
                    let wanted = |node: &Option<Arc<Value>>| node.as_ref().map(|node| Fit::of(&daemon(set), node));
                    wanted(&changed.before) != wanted(&changed.after)
                };
                due.extend(cache.all(kind::DAEMON_SET).filter(moved).map(|set| (kind::DAEMON_SET, Key::of(set))));
            }
            _ => ownership::touched_owners(kind::DAEMON_SET, changed, cache, ownership::selector, due),
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(set) = cache.get(kind::DAEMON_SET, key) else { return Plan::default() };
        if meta::deletion_timestamp(set).is_some() {
            return Plan::default();
        }
        let selector = ownership::selector(set);
        if selector.is_everything() {
            return Plan::default();
        }
        let owner = Owner { kind: kind::DAEMON_SET, object: set, selector: &selector };
        let (pods, revisions) =
            (owner.owned(kind::POD, cache, |_| true), owner.owned(kind::CONTROLLER_REVISION, cache, |_| true));
        let adoptions: Vec<Action> = pods.actions.into_iter().chain(revisions.actions).collect();
        if !adoptions.is_empty() {
            return adoptions.into();
        }
        let revisions = Revisions::of(revisions.objects);
        let current = match revisions.current(&owner, REVISION_HASH, cache) {
            Current::Is(revision) => revision,
            Current::Write(action) => return vec![*action].into(),
            Current::Collision => return collide(set).into(),
        };
        let hash = meta::label(current, REVISION_HASH).unwrap_or_default();
        let daemons = Daemons::of(set, hash, &pods.objects, cache, moment.now);
        let mut plan = Plan { actions: Vec::new(), again: daemons.again };
        let status = daemons.status();
        let (make, delete) = daemons.manage();
        let told = delete.iter().filter_map(|pod| ended(set, pod));
        plan.actions.extend(told);
        let mut writes: Vec<Action> =
            delete.into_iter().take(BURST).map(|pod| template::delete(pod, set, COMPONENT)).collect();
        writes.extend(make.into_iter().take(BURST).map(|node| daemons.make(&owner, node)));
        if writes.is_empty() {
            let used = |revision: &Value| {
                let hash = meta::label(revision, REVISION_HASH);
                meta::name(revision) == meta::name(current)
                    || pods.objects.iter().any(|pod| meta::label(pod, REVISION_HASH) == hash)
            };
            let limit = number::or(set, "/spec/revisionHistoryLimit", 10);
            plan.actions.extend(revisions.surplus(limit, used));
        } else {
            plan.actions.push(Action::Many(writes));
        }
        if status != set["status"] {
            let mut changed = Value::clone(set);
            changed["status"] = status;
            // The status does not depend on what is made: a failure must not keep it back.
            plan.actions.insert(0, Action::status(kind::DAEMON_SET, changed));
        }
        plan
    }
}

fn collide(set: &Arc<Value>) -> Vec<Action> {
    let mut changed = Value::clone(set);
    changed["status"]["collisionCount"] = json!(number::at(set, "/status/collisionCount") + 1);
    vec![Action::status(kind::DAEMON_SET, changed)]
}

/// What is said of a pod that ended before it is deleted.
fn ended(set: &Arc<Value>, pod: &Value) -> Option<Action> {
    let (key, node) = (Key::of(pod), pod::node_name(pod).unwrap_or_default());
    let remark = match pod::phase(pod) {
        "Failed" => {
            let message = format!("Found failed daemon pod {key} on node {node}, will try to kill it");
            Remark::warning(COMPONENT, "FailedDaemonPod", message)
        }
        "Succeeded" => {
            let message = format!("Found succeeded daemon pod {key} on node {node}, will try to delete it");
            Remark::normal(COMPONENT, "SucceededDaemonPod", message)
        }
        _ => return None,
    };
    Some(Action::Remark { about: set.clone(), remark })
}

/// The taints that every daemon bears.
fn tolerations(host_network: bool) -> Vec<Value> {
    let one = |(key, effect): (&str, &str)| json!({"key": key, "operator": "Exists", "effect": effect});
    let always = [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ];
    let network = host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    always.into_iter().chain(network).map(one).collect()
}

/// The template of a set with these tolerations.
fn daemon(set: &Value) -> Value {
    let mut pods = set["spec"]["template"].clone();
    let added = tolerations(pods["spec"]["hostNetwork"] == true);
    let mut present = pods["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for toleration in added {
        let same = |one: &&mut Value| ["key", "operator", "value", "effect"].iter().all(|of| one[of] == toleration[of]);
        match present.iter_mut().find(same) {
            Some(known) => *known = toleration,
            None => present.push(toleration),
        }
    }
    pods["spec"]["tolerations"] = json!(present);
    pods
}

/// Whether a daemon belongs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fit {
    /// It is to be there.
    runs: bool,
    /// It may stay if it is there.
    stays: bool,
}

impl Fit {
    fn of(pods: &Value, node: &Value) -> Self {
        let named = pods["spec"]["nodeName"].as_str().is_none_or(|name| name.is_empty() || name == meta::name(node));
        if !named || !node_fit::is_wanted(pods, node) {
            return Self { runs: false, stays: false };
        }
        let bears = |effects: &[&str]| node_fit::untolerated(pods, node, effects).is_none();
        Self { runs: bears(&["NoSchedule", "NoExecute"]), stays: bears(&["NoExecute"]) }
    }
}

/// The node for which a pod was made.
fn target(pod: &Value) -> Option<&str> {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let fields = || node_fit::list(pod, terms).flat_map(|term| node_fit::list(term, "/matchFields"));
    let named = || fields().find(|field| field["key"] == "metadata.name").and_then(|field| field["values"][0].as_str());
    pod::node_name(pod).or_else(named)
}

/// The daemons of a node.
struct Place<'a> {
    fit: Fit,
    /// Those that are not told to go.
    pods: Vec<&'a Arc<Value>>,
    /// Some are told to go.
    ending: bool,
}

/// One look at the daemons of a set.
struct Daemons<'a> {
    set: &'a Arc<Value>,
    hash: &'a str,
    now: Timestamp,
    min_ready: i64,
    places: BTreeMap<&'a str, Place<'a>>,
    /// Pods of nodes that are not there.
    lost: Vec<&'a Arc<Value>>,
    again: Option<Timestamp>,
}

impl<'a> Daemons<'a> {
    fn of(set: &'a Arc<Value>, hash: &'a str, pods: &[&'a Arc<Value>], cache: &'a Cache, now: Timestamp) -> Self {
        let template = daemon(set);
        let place = |node: &Value| Place { fit: Fit::of(&template, node), pods: Vec::new(), ending: false };
        let mut places: BTreeMap<&str, Place<'_>> =
            cache.all(kind::NODE).map(|node| (meta::name(node), place(node))).collect();
        let min_ready = number::at(set, "/spec/minReadySeconds");
        let (mut lost, mut again) = (Vec::new(), None::<Timestamp>);
        for pod in pods {
            if let Availability::At(at) = pod::availability(pod, min_ready, now) {
                again = Some(again.map_or(at, |one| one.min(at)));
            }
            match target(pod).and_then(|node| places.get_mut(node)) {
                Some(place) if meta::deletion_timestamp(pod).is_some() => place.ending = true,
                Some(place) => place.pods.push(pod),
                None if meta::deletion_timestamp(pod).is_none() => lost.push(*pod),
                None => {}
            }
        }
        for place in places.values_mut() {
            place.pods.sort_by_key(|pod| (meta::creation_timestamp(pod), meta::name(pod)));
            for ended in place.pods.iter().filter(|pod| pod::is_terminal(pod)) {
                let at = may_replace(ended).filter(|at| *at > now);
                again = again.into_iter().chain(at).min();
            }
        }
        Self { set, hash, now, min_ready, places, lost, again }
    }

    fn is_updated(&self, pod: &Value) -> bool {
        meta::label(pod, REVISION_HASH) == Some(self.hash)
    }

    fn is_available(&self, pod: &Value) -> bool {
        pod::availability(pod, self.min_ready, self.now) == Availability::Yes
    }

    fn desired(&self) -> i64 {
        number::count(&self.places.values().filter(|place| place.fit.runs).collect::<Vec<_>>())
    }

    /// How many more, and how many fewer, there may be while the set is updated.
    fn bounds(&self) -> (i64, i64) {
        let bound = |pointer: &str| {
            number::scaled(&self.set["spec"]["updateStrategy"]["rollingUpdate"], pointer, self.desired(), true)
        };
        let surge = bound("/maxSurge").unwrap_or(0);
        let unavailable = bound("/maxUnavailable").unwrap_or(1);
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
    }

    fn rolls(&self) -> bool {
        self.set["spec"]["updateStrategy"]["type"] != "OnDelete"
    }

    /// The nodes that get a daemon, and the daemons that go.
    fn manage(&self) -> (Vec<&'a str>, Vec<&'a Arc<Value>>) {
        let (mut make, mut delete) = (Vec::new(), self.lost.clone());
        for (node, place) in &self.places {
            let (ended, alive): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
                place.pods.iter().copied().partition(|pod| pod::is_terminal(pod));
            if !place.fit.stays {
                delete.extend(&place.pods);
                continue;
            }
            delete.extend(ended.iter().copied().filter(|pod| may_replace(pod).is_none_or(|at| at <= self.now)));
            if alive.is_empty() {
                if place.fit.runs && ended.is_empty() && !place.ending {
                    make.push(*node);
                }
                continue;
            }
            delete.extend(self.doubles(&alive));
        }
        if self.rolls() {
            let (more, fewer) = self.update();
            make.extend(more);
            for pod in fewer {
                if !delete.iter().any(|one| meta::uid(one) == meta::uid(pod)) {
                    delete.push(pod);
                }
            }
        }
        (make, delete)
    }

    /// All daemons of a node but the oldest; while the set surges, but the oldest of the old and of the new.
    fn doubles(&self, alive: &[&'a Arc<Value>]) -> Vec<&'a Arc<Value>> {
        if !self.rolls() || self.bounds().0 == 0 {
            return alive.iter().skip(1).copied().collect();
        }
        let (new, old): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
            alive.iter().copied().partition(|pod| self.is_updated(pod));
        new.into_iter().skip(1).chain(old.into_iter().skip(1)).collect()
    }

    /// What a rolling update makes and deletes.
    fn update(&self) -> (Vec<&'a str>, Vec<&'a Arc<Value>>) {
        let (surge, unavailable) = self.bounds();
        let mut step = Step::default();
        for (node, place) in self.places.iter().filter(|(_, place)| place.fit.runs) {
            let mut alive = place.pods.iter().copied().filter(|pod| !pod::is_terminal(pod));
            let new = alive.clone().find(|pod| self.is_updated(pod));
            let old = alive.find(|pod| !self.is_updated(pod));
            if surge > 0 { self.surge(node, place, new, old, &mut step) } else { self.replace(new, old, &mut step) }
        }
        if surge > 0 {
            let room = number::length(surge - step.busy);
            step.make.extend(step.may_make.into_iter().take(room));
        } else {
            let room = number::length(unavailable - step.busy);
            step.delete.extend(step.may_delete.into_iter().take(room));
        }
        (step.make, step.delete)
    }

    /// Without surge: an old daemon that does not work goes at once, others as long as enough work.
    fn replace(&self, new: Option<&'a Arc<Value>>, old: Option<&'a Arc<Value>>, step: &mut Step<'a>) {
        match (new, old) {
            (None, Some(old)) if self.is_available(old) => step.may_delete.push(old),
            (None, Some(old)) => {
                step.delete.push(old);
                step.busy += 1;
            }
            (Some(new), _) if self.is_available(new) => {}
            _ => step.busy += 1,
        }
    }

    /// With surge: a new daemon comes beside the old one, which goes once the new one works.
    fn surge(
        &self,
        node: &'a str,
        place: &Place<'a>,
        new: Option<&'a Arc<Value>>,
        old: Option<&'a Arc<Value>>,
        step: &mut Step<'a>,
    ) {
        match (new, old) {
            (None, Some(_)) if place.ending => step.busy += 1,
            (None, Some(old)) if self.is_available(old) => step.may_make.push(node),
            (None, Some(_)) => step.make.push(node),
            (Some(new), Some(old)) => {
                step.busy += 1;
                if self.is_available(new) {
                    step.delete.push(old);
                }
            }
            (_, None) => {}
        }
    }

    /// A daemon for a node.
    fn make(&self, owner: &Owner<'_>, node: &str) -> Action {
        let mut pod = template::pod(&daemon(self.set), meta::namespace(self.set), owner.reference());
        meta::set(&mut pod, "generateName", format!("{}-", meta::name(self.set)));
        template::set_label(&mut pod, REVISION_HASH, self.hash);
        template::set_label(&mut pod, GENERATION_LABEL, &meta::generation(self.set).to_string());
        let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
        pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
        template::create(pod, self.set, COMPONENT)
    }

    fn status(&self) -> Value {
        let (mut desired, mut current, mut misplaced, mut ready, mut updated, mut available) = (0, 0, 0, 0, 0, 0);
        for place in self.places.values() {
            let pods: Vec<&&Arc<Value>> = place.pods.iter().filter(|pod| !pod::is_terminal(pod)).collect();
            if !place.fit.runs {
                misplaced += i64::from(!pods.is_empty());
                continue;
            }
            desired += 1;
            current += i64::from(!place.pods.is_empty() || place.ending);
            let ready_one = pods.iter().find(|pod| pod::is_ready(pod));
            ready += i64::from(ready_one.is_some());
            available += i64::from(pods.iter().any(|pod| self.is_available(pod)));
            updated += i64::from(pods.iter().any(|pod| self.is_updated(pod)));
        }
        let mut status = Map::new();
        for (member, number) in [
            ("currentNumberScheduled", current),
            ("numberMisscheduled", misplaced),
            ("desiredNumberScheduled", desired),
            ("numberReady", ready),
        ] {
            status.insert(member.to_owned(), json!(number));
        }
        number::put(
            &mut status,
            &[
                ("observedGeneration", meta::generation(self.set)),
                ("updatedNumberScheduled", updated),
                ("numberAvailable", available),
                ("numberUnavailable", desired - available),
                ("collisionCount", number::at(self.set, "/status/collisionCount")),
            ],
        );
        Value::Object(status)
    }
}

/// What an update does at this moment.
#[derive(Default)]
struct Step<'a> {
    make: Vec<&'a str>,
    delete: Vec<&'a Arc<Value>>,
    may_make: Vec<&'a str>,
    may_delete: Vec<&'a Arc<Value>>,
    /// Nodes that take from the bounds already.
    busy: i64,
}

/// When a pod that ended may be replaced; `None`: at any time.
fn may_replace(pod: &Value) -> Option<Timestamp> {
    let created = time::parse(meta::creation_timestamp(pod))?;
    created.checked_add(SignedDuration::from_secs(REPLACE_SECONDS)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, taints: Value) -> (Kind, Value) {
        (kind::NODE, json!({"metadata": {"name": name}, "spec": {"taints": taints}}))
    }

    fn set(strategy: Value) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "d", "uid": "d", "generation": 1},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}}, "updateStrategy": strategy,
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}},
            },
        })
    }

    fn daemon_pod(node: &str, hash: &str, ready: bool) -> (Kind, Value) {
        let status = if ready { "True" } else { "False" };
        (
            kind::POD,
            json!({
                "metadata": {"namespace": "n", "name": format!("{node}-{hash}"), "uid": format!("{node}-{hash}"),
                    "labels": {"a": "b", REVISION_HASH: hash}},
                "spec": {"nodeName": node},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
            }),
        )
    }

    /// Where daemons are made, and which go.
    fn manage(strategy: Value, objects: Vec<(Kind, Value)>) -> (Vec<String>, Vec<String>, Value) {
        let (set, cache) = (Arc::new(set(strategy)), Cache::of(objects));
        let pods: Vec<&Arc<Value>> = cache.all(kind::POD).collect();
        let daemons = Daemons::of(&set, "new", &pods, &cache, Timestamp::UNIX_EPOCH);
        let (make, delete) = daemons.manage();
        (
            make.into_iter().map(str::to_owned).collect(),
            delete.into_iter().map(|pod| meta::name(pod).to_owned()).collect(),
            daemons.status(),
        )
    }

    #[test]
    fn every_node_that_is_meant_gets_one() {
        let taint = |effect: &str| json!([{"key": "node-role.kubernetes.io/control-plane", "effect": effect}]);
        let pressed = json!([{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]);
        let objects = vec![
            node("control", taint("NoSchedule")),
            node("evicting", taint("NoExecute")),
            node("free", json!([])),
            node("full", pressed),
            daemon_pod("evicting", "new", true),
            daemon_pod("gone", "new", true),
        ];
        let (make, delete, status) = manage(json!({"type": "OnDelete"}), objects);
        assert_eq!(make, ["free", "full"]);
        assert_eq!(delete, ["gone-new", "evicting-new"]);
        assert_eq!(
            (status["desiredNumberScheduled"].as_i64(), status["numberMisscheduled"].as_i64()),
            (Some(2), Some(1))
        );
    }

    #[test]
    fn a_rolling_update_keeps_enough_daemons() {
        let rolling = |surge: i64, unavailable: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
        let three = || ["a", "b", "c"].map(|name| node(name, json!([]))).to_vec();
        let with = |pods: Vec<(Kind, Value)>| three().into_iter().chain(pods).collect::<Vec<_>>();
        let old = |ready| ["a", "b", "c"].map(|name| daemon_pod(name, "old", ready)).to_vec();
        assert_eq!(manage(rolling(0, 1), with(old(true))).1, ["a-old"]);
        assert_eq!(manage(rolling(0, 2), with(old(true))).1, ["a-old", "b-old"]);
        assert_eq!(manage(rolling(0, 1), with(old(false))).1, ["a-old", "b-old", "c-old"], "they are of no use");
        let started = vec![daemon_pod("a", "new", false), daemon_pod("b", "old", true), daemon_pod("c", "old", true)];
        assert!(manage(rolling(0, 1), with(started)).1.is_empty());
        let (make, delete, _) = manage(rolling(1, 0), with(old(true)));
        assert_eq!((make, delete.len()), (vec!["a".to_owned()], 0));
        let mut surging = old(true);
        surging.push(daemon_pod("a", "new", true));
        let (make, delete, status) = manage(rolling(1, 0), with(surging));
        assert_eq!((make.len(), delete), (0, vec!["a-old".to_owned()]));
        assert_eq!((status["updatedNumberScheduled"].as_i64(), status["numberReady"].as_i64()), (Some(1), Some(3)));
        assert!(manage(json!({"type": "OnDelete"}), with(old(true))).1.is_empty());
    }
}
