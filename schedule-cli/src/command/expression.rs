//! `schedule cel`: device selectors without a cluster.

use std::path::PathBuf;

use anyhow::Context;
use api::release::Release;
use cel::{
    Budget, Fault, Minor,
    device::{Attribute, Device, Features, MAX_COST, SelectorCompiler},
};
use machinery::{
    quantity::Quantity,
    semver::{self, Version},
};
use serde_json::{Map, Value, json};

use super::lines::{self, flag, text};

/// Answers every expression of a file.
pub(super) fn run(file: Option<&PathBuf>) -> anyhow::Result<u8> {
    lines::answer_each(file, |case| Ok(vec![evaluate(case)?]))
}

/// Whose functions there are: those of the release that the case names, or the latest.
fn minor(case: &Value) -> anyhow::Result<Minor> {
    let Some(release) = case.get("release").filter(|release| !release.is_null()) else {
        return Ok(Minor::of(Release::default().minor()));
    };
    let release: Release = release.as_str().unwrap_or_default().parse().context("release")?;
    Ok(Minor::of(release.minor()))
}

/// Members of a case.
const MEMBERS: [&str; 10] = [
    "name",
    "release",
    "expression",
    "driver",
    "attributes",
    "capacity",
    "allowMultipleAllocations",
    "consumableCapacity",
    "listTypeAttributes",
    "newExpressionsOnly",
];

/// What an expression says of a device, and what it costs.
fn evaluate(case: &Value) -> anyhow::Result<Value> {
    lines::check_members(case, &MEMBERS)?;
    lines::check_texts(case, &["name", "release", "expression", "driver"])?;
    lines::check_flags(case, &MEMBERS[6..])?;
    lines::check_objects(case, &["attributes", "capacity"])?;
    anyhow::ensure!(case.get("expression").is_some_and(Value::is_string), "no expression is given");
    let features = Features {
        consumable_capacity: flag(case, "consumableCapacity"),
        list_type_attributes: flag(case, "listTypeAttributes"),
        minor: minor(case)?,
    };
    let compiler = if flag(case, "newExpressionsOnly") {
        SelectorCompiler::for_new(features)
    } else {
        SelectorCompiler::for_stored(features)
    };
    let mut answer = Map::new();
    if let Some(name) = case.get("name") {
        answer.insert("name".to_owned(), name.clone());
    }
    let selector = match compiler.compile(text(case, "expression")) {
        Ok(selector) => selector,
        Err(error) => {
            answer.insert("compileError".to_owned(), json!(error.to_string()));
            return Ok(Value::Object(answer));
        }
    };
    answer.insert("maxCost".to_owned(), json!(selector.max_cost()));
    let mut budget = Budget::new(MAX_COST);
    match device(case, features)?.and_then(|device| selector.matches(&device, &mut budget)) {
        Ok(matches) => answer.insert("match".to_owned(), json!(matches)),
        Err(fault) => answer.insert("matchError".to_owned(), json!(fault.to_string())),
    };
    answer.insert("actualCost".to_owned(), json!(budget.cost()));
    Ok(Value::Object(answer))
}

/// The device of a case. The inner error is one that upstream reports when it evaluates.
fn device(case: &Value, features: Features) -> anyhow::Result<Result<Device, Fault>> {
    let entries = |name: &str| case.get(name).and_then(Value::as_object).into_iter().flatten();
    let mut attributes = Vec::new();
    for (name, value) in entries("attributes") {
        match attribute(value) {
            Ok(value) => attributes.push((name.as_str(), value)),
            Err(error) => return Ok(Err(Fault::error(format!("attribute {name}: parse semantic version: {error}")))),
        }
    }
    let device = Device::new(text(case, "driver"), flag(case, "allowMultipleAllocations"));
    let mut device = match device.with_attributes(features, attributes) {
        Ok(device) => device,
        Err(fault) => return Ok(Err(fault)),
    };
    for (name, value) in entries("capacity") {
        let amount = Quantity::from_json(value.get("value").unwrap_or(value));
        device.set_capacity(name, amount.map_err(|error| anyhow::anyhow!("capacity {name}: {error}"))?);
    }
    Ok(Ok(device))
}

/// The one value of an attribute; `None` for none, or one of a type that nobody knows.
///
/// # Errors
/// A version is none.
fn attribute(value: &Value) -> Result<Option<Attribute>, semver::Error> {
    let Some((kind, value)) = value.as_object().and_then(|members| members.iter().next()) else { return Ok(None) };
    let texts = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(match kind.as_str() {
        "int" => value.as_i64().map(Attribute::Int),
        "bool" => value.as_bool().map(Attribute::Bool),
        "string" => value.as_str().map(|text| Attribute::String(text.to_owned())),
        "version" => value.as_str().map(Version::parse).transpose()?.map(Attribute::Version),
        "ints" => value.as_array().map(|all| Attribute::Ints(all.iter().filter_map(Value::as_i64).collect())),
        "bools" => value.as_array().map(|all| Attribute::Bools(all.iter().filter_map(Value::as_bool).collect())),
        "strings" => Some(Attribute::Strings(texts().map(str::to_owned).collect())),
        "versions" => Some(Attribute::Versions(texts().map(Version::parse).collect::<Result<_, _>>()?)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: &str = include_str!("../../../testdata/corpus/cel.json");

    #[test]
    fn every_evaluation_of_the_corpus_has_upstreams_answer() {
        let cases: Vec<Value> = serde_json::from_str(CORPUS).expect("the corpus is JSON");
        for case in &cases {
            let answer = evaluate(case).expect("the corpus is well formed");
            for member in ["compileError", "matchError"] {
                assert_eq!(text(&answer, member), text(case, member), "{}", case["expression"]);
            }
            let number = |value: &Value, member: &str| value.get(member).and_then(Value::as_u64).unwrap_or(0);
            for member in ["maxCost", "actualCost"] {
                assert_eq!(number(&answer, member), number(case, member), "{member} of {}", case["expression"]);
            }
            assert_eq!(flag(&answer, "match"), flag(case, "match"), "{}", case["expression"]);
        }
    }
    #[test]
    fn lists_are_seen_without_their_gate_since_1_37() {
        let answer = |release: &str, attribute: Value| {
            let expression = "device.attributes['d'].v.exists(e, e == 2)";
            evaluate(
                &json!({"release": release, "expression": expression, "driver": "d", "attributes": {"v": attribute}}),
            )
            .expect("it is well formed")
        };
        assert_eq!(answer("1.37", json!({"ints": [1, 2]}))["match"], true);
        let error = answer("1.36", json!({"ints": [1, 2]}))["compileError"].clone();
        assert!(error.to_string().contains("expression of type 'any' cannot be range of a comprehension"), "{error}");
        let plain = json!({"release": "1.36", "expression": "true", "driver": "d", "attributes": {"v": {"ints": [1]}}});
        let answer = evaluate(&plain).expect("it is well formed");
        assert_eq!(answer["matchError"], "attribute v: unsupported attribute value");
    }
}
