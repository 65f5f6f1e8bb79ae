//! Documents of every generation, to the hub and back.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::hub::{
    AllocationConfig, Amount, Attribute, ConfigSource, ConstraintRule, DeviceId, Environment, NodeScope, Opaque,
    RequestAsk,
};

fn allocation(results: &[(&str, &str, &str, &str)], config: Vec<AllocationConfig>) -> Allocation {
    let result = |(request, driver, pool, device): &(&str, &str, &str, &str)| DeviceResult {
        request: (*request).to_owned(),
        id: DeviceId { driver: (*driver).to_owned(), pool: (*pool).to_owned(), device: (*device).to_owned() },
        ..DeviceResult::default()
    };
    Allocation {
        results: results.iter().map(result).collect(),
        config,
        node_selector: Some(node_selector::of_node("node-00")),
    }
}

fn config(source: ConfigSource, requests: &[&str], driver: &str, parameters: &str) -> AllocationConfig {
    AllocationConfig {
        source,
        requests: requests.iter().map(ToString::to_string).collect(),
        opaque: Opaque { driver: driver.to_owned(), parameters: parameters.to_owned() },
    }
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "ns", "uid": "u-1"}})
}

fn reserved(mut claim: Value, allocation: &Allocation) -> Value {
    let pod = pod();
    let now = Timestamp::from_second(0).expect("the epoch");
    assert!(can_reserve(&claim, &pod));
    assert!(reserve(&mut claim, Some(allocation), &Consumer { pod: &pod, node: "node-00", now }));
    assert!(!reserve(&mut claim, None, &Consumer { pod: &pod, node: "node-00", now }), "reserved twice");
    claim
}

#[test]
fn betas_read_as_v1() {
    let v1 = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {"devices": {
        "requests": [
            {"name": "a", "exactly": {"deviceClassName": "x", "count": 2, "selectors": [{"cel": {"expression": "true"}}]}},
            {"name": "b", "firstAvailable": [{"name": "s", "deviceClassName": "y", "allocationMode": "All"}]},
        ],
        "constraints": [{"requests": ["a"], "matchAttribute": "d/x"}],
        "config": [{"opaque": {"driver": "d", "parameters": {"k": 1}}}],
    }}});
    let mut beta = v1.clone();
    beta["apiVersion"] = json!("resource.k8s.io/v1beta1");
    beta["spec"]["devices"]["requests"][0] =
        json!({"name": "a", "deviceClassName": "x", "count": 2, "selectors": [{"cel": {"expression": "true"}}]});
    let read = claim(&v1).expect("a claim");
    assert_eq!(claim(&beta), Ok(read.clone()));
    let RequestAsk::Exactly(ask) = &read.requests[0].ask else { panic!("not exactly") };
    assert_eq!((ask.class.as_deref(), &ask.amount), (Some("x"), &Amount::Exact(2)));
    assert_eq!(read.config[0].opaque.parameters, r#"{"k":1}"#);
    assert!(matches!(read.requests[1].ask, RequestAsk::FirstAvailable(_)));

    let slice = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": {
        "driver": "d", "nodeName": "n", "pool": {"name": "p", "generation": 3, "resourceSliceCount": 1},
        "devices": [{"name": "a", "attributes": {"x": {"int": 1}}, "capacity": {"m": {"value": "1Gi"}}}],
    }});
    let mut beta = slice.clone();
    beta["apiVersion"] = json!("resource.k8s.io/v1beta1");
    beta["spec"]["devices"][0] =
        json!({"name": "a", "basic": {"attributes": {"x": {"int": 1}}, "capacity": {"m": {"value": "1Gi"}}}});
    let read = slices(&slice).expect("a slice");
    assert_eq!(slices(&beta), Ok(read.clone()));
    assert_eq!(read[0].nodes, NodeScope::Node("n".to_owned()));
    assert_eq!(read[0].devices[0].attributes["x"], Attribute::Int(1));
}

