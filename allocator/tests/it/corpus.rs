//! The corpus: upstream's own problems, with the answers of upstream's allocator.

use allocator::{Allocator, Features, Usage};
use serde_json::Value;

use crate::decode;

const CORPUS: &str = include_str!("../../../testdata/corpus/allocator.json");

/// What stands for generated share ids.
const SHARE_ID: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// Text that upstream's fixture, in place of its API machinery, puts behind a class that is not found.
const FIXTURE_NOT_FOUND: &str = ":  \"not found\" not found";

fn objects<T>(value: &Value, decode: fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(decode).collect()
}

struct Answer {
    results: Option<Vec<Value>>,
    error: Option<String>,
    effort: Option<u64>,
}

fn answer(problem: &Value) -> Answer {
    let gates = problem["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let features = Features::from_gates(gates);
    let classes = objects(&problem["classes"], decode::class);
    let allocator = Allocator::new(features, classes, objects(&problem["slices"], decode::slice));
    let usage = Usage::of_allocated(&features, &decode::allocated(problem));
    let claims = objects(&problem["claims"], decode::claim);
    let outcome = allocator.allocate(&decode::node(&problem["node"]), &claims, &usage, &mut || SHARE_ID.to_owned());
    match outcome {
        Err(error) => Answer { results: None, error: Some(error.to_string()), effort: None },
        Ok(outcome) => Answer {
            results: outcome.allocations.map(|all| all.iter().map(decode::allocation_result).collect()),
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
    let mut failures = Vec::new();
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
        if let (Some(most), Some(effort)) = (expected["allocateOneCalls"].as_u64(), answer.effort)
            && effort > most
        {
            differ("effort", &most, &effort);
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), problems.len(), failures.join("\n"));
}
