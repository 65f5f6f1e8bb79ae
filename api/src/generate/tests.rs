//! What generated machines promise.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

use super::*;
use crate::{
    convert,
    definition::ResourceDefinition,
    hub::{Device, Slice},
    resource::tests::Bench,
};

fn slices(format: Format) -> Vec<Slice> {
    let pools = Shape::DgxA100.pools(format, "nvidia-00", &mut uuids("test"));
    pools.iter().flat_map(|pool| convert::slices(pool).expect("a pool")).collect()
}

/// Every non-empty set of devices that fit together, in list order, depth first.
fn sets(devices: &[Device], left: &BTreeMap<String, Quantity>, chosen: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (index, device) in devices.iter().enumerate() {
        let mut rest = left.clone();
        for (name, amount) in device.consumes.iter().flat_map(|consumption| &consumption.counters) {
            let counter = rest.get_mut(name).expect("a counter of the pool");
            *counter = counter.sub(amount);
        }
        if rest.values().any(|amount| amount.sign() < 0) {
            continue;
        }
        chosen.push(device.name.clone());
        found.push(chosen.clone());
        sets(&devices[index + 1..], &rest, chosen, found);
        chosen.pop();
    }
}

#[test]
fn an_a100_can_be_cut_in_2319_ways() {
    for (_, format) in FORMATS {
        let slices = slices(format);
        let devices: Vec<Device> = slices
            .iter()
            .flat_map(|slice| &slice.devices)
            .filter(|device| device.name == "gpu-0" || device.name.starts_with("gpu-0-"))
            .cloned()
            .collect();
        assert_eq!(devices.len(), 26, "{format:?}");
        let set = &devices[0].consumes[0].counter_set;
        let counters =
            &slices.iter().flat_map(|slice| &slice.counter_sets).find(|one| one.name == *set).expect("a set").counters;
        let mut found = Vec::new();
        sets(&devices, counters, &mut Vec::new(), &mut found);
        assert_eq!(found.len(), 2319, "{format:?}");
        let with = |name: &str| found.iter().filter(|set| set.iter().any(|device| device == name)).collect::<Vec<_>>();
        assert_eq!(with("gpu-0"), [&vec!["gpu-0".to_owned()]]);
        if format == Format::Evolution {
            assert_eq!(found[0], ["gpu-0"]);
            assert_eq!(found[1], ["gpu-0-mig-1g.5gb-0"]);
            assert_eq!(found[2], ["gpu-0-mig-1g.5gb-0", "gpu-0-mig-1g.5gb-1"]);
            assert_eq!(with("gpu-0-mig-7g.40gb-0").len(), 1);
        }
    }
}

#[test]
fn pools_have_the_sizes_of_upstream() {
    let evolution = slices(Format::Evolution);
    assert_eq!(evolution[0].devices.len(), 208);
    assert_eq!(evolution[1].counter_sets[0].counters.len(), 112);
    assert_eq!(slices(Format::K8srm)[0].devices.len(), 26);
    let v1 = slices(Format::V1);
    assert_eq!(v1.len(), 9);
    assert!(v1.iter().all(|slice| slice.slice_count == Some(9)));
    let names = |shape: &str| {
        let pools = generate(Shape::named(shape).expect("a shape"), Format::Evolution, 2, &mut uuids(""));
        pools.iter().map(|pool| pool["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("foozer-1000-tiny"), ["foozer-1000-tiny-00-foozer", "foozer-1000-tiny-01-foozer"]);
    assert_eq!(names("dgxa100"), ["nvidia-00-dgxa100", "nvidia-01-dgxa100"]);
    let large = Shape::named("foozer-4000-large").expect("a shape").pools(Format::V1, "n", &mut uuids(""));
    assert_eq!(large[0]["spec"]["devices"][15]["attributes"]["numa"]["string"], "3");
}

#[test]
fn an_unknown_shape_is_told_which_there_are() {
    assert_eq!(
        Shape::named("x").unwrap_err(),
        "generator \"x\" not found, valid generators are: foozer-1000-tiny, foozer-1000-small, foozer-1000-medium, foozer-1000-large, foozer-4000-tiny, foozer-4000-small, foozer-4000-medium, foozer-4000-large, dgxa100"
    );
}

#[test]
fn what_is_generated_passes_validation() {
    let rows: Vec<ResourceDefinition> = crate::catalog::catalog();
    for shape in Shape::all() {
        for (_, format) in FORMATS {
            for pool in generate(shape, format, 2, &mut uuids("seed")) {
                let kind = pool["kind"].as_str().unwrap_or_default();
                let group = pool["apiVersion"].as_str().and_then(|version| version.split('/').next());
                let row =
                    rows.iter().find(|row| row.kind == kind && Some(row.group.as_ref()) == group).expect("served");
                let errors = row.strategy.validate(&pool, &Bench::default());
                assert_eq!(errors, Vec::new(), "{}", pool["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn identifiers_follow_from_the_seed() {
    let (mut one, mut same, mut other) = (uuids("a"), uuids("a"), uuids("b"));
    let first = one();
    assert_eq!(first, same());
    assert_ne!(first, other());
    assert_ne!(first, one());
    assert_eq!(first.len(), 36);
    let pools = |seed| Value::from(Shape::DgxA100.pools(Format::Evolution, "n", &mut uuids(seed)));
    assert_eq!(pools("x"), pools("x"));
}