#[test]
fn v1_allocations_come_back() {
    let empty = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c", "namespace": "ns"}});
    assert_eq!(super::allocation(&empty), Ok(None));
    assert_eq!(allocated_nodes(&empty), None);
    let mut wanted = allocation(
        &[("r", "d", "p", "dev")],
        vec![
            config(ConfigSource::Class, &["r"], "d", r#"{"a":1}"#),
            config(ConfigSource::Claim, &[], "d", r#"{"b":2}"#),
        ],
    );
    wanted.results[0].share_id = Some("s".to_owned());
    wanted.results[0].consumed_capacity = Some([("m".to_owned(), 2.into())].into());
    let claim = reserved(empty, &wanted);
    assert_eq!(super::allocation(&claim), Ok(Some(wanted)));
    assert_eq!(claim["status"]["reservedFor"], json!([{"resource": "pods", "name": "pod", "uid": "u-1"}]));
    assert_eq!(
        claim["status"]["allocation"]["nodeSelector"],
        json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-00"]}]}]})
    );
    let mut released = claim;
    assert!(unreserve(&mut released, &pod()));
    assert!(released["status"].get("reservedFor").is_none());
    assert!(!unreserve(&mut released, &pod()));
}

#[test]
fn evolution_claims_have_selectors_of_their_own_vocabulary() {
    let document = json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "ResourceClaim",
    "metadata": {"name": "c", "namespace": "ns"},
    "spec": {
        "config": [{"opaque": {"driverName": "d", "parameters": {"of": "claim"}}}],
        "constraints": [{"matchAttribute": "d/model"}],
        "requests": [
            {"deviceClassName": "x", "config": [{"opaque": {"driverName": "d", "parameters": {"of": "request"}}}]},
            {"name": "any", "requirements": [{"deviceSelector": "true"}], "adminAccess": true},
        ],
    }});
    let read = claim(&document).expect("a claim");
    assert_eq!(read.requests[0].name, "request-0");
    assert_eq!(read.constraints[0].rule, ConstraintRule::Match("d/model".to_owned()));
    assert_eq!(read.config[0].requests, Vec::<String>::new());
    assert_eq!(read.config[1].requests, ["request-0"]);
    let RequestAsk::Exactly(any) = &read.requests[1].ask else { panic!("not exactly") };
    assert_eq!((any.class.as_deref(), any.admin_access), (None, Some(true)));
    assert_eq!(any.selectors[0].environment, Environment::TypedAttributes);

    let quota = |namespace: &str, allow: bool| {
        json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "Quota",
        "metadata": {"name": "q", "namespace": namespace}, "spec": {"allowManagementAccess": allow}})
    };
    let (no, yes, elsewhere) = (quota("ns", false), quota("ns", true), quota("other", true));
    assert!(admin_access_denied(&document, &[&no, &elsewhere]).is_some());
    assert_eq!(admin_access_denied(&document, &[&no, &yes]), None);
}

