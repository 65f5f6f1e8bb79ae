//! Changes of the index, and what the prototypes add.

use std::sync::Arc;

use allocator::{Allocator, Error, Features, Surroundings, Usage};
use api::hub::*;

use crate::lab::*;

fn any(count: i64) -> [Claim; 1] {
    [claim(vec![request("gpu", ask(Amount::Exact(count), &[]))])]
}

#[test]
fn the_index_follows_slices_and_classes() {
    let mut allocator = allocator(features(), []);
    let usage = Usage::new(allocator.features());
    let fits = |allocator: &allocator::Allocator, node: &str| {
        allocate(allocator, node, &any(1), &usage).unwrap().allocations.is_some()
    };
    assert!(!fits(&allocator, "node-1"));
    allocator.put_slice(Arc::new(slice("node-1", vec![device("d0", &[])])));
    assert!(fits(&allocator, "node-1"));
    let mut moved = slice("node-2", vec![device("d0", &[])]);
    moved.name = "slice-of-node-1".into();
    allocator.put_slice(Arc::new(moved));
    assert!(!fits(&allocator, "node-1") && fits(&allocator, "node-2"));
    allocator.remove_slice("slice-of-node-1");
    assert!(!fits(&allocator, "node-2"));
    allocator.remove_class("gpu");
    assert!(allocate(&allocator, "node-1", &any(1), &usage).is_err());
    allocator.put_class(class());
    assert!(!fits(&allocator, "node-1"));
}

#[test]
fn a_changed_slice_is_evaluated_anew() {
    let selector = format!("device.attributes[\"{DRIVER}\"].model == \"A100\"");
    let claims = [claim(vec![request("gpu", ask(Amount::Exact(1), &[&selector]))])];
    let mut allocator = allocator(features(), [slice("node-1", vec![device("d0", &[("model", "L4")])])]);
    let usage = Usage::new(allocator.features());
    assert_eq!(allocate(&allocator, "node-1", &claims, &usage).unwrap().allocations, None);
    allocator.put_slice(Arc::new(slice("node-1", vec![device("d0", &[("model", "A100")])])));
    assert!(allocate(&allocator, "node-1", &claims, &usage).unwrap().allocations.is_some());
}

#[test]
fn usage_follows_claims() {
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[]), device("d1", &[])])]);
    let mut usage = Usage::new(allocator.features());
    let first = allocate(&allocator, "node-1", &any(1), &usage).unwrap().allocations.unwrap();
    usage.add("ns/first", &first[0].results);
    let second = allocate(&allocator, "node-1", &any(1), &usage).unwrap();
    assert_eq!(names(&second), ["d1"]);
    usage.add("ns/second", &second.allocations.unwrap()[0].results);
    assert_eq!(allocate(&allocator, "node-1", &any(1), &usage).unwrap().allocations, None);
    usage.remove("ns/first", &first[0].results);
    assert_eq!(names(&allocate(&allocator, "node-1", &any(1), &usage).unwrap()), ["d0"]);
}

#[test]
fn the_caller_can_stop_a_search() {
    struct Impatient;
    impl Surroundings for Impatient {
        fn share_id(&mut self) -> String {
            String::new()
        }
        fn aborted(&mut self) -> Option<String> {
            Some("context deadline exceeded".into())
        }
    }
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[])])]);
    let usage = Usage::new(allocator.features());
    let error = allocator.allocate(&node("node-1"), &any(1), &usage, &mut Impatient).unwrap_err();
    assert_eq!(error.to_string(), "filter operation aborted: context deadline exceeded");
}

#[test]
fn without_a_class_all_devices_are_meant() {
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[]), device("d1", &[])])]);
    let usage = Usage::new(allocator.features());
    let claims = [claim(vec![request("gpu", Ask { amount: Amount::All, ..Ask::default() })])];
    assert_eq!(names(&allocate(&allocator, "node-1", &claims, &usage).unwrap()), ["d0", "d1"]);
}

