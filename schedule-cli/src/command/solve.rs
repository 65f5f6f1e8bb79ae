//! `schedule solve`: allocation problems without a cluster, for anybody who wants to compare an allocator with this one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use allocator::{Allocator, Error, Features, Release, RequestProblem, Usage};
use anyhow::Context;
use api::{
    convert,
    definition::SchemaSource,
    gate,
    hub::{self, DeviceId},
};
use machinery::{meta, quantity::Quantity};
use schema::Schema;
use serde_json::{Value, json};

use super::lines::{self, items, text};

/// Stands for the identity of every share: upstream makes random ones, and an answer must be the same every time.
const SHARE_ID: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// Answers every problem of a file.
pub(super) fn run(file: Option<&PathBuf>) -> anyhow::Result<u8> {
    lines::answer_each(file, solve)
}

/// Members of a problem.
const MEMBERS: [&str; 12] = [
    "name",
    "release",
    "features",
    "node",
    "nodes",
    "classes",
    "slices",
    "claims",
    "taintRules",
    "allocatedDevices",
    "allocatedShares",
    "allocatedCapacity",
];

/// Members that are lists.
const LISTS: [&str; 8] =
    ["nodes", "classes", "slices", "claims", "taintRules", "allocatedDevices", "allocatedShares", "allocatedCapacity"];

/// One answer for each node of the problem.
fn solve(problem: &Value) -> anyhow::Result<Vec<Value>> {
    lines::check_members(problem, &MEMBERS)?;
    lines::check_lists(problem, &LISTS)?;
    lines::check_texts(problem, &["name", "release"])?;
    let node = problem.get("node").filter(|node| !node.is_null());
    let nodes: Vec<&Value> = node.into_iter().chain(items(problem, "nodes")).collect();
    anyhow::ensure!(!nodes.is_empty() || problem.get("nodes").is_some(), "neither node nor nodes are given");
    anyhow::ensure!(nodes.iter().all(|node| node.is_object()), "a node must be an object with metadata");
    let nodes = nodes.into_iter().map(node_of).collect::<anyhow::Result<Vec<_>>>()?;
    let features = features(problem)?;
    let classes = items(problem, "classes").iter();
    let classes = classes.map(|class| read(class, "DeviceClass", |class| convert::class(class, &[]).map(Arc::new)));
    let classes = classes.collect::<anyhow::Result<Vec<_>>>()?;
    let mut names = HashSet::new();
    for class in &classes {
        anyhow::ensure!(names.insert(&class.name), "DeviceClass {} is given twice", class.name);
    }
    let rules = items(problem, "taintRules").iter().map(|rule| {
        let mut rule = rule.clone();
        if let Some(members) = rule.as_object_mut() {
            members.insert("apiVersion".to_owned(), json!("resource.k8s.io/v1alpha3"));
        }
        read(&rule, "DeviceTaintRule", convert::taint_rule)
    });
    let rules = rules.collect::<anyhow::Result<Vec<_>>>()?;
    let mut slices = Vec::new();
    for slice in items(problem, "slices") {
        for mut one in read(slice, "ResourceSlice", convert::slices)? {
            allocator::taint::apply_rules(&mut one, &rules);
            slices.push(Arc::new(one));
        }
    }
    let claims = items(problem, "claims").iter().map(|claim| read(claim, "ResourceClaim", convert::claim));
    let claims = claims.collect::<anyhow::Result<Vec<_>>>()?;
    let usage = Usage::of_allocated(&features, &allocated(problem)?);
    let allocator = Allocator::new(features, classes, slices);
    Ok(nodes.into_iter().map(|node| answer(text(problem, "name"), &node, &allocator, &claims, &usage)).collect())
}

fn answer(name: &str, node: &hub::Node, allocator: &Allocator, claims: &[hub::Claim], usage: &Usage) -> Value {
    match allocator.allocate(node, claims, usage, &mut || SHARE_ID.to_owned()) {
        Ok(outcome) => {
            let results = outcome.allocations.map(|all| all.iter().map(convert::allocation_json).collect::<Vec<_>>());
            json!({"name": name, "node": node.name, "results": results, "allocateOneCalls": outcome.effort})
        }
        Err(error) => json!({"name": name, "node": node.name, "results": null, "error": error_text(&error)}),
    }
}

