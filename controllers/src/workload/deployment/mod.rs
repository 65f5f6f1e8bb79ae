//! Deployments: replica sets that come and go with their template.

mod sets;
mod size;
mod status;

use std::sync::Arc;

use cluster::{Key, Kind, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::{Value, json};

use self::{
    sets::Sets,
    size::{Set, Wanted},
    status::Status,
};
use super::{hash, number, template};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    ownership::{self, Owner},
    pod,
};

const COMPONENT: &str = "deployment-controller";

/// The deployment controller.
pub(crate) struct Deployments;

impl Controller for Deployments {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::DEPLOYMENT, kind::REPLICA_SET, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        match changed.kind {
            kind::DEPLOYMENT => due.extend(changed.after.as_ref().map(|object| (kind::DEPLOYMENT, Key::of(object)))),
            kind::REPLICA_SET => {
                ownership::touched_owners(kind::DEPLOYMENT, changed, cache, ownership::selector, due);
            }
            // Who recreates waits until the last old pod has gone.
            kind::POD => due.extend(recreating(changed, cache).map(|object| (kind::DEPLOYMENT, Key::of(object)))),
            _ => {}
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(deployment) = cache.get(kind::DEPLOYMENT, key) else { return Plan::default() };
        let selector = ownership::selector(deployment);
        if selector.is_everything() {
            return selects_all(deployment).into();
        }
        Rollout::plan(deployment, &selector, cache, moment)
    }
}

fn recreating<'a>(changed: &Changed, cache: &'a Cache) -> Option<&'a Arc<Value>> {
    let ended = |pod: &Value| changed.after.is_none() || pod::is_terminal(pod);
    let pod = changed.latest().filter(|pod| ended(pod))?;
    let set = ownership::controller_of(kind::REPLICA_SET, pod, cache)?;
    let deployment = ownership::controller_of(kind::DEPLOYMENT, set, cache)?;
    (deployment["spec"]["strategy"]["type"] == "Recreate").then_some(deployment)
}

fn selects_all(deployment: &Arc<Value>) -> Vec<Action> {
    let message = "This deployment is selecting all pods. A non-empty selector is required.";
    let mut actions =
        vec![Action::Remark { about: deployment.clone(), remark: Remark::warning(COMPONENT, "SelectingAll", message) }];
    if number::at(deployment, "/status/observedGeneration") < meta::generation(deployment) {
        let mut changed = Value::clone(deployment);
        changed["status"]["observedGeneration"] = json!(meta::generation(deployment));
        actions.push(Action::status(kind::DEPLOYMENT, changed));
    } else {
        actions.clear();
    }
    actions
}

/// One look at a deployment.
struct Rollout<'a> {
    deployment: &'a Arc<Value>,
    owner: Owner<'a>,
    cache: &'a Cache,
    moment: Moment<'a>,
    wanted: Wanted,
    sets: Sets<'a>,
}

fn wanted(deployment: &Value) -> Wanted {
    let replicas = number::or(deployment, "/spec/replicas", 1);
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        return Wanted { replicas, max_surge: 0, max_unavailable: 0 };
    }
    let bound = |pointer: &str, up: bool| number::scaled(rolling, pointer, replicas, up).unwrap_or(0);
    Wanted::rolling(replicas, bound("/maxSurge", true), bound("/maxUnavailable", false))
}

impl<'a> Rollout<'a> {
    fn plan(deployment: &'a Arc<Value>, selector: &'a Selector, cache: &'a Cache, moment: Moment<'a>) -> Plan {
        let owner = Owner { kind: kind::DEPLOYMENT, object: deployment, selector };
        let owned = owner.owned(kind::REPLICA_SET, cache, |_| true);
        if !owned.actions.is_empty() {
            return owned.actions.into();
        }
        let sets = Sets::of(deployment, owned.objects);
        let rollout = Self { deployment, owner, cache, moment, wanted: wanted(deployment), sets };
        if meta::deletion_timestamp(deployment).is_some() {
            return rollout.finish(Vec::new(), rollout.status());
        }
        let paused = deployment["spec"]["paused"] == true;
        let mut status = rollout.status();
        if status.pause(paused) {
            return rollout.finish(Vec::new(), status);
        }
        if paused || rollout.is_scaled() {
            return rollout.scale(paused);
        }
        match deployment["spec"]["strategy"]["type"].as_str() {
            Some("Recreate") => rollout.recreate(),
            _ => rollout.roll(),
        }
    }

