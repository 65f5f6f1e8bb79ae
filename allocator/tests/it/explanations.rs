//! What is said when the answer is no.

use allocator::{Cause, Usage, render};
use api::hub::*;

use crate::lab::*;

fn wants_a100(count: i64) -> Claim {
    let selector = format!("device.attributes[\"{DRIVER}\"].model == \"A100\"");
    claim(vec![request("gpu", ask(Amount::Exact(count), &[&selector]))])
}

fn hold(usage: &mut Usage, holder: &str, devices: &[&str]) {
    let result = |device: &&str| DeviceResult { id: id("node-1", device), ..DeviceResult::default() };
    usage.add(holder, &devices.iter().map(result).collect::<Vec<_>>());
}

#[test]
fn counts_come_first() {
    let mut devices: Vec<Device> = (0..12).map(|i| device(&format!("l4-{i}"), &[("model", "L4")])).collect();
    devices.extend((0..4).map(|i| device(&format!("a100-{i}"), &[("model", "A100")])));
    let degraded = Taint { key: "degraded".into(), value: String::new(), effect: "NoSchedule".into() };
    devices[15].taints = vec![degraded.clone()];
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let mut usage = Usage::new(allocator.features());
    hold(&mut usage, "ns/claim-x", &["a100-0", "a100-1", "a100-2"]);
    let claims = [wants_a100(1)];
    assert_eq!(allocate(&allocator, "node-1", &claims, &usage).unwrap().allocations, None);
    let explanation = allocator.explain(&node("node-1"), &claims, &usage);
    assert_eq!(
        render::short(&explanation),
        "request gpu: 12 of 16 devices: model is L4, selector wants A100; 3 taken by ns/claim-x; \
         1 tainted NoSchedule degraded"
    );
    let want = &explanation.wants[0];
    let nearest = want.nearest.as_ref().unwrap();
    assert_eq!((want.devices, want.fitting), (16, 0));
    assert_eq!(nearest.device, id("node-1", "a100-0"));
    assert_eq!(nearest.causes, [Cause::InUse { holder: Some("ns/claim-x".into()) }]);
    assert_eq!(want.reasons[2].cause, Cause::Tainted(degraded));
    let text = render::long(&explanation);
    assert!(
        text.contains("nearest is gpu.example.com/node-1/a100-0, which would fit if\n      ns/claim-x gave it back")
    );
}

#[test]
fn many_holders_are_told_together() {
    let devices = (0..5).map(|i| device(&format!("d{i}"), &[("model", "A100")])).collect();
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let mut usage = Usage::new(allocator.features());
    for i in 0..5 {
        hold(&mut usage, &format!("ns/c{i}"), &[&format!("d{i}")]);
    }
    let explanation = allocator.explain(&node("node-1"), &[wants_a100(1)], &usage);
    assert_eq!(render::short(&explanation), "request gpu: 5 of 5 devices: taken by ns/c0, ns/c1, ns/c2 and 2 more");
    let nowhere = allocator.explain(&node("node-2"), &[wants_a100(1)], &usage);
    assert_eq!(render::short(&nowhere), "request gpu: the node has no devices");
    let other = allocator.explain(&node("node-3"), &[wants_a100(1)], &usage);
    assert_eq!(
        render::short_of_nodes([&explanation, &nowhere, &other]),
        "2 nodes: request gpu: the node has no devices. \
         node-1: request gpu: 5 of 5 devices: taken by ns/c0, ns/c1, ns/c2 and 2 more"
    );
}

#[test]
fn a_conflict_among_requests_is_found_where_the_search_ends() {
    let devices =
        vec![device("d0", &[("model", "A100"), ("numa", "0")]), device("d1", &[("model", "A100"), ("numa", "1")])];
    let allocator = allocator(features(), [slice("node-1", devices)]);
    let mut claim = claim(vec![request("one", ask(Amount::Exact(1), &[])), request("two", ask(Amount::Exact(1), &[]))]);
    let numa = format!("{DRIVER}/numa");
    claim.constraints = vec![Constraint { requests: Vec::new(), rule: ConstraintRule::Match(numa.clone()) }];
    let explanation = allocator.explain(&node("node-1"), &[claim], &Usage::new(allocator.features()));
    assert!(explanation.wants.iter().all(|want| want.fitting == 2));
    let stuck = explanation.stuck.as_ref().unwrap();
    assert_eq!(stuck.request, "two");
    assert_eq!(stuck.beside, [("one".to_owned(), id("node-1", "d0"))]);
    assert_eq!(
        render::short(&explanation),
        "matchAttribute gpu.example.com/numa: no value has enough devices: 0 has 1 of 2; 1 has 1 of 2"
    );
}