#[test]
fn evolution_allocations_come_back() {
    let document = json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "ResourceClaim",
        "metadata": {"name": "c", "namespace": "ns"}, "spec": {"requests": [{"name": "a"}, {"name": "b"}], "shareable": true}});
    let wanted = allocation(
        &[("a", "d", "node-00", "dev-00"), ("b", "e", "node-00", "nic")],
        vec![
            config(ConfigSource::Class, &["a"], "d", r#"{"of":"class"}"#),
            config(ConfigSource::Claim, &[], "d", r#"{"of":"claim"}"#),
            config(ConfigSource::Claim, &["a"], "d", r#"{"of":"request"}"#),
        ],
    );
    let claim = reserved(document, &wanted);
    assert_eq!(
        claim["status"]["allocation"],
        json!({
            "nodeName": "node-00",
            "shareable": true,
            "driverData": [
                {"driverName": "d", "data": {
                    "config": [{"opaque": {"of": "claim"}}],
                    "results": [{"requestName": "a", "deviceName": "dev-00", "config": [
                        {"admin": true, "opaque": {"of": "class"}},
                        {"admin": false, "opaque": {"of": "request"}},
                    ]}],
                }},
                {"driverName": "e", "data": {"results": [{"requestName": "b", "deviceName": "nic"}]}},
            ],
        })
    );
    let back = super::allocation(&claim).expect("readable").expect("allocated");
    assert_eq!(back.results, wanted.results);
    assert_eq!(back.node_selector, wanted.node_selector);
    assert_eq!(back.config.len(), 3);
}

#[test]
fn evolution_pools_share_what_they_say() {
    let pool = json!({"apiVersion": "resource.k8s.io/v1alpha3", "kind": "ResourcePool", "metadata": {"name": "p"}, "spec": {
        "nodeName": "n", "driverName": "d",
        "sharedCapacity": [{"name": "memory", "capacity": "40Gi"}],
        "devices": [{
            "name": "gpu-0",
            "attributes": [{"name": "model", "string": "a"}, {"name": "d/mem", "quantity": "1Gi"}, {"name": "v", "version": "1.0.0"}],
            "sharedCapacityConsumed": [{"name": "memory", "capacity": "10Gi"}],
        }],
    }});
    let read = slices(&pool).expect("slices");
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].pool.as_str(), read[0].slice_count), ("n", None));
    assert_eq!(read[0].devices[0].consumes[0].counter_set, read[1].counter_sets[0].name);
    assert_eq!(read[1].counter_sets[0].counters["memory"].to_string(), "40Gi");
    let legacy = json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DevicePool", "metadata": {"name": "p"}, "spec": {
        "nodeName": "n", "driver": "d", "attributes": [{"name": "vendor", "stringValue": "v"}],
        "devices": [{"name": "dev-00"}],
    }});
    let read = slices_for_evolution(&legacy).expect("slices");
    assert_eq!((read[0].pool.as_str(), read[0].driver.as_str()), ("n", "d"));
    assert_eq!(read[0].devices[0].attributes["vendor"], Attribute::String("v".to_owned()));
}

fn k8srm_class(name: &str, labels: Value, spec: Value) -> Value {
    json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DeviceClass", "metadata": {"name": name, "labels": labels}, "spec": spec})
}

