//! Objects that no server lets in, or that a prototype does: no controller panics, whatever they hold.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cluster::{Change, Kind};
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;
use testkit::weird::spoilt_worlds;

use crate::{
    cache::Cache,
    controller::{Moment, Options},
};

/// How often an example is spoiled.
const TIMES: u64 = 6;

/// Every controller sees every object come, change and go, and decides about what it touches.
fn play(objects: &[Value], changed: &[Value]) {
    let mut controllers = Options::parse("*,kubevirt,volcano").expect("they are known").controllers();
    let mut cache = Cache::default();
    let now = Timestamp::UNIX_EPOCH;
    let kinds: Vec<Kind> = controllers.iter().flat_map(|controller| controller.kinds()).collect();
    let is = |kind: &&Kind, object: &Value| {
        kind.api_version() == meta::api_version(object) && kind.kind == meta::kind(object)
    };
    let of_kind = |object: &Value| {
        let exact = kinds.iter().find(|kind| is(kind, object)).copied();
        Some((exact.or_else(|| Kind::of(object))?, Arc::new(object.clone())))
    };
    let come = objects.iter().chain(changed).filter_map(of_kind).map(|(kind, object)| Change::Applied(kind, object));
    let go = changed.iter().filter_map(of_kind).map(|(kind, object)| Change::Deleted(kind, object));
    for change in come.chain(go) {
        for changed in cache.apply(change, now) {
            for controller in controllers.iter_mut().filter(|one| one.kinds().contains(&changed.kind)) {
                let mut due = Vec::new();
                controller.touched(&changed, &cache, &mut due);
                for (kind, key) in due {
                    drop(controller.reconcile(kind, &key, &cache, Moment { now, failure: None }));
                }
            }
        }
    }
}

#[test]
fn nothing_in_objects_makes_a_controller_panic() {
    for (seed, objects, spoilt) in spoilt_worlds(TIMES) {
        let played = catch_unwind(AssertUnwindSafe(|| play(&objects, &spoilt)));
        assert!(played.is_ok(), "seed {seed} panics with {}", serde_json::to_string(&spoilt).expect("JSON"));
    }
}