#[test]
fn counters_shares_and_pools_are_named() {
    let counters = |amount: &str| [("memory".to_owned(), quantity(amount))].into();
    let mut half = device("half", &[]);
    half.consumes =
        vec![CounterConsumption { counter_set: "gpu-0".into(), counters: counters("40Gi"), ..Default::default() }];
    let mut slices = slice("node-1", vec![half]);
    slices.slice_count = Some(2);
    let mut counting = slice("node-1", Vec::new());
    counting.name = "counters".into();
    counting.slice_count = Some(2);
    counting.counter_sets = vec![CounterSet { name: "gpu-0".into(), counters: counters("24Gi") }];
    let claims = [claim(vec![request("gpu", ask(Amount::Exact(1), &[]))])];
    let complete = allocator(features(), [slices.clone(), counting]);
    let usage = Usage::new(complete.features());
    let explanation = complete.explain(&node("node-1"), &claims, &usage);
    assert_eq!(
        render::short(&explanation),
        "request gpu: 1 of 1 device: counter memory of gpu-0 has 24Gi left, 40Gi wanted"
    );
    let incomplete = allocator(features(), [slices]);
    let explanation = incomplete.explain(&node("node-1"), &claims, &usage);
    assert_eq!(
        render::short(&explanation),
        "request gpu: the node has no devices; pool gpu.example.com/node-1 is being updated: 1 of 2 slices"
    );
    let mut ask = ask(Amount::Exact(1), &[]);
    ask.capacity = [("memory".to_owned(), quantity("50Gi"))].into();
    let mut whole = device("whole", &[]);
    whole.allow_multiple_allocations = true;
    whole.capacity = [("memory".to_owned(), Capacity { value: quantity("40Gi"), policy: None })].into();
    let shared = allocator(features(), [slice("node-1", vec![whole])]);
    let explanation = shared.explain(&node("node-1"), &[claim(vec![request("gpu", ask)])], &usage);
    assert_eq!(render::short(&explanation), "request gpu: 1 of 1 device: 40Gi of memory left, 50Gi wanted");
}

#[test]
fn errors_show_where_they_are() {
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[])])]);
    let mut claims = [wants_a100(1)];
    let usage = Usage::new(allocator.features());
    let explanation = allocator.explain(&node("node-1"), &claims, &usage);
    let error = "claim default/claim: selector #0: CEL runtime error: no such key: model";
    assert_eq!(explanation.error.as_ref().map(ToString::to_string).as_deref(), Some(error));
    let Cause::SelectorError { expression, error, at, .. } = &explanation.wants[0].reasons[0].cause else {
        panic!("{explanation:?}");
    };
    assert_eq!(
        render::selector_error(expression, error, *at),
        "device.attributes[\"gpu.example.com\"].model == \"A100\"\n                                     ^ \
         no such key: model"
    );
    for (expression, shown) in [
        (
            "true &&\n  1 / device.attributes['a.b'].size() > 1 &&\n  true",
            "true &&\n  1 / device.attributes['a.b'].size() > 1 &&\n    ^ division by zero\n  true",
        ),
        (
            "device.attributes['gpu.example.com']['é'] == 1",
            "device.attributes['gpu.example.com']['é'] == 1\n                                    ^ no such key: é",
        ),
    ] {
        claims[0].requests[0] = request("gpu", ask(Amount::Exact(1), &[expression]));
        let explanation = allocator.explain(&node("node-1"), &claims, &usage);
        let Cause::SelectorError { expression, error, at, .. } = &explanation.wants[0].reasons[0].cause else {
            panic!("{explanation:?}");
        };
        assert_eq!(render::selector_error(expression, error, *at), shown);
    }
    claims[0].requests[0] = request("gpu", Ask { class: Some("nothing".into()), ..Ask::default() });
    let explanation = allocator.explain(&node("node-1"), &claims, &usage);
    assert_eq!(
        render::short(&explanation),
        "claim default/claim, request gpu: could not retrieve device class nothing: \
         deviceclass.resource.k8s.io \"nothing\" not found"
    );
}

#[test]
fn refused_admin_access_says_why() {
    let allocator = allocator(features(), [slice("node-1", vec![device("d0", &[])])]);
    let mut claim = claim(vec![request("gpu", Ask { admin_access: Some(true), ..ask(Amount::Exact(1), &[]) })]);
    let usage = Usage::new(allocator.features());
    assert!(allocate(&allocator, "node-1", std::slice::from_ref(&claim), &usage).unwrap().allocations.is_some());
    claim.admin_access_denied = Some("no Quota allows it".into());
    assert_eq!(allocate(&allocator, "node-1", std::slice::from_ref(&claim), &usage).unwrap().allocations, None);
    let explanation = allocator.explain(&node("node-1"), &[claim], &usage);
    assert_eq!(render::short(&explanation), "request gpu: no Quota allows it");
}
