//! Objects that no server lets in, or that a prototype does: nothing panics, whatever they hold.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cluster::{Change, Kind, kind};
use futures::FutureExt as _;
use schedule_cli::scheduler::{Decision, Options, Target, World, batch, decision};
use serde_json::Value;
use testkit::weird::spoilt_worlds;

/// How often an example is spoiled.
const TIMES: u64 = 4;

fn kind_of(object: &Value) -> Option<Kind> {
    Kind::of(object).filter(|kind| kind::SCHEDULING.contains(kind))
}

/// Schedules and explains every pod; fails only by panicking.
fn play(objects: &[Value], preference: Options) {
    let mut world = World::new(preference.features);
    for object in objects {
        if let Some(kind) = kind_of(object) {
            let change = Change::Applied(kind, Arc::new(object.clone())).shaped();
            change.iter().for_each(|change| drop(world.apply(change)));
        }
    }
    for pod in batch::waiting(&world, &preference, None) {
        let Some(document) = world.objects().get(kind::POD, &pod).cloned() else { continue };
        if let Decision::Refuse(refusals) = decision::decide(&document, &mut world, &preference) {
            let devices = refusals.nodes.iter().flat_map(|node| &node.devices);
            devices.for_each(|explanation| drop(allocator::render::long(explanation)));
        }
        let broken = decision::broken_devices(&document, &mut world, &preference);
        broken.iter().for_each(|explanation| drop(allocator::render::long(explanation)));
        let target = Target::memory(world.objects().clone());
        batch::schedule(&mut world, &target, &preference, &pod).now_or_never().expect("a target in memory never waits");
    }
    for object in objects {
        if let Some(kind) = kind_of(object) {
            world.apply(&Change::Deleted(kind, Arc::new(object.clone())));
        }
    }
}

#[test]
fn nothing_in_objects_makes_the_scheduler_panic() {
    for (seed, _, spoilt) in spoilt_worlds(TIMES) {
        let played = catch_unwind(AssertUnwindSafe(|| play(&spoilt, Options::default())));
        assert!(played.is_ok(), "seed {seed} panics with {}", serde_json::to_string(&spoilt).expect("JSON"));
    }
}
