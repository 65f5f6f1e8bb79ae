//! Writes of upstream's shapes, odd ones included, and of what its documentation forbids.

use serde_json::{Value, json};

use super::definitions;
use crate::resource::tests::Bench;

fn row(kind: &str) -> crate::definition::ResourceDefinition {
    definitions().into_iter().find(|row| row.kind == kind).expect("a kind of the prototype")
}

/// The object after defaulting, and everything wrong with it.
fn create(kind: &str, mut object: Value) -> (Value, Vec<String>) {
    let row = row(kind);
    row.strategy.default(&mut object, &Bench::default());
    row.strategy.prepare_for_create(&mut object, &Bench::default());
    let errors = row.strategy.validate(&object, &Bench::default()).iter().map(ToString::to_string).collect();
    (object, errors)
}

fn pool(spec: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": spec})
}

#[test]
fn requests_without_names_are_numbered() {
    let requests = json!([{"deviceClassName": "a"}, {"name": "b"}, {"name": ""}]);
    let named = json!(["request-0", "b", "request-2"]);
    let names =
        |requests: &Value| Value::from_iter(requests.as_array().expect("a list").iter().map(|one| one["name"].clone()));
    let (claim, errors) =
        create("ResourceClaim", json!({"metadata": {"name": "c"}, "spec": {"requests": requests.clone()}}));
    assert_eq!((errors, names(&claim["spec"]["requests"])), (Vec::new(), named.clone()));
    let (template, errors) =
        create("ResourceClaimTemplate", json!({"metadata": {"name": "t"}, "spec": {"spec": {"requests": requests}}}));
    assert_eq!((errors, names(&template["spec"]["spec"]["requests"])), (Vec::new(), named));
}

#[test]
fn upstreams_odd_shapes_are_accepted() {
    // A claim with its status, as upstream's example of one has it.
    let (claim, errors) = create(
        "ResourceClaim",
        json!({
            "metadata": {"name": "foozer-gpu-and-nic-avfjgg"},
            "spec": {"constraints": [{"matchAttribute": "dra.k8s.io/pcie_root"}], "requests": [{"deviceClassName": "foozer.example.com"}]},
            "status": {
                "allocation": {"nodeName": "worker-1", "shareable": true, "driverData": [{"driverName": "foozer.example.com", "data": {"results": [{"deviceName": "gpu-1"}]}}]},
                "reservedFor": [{"resource": "pods", "name": "foozer", "uid": "abcd-1234"}],
            },
        }),
    );
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(claim["status"]["allocation"]["nodeName"], "worker-1");
    let strategy = row("ResourceClaim").strategy;
    assert_eq!(strategy.name_errors("foozer-split-shared-128Gi"), Vec::<String>::new());
    assert!(!strategy.name_errors("a_b").is_empty());
    let (_, errors) = create(
        "ResourceClaim",
        json!({"metadata": {"name": "c"}, "spec": {"requests": [{"name": "a", "requirements": null}]}}),
    );
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn generated_pools_break_limits_and_are_warned_about() {
    let device = json!({
        "name": "gpu-0-mig-1g.5gb-0",
        "attributes": [{"name": "mig-profile", "string": "1g.5gb"}, {"name": "driver-version", "version": "550.54.15"}],
        "sharedCapacityConsumed": [{"name": "gpu-0-memory", "capacity": "4864Mi"}],
    });
    let mut devices = vec![device; 129];
    for (index, device) in devices.iter_mut().enumerate() {
        device["name"] = json!(format!("gpu-0-mig-1g.5gb-{index}"));
    }
    let object = pool(json!({
        "nodeName": "nvidia-00", "driverName": "gpu.nvidia.com/dra",
        "sharedCapacity": [{"name": "gpu-0-memory", "capacity": "40Gi"}], "devices": devices,
    }));
    let (object, errors) = create("ResourcePool", object);
    assert_eq!(errors, Vec::<String>::new());
    let warnings = row("ResourcePool").strategy.warnings(&object, None);
    let starts: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(": ").next()).collect();
    assert_eq!(
        starts,
        [
            "spec.driverName",
            "spec.devices",
            "spec.sharedCapacity[0].name",
            "spec.devices[0].name",
            "spec.devices[0].attributes[0].name"
        ]
    );
    assert!(warnings[3].ends_with("(and 128 more)"), "{}", warnings[3]);
}

