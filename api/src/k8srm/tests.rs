//! Writes of upstream's shapes, odd ones included.

use serde_json::{Value, json};

use super::definitions;
use crate::resource::tests::Bench;

fn errors(kind: &str, spec: Value) -> Vec<String> {
    let row = definitions().into_iter().find(|row| row.kind == kind).expect("a kind of the prototype");
    let object = json!({"metadata": {"name": "x"}, "spec": spec});
    row.strategy.validate(&object, &Bench::default()).iter().map(ToString::to_string).collect()
}

#[test]
fn upstreams_odd_shapes_are_accepted() {
    let cases = [
        ("DeviceClass", json!({"driver": "example.com-foozer", "constraints": "device.model == 'foozer-1000'"})),
        ("DeviceClass", json!({"selector": {"matchLabels": {"vendor": "example.com"}}})),
        (
            "DeviceClass",
            json!({"deviceType": "vlan", "configs": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "m"}]}),
        ),
        ("DeviceClaim", json!({"devices": [{"name": "foozer-gpu", "class": "example.com-foozer"}]})),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "n", "allOf": [{"class": "sriov-nic", "matchAttributes": ["vendor"], "distinctAttributes": ["hwdevname"], "devices": 4}]}]}),
        ),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "n", "allOf": [{"class": "sriov-nic", "config": [{"apiVersion": "fabric.example.com/v1alpha1", "kind": "IPNetwork", "name": "bluenet"}]}]}]}),
        ),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "gpu", "allOf": [{"class": "f", "maxDevices": 8, "allowShared": true, "requests": {"memory": "128Gi"}}]}]}),
        ),
        (
            "DevicePool",
            json!({"driver": "gpu.nvidia.com/dra", "nodeName": "n", "sharedResources": {"vfs-pf-0": 2}, "devices": [{"name": "gpu-0-mig-1g.5gb-0", "claimResourcesProvided": {"pf": 1}}]}),
        ),
    ];
    for (kind, spec) in cases {
        assert_eq!(errors(kind, spec.clone()), Vec::<String>::new(), "{kind} {spec}");
    }
}

#[test]
fn what_means_nothing_is_refused() {
    let cases = [
        ("DeviceClass", json!({}), "spec: Required value: exactly one of `selector` and `definition` is required"),
        ("DeviceClass", json!({"definition": {}}), "spec.definition.driver: Required value"),
        (
            "DeviceClass",
            json!({"definition": {"driver": "d", "constraints": "?!"}}),
            r#"spec.definition.constraints: Invalid value: "?!": compilation failed: ERROR: <input>:1:1: Syntax error"#,
        ),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "a"}]}),
            "spec.devices[0]: Required value: at least one of `allOf` and `oneOf` is required",
        ),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "a", "allOf": [{"class": "c"}]}, {"name": "a", "oneOf": [{"class": "c"}]}]}),
            r#"spec.devices[1]: Duplicate value: "a""#,
        ),
        (
            "DeviceClaim",
            json!({"devices": [{"name": "a", "allOf": [{"class": "c", "maxDevices": 0}]}]}),
            "spec.devices[0].allOf[0].maxDevices: Invalid value: 0: must be greater than zero",
        ),
        ("DevicePrivilegedClaim", json!({}), "spec.driver: Required value"),
        (
            "DevicePool",
            json!({"driver": "d", "sharedResources": [{"name": "a"}]}),
            "spec.sharedResources[0].capacity: Invalid value: null: must be a quantity",
        ),
        (
            "DevicePool",
            json!({"driver": "d", "sharedResources": {"a": []}}),
            "spec.sharedResources[a]: Invalid value: []: must be a quantity",
        ),
        (
            "DevicePool",
            json!({"driver": "d", "attributes": [{"name": "a"}]}),
            r#"spec.attributes[0]: Invalid value: {"name":"a"}: exactly one value must be specified"#,
        ),
        (
            "DeviceClaimTemplate",
            json!({}),
            "spec: Required value: exactly one of `claimSpec`, `privilegedClaimSpec`, `setClaimSpec` is required",
        ),
    ];
    for (kind, spec, expected) in cases {
        assert_eq!(errors(kind, spec.clone()), [expected], "{kind} {spec}");
    }
}