#[test]
fn totals_take_as_few_devices_as_reach_them() {
    let with = |name: &str, memory: &str| {
        let provides = [("memory".to_owned(), quantity(memory))].into();
        Device { provides, ..device(name, &[]) }
    };
    let devices = vec![with("a", "10Gi"), with("b", "10Gi"), with("c", "40Gi"), with("d", "30Gi")];
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let usage = Usage::new(allocator.features());
    let solve = |min: u32, max: Option<u32>, memory: &str| {
        let provides = [("memory".to_owned(), quantity(memory))].into();
        let claims = [claim(vec![request("gpu", ask(Amount::Total { min, max, provides }, &[]))])];
        let outcome = allocate(&allocator, "node-1", &claims, &usage).unwrap();
        names(&outcome).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(solve(1, None, "10Gi"), ["a"]);
    assert_eq!(solve(1, None, "40Gi"), ["c"]);
    assert_eq!(solve(1, None, "50Gi"), ["a", "c"]);
    assert_eq!(solve(1, None, "90Gi"), ["a", "b", "c", "d"]);
    assert_eq!(solve(2, None, "1Gi"), ["a", "b"]);
    assert!(solve(1, Some(2), "80Gi").is_empty());
    assert!(solve(1, None, "91Gi").is_empty());
    assert!(solve(5, None, "1Gi").is_empty());
}

#[test]
fn totals_out_of_reach_are_found_out() {
    let with = |i: usize| {
        let provides = [("memory".to_owned(), quantity(&format!("{}Mi", 1000 + i)))].into();
        Device { provides, ..device(&format!("d{i:02}"), &[]) }
    };
    let allocator = allocator(features(), [slice("node-1", (0..30).map(with).collect())]);
    let usage = Usage::new(allocator.features());
    let provides = [("memory".to_owned(), quantity("31Gi"))].into();
    let claims = [claim(vec![request("gpu", ask(Amount::Total { min: 1, max: None, provides }, &[]))])];
    let outcome = allocate(&allocator, "node-1", &claims, &usage).unwrap();
    assert_eq!(outcome.allocations, None);
    assert!(outcome.effort < 200, "{}", outcome.effort);
}

#[test]
fn failing_selectors_of_prototypes_do_not_match() {
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[]), device("d1", &[("model", "x")])])]);
    let usage = Usage::new(allocator.features());
    let mut ask = ask(Amount::Exact(1), &[&format!("device.attributes[\"{DRIVER}\"].model == \"x\"")]);
    let claims = |ask: &Ask| [claim(vec![request("gpu", ask.clone())])];
    let error = allocate(&allocator, "node-1", &claims(&ask), &usage).unwrap_err();
    assert!(matches!(&error, Error::Selector { .. }) && !error.concerns_only_the_node(), "{error}");
    ask.selectors =
        vec![Selector { expression: Some("device.model == \"x\"".into()), environment: Environment::AttributeMap }];
    assert_eq!(names(&allocate(&allocator, "node-1", &claims(&ask), &usage).unwrap()), ["d1"]);
}

#[test]
fn errors_name_the_device_since_1_37() {
    let features = Features::of_minor(37);
    let allocator = allocator(features, [slice("node-1", vec![device("d0", &[])])]);
    let claims = [claim(vec![request("gpu", ask(Amount::Exact(1), &["device.attributes[\"x\"].y == \"z\""]))])];
    assert_eq!(
        allocate(&allocator, "node-1", &claims, &Usage::new(&features)).unwrap_err().to_string(),
        "claim default/claim: selector #0 on device gpu.example.com/node-1/d0: CEL runtime error: no such key: y. \
         consider using CEL optional chaining (.? followed by orValue()) or guarding the check with has() for optional \
         fields"
    );
}