/// The text of an error. What follows a class that is not there comes from where a scheduler looks for classes; upstream's
/// problems have none and say this.
fn error_text(error: &Error) -> String {
    match error {
        Error::Request { claim, part, name, problem: RequestProblem::ClassNotFound { class, .. } } => {
            format!("claim {claim}, {part} {name}: could not retrieve device class {class}:  \"not found\" not found")
        }
        other => other.to_string(),
    }
}

/// The gates that a problem names, or those that its release has on by default when it names none. A list of names, or
/// an object of names and truth values.
fn features(problem: &Value) -> anyhow::Result<Features> {
    let release = match problem.get("release") {
        None | Some(Value::Null) => Release::default(),
        Some(release) => release.as_str().unwrap_or_default().parse().context("release")?,
    };
    let features = match problem.get("features") {
        None | Some(Value::Null) => return Ok(Features::of_minor(release.minor())),
        Some(Value::Array(gates)) => {
            let named = gates.iter().map(|gate| gate.as_str().context("features must be a list of gate names"));
            from_gates(&named.collect::<anyhow::Result<Vec<_>>>()?)?
        }
        Some(Value::Object(gates)) => {
            let mut on = Vec::new();
            for (name, value) in gates {
                match value.as_bool() {
                    Some(true) => on.push(name.as_str()),
                    Some(false) => check_gates(name)?,
                    None => anyhow::bail!("features.{name} must be true or false"),
                }
            }
            from_gates(&on)?
        }
        Some(_) => anyhow::bail!("features must be a list of gate names"),
    };
    Ok(Features { release, ..features })
}

fn from_gates(gates: &[&str]) -> anyhow::Result<Features> {
    gates.iter().try_for_each(|gate| check_gates(gate))?;
    Ok(Features::from_gates(gates))
}

/// Refuses a gate that Kubernetes does not have. Names may be joined with `+`.
fn check_gates(gates: &str) -> anyhow::Result<()> {
    for gate in gates.split('+') {
        anyhow::ensure!(gate::find(gate).is_some(), "unrecognized feature gate: {gate}");
    }
    Ok(())
}

/// What `convert` makes of an object; of `resource.k8s.io/v1`, if it does not say what it is.
///
/// # Errors
/// It is no object, has a field that its kind does not have, or a value of a wrong type somewhere.
fn read<T>(object: &Value, kind: &str, convert: impl FnOnce(&Value) -> Result<T, convert::Error>) -> anyhow::Result<T> {
    let mut object = object.clone();
    let Some(members) = object.as_object_mut() else { anyhow::bail!("a {kind} must be an object") };
    members.entry("apiVersion").or_insert_with(|| json!("resource.k8s.io/v1"));
    members.entry("kind").or_insert_with(|| json!(kind));
    let schema = schema_of(&object);
    if let Some(field) = schema.and_then(|schema| schema.root().prune(&mut object.clone()).into_iter().next()) {
        anyhow::bail!("{}: unknown field {field:?}", described(&object));
    }
    let converted = convert(&object).with_context(|| described(&object))?;
    // The conversion looks only at what allocation needs, and tells better what is wrong there.
    schema.map_or(Ok(()), |schema| schema.root().decode(&mut object.clone())).with_context(|| described(&object))?;
    Ok(converted)
}

/// The schema of the object's version and kind.
fn schema_of(object: &Value) -> Option<&'static Schema> {
    static SCHEMAS: LazyLock<HashMap<(String, String), Schema>> = LazyLock::new(schemas);
    SCHEMAS.get(&(meta::api_version(object).to_owned(), meta::kind(object).to_owned()))
}

/// What is in the kinds of `resource.k8s.io`, by version and kind.
fn schemas() -> HashMap<(String, String), Schema> {
    let mut schemas = HashMap::new();
    for row in api::catalog::catalog().iter().filter(|row| row.group == "resource.k8s.io") {
        for served in &row.versions {
            if let SchemaSource::Built(build) = &served.schema {
                let document = build();
                let schema = Schema::from_definitions(&document.root, document.definitions);
                let key = (format!("resource.k8s.io/{}", served.name), row.kind.to_string());
                schemas.extend(schema.ok().map(|schema| (key, schema)));
            }
        }
    }
    schemas
}