#[test]
fn k8srm_classes_gather_others() {
    let foozer = k8srm_class(
        "foozer",
        json!({"type": "gpu"}),
        json!({"driver": "example.com-foozer", "constraints": "device.model == 'a'", "configs": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "m"}]}),
    );
    let barzer = k8srm_class("barzer", json!({"type": "gpu"}), json!({"definition": {"driver": "example.com-barzer"}}));
    let nic = k8srm_class("nic", json!({"type": "nic"}), json!({"definition": {"driver": "nic"}}));
    let gpu = k8srm_class("gpu", json!({"type": "gpu"}), json!({"selector": {"matchLabels": {"type": "gpu"}}}));
    let none = k8srm_class("none", json!({}), json!({"selector": {"matchLabels": {"type": "tpu"}}}));
    let all = [&barzer, &foozer, &gpu, &nic, &none];
    let read = class(&foozer, &all).expect("a class");
    assert_eq!(read.selectors[0].expression.as_deref(), Some(r#"device.driverName == "example.com-foozer""#));
    assert_eq!(read.selectors[1].environment, Environment::AttributeMap);
    let read = class(&gpu, &all).expect("a class");
    assert_eq!(read.any_of.iter().map(|member| member.selectors.len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(read.any_of[1].config[0].driver, "example.com-foozer", "members keep their configuration");
    let read = class(&none, &all).expect("a class");
    assert_eq!(read.any_of[0].selectors[0].expression.as_deref(), Some("false"));
}

fn k8srm_claim(spec: Value) -> Value {
    json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DeviceClaim", "metadata": {"name": "c", "namespace": "ns"}, "spec": spec})
}

#[test]
fn k8srm_claims_become_requests() {
    let read = claim(&k8srm_claim(json!({
        "matchAttributes": ["pcie-root"],
        "devices": [
            {"name": "gpu",
             "allOf": [{"class": "nic", "constraints": "device.sriovType == 'pf'"}],
             "oneOf": [
                {"class": "foozer", "constraints": "device.model == 'foozer-4000'"},
                {"class": "foozer", "matchAttributes": ["numa"], "requests": {"devices": 2}},
             ]},
            {"name": "memory", "allOf": [{"class": "foozer", "maxDevices": 8, "requests": {"memory": "128Gi"}}]},
            {"name": "old", "class": "foozer", "devices": 3, "configs": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "m"}]},
        ],
    })))
    .expect("a claim");
    let names: Vec<&str> = read.requests.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["gpu.allOf[0]", "gpu.oneOf", "memory", "old"]);
    let RequestAsk::FirstAvailable(alternatives) = &read.requests[1].ask else { panic!("no alternatives") };
    assert_eq!(alternatives[1].ask.amount, Amount::Exact(2));
    let RequestAsk::Exactly(memory) = &read.requests[2].ask else { panic!("not exactly") };
    assert_eq!(
        memory.amount,
        Amount::Total {
            min: 1,
            max: Some(8),
            provides: [("memory".to_owned(), "128Gi".parse().expect("a quantity"))].into()
        }
    );
    let RequestAsk::Exactly(old) = &read.requests[3].ask else { panic!("not exactly") };
    assert_eq!(old.amount, Amount::Exact(3));
    assert_eq!(read.constraints[0].requests, ["gpu.oneOf/1"]);
    assert_eq!(read.constraints[1].requests, Vec::<String>::new());
    assert_eq!(read.config[0].requests, ["old"]);
    let bad = claim(&k8srm_claim(json!({"devices": [{"name": "a", "allOf": [{"class": 3}]}]})));
    assert_eq!(bad.unwrap_err().to_string(), "spec.devices[0].allOf[0].class: must be a string, is a number");
    assert!(claim(&k8srm_claim(json!({"devices": [{"name": "a", "class": "x", "devices": -1}]}))).is_err());
}

#[test]
fn k8srm_pools_tolerate_drifted_names() {
    let pool = json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DevicePool", "metadata": {"name": "p"}, "spec": {
        "nodeName": "n", "driver": "d",
        "attributes": [{"name": "vendor", "stringValue": "v"}, {"name": "index", "intValue": 1}],
        "sharedResources": [{"name": "memory-slices-0", "capacity": "1"}, {"name": "memory", "capacity": "40Gi", "blockSize": "1Gi"}],
        "devices": [{
            "name": "mig",
            "attributes": [{"name": "vendor", "stringValue": "w"}],
            "sharedResourcesConsumed": {"memory-slices-00": 1, "memory": "4864Mi", "other-01": 1},
            "claimResourcesProvided": {"memory": "4864Mi"},
        }],
    }});
    let read = slices(&pool).expect("slices");
    assert_eq!((read[0].slice_count, read[1].slice_count), (Some(2), Some(2)));
    let device = &read[0].devices[0];
    let consumed: Vec<String> =
        device.consumes[0].counters.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    assert_eq!(consumed, ["memory=5Gi", "memory-slices-0=1", "other-01=1"]);
    assert_eq!(device.attributes["vendor"], Attribute::String("w".to_owned()));
    assert_eq!(device.provides["memory"].to_string(), "4864Mi");
    let network = json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DevicePool", "metadata": {"name": "p"}, "spec": {"driver": "d"}});
    assert_eq!(slices(&network).expect("slices")[0].nodes, NodeScope::All);
}