    fn status(&self) -> Status<'a> {
        Status::new(self.deployment, self.wanted, &self.sets, self.moment.now)
    }

    /// Actions, and the status after them.
    fn finish(&self, mut actions: Vec<Action>, status: Status<'_>) -> Plan {
        let again = status.look_again();
        let status = status.finish(number::maybe(self.deployment, "/status/collisionCount"));
        let mut changed = Value::clone(self.deployment);
        changed["status"] = status;
        let revision = self.sets.new.and_then(|set| meta::annotation(set, sets::REVISION));
        if let Some(revision) = revision.filter(|_| !actions.iter().any(makes_revision)) {
            template::set_annotation(&mut changed, sets::REVISION, revision);
        }
        if changed != **self.deployment {
            actions.push(Action::status(kind::DEPLOYMENT, changed));
        }
        Plan { actions, again }
    }

    /// Actions, and what the rollout says after them.
    fn finish_rolling(&self, actions: Vec<Action>) -> Plan {
        let mut status = self.status();
        status.roll(&self.sets);
        self.finish(actions, status)
    }

    /// Whether the number of replicas changed since the sets were sized.
    fn is_scaled(&self) -> bool {
        let wanted = self.wanted.replicas.to_string();
        let active = self.sets.all().filter(|set| sets::size(set) > 0);
        active.filter_map(|set| meta::annotation(set, sets::DESIRED)).any(|desired| desired != wanted)
    }

    /// Changes the size of a set, when it is another.
    fn resize(&self, set: &Arc<Value>, size: i64) -> Vec<Action> {
        let before = sets::size(set);
        let mut changed = Value::clone(set);
        changed["spec"]["replicas"] = json!(size);
        if !sets::note_size(&mut changed, self.wanted) && before == size {
            return Vec::new();
        }
        let mut actions = vec![Action::Replace { kind: kind::REPLICA_SET, object: changed, subresource: "" }];
        if before != size {
            actions.push(self.scaled(meta::name(set), before, size));
        }
        actions
    }

    fn scaled(&self, set: &str, before: i64, size: i64) -> Action {
        let direction = if size > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {before} to {size}");
        let remark = Remark::normal(COMPONENT, "ScalingReplicaSet", message);
        Action::Remark { about: self.deployment.clone(), remark }
    }

    /// Brings revision and annotations of the new set up to date, if it is there.
    fn annotate(&self) -> Option<Action> {
        let set = self.sets.new?;
        let mut changed = Value::clone(set);
        let mut news = sets::annotate(&mut changed, self.deployment, self.next_revision());
        let min_ready = number::at(self.deployment, "/spec/minReadySeconds");
        if number::at(set, "/spec/minReadySeconds") != min_ready {
            changed["spec"]["minReadySeconds"] = json!(min_ready);
            news = true;
        }
        news.then_some(Action::Replace { kind: kind::REPLICA_SET, object: changed, subresource: "" })
    }

    fn next_revision(&self) -> i64 {
        self.sets.old.iter().map(|set| sets::revision(set)).max().unwrap_or(0) + 1
    }

    /// Makes the replica set of the present template, of this size.
    fn make(&self, size: i64) -> Plan {
        let collisions = number::maybe(self.deployment, "/status/collisionCount");
        let hash = hash::of(&self.deployment["spec"]["template"], collisions);
        let mut set = sets::make(self.deployment, &hash, self.owner.reference(), self.next_revision());
        set["spec"]["replicas"] = json!(size);
        sets::note_size(&mut set, self.wanted);
        let name = meta::name(&set).to_owned();
        if self.cache.get(kind::REPLICA_SET, &Key::of(&set)).is_some() {
            // The name is taken by a set with another template: the next hash will be another.
            let mut changed = Value::clone(self.deployment);
            changed["status"]["collisionCount"] = json!(collisions.unwrap_or(0) + 1);
            return vec![Action::status(kind::DEPLOYMENT, changed)].into();
        }
        let mut actions = Vec::new();
        let mut status = self.status();
        if let Some(why) = self.moment.failure {
            status.not_made(&name, why);
            actions.extend(self.finish(Vec::new(), status).actions);
            let message = format!("Failed to create new replica set \"{name}\": {why}");
            let remark = Remark::warning(COMPONENT, "ReplicaSetCreateError", message);
            actions.push(Action::Remark { about: self.deployment.clone(), remark });
            actions.push(Action::Create { kind: kind::REPLICA_SET, object: set, tell: None });
            return actions.into();
        }
        status.made(&name);
        let revision = self.next_revision().to_string();
        actions.push(Action::Create { kind: kind::REPLICA_SET, object: set, tell: None });
        if size > 0 {
            actions.push(self.scaled(&name, 0, size));
        }
        let mut changed = Value::clone(self.deployment);
        changed["status"] = status.finish(collisions);
        template::set_annotation(&mut changed, sets::REVISION, &revision);
        actions.push(Action::status(kind::DEPLOYMENT, changed));
        actions.into()
    }

    fn roll(&self) -> Plan {
        let old: Vec<Set> = self.sets.old.iter().map(|set| sets::numbers(set)).collect();
        let Some(new) = self.sets.new else {
            return self.make(size::new_set(self.wanted, Set::default(), &old));
        };
        if let Some(action) = self.annotate() {
            return vec![action].into();
        }
        let mut status = self.status();
        if status.found(meta::name(new)) {
            return self.finish(Vec::new(), status);
        }
        let numbers = sets::numbers(new);
        let target = size::new_set(self.wanted, numbers, &old);
        if target != numbers.size {
            return self.finish_rolling(self.resize(new, target));
        }
        let sizes = size::old_sets(self.wanted, numbers, &old);
        let shrinking = self.sets.old.iter().zip(sizes).filter(|(set, size)| sets::size(set) != *size);
        let actions: Vec<Action> = shrinking.flat_map(|(set, size)| self.resize(set, size)).collect();
        if !actions.is_empty() {
            return self.finish_rolling(actions);
        }
        self.finish_rolling(self.clean_up())
    }

    fn recreate(&self) -> Plan {
        if let Some(action) = self.annotate() {
            return vec![action].into();
        }
        let shrinking: Vec<Action> = self.sets.active_old().into_iter().flat_map(|set| self.resize(set, 0)).collect();
        if !shrinking.is_empty() {
            return self.finish_rolling(shrinking);
        }
        let mut old_pods = self.sets.old.iter().flat_map(|set| self.cache.owned(kind::POD, meta::uid(set)));
        if old_pods.any(|pod| !pod::is_terminal(pod)) {
            return self.finish_rolling(Vec::new());
        }
        let Some(new) = self.sets.new else { return self.make(self.wanted.replicas) };
        let actions = self.resize(new, self.wanted.replicas);
        if !actions.is_empty() {
            return self.finish_rolling(actions);
        }
        self.finish_rolling(self.clean_up())
    }

    /// The number of replicas changed, or the deployment is paused: nothing is rolled.
    fn scale(&self, paused: bool) -> Plan {
        if let Some(action) = self.annotate() {
            return vec![action].into();
        }
        let mut actions = self.scale_sets();
        if paused && actions.is_empty() {
            actions = self.clean_up();
        }
        self.finish(actions, self.status())
    }

    fn scale_sets(&self) -> Vec<Action> {
        let active: Vec<&Arc<Value>> = self.sets.all().filter(|set| sets::size(set) > 0).collect();
        let only = match active.as_slice() {
            [] => self.sets.new.or(self.sets.old.last().copied()),
            [only] => Some(*only),
            _ => None,
        };
        if let Some(only) = only {
            return self.resize(only, self.wanted.replicas);
        }
        let saturated = self.sets.new.is_some_and(|set| {
            let numbers = sets::numbers(set);
            let desired = meta::annotation(set, sets::DESIRED).and_then(|desired| desired.parse().ok());
            [numbers.size, numbers.available] == [self.wanted.replicas; 2] && desired == Some(self.wanted.replicas)
        });
        if saturated {
            return self.sets.active_old().into_iter().flat_map(|set| self.resize(set, 0)).collect();
        }
        if self.deployment["spec"]["strategy"]["type"] == "Recreate" {
            return Vec::new();
        }
        let mut by_age = active;
        by_age.sort_by_key(|set| (meta::creation_timestamp(set).to_owned(), meta::name(set).to_owned()));
        let numbers: Vec<Set> = by_age.iter().map(|set| sets::numbers(set)).collect();
        let most_known = number::at(self.deployment, "/status/replicas");
        let sizes = size::proportional(self.wanted, &numbers, most_known);
        by_age.into_iter().zip(sizes).flat_map(|(set, size)| self.resize(set, size)).collect()
    }

    /// Old sets beyond those that are kept for going back.
    fn clean_up(&self) -> Vec<Action> {
        let complete = status::is_complete(self.deployment) || self.deployment["spec"]["paused"] == true;
        let limit = number::maybe(self.deployment, "/spec/revisionHistoryLimit").filter(|_| complete);
        let Some(limit) = limit else { return Vec::new() };
        let mut old: Vec<&Arc<Value>> =
            self.sets.old.iter().copied().filter(|set| meta::deletion_timestamp(set).is_none()).collect();
        old.sort_by_key(|set| sets::revision(set));
        let surplus = old.len().saturating_sub(number::length(limit));
        let is_idle = |set: &&Arc<Value>| {
            sets::size(set) == 0
                && number::at(set, "/status/replicas") == 0
                && number::at(set, "/status/observedGeneration") >= meta::generation(set)
        };
        let idle = old.into_iter().take(surplus).filter(is_idle);
        idle.map(|set| Action::Delete { kind: kind::REPLICA_SET, object: set.clone(), grace: None, tell: None })
            .collect()
    }
}

/// Whether an action gives a revision to a set, which the deployment shows once that is done.
fn makes_revision(action: &Action) -> bool {
    matches!(action, Action::Create { kind, .. } if *kind == kind::REPLICA_SET)
}