#[test]
fn many_equal_devices_do_not_explode() {
    let devices = (0..30).map(|i| device(&format!("d{i}"), &[("numa", &format!("{}", i % 8))])).collect();
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let usage = Usage::new(allocator.features());
    let mut claims = any(5);
    let numa = ConstraintRule::Match(format!("{DRIVER}/numa"));
    claims[0].constraints = vec![Constraint { requests: Vec::new(), rule: numa }];
    let outcome = allocate(&allocator, "node-1", &claims, &usage).unwrap();
    assert_eq!(outcome.allocations, None);
    assert!(outcome.effort < 100, "{}", outcome.effort);
}

#[test]
fn an_uncounted_pool_is_what_there_is_and_the_newest_slice_is_right() {
    let published = |name: &str, created: &str, devices: &[(&str, &str)]| Slice {
        name: name.into(),
        slice_count: None,
        created: created.into(),
        devices: devices.iter().map(|(name, model)| device(name, &[("model", model)])).collect(),
        ..slice("node-1", Vec::new())
    };
    let old = published("b", "2024-01-01T00:00:00Z", &[("d0", "L4"), ("d1", "L4")]);
    let new = published("a", "2024-01-02T00:00:00Z", &[("d0", "A100"), ("d2", "A100")]);
    let allocator = allocator(features(), [old, new]);
    let usage = Usage::new(allocator.features());
    let all = [claim(vec![request("gpu", ask(Amount::All, &[]))])];
    let outcome = allocate(&allocator, "node-1", &all, &usage).unwrap();
    assert_eq!(names(&outcome), ["d0", "d2", "d1"]);
    let model = |model: &str| format!("device.attributes[\"{DRIVER}\"].model == \"{model}\"");
    let of = |wanted: &str| [claim(vec![request("gpu", ask(Amount::All, &[&model(wanted)]))])];
    let outcome = allocate(&allocator, "node-1", &of("L4"), &usage).unwrap();
    assert_eq!(names(&outcome), ["d1"]);
}

#[test]
fn a_request_in_vain_is_found_out() {
    let devices = (0..16).map(|i| device(&format!("d{i:02}"), &[("model", "A100")])).collect();
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let usage = Usage::new(allocator.features());
    let model = |model: &str| format!("device.attributes[\"{DRIVER}\"].model == \"{model}\"");
    let mut requests: Vec<Request> =
        (0..12).map(|i| request(&format!("r{i}"), ask(Amount::Exact(1), &[&model("A100")]))).collect();
    requests.push(request("last", ask(Amount::Exact(1), &[&model("H100")])));
    let outcome = allocate(&allocator, "node-1", &[claim(requests)], &usage).unwrap();
    assert_eq!(outcome.allocations, None);
    assert!(outcome.effort < 100, "{}", outcome.effort);
}

#[test]
fn equal_devices_are_tried_once() {
    let devices = (0..16).map(|i| device(&format!("d{i:02}"), &[("model", if i < 8 { "A" } else { "B" })])).collect();
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let usage = Usage::new(allocator.features());
    let requests = (0..17).map(|i| request(&format!("r{i}"), ask(Amount::Exact(1), &[]))).collect();
    let outcome = allocate(&allocator, "node-1", &[claim(requests)], &usage).unwrap();
    assert_eq!(outcome.allocations, None);
    assert!(outcome.effort < 1000, "{}", outcome.effort);
}