fn described(object: &Value) -> String {
    match meta::name(object) {
        "" => format!("{} without a name", meta::kind(object)),
        name => format!("{} {name}", meta::kind(object)),
    }
}

/// A node: its name and labels.
fn node_of(node: &Value) -> anyhow::Result<hub::Node> {
    let metadata = node.get("metadata").unwrap_or(&Value::Null);
    lines::check_objects(node, &["metadata"])?;
    lines::check_texts(metadata, &["name"]).context("metadata of a node")?;
    lines::check_objects(metadata, &["labels"]).context("metadata of a node")?;
    let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().with_context(|| format!("label {key} of a node must be a text"))?;
        Ok((key.clone(), value.to_owned()))
    });
    Ok(hub::Node { name: meta::name(node).to_owned(), labels: labels.collect::<anyhow::Result<_>>()? })
}

fn allocated(problem: &Value) -> anyhow::Result<hub::Allocated> {
    let mut allocated = hub::Allocated::default();
    for list in ["allocatedDevices", "allocatedShares", "allocatedCapacity"] {
        for (index, entry) in items(problem, list).iter().enumerate() {
            for member in ["Driver", "Pool", "Device"] {
                let given = entry.get(member).is_some_and(Value::is_string);
                anyhow::ensure!(given, "{list}[{index}] has no {member}");
            }
        }
    }
    allocated.devices.extend(items(problem, "allocatedDevices").iter().map(device_id));
    let shares = items(problem, "allocatedShares").iter();
    allocated.shares.extend(shares.map(|share| (device_id(share), text(share, "ShareID").to_owned())));
    for entry in items(problem, "allocatedCapacity") {
        let mut amounts = BTreeMap::new();
        for (name, amount) in entry.get("Capacity").and_then(Value::as_object).into_iter().flatten() {
            amounts.insert(
                name.clone(),
                Quantity::from_json(amount).with_context(|| format!("allocatedCapacity {name}"))?,
            );
        }
        allocated.capacity.insert(device_id(entry), amounts);
    }
    Ok(allocated)
}

