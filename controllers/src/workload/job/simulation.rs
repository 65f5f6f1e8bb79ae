//! A job in a world in which anything may happen to its pods: each end is counted once, and it ends.

use std::sync::Arc;

use cluster::{Change, Key, Kind, kind};
use jiff::Timestamp;
use machinery::meta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FINALIZER, Jobs, finished_at};
use crate::{
    action::Action,
    cache::Cache,
    controller::{Controller, Moment},
};

/// A cluster that does what it is told.
struct World {
    cache: Cache,
    now: i64,
    made: usize,
    active_most: usize,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut job = json!({
            "metadata": {"namespace": "n", "name": "j", "uid": "j", "generation": 1},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}}, "backoffLimit": 1000,
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}},
            },
        });
        for (member, value) in spec.as_object().expect("members") {
            job["spec"][member] = value.clone();
        }
        Self { cache: Cache::of([(kind::JOB, job)]), now: 1_700_000_000, made: 0, active_most: 0 }
    }

    fn put(&mut self, kind: Kind, object: Value) {
        self.cache.apply(Change::Applied(kind, Arc::new(object)), Timestamp::UNIX_EPOCH);
    }

    fn job(&self) -> &Value {
        self.cache.get(kind::JOB, &Key::new("n", "j")).expect("the job")
    }

    fn pods(&self) -> Vec<Value> {
        self.cache.all(kind::POD).map(|pod| Value::clone(pod)).collect()
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Many(actions) => actions.into_iter().for_each(|action| self.carry_out(action)),
            Action::Create { mut object, .. } => {
                self.made += 1;
                let name = format!("pod-{}", self.made);
                meta::set(&mut object, "name", name.as_str());
                meta::set(&mut object, "uid", name);
                object["status"] = json!({"phase": "Running"});
                self.put(kind::POD, object);
            }
            Action::Replace { kind, object, .. } => self.put(kind, object),
            Action::Patch { object, .. } => {
                let mut released = Value::clone(&object);
                meta::set(&mut released, "finalizers", json!([]));
                self.put(kind::POD, released);
            }
            Action::Delete { object, .. } => {
                let mut ending = Value::clone(&object);
                meta::set(&mut ending, "deletionTimestamp", "2026-01-01T00:00:00Z");
                ending["status"]["phase"] = json!("Failed");
                self.put(kind::POD, ending);
            }
            _ => {}
        }
    }

    /// One look at the job. `half`: the controller dies in the middle of what it wants.
    fn step(&mut self, half: bool) {
        // Backoff is not what is looked at here.
        self.now += 1000;
        let now = Timestamp::from_second(self.now).expect("a time");
        let plan = Jobs.reconcile(kind::JOB, &Key::new("n", "j"), &self.cache, Moment { now, failure: None });
        let most = if half { plan.actions.len() / 2 } else { plan.actions.len() };
        plan.actions.into_iter().take(most).for_each(|action| self.carry_out(action));
        let active = self.pods().iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        self.active_most = self.active_most.max(active);
    }

    /// What happens to a pod that runs.
    fn happen(&mut self, luck: u8) {
        let running: Vec<Value> = self.pods().into_iter().filter(|pod| pod["status"]["phase"] == "Running").collect();
        let Some(mut pod) = running.get(usize::from(luck) % running.len().max(1)).cloned() else { return };
        pod["status"]["phase"] = json!(if luck.is_multiple_of(4) { "Failed" } else { "Succeeded" });
        self.put(kind::POD, pod);
    }
}

proptest! {
    #[test]
    fn every_end_is_counted_once(
        completions in 1_i64..8,
        parallelism in 1_i64..5,
        indexed: bool,
        luck in proptest::collection::vec(any::<(u8, bool)>(), 120),
    ) {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let mut world =
            World::new(json!({"completions": completions, "parallelism": parallelism, "completionMode": mode}));
        for (luck, half) in luck {
            world.step(half);
            world.happen(luck);
        }
        for _ in 0..40 {
            world.step(false);
            world.happen(1);
        }
        let job = world.job().clone();
        prop_assert!(finished_at(&job).is_some(), "{}", job["status"]);
        prop_assert!(world.active_most <= usize::try_from(parallelism).expect("small"));
        let ended = |phase: &str| {
            i64::try_from(world.pods().iter().filter(|pod| pod["status"]["phase"] == phase).count()).expect("few")
        };
        prop_assert_eq!(job["status"]["succeeded"].as_i64().unwrap_or(0), completions);
        prop_assert_eq!(ended("Succeeded"), completions);
        prop_assert_eq!(job["status"]["failed"].as_i64().unwrap_or(0), ended("Failed"));
        prop_assert!(world.pods().iter().all(|pod| meta::finalizers(pod).all(|one| one != FINALIZER)));
    }
}