#[test]
fn k8srm_allocations_come_back_with_copies() {
    let reference = r#"{"apiVersion":"v1","kind":"ConfigMap","name":"m"}"#;
    let wanted = allocation(
        &[("gpu", "d", "node-00-foozer", "dev-00")],
        vec![config(ConfigSource::Claim, &["gpu"], "", reference)],
    );
    let mut claim = reserved(k8srm_claim(json!({})), &wanted);
    assert_eq!(claim["status"]["podNames"], json!(["pod"]));
    assert_eq!(super::allocation(&claim).expect("readable").expect("allocated").results, wanted.results);
    assert_eq!(allocated_nodes(&claim), Some(wanted.node_selector));
    assert_eq!(config_references(&claim).len(), 1);
    copy_configs(&mut claim, &|reference| {
        assert_eq!(reference["namespace"], "ns");
        Some(json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}}))
    });
    assert_eq!(claim["status"]["claimConfigs"][0]["data"]["a"], "b");
    assert_eq!(config_references(&claim), Vec::<Value>::new());
}

#[test]
fn privileged_claims_take_everything() {
    let document = json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DevicePrivilegedClaim",
        "metadata": {"name": "c", "namespace": "ns"}, "spec": {"driver": "d"}});
    let read = claim(&document).expect("a claim");
    let RequestAsk::Exactly(ask) = &read.requests[0].ask else { panic!("not exactly") };
    assert_eq!((&ask.amount, ask.admin_access), (&Amount::All, Some(true)));
    let wanted = allocation(&[("privileged", "d", "p", "a"), ("privileged", "d", "p", "b")], Vec::new());
    let claim = reserved(document, &wanted);
    assert_eq!(claim["status"]["allocations"], json!([{"devicePoolName": "p", "driver": "d", "deviceCount": 2}]));
    assert!(allocated_devices(&claim).expect("readable").iter().all(|result| result.admin_access));
}

#[test]
fn set_claims_join_claims() {
    let document = json!({"apiVersion": "devmgmtproto.k8s.io/v1alpha1", "kind": "DeviceSetClaim",
    "metadata": {"name": "c", "namespace": "ns"}, "spec": {
        "matchAttributes": ["numa"],
        "claimSpec": [
            {"matchAttributes": ["model"], "devices": [{"name": "a", "allOf": [{"class": "x"}]}]},
            {"devices": [{"name": "a", "allOf": [{"class": "y"}]}]},
        ],
    }});
    let read = claim(&document).expect("a claim");
    let names: Vec<&str> = read.requests.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["0.a", "1.a"]);
    assert_eq!(read.constraints[0].requests, ["0.a"]);
    assert_eq!(read.constraints[1].requests, Vec::<String>::new());
}

#[test]
fn odd_documents_are_errors_that_say_where() {
    let with =
        |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "spec": spec});
    let cases = [
        (claim(&json!({})).map(drop), r#""" "" is no claim of an API generation that is known here"#),
        (
            claim(&with(
                "resource.k8s.io/v1",
                "ResourceClaim",
                json!({"devices": {"requests": [{"exactly": {"count": "x"}}]}}),
            ))
            .map(drop),
            "spec.devices.requests[0].exactly.count: must be a whole number, is a string",
        ),
        (
            slices(&with("resource.k8s.io/v1alpha2", "ResourcePool", json!({"devices": 3}))).map(drop),
            "spec.devices: must be a list, is a number",
        ),
        (
            slices(&with("resource.k8s.io/v1", "ResourceSlice", json!([]))).map(drop),
            "spec: must be an object, is a list",
        ),
        (
            class(
                &with("devmgmtproto.k8s.io/v1alpha1", "DeviceClass", json!({"selector": {"matchLabels": {"a": 1}}})),
                &[&k8srm_class("other", json!({}), json!({}))],
            )
            .map(drop),
            "spec.selector.matchLabels[a]: must be a string, is a number",
        ),
    ];
    for (result, expected) in cases {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}