#[test]
fn documented_limits_hold() {
    let attributes = |count: usize| -> Value {
        (0..count).map(|index| json!({"name": format!("a{index}"), "bool": true})).collect()
    };
    let capacities = |count: usize| -> Value {
        (0..count).map(|index| json!({"name": format!("c{index}"), "capacity": "1"})).collect()
    };
    let with = |device: Value| json!({"nodeName": "n", "driverName": "d", "devices": [device]});
    let cases = [
        ("ResourcePool", pool(json!({})), vec!["spec.nodeName: Required value", "spec.driverName: Required value"]),
        (
            "ResourcePool",
            pool(with(json!({"name": "a", "attributes": attributes(32), "sharedCapacityConsumed": capacities(32)}))),
            vec![],
        ),
        (
            "ResourcePool",
            pool(with(json!({"name": "a", "attributes": attributes(33), "sharedCapacityConsumed": capacities(33)}))),
            vec![
                "spec.devices[0].attributes: Too many: 33: must have at most 32 items",
                "spec.devices[0].sharedCapacityConsumed: Too many: 33: must have at most 32 items",
            ],
        ),
        (
            "ResourcePool",
            pool(json!({"nodeName": "n", "driverName": "d", "sharedCapacity": capacities(129)})),
            vec!["spec.sharedCapacity: Too many: 129: must have at most 128 items"],
        ),
        (
            "ResourcePool",
            pool(with(json!({"name": "a", "attributes": [
                {"name": "a"}, {"name": "b", "string": "x", "bool": true}, {"name": "c", "version": "v1"},
                {"name": "d", "string": "x".repeat(65)}, {"name": "d", "bool": false},
            ]}))),
            vec![
                r#"spec.devices[0].attributes[0]: Invalid value: {"name":"a"}: exactly one value must be specified"#,
                r#"spec.devices[0].attributes[1]: Invalid value: {"bool":true,"name":"b","string":"x"}: exactly one value must be specified"#,
                r#"spec.devices[0].attributes[2].version: Invalid value: "v1": must be a string compatible with semver.org spec 2.0.0"#,
                "spec.devices[0].attributes[3].string: Too long: may not be more than 64 bytes",
                r#"spec.devices[0].attributes[4]: Duplicate value: "d""#,
            ],
        ),
        (
            "DeviceClass",
            json!({"requirements": [{}, {"deviceSelector": "?!"}], "config": [{}, {"opaque": {"driverName": "", "parameters": 3}}]}),
            vec![
                "config[0].opaque: Required value",
                "config[1].opaque.driverName: Required value",
                r#"config[1].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object"#,
                "requirements[0].deviceSelector: Required value",
                r#"requirements[1].deviceSelector: Invalid value: "?!": compilation failed: ERROR: <input>:1:1: Syntax error"#,
            ],
        ),
        (
            "ResourceClaim",
            json!({"spec": {"requests": [{"name": "a"}, {"name": "a"}], "constraints": [{}, {"matchAttribute": "a/b/c"}]}}),
            vec![
                "spec.constraints[0].matchAttribute: Required value",
                r#"spec.constraints[1].matchAttribute: Invalid value: "a/b/c": must not contain more than one slash"#,
                r#"spec.requests[1]: Duplicate value: "a""#,
            ],
        ),
        (
            "ResourceClaimTemplate",
            json!({"spec": {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {}}}),
            vec!["spec.metadata.name: Forbidden: cannot be set"],
        ),
    ];
    for (kind, object, expected) in cases {
        assert_eq!(create(kind, object.clone()).1, expected, "{kind} {object}");
    }
}

#[test]
fn claims_keep_what_they_were_given() {
    let strategy = row("ResourceClaim").strategy;
    let bench = Bench::default();
    let old = json!({"metadata": {"name": "c"}, "spec": {"requests": [{"name": "a"}]}, "status": {"allocation": {"nodeName": "n"}}});
    let mut moved = old.clone();
    moved["status"]["allocation"]["nodeName"] = json!("m");
    moved["status"]["reservedFor"] =
        Value::from_iter((0..33).map(|index| json!({"resource": "pods", "name": "p", "uid": index.to_string()})));
    strategy.prepare_for_update(&mut moved, &old, "status", &bench);
    let errors: Vec<String> =
        strategy.validate_update(&moved, &old, "status", &bench).iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0], "status.reservedFor: Too many: 33: must have at most 32 items");
    assert!(errors[1].starts_with("status.allocation: Invalid value: ") && errors[1].ends_with("field is immutable"));
    let mut respecified = old.clone();
    respecified["spec"]["shareable"] = json!(true);
    strategy.prepare_for_update(&mut respecified, &old, "", &bench);
    assert_eq!(strategy.validate_update(&respecified, &old, "", &bench).len(), 1);
}