#[test]
fn exhausted_counters_do_not_explode() {
    let of = |gpu: usize, i: usize| {
        let mut device = device(&format!("gpu-{gpu}-{i}"), &[("model", "A100")]);
        device.consumes = vec![CounterConsumption {
            counter_set: format!("gpu-{gpu}"),
            counters: [("compute", "1".to_owned()), (["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"][i], "1".into())]
                .map(|(name, amount)| (name.to_owned(), quantity(&amount)))
                .into(),
            compatibility_groups: Vec::new(),
        }];
        device
    };
    let devices = (0..4).flat_map(|gpu| (0..8).map(move |i| of(gpu, i))).collect();
    let memory = (0..8).map(|i| (format!("m{i}"), quantity("1")));
    let counters: std::collections::BTreeMap<_, _> = memory.chain([("compute".to_owned(), quantity("7"))]).collect();
    let set = |gpu: usize| CounterSet { name: format!("gpu-{gpu}"), counters: counters.clone() };
    let counting =
        Slice { name: "counters".into(), counter_sets: (0..4).map(set).collect(), ..slice("node-1", Vec::new()) };
    let slices = [counting, slice("node-1", devices)].map(|slice| Slice { slice_count: Some(2), ..slice });
    let allocator = allocator(features(), slices);
    let usage = Usage::new(allocator.features());
    assert_eq!(names(&allocate(&allocator, "node-1", &any(28), &usage).unwrap()).len(), 28);
    let outcome = allocate(&allocator, "node-1", &any(29), &usage).unwrap();
    assert_eq!(outcome.allocations, None);
    assert!(outcome.effort < 1000, "{}", outcome.effort);
}

