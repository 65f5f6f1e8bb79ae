//! The corpus: upstream's own problems, with the answers of upstream's allocator.

use std::sync::Arc;

use allocator::{Allocator, Features, Usage};
use api::{
    convert,
    hub::{Allocated, DeviceId, Node},
};
use machinery::{meta, quantity::Quantity};
use serde_json::{Value, json};

const CORPUS: &str = include_str!("../../../testdata/corpus/allocator.json");

/// What stands for generated share ids.
const SHARE_ID: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// Text that upstream's fixture, in place of its API machinery, puts behind a class that is not found.
const FIXTURE_NOT_FOUND: &str = ":  \"not found\" not found";

/// Objects of a problem, which do not say what they are.
fn objects<T>(
    problem: &Value,
    list: &str,
    kind: &str,
    convert: impl Fn(&Value) -> Result<T, convert::Error>,
) -> Vec<T> {
    let typed = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = json!("resource.k8s.io/v1");
        object["kind"] = json!(kind);
        convert(&object).expect("an object")
    };
    problem[list].as_array().into_iter().flatten().map(typed).collect()
}

fn allocated(problem: &Value) -> Allocated {
    let entries = |list: &str| problem[list].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let id = |entry: &Value| DeviceId {
        driver: text(entry, "Driver"),
        pool: text(entry, "Pool"),
        device: text(entry, "Device"),
    };
    let amounts = |entry: &Value| {
        let amounts = entry["Capacity"].as_object().cloned().unwrap_or_default();
        amounts.iter().map(|(name, amount)| (name.clone(), Quantity::from_json(amount).expect("an amount"))).collect()
    };
    Allocated {
        devices: entries("allocatedDevices").iter().map(id).collect(),
        shares: entries("allocatedShares").iter().map(|entry| (id(entry), text(entry, "ShareID"))).collect(),
        capacity: entries("allocatedCapacity").iter().map(|entry| (id(entry), amounts(entry))).collect(),
        ..Allocated::default()
    }
}

struct Answer {
    results: Option<Vec<Value>>,
    error: Option<String>,
    effort: Option<u64>,
}

fn answer(problem: &Value) -> Answer {
    let gates = problem["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let features = Features::from_gates(gates);
    let classes = objects(problem, "classes", "DeviceClass", |class| convert::class(class, &[]).map(Arc::new));
    let slices = objects(problem, "slices", "ResourceSlice", convert::slices);
    let claims = objects(problem, "claims", "ResourceClaim", convert::claim);
    let allocator = Allocator::new(features, classes, slices.into_iter().flatten().map(Arc::new));
    let usage = Usage::of_allocated(&features, &allocated(problem));
    let labels = meta::labels(&problem["node"]).map(|(key, value)| (key.to_owned(), value.to_owned()));
    let node = Node { name: meta::name(&problem["node"]).to_owned(), labels: labels.collect() };
    match allocator.allocate(&node, &claims, &usage, &mut || SHARE_ID.to_owned()) {
        Err(error) => Answer { results: None, error: Some(error.to_string()), effort: None },
        Ok(outcome) => Answer {
            results: outcome.allocations.map(|all| all.iter().map(convert::allocation_json).collect()),
            error: None,
            effort: Some(outcome.effort),
        },
    }
}

/// The answer of the implementation that a default scheduler uses, or else of the one that knows alpha features.
fn expected(problem: &Value) -> &Value {
    let channels = &problem["channels"];
    if channels["incubating"].is_object() { &channels["incubating"] } else { &channels["experimental"] }
}

#[test]
fn answers_are_those_of_upstream() {
    let problems: Vec<Value> = serde_json::from_str(CORPUS).expect("JSON");
    assert_eq!(problems.len(), 219);
    let (mut failures, mut counted) = (Vec::new(), 0);
    for problem in &problems {
        let (expected, answer) = (expected(problem), answer(problem));
        let name = problem["name"].as_str().unwrap_or_default();
        let mut differ = |what: &str, expected: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug| {
            failures.push(format!("{name}: {what}\n  upstream {expected:?}\n  ours     {got:?}"));
        };
        let error = expected["error"].as_str();
        let wanted_error = error.map(|text| text.strip_suffix(FIXTURE_NOT_FOUND).unwrap_or(text));
        let got_error = answer.error.as_deref().map(|text| match text.split_once(": deviceclass.resource.k8s.io ") {
            Some((before, _)) => before,
            None => text,
        });
        if wanted_error != got_error {
            differ("error", &error, &answer.error);
        }
        let results = expected["results"].as_array();
        if results != answer.results.as_ref() {
            differ("results", &results, &answer.results);
        }
        // Every device of an answer was looked at once at least, so a count that stands still is noticed, too.
        let devices = |results: &Vec<Value>| -> usize {
            let of_claim = |result: &Value| result["devices"]["results"].as_array().map_or(0, Vec::len);
            results.iter().map(of_claim).sum()
        };
        let least = answer.results.as_ref().map_or(0, devices) as u64;
        if let (Some(most), Some(effort)) = (expected["allocateOneCalls"].as_u64(), answer.effort) {
            counted += 1;
            if !(least..=most).contains(&effort) {
                differ("effort", &(least..=most), &effort);
            }
        }
    }
    assert!(counted > 100, "{counted} problems say what they cost upstream");
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), problems.len(), failures.join("\n"));
}
