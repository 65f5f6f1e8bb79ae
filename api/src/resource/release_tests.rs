//! What each release serves, keeps and refuses.

use serde_json::{Value, json};

use super::{
    definitions,
    tests::{Bench, create},
};
use crate::release::Release;

fn served(minor: u32) -> Vec<String> {
    let rows = definitions(Release::of_minor(minor));
    let names = rows.iter().flat_map(|row| row.versions.iter().filter(|one| one.served).map(move |one| (row, one)));
    names.map(|(row, version)| format!("{} {}", row.kind, version.name)).collect()
}

#[test]
fn releases_serve_the_versions_they_had() {
    let has = |minor, name: &str| served(minor).iter().any(|one| one == name);
    for (name, first) in [
        ("ResourceClaim v1beta1", 32),
        ("ResourceSlice v1beta2", 33),
        ("DeviceTaintRule v1alpha3", 33),
        ("DeviceClass v1", 34),
        ("DeviceTaintRule v1beta2", 36),
        ("ResourcePoolStatusRequest v1alpha3", 36),
        ("DeviceTaintRule v1", 37),
    ] {
        for minor in 32..=37 {
            assert_eq!(has(minor, name), minor >= first, "{name} in 1.{minor}");
        }
    }
}

#[test]
fn warnings_begin_with_the_release_that_deprecates() {
    let warning = |minor: u32, kind: &str, version: &str| {
        let row = definitions(Release::of_minor(minor)).into_iter().find(|row| row.kind == kind)?;
        row.version(version)?.deprecation_warning.clone()
    };
    assert_eq!(warning(34, "ResourceClaim", "v1beta1"), None);
    assert_eq!(
        warning(35, "ResourceClaim", "v1beta1").as_deref(),
        Some("resource.k8s.io/v1beta1 ResourceClaim is deprecated in v1.35+, unavailable in v1.38+")
    );
    assert_eq!(warning(35, "ResourceSlice", "v1beta2"), None);
    assert!(warning(36, "ResourceSlice", "v1beta2").is_some() && warning(36, "DeviceTaintRule", "v1alpha3").is_some());
    assert_eq!(warning(37, "DeviceTaintRule", "v1beta2"), None);
}

#[test]
fn schemas_grow_with_the_release() {
    let fields = |minor: u32, kind: &str, version: &str, type_: &str| -> Vec<String> {
        let rows = definitions(Release::of_minor(minor));
        let row = rows.iter().find(|row| row.kind == kind).expect("a kind of this group");
        let version = row.version(version).expect("a served version");
        let crate::definition::SchemaSource::Built(make) = version.schema else { panic!("made of a type") };
        let document = make();
        let name = format!("io.k8s.api.resource.{}.{type_}", version.name);
        document.definitions[&name]["properties"].as_object().expect("an object").keys().cloned().collect()
    };
    for version in ["v1", "v1beta2", "v1beta1"] {
        let device = if version == "v1beta1" { "BasicDevice" } else { "Device" };
        let has = |minor, type_: &str, field: &str| {
            fields(minor, "ResourceSlice", version, type_).iter().any(|one| one == field)
        };
        assert!(
            has(36, device, "nodeAllocatableResourceMappings") && !has(37, device, "nodeAllocatableResourceMappings")
        );
        assert!(!has(36, device, "nodeAllocatableResources") && has(37, device, "nodeAllocatableResources"));
        assert!(
            !has(36, "ResourceSliceSpec", "skipNodeOperations") && has(37, "ResourceSliceSpec", "skipNodeOperations")
        );
        assert!(
            has(37, "ResourceSliceSpec", "partitionTypeAttribute")
                && has(37, "DeviceCounterConsumption", "compatibilityGroups")
        );
        let request = if version == "v1beta1" { "DeviceRequest" } else { "ExactDeviceRequest" };
        assert!(fields(37, "ResourceClaim", version, request).contains(&"derivedAttributes".to_owned()));
        assert!(!fields(36, "ResourceClaim", version, request).contains(&"derivedAttributes".to_owned()));
    }
    assert_eq!(fields(37, "DeviceTaintRule", "v1", "DeviceTaintSelector"), ["device", "driver", "pool"]);
}

fn newest(gates: &[&'static str]) -> Bench {
    Bench { gates: gates.to_vec(), release: Release::V1_37, ..Bench::default() }
}

fn claim(derived: Value, constraints: Value) -> Value {
    let ask = json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1, "derivedAttributes": derived});
    json!({
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": ask}], "constraints": constraints}},
    })
}

#[test]
fn derived_attributes_are_compared_somewhere() {
    let bench = newest(&[]);
    let path = "spec.devices.requests[0].exactly.derivedAttributes[0]";
    let unused = format!(
        "{path}.name: Invalid value: \"d.org/a\": must be referenced by at least one matchAttribute or distinctAttribute constraint targeting this request"
    );
    let one = |name: &str, expression: &str| json!([{"name": name, "expression": expression}]);
    let constraint = |requests: Value| json!([{"requests": requests, "matchAttribute": "d.org/a"}]);
    for (derived, constraints, expected) in [
        (one("d.org/a", "1"), constraint(json!([])), vec![]),
        (one("d.org/a", "1"), constraint(json!(["r"])), vec![]),
        (one("d.org/a", "1"), json!([]), vec![unused]),
        (one("", "1"), json!([]), vec![format!("{path}.name: Required value")]),
        (one("d.org/a", ""), constraint(json!([])), vec![format!("{path}.expression: Required value")]),
        (
            one("d.org/a", "expensive"),
            constraint(json!([])),
            vec![
                format!("{path}.expression: Forbidden: too complex, exceeds cost limit"),
                "spec.devices: Forbidden: too complex, total cost of derived attribute CEL expressions in the claim exceeds cost limit".to_owned(),
            ],
        ),
    ] {
        let (_, errors) = create("ResourceClaim", claim(derived.clone(), constraints), &bench);
        assert_eq!(errors, expected, "{derived}");
    }
    let dropped = create("ResourceClaim", claim(one("d.org/a", "1"), json!([])), &Bench::default());
    assert_eq!(dropped.0["spec"]["devices"]["requests"][0]["exactly"].get("derivedAttributes"), None);
    assert_eq!(dropped.1, Vec::<String>::new());
}