#[test]
fn constraints_see_derived_attributes() {
    let slot = |name: &str, slot: &str| device(name, &[("slot", slot)]);
    let devices = vec![slot("d0", "rack1-a"), slot("d1", "rack2-a"), slot("d2", "rack1-b")];
    let features = Features { derived_attributes: true, list_type_attributes: true, ..Features::of_minor(37) };
    let solve = |features: Features, expression: &str| {
        let rack = format!("{DRIVER}/rack");
        let derived = DerivedAttribute { name: rack.clone(), expression: expression.to_owned() };
        let ask = Ask { derived_attributes: vec![derived], ..ask(Amount::Exact(2), &[]) };
        let mut claim = claim(vec![request("gpu", ask)]);
        claim.constraints = vec![Constraint { requests: Vec::new(), rule: ConstraintRule::Match(rack) }];
        let allocator = allocator(features, [slice("node-1", devices.clone())]);
        let outcome = allocate(&allocator, "node-1", &[claim], &Usage::new(&features))?;
        Ok::<_, Error>(names(&outcome).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    let rack = format!("device.attributes[\"{DRIVER}\"].slot.split(\"-\")[0]");
    assert_eq!(solve(features, &rack).unwrap(), ["d0", "d2"]);
    assert!(solve(Features::of_minor(37), &rack).unwrap().is_empty(), "the feature is off");
    let error = solve(features, &format!("device.attributes[\"{DRIVER}\"].none")).unwrap_err();
    let expected = "claim default/claim: derived attribute gpu.example.com/rack on device gpu.example.com/node-1/d0: \
                    CEL runtime error: no such key: none";
    assert_eq!(error.to_string(), expected);
    let error = solve(features, "1.5").unwrap_err().to_string();
    assert!(error.contains("derived attribute gpu.example.com/rack: CEL compile error: must evaluate to"), "{error}");
}

#[test]
fn gathered_classes_pass_their_configuration_on() {
    let member = |model: &str, config: &str| ClassMember {
        selectors: vec![selector(&format!("device.attributes[\"{DRIVER}\"].model == \"{model}\""))],
        config: vec![Opaque { driver: DRIVER.into(), parameters: config.into() }],
    };
    let gathers = DeviceClass {
        name: "gpu".into(),
        any_of: vec![member("L4", "for L4"), member("A100", "for A100"), member("H100", "for H100")],
        ..DeviceClass::default()
    };
    let devices = vec![device("d0", &[("model", "H100")]), device("d1", &[("model", "A100")])];
    let allocator = Allocator::new(features(), [Arc::new(gathers)], [Arc::new(slice("node-1", devices))]);
    let wants = ["one", "two"].map(|name| request(name, ask(Amount::Exact(1), &[])));
    let outcome = allocate(&allocator, "node-1", &[claim(wants.to_vec())], &Usage::new(allocator.features()));
    let config = &outcome.unwrap().allocations.unwrap()[0].config;
    let told: Vec<_> = config.iter().map(|one| (one.requests.join(","), one.opaque.parameters.as_str())).collect();
    assert_eq!(told, [("one".to_owned(), "for H100"), ("two".to_owned(), "for A100")]);
}

#[test]
fn a_missing_class_is_named_with_its_group() {
    let allocator = Allocator::new(features(), [], [Arc::new(slice("node-1", vec![device("d0", &[])]))]);
    let usage = Usage::new(allocator.features());
    let mut claims = any(1);
    let error = |claims: &[Claim]| allocate(&allocator, "node-1", claims, &usage).unwrap_err().to_string();
    assert!(
        error(&claims).ends_with("could not retrieve device class gpu: deviceclass.resource.k8s.io \"gpu\" not found")
    );
    claims[0].class_group = Some("devmgmtproto.k8s.io");
    assert!(error(&claims).ends_with("deviceclass.devmgmtproto.k8s.io \"gpu\" not found"));
}

/// Each could have any, so that nothing but counting ends the search early.
#[test]
fn nine_requests_for_eight_unlike_devices_are_refused_at_once() {
    let devices = (0..8).map(|index| device(&format!("d{index}"), &[("root", &format!("r{index}"))])).collect();
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let usage = Usage::new(allocator.features());
    let requests = |count: usize| {
        (0..count).map(|index| request(&format!("gpu-{index}"), ask(Amount::Exact(1), &[]))).collect::<Vec<_>>()
    };
    // A constraint makes the devices unlike.
    let claim_of = |count| {
        let mut claim = claim(requests(count));
        let rule = ConstraintRule::Match(format!("{DRIVER}/root"));
        claim.constraints = vec![Constraint { requests: vec!["gpu-0".into()], rule }];
        claim
    };
    let eight = allocate(&allocator, "node-1", &[claim_of(8)], &usage).unwrap();
    assert_eq!(names(&eight).len(), 8);
    let nine = [claim_of(9)];
    assert_eq!(allocate(&allocator, "node-1", &nine, &usage).unwrap().allocations, None);
    let explanation = allocator.explain(&node("node-1"), &nine, &usage);
    let text = allocator::render::short(&explanation);
    assert_eq!(text, "all requests together want 9 devices, and the node has 8 for them");
}

/// Which of them is believed is as little settled by upstream as the order in which slices are listed.
#[test]
fn of_slices_that_disagree_about_their_number_the_first_is_believed() {
    let part = |name: &str, count, node: NodeScope| Slice {
        name: name.into(),
        pool: "pool".into(),
        slice_count: Some(count),
        nodes: node,
        ..slice("node-1", vec![device(name, &[])])
    };
    let here = || NodeScope::Node("node-1".into());
    let fits = |slices: &[Slice]| {
        let mut grown = allocator(features(), slices.iter().take(1).cloned());
        slices.iter().skip(1).for_each(|slice| grown.put_slice(Arc::new(slice.clone())));
        // What is replaced keeps its place.
        slices.iter().for_each(|slice| grown.put_slice(Arc::new(slice.clone())));
        let fits = |allocator: &allocator::Allocator| {
            let usage = Usage::new(allocator.features());
            allocate(allocator, "node-1", &any(1), &usage).unwrap().allocations.is_some()
        };
        let whole = allocator(features(), slices.iter().cloned());
        assert_eq!(fits(&whole), fits(&grown));
        fits(&whole)
    };
    assert!(fits(&[part("b", 2, here()), part("a", 3, here())]));
    assert!(!fits(&[part("b", 3, here()), part("a", 2, here())]));
    // Those that name the node come first.
    assert!(fits(&[part("a", 3, NodeScope::All), part("b", 2, here())]));
}
