//! Evaluations of device selectors, recorded from upstream Kubernetes: texts of errors, both costs, and verdicts.

use cel::device::{Attribute, Device, Features, MAX_COST, SelectorCompiler};
use cel::{Budget, Minor};
use machinery::quantity::Quantity;
use machinery::semver::Version;
use serde_json::Value;

const CASES: &str = include_str!("../../../testdata/corpus/cel.json");
const LIBRARIES: &str = include_str!("../../../testdata/cel/libraries.json");

fn flag(case: &Value, name: &str) -> bool {
    case.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn text<'c>(case: &'c Value, name: &str) -> &'c str {
    case.get(name).and_then(Value::as_str).unwrap_or("")
}

fn attribute(value: &Value) -> Option<Attribute> {
    let (kind, value) = value.as_object()?.iter().next()?;
    let texts = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let version = |text: &str| Version::parse(text).expect("a version");
    Some(match kind.as_str() {
        "int" => Attribute::Int(value.as_i64()?),
        "bool" => Attribute::Bool(value.as_bool()?),
        "string" => Attribute::String(value.as_str()?.to_owned()),
        "version" => Attribute::Version(version(value.as_str()?)),
        "ints" => Attribute::Ints(value.as_array()?.iter().filter_map(Value::as_i64).collect()),
        "bools" => Attribute::Bools(value.as_array()?.iter().filter_map(Value::as_bool).collect()),
        "strings" => Attribute::Strings(texts().map(str::to_owned).collect()),
        "versions" => Attribute::Versions(texts().map(version).collect()),
        _ => return None,
    })
}

/// What upstream recorded of a case, or what we make of it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    compile_error: String,
    match_error: String,
    matches: bool,
    max_cost: u64,
    actual_cost: u64,
}

fn expected(case: &Value) -> Outcome {
    let number = |name: &str| case.get(name).and_then(Value::as_u64).unwrap_or(0);
    Outcome {
        compile_error: text(case, "compileError").to_owned(),
        match_error: text(case, "matchError").to_owned(),
        matches: flag(case, "match"),
        max_cost: number("maxCost"),
        actual_cost: number("actualCost"),
    }
}

fn evaluate(case: &Value) -> Outcome {
    let features = Features {
        consumable_capacity: flag(case, "consumableCapacity"),
        list_type_attributes: flag(case, "listTypeAttributes"),
        minor: Minor::of(36),
    };
    let compiler = match flag(case, "newExpressionsOnly") {
        true => SelectorCompiler::for_new(features),
        false => SelectorCompiler::for_stored(features),
    };
    let selector = match compiler.compile(text(case, "expression")) {
        Ok(selector) => selector,
        Err(error) => return Outcome { compile_error: error.to_string(), ..Outcome::default() },
    };
    let mut outcome = Outcome { max_cost: selector.max_cost(), ..Outcome::default() };
    let mut budget = Budget::new(MAX_COST);
    match device(case, features).and_then(|device| selector.matches(&device, &mut budget)) {
        Ok(matches) => outcome.matches = matches,
        Err(fault) => outcome.match_error = fault.to_string(),
    }
    outcome.actual_cost = budget.cost();
    outcome
}

fn device(case: &Value, features: Features) -> Result<Device, cel::Fault> {
    let entries = |name: &str| case.get(name).and_then(Value::as_object).into_iter().flatten();
    let attributes = entries("attributes").map(|(name, value)| (name.as_str(), attribute(value)));
    let device = Device::new(text(case, "driver"), flag(case, "allowMultipleAllocations"));
    let mut device = device.with_attributes(features, attributes)?;
    for (name, value) in entries("capacity") {
        device.set_capacity(name, Quantity::parse(text(value, "value")).expect("a quantity"));
    }
    Ok(device)
}

#[test]
fn selectors_do_what_upstream_recorded() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("JSON");
    assert_eq!(cases.len(), 106);
    agree(&cases);
}

/// Every function of the libraries, used well and badly, asked about one device.
#[test]
fn libraries_do_what_upstream_recorded() {
    let table: Value = serde_json::from_str(LIBRARIES).expect("JSON");
    let expressions = table["expressions"].as_array().expect("a list");
    let with_device = |expression: &Value| {
        let mut case = table["device"].as_object().expect("an object").clone();
        case.extend(expression.as_object().expect("an object").clone());
        Value::Object(case)
    };
    agree(&expressions.iter().map(with_device).collect::<Vec<_>>());
}

fn agree(cases: &[Value]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let (expected, found) = (expected(case), evaluate(case));
            let expression = text(case, "expression");
            (expected != found).then(|| format!("{expression}\n  expected {expected:?}\n  found    {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