fn device_id(entry: &Value) -> DeviceId {
    DeviceId {
        driver: text(entry, "Driver").to_owned(),
        pool: text(entry, "Pool").to_owned(),
        device: text(entry, "Device").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: &str = include_str!("../../../testdata/corpus/allocator.json");

    #[test]
    fn every_problem_of_the_corpus_has_upstreams_answer() {
        let problems: Vec<Value> = serde_json::from_str(CORPUS).expect("the corpus is JSON");
        let mut differ = Vec::new();
        for problem in &problems {
            let channels = &problem["channels"];
            let expected =
                if channels["incubating"].is_object() { &channels["incubating"] } else { &channels["experimental"] };
            let answers = solve(problem).expect("the corpus is well formed");
            let error = |value: &Value| value["error"].as_str().unwrap_or_default().to_owned();
            let calls = |value: &Value| value["allocateOneCalls"].as_u64();
            let same = answers[0]["results"] == expected["results"]
                && error(expected) == error(&answers[0])
                && calls(&answers[0]) <= calls(expected);
            if answers.len() != 1 || !same {
                differ.push(format!("{}\n  upstream {expected}\n  ours     {}", problem["name"], answers[0]));
            }
        }
        assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), problems.len(), differ.join("\n"));
    }

    #[test]
    fn random_problems_have_upstreams_answers() {
        let mut differ = Vec::new();
        for line in include_str!("../../../testdata/corpus/allocator-random.jsonl").lines() {
            let problem: Value = serde_json::from_str(line).expect("a problem");
            let answers = solve(&problem).expect("it is well formed");
            for (answer, expected) in answers.iter().zip(items(&problem, "answers")) {
                let same = ["node", "results", "error"].iter().all(|name| answer.get(name) == expected.get(name));
                let calls = |answer: &Value| answer["allocateOneCalls"].as_u64().unwrap_or_default();
                if !same || calls(answer) > calls(expected) {
                    differ.push(format!("{}\n  upstream {expected}\n  ours     {answer}", problem["name"]));
                }
            }
            assert_eq!(answers.len(), items(&problem, "answers").len());
        }
        assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    }

    #[test]
    fn what_is_no_problem_is_told() {
        for (problem, expected) in [
            (json!({}), "neither node nor nodes are given"),
            (json!({"node": "n"}), "a node must be an object with metadata"),
            (json!({"node": {}, "claims": {}}), "claims must be a list"),
            (json!({"node": {}, "features": 3}), "features must be a list of gate names"),
            (json!({"node": {}, "features": ["DRAAdminAccess", 3]}), "features must be a list of gate names"),
            (json!({"node": {}, "features": ["DRAAdminAcces"]}), "unrecognized feature gate: DRAAdminAcces"),
            (json!({"node": {}, "features": {"X": false}}), "unrecognized feature gate: X"),
            (json!({"node": {}, "features": {"DRADeviceTaints": 1}}), "features.DRADeviceTaints must be true or false"),
            (json!({"node": {}, "name": 3}), "name must be a text"),
            (json!({"node": {"metadata": 3}}), "metadata must be an object"),
            (json!({"node": {"metadata": {"name": 3}}}), "metadata of a node: name must be a text"),
            (json!({"node": {"metadata": {"labels": {"a": 3}}}}), "label a of a node must be a text"),
            (json!({"node": {}, "slices": [3]}), "a ResourceSlice must be an object"),
            (
                json!({"node": {}, "claims": [{"metadata": {"name": "q"}, "status": 3}]}),
                "ResourceClaim q: json: cannot unmarshal number into Go struct field ResourceClaim.status of type \
                 v1.ResourceClaimStatus",
            ),
            (
                json!({"node": {}, "classes": [{"apiVersion": "resource.k8s.io/v1beta1", "metadata": {"name": 3}}]}),
                "DeviceClass without a name: json: cannot unmarshal number into Go struct field \
                 ObjectMeta.metadata.name of type string",
            ),
            (
                json!({"node": {}, "classes": [{"metadata": {"name": "c"}}, {"metadata": {"name": "c"}}]}),
                "DeviceClass c is given twice",
            ),
            (
                json!({"node": {}, "claims": [{"metadata": {"name": "q"}, "spec": {"devices": {"requests": [
                    {"name": "r", "exactly": {"deviceClassName": "c", "cuont": 1}}]}}}]}),
                "ResourceClaim q: unknown field \"spec.devices.requests[0].exactly.cuont\"",
            ),
            (
                json!({"node": {}, "claim": {}}),
                "unknown member claim; known are name, release, features, node, nodes, classes, slices, claims, \
                 taintRules, allocatedDevices, allocatedShares, allocatedCapacity",
            ),
            (json!({"node": {}, "allocatedDevices": [{"driver": "d"}]}), "allocatedDevices[0] has no Driver"),
            (
                json!({"node": {}, "slices": [{"spec": 3}]}),
                "ResourceSlice without a name: spec: must be an object, is a number",
            ),
        ] {
            assert_eq!(format!("{:#}", solve(&problem).expect_err("it is none")), expected);
        }
        assert!(solve(&json!({"nodes": []})).expect("no node is a number of nodes").is_empty());
    }

    /// All places in a value: pointers, as RFC 6901 has them.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        let mut member = |name: &str, value: &Value| {
            let name = name.replace('~', "~0").replace('/', "~1");
            found.push(format!("{at}/{name}"));
            places(value, &format!("{at}/{name}"), found);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| member(name, value)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| member(&index.to_string(), item)),
            _ => {}
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 512, failure_persistence: None, ..Default::default() })]

        /// Whatever stands in one place of a problem, there is an answer, or it is told in one line what is wrong.
        #[test]
        fn spoilt_problems_are_answered(which in 0_usize..219, place in 0_usize..usize::MAX, what in 0_usize..14) {
            static PROBLEMS: LazyLock<Vec<Value>> =
                LazyLock::new(|| serde_json::from_str(CORPUS).expect("the corpus is JSON"));
            let mut problem = PROBLEMS[which].clone();
            problem.as_object_mut().map(|members| members.remove("channels"));
            let mut found = Vec::new();
            places(&problem, "", &mut found);
            let place = &found[place % found.len()];
            let values = json!([
                null, 0, -1, 1.5, 1e300, i64::MIN, u64::MAX, true, "", "x", "1e999", [], [null], {"": {}}
            ]);
            *problem.pointer_mut(place).expect("it was found") = values[what].clone();
            match solve(&problem) {
                Ok(answers) => proptest::prop_assert!(answers.iter().all(|answer| answer.get("results").is_some())),
                Err(error) => proptest::prop_assert_ne!(error.to_string(), ""),
            }
        }
    }

    #[test]
    fn alternatives_win_where_one_device_is_asked_for_too() {
        let problems: Vec<Value> = serde_json::from_str(CORPUS).expect("the corpus is JSON");
        let mut problem = problems.into_iter().find(|problem| problem["name"] == "simple").expect("it is there");
        problem["features"] = json!(["DRAPrioritizedList"]);
        let class = problem["classes"][0]["metadata"]["name"].clone();
        problem["claims"][0]["spec"]["devices"]["requests"][0]["firstAvailable"] =
            json!([{"name": "other", "deviceClassName": class, "allocationMode": "ExactCount", "count": 1}]);
        let answers = solve(&problem).expect("it is well formed");
        assert_eq!(answers[0]["results"][0]["devices"]["results"][0]["request"], "req-0/other");
    }

    #[test]
    fn every_node_gets_an_answer() {
        let problem = json!({
            "name": "two",
            "nodes": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
            "classes": [{"metadata": {"name": "c"}, "spec": {}}],
            "slices": [{"metadata": {"name": "s"}, "spec": {
                "driver": "d.example.com", "nodeName": "b",
                "pool": {"name": "b", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "x"}]
            }}],
            "claims": [{"metadata": {"name": "q"}, "spec": {"devices": {"requests": [
                {"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}}
            ]}}}],
        });
        let answers = solve(&problem).expect("well formed");
        assert_eq!(answers.iter().map(|answer| answer["node"].clone()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(answers[0]["results"], Value::Null);
        assert_eq!(answers[0].get("error"), None);
        assert_eq!(answers[1]["results"][0]["devices"]["results"][0]["device"], "x");
    }

    /// The requests to which the configuration of a claim applies, as a release writes them.
    fn configured(release: &str, requests: &Value, config: &Value) -> Value {
        let devices: Vec<Value> = (0..4).map(|number| json!({"name": format!("d{number}")})).collect();
        let problem = json!({
            "name": "config", "release": release, "features": ["DRAPrioritizedList"],
            "node": {"metadata": {"name": "n"}},
            "classes": [{"metadata": {"name": "c"}, "spec": {}}],
            "slices": [{"metadata": {"name": "s"}, "spec": {
                "driver": "d.example.com", "nodeName": "n", "devices": devices,
                "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1},
            }}],
            "claims": [{"metadata": {"name": "q"}, "spec": {"devices": {"requests": requests, "config": [
                {"requests": config, "opaque": {"driver": "d.example.com", "parameters": {}}}
            ]}}}],
        });
        let answers = solve(&problem).expect("well formed");
        answers[0]["results"][0]["devices"]["config"][0]["requests"].clone()
    }

    #[test]
    fn configuration_of_all_requests_names_none_since_1_37() {
        let ask =
            |name: &str| json!({"name": name, "deviceClassName": "c", "allocationMode": "ExactCount", "count": 1});
        let exactly = |name: &str| {
            let mut exactly = ask(name);
            exactly.as_object_mut().map(|members| members.remove("name"));
            json!({"name": name, "exactly": exactly})
        };
        let listed = json!({"name": "a", "firstAvailable": [ask("x"), ask("y")]});
        for (requests, config, expected) in [
            (json!([listed, exactly("b")]), json!(["a/x", "b"]), Value::Null),
            (json!([listed, exactly("b")]), json!(["a/x", "a/y"]), json!(["a/x", "a/y"])),
            (json!([exactly("a"), exactly("b"), exactly("c")]), json!(["a", "b"]), json!(["a", "b"])),
        ] {
            assert_eq!(configured("1.37", &requests, &config), expected, "{config}");
            assert_eq!(configured("1.36", &requests, &config), config);
        }
    }
}