fn slice(more: &Value, device: &Value) -> Value {
    let mut slice = json!({
        "metadata": {"name": "a"},
        "spec": {"driver": "d.org", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}},
    });
    let mut one = json!({"name": "d"});
    one.as_object_mut().expect("an object").extend(device.as_object().cloned().unwrap_or_default());
    let spec = slice["spec"].as_object_mut().expect("an object");
    spec.insert("devices".to_owned(), json!([one]));
    spec.extend(more.as_object().cloned().unwrap_or_default());
    slice
}

#[test]
fn slices_of_1_37_have_more_to_check() {
    let counters = json!([{"counterSet": "s", "counters": {"c": {"value": "1"}}}]);
    let type_path = "spec.partitionTypeAttribute";
    let value_path = "spec.devices[0].attributes[d.org/profile]";
    let resources = |taken: Value| json!({"nodeAllocatableResources": {"cpu": taken}});
    let taken_path = "spec.devices[0].nodeAllocatableResources[cpu]";
    let partition = json!({"partitionTypeAttribute": "d.org/profile"});
    let cases = [
        (json!({"skipNodeOperations": ["*"]}), json!({}), vec![]),
        (
            json!({"skipNodeOperations": ["NodePrepareResources"]}),
            json!({}),
            vec![r#"spec.skipNodeOperations: Invalid value: ["NodePrepareResources"]: NodePrepareResources cannot be skipped unless NodeUnprepareResources is also skipped"#.to_owned()],
        ),
        (
            json!({"skipNodeOperations": ["Sleep"]}),
            json!({}),
            vec![r#"spec.skipNodeOperations[0]: Unsupported value: "Sleep": supported values: "*", "NodePrepareResources", "NodeUnprepareResources""#.to_owned()],
        ),
        (
            partition.clone(),
            json!({}),
            vec![format!("{type_path}: Invalid value: \"d.org/profile\": may only be set on a slice which declares devices that consume counters")],
        ),
        (
            partition.clone(),
            json!({"consumesCounters": counters}),
            vec![format!("{value_path}: Required value: device consumes counters and `partitionTypeAttribute` names this attribute, so it must be set")],
        ),
        (partition.clone(), json!({"consumesCounters": counters, "attributes": {"profile": {"string": "1g"}}}), vec![]),
        (
            partition,
            json!({"consumesCounters": counters, "attributes": {"profile": {"int": 1}}}),
            vec![format!("{value_path}: Invalid value: {{\"int\":1}}: must be a string value because `partitionTypeAttribute` names this attribute")],
        ),
        (json!({}), resources(json!({"mapping": {"deviceMultiplier": "2"}})), vec![]),
        (json!({}), resources(json!({})), vec![format!("{taken_path}: Required value: at least one of mapping or overhead must be set")]),
        (
            json!({}),
            resources(json!({"mapping": {"capacityKey": "k", "capacityMultiplier": "0"}})),
            vec![
                format!("{taken_path}.mapping.capacityKey: Not found: \"k\""),
                format!("{taken_path}.mapping.capacityMultiplier: Invalid value: \"0\": must be positive"),
            ],
        ),
        (
            json!({}),
            resources(json!({"overhead": {"perPod": "-1"}})),
            vec![format!("{taken_path}.overhead.perPod: Invalid value: \"-1\": must be non-negative")],
        ),
        (json!({}), json!({"attributes": {"a/b/c": {"int": 1}}}), vec![r#"spec.devices[0].attributes: Invalid value: "a/b/c": must not contain more than one slash"#.to_owned()]),
    ];
    let bench = newest(&["DRAPartitionableDevicesType", "DRANodeAllocatableResources"]);
    for (more, device, expected) in cases {
        assert_eq!(create("ResourceSlice", slice(&more, &device), &bench).1, expected, "{more} {device}");
    }
    let forbidden = create(
        "ResourceSlice",
        slice(&json!({"partitionTypeAttribute": "x"}), &json!({})),
        &Bench { disabled: vec!["DRAPartitionableDevicesType"], ..newest(&[]) },
    );
    assert_eq!(forbidden.1, ["spec.partitionTypeAttribute: Forbidden"]);
}

#[test]
fn slices_of_1_36_keep_what_nobody_checks() {
    let bench = Bench { gates: vec!["DRANodeAllocatableResources"], ..Bench::default() };
    let mapped = json!({"nodeAllocatableResourceMappings": {"cpu": {}}, "attributes": {"a/b/c": {"int": 1}}});
    let (stored, errors) = create("ResourceSlice", slice(&json!({}), &mapped), &bench);
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(stored["spec"]["devices"][0]["nodeAllocatableResourceMappings"]["cpu"]["allocationMultiplier"], "1");
}
