//! Writes to the GA kinds, as a server would run them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::definitions;
use crate::{
    definition::{Question, Surroundings},
    hub::Environment,
    release::Release,
};

/// Surroundings for tests: every gate is on that 1.36 has on, selectors compile unless they hold `?!`.
#[derive(Default)]
pub(crate) struct Bench {
    /// Gates that are on besides.
    pub(crate) gates: Vec<&'static str>,
    /// Gates that are off.
    pub(crate) disabled: Vec<&'static str>,
    /// What the user may do: `verb resource/subresource namespace name`; everything unless given.
    pub(crate) allowed: Option<Vec<&'static str>>,
    /// The node of the user.
    pub(crate) user_node: Option<&'static str>,
    /// The release whose rules apply.
    pub(crate) release: Release,
    /// Labels of every namespace.
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
}

impl Surroundings for Bench {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("a time in range")
    }

    fn user(&self) -> &str {
        "tester"
    }

    fn namespace_label(&self, _: &str, label: &str) -> Option<String> {
        self.labels.get(label).map(ToString::to_string)
    }

    fn feature_enabled(&self, gate: &str) -> bool {
        let alpha = ["DRAListTypeAttributes", "DRANodeAllocatableResources", "DRAFractionalCapacityRange"];
        let newer = self.release < Release::V1_37
            && crate::gate::find(gate).is_some_and(|gate| gate.at(self.release).is_none());
        self.gates.contains(&gate) || !newer && !alpha.contains(&gate) && !self.disabled.contains(&gate)
    }

    fn check_derived_attribute(&self, expression: &str) -> Result<u64, String> {
        self.check_selector(expression, Environment::Device)
    }

    fn release(&self) -> Release {
        self.release
    }

    fn user_node(&self) -> Option<&str> {
        self.user_node
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), String> {
        let Question { verb, resource, subresource, namespace, name, .. } = question;
        let asked = format!("{verb} {resource}/{subresource} {namespace} {name}");
        let allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&asked.as_str()));
        if allowed { Ok(()) } else { Err("no".to_owned()) }
    }

    fn check_selector(&self, expression: &str, _: Environment) -> Result<u64, String> {
        match expression {
            "expensive" => Ok(1_000_001),
            bad if bad.contains("?!") => Err("compilation failed: ERROR: <input>:1:1: Syntax error".to_owned()),
            _ => Ok(1),
        }
    }
}

/// Everything wrong with a new object, after defaulting.
pub(super) fn create(kind: &str, object: Value, bench: &Bench) -> (Value, Vec<String>) {
    let definition =
        definitions(Release::V1_37).into_iter().find(|row| row.kind == kind).expect("a kind of this group");
    let mut object = object;
    definition.strategy.default(&mut object, bench);
    definition.strategy.prepare_for_create(&mut object, bench);
    let errors = definition.strategy.validate(&object, bench);
    (object, errors.iter().map(ToString::to_string).collect())
}

/// Everything wrong with a change.
pub(super) fn update(kind: &str, object: Value, old: &Value, subresource: &str, bench: &Bench) -> (Value, Vec<String>) {
    let definition =
        definitions(Release::V1_37).into_iter().find(|row| row.kind == kind).expect("a kind of this group");
    let mut object = object;
    definition.strategy.default(&mut object, bench);
    definition.strategy.prepare_for_update(&mut object, old, subresource, bench);
    let errors = definition.strategy.validate_update(&object, old, subresource, bench);
    (object, errors.iter().map(ToString::to_string).collect())
}

fn claim(devices: Value) -> Value {
    json!({"metadata": {"name": "c", "namespace": "ns"}, "spec": {"devices": devices}})
}

#[test]
fn claims_are_defaulted_and_validated() {
    let exactly = |ask: Value| claim(json!({"requests": [{"name": "r", "exactly": ask}]}));
    let class = "spec.devices.requests[0].exactly.deviceClassName";
    let cases = [
        (claim(json!({})), vec![]),
        (exactly(json!({"deviceClassName": "c"})), vec![]),
        (exactly(json!({"deviceClassName": "c", "allocationMode": "All"})), vec![]),
        (exactly(json!({})), vec![format!("{class}: Required value")]),
        (
            exactly(json!({"deviceClassName": "c", "count": -1})),
            vec!["spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero".into()],
        ),
        (
            exactly(json!({"deviceClassName": "c", "count": 1, "allocationMode": "All"})),
            vec!["spec.devices.requests[0].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'".into()],
        ),
        (
            exactly(json!({"deviceClassName": "c", "allocationMode": "Some"})),
            vec![r#"spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount""#.into()],
        ),
        (
            claim(json!({"requests": [{"name": "r"}]})),
            vec!["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required".into()],
        ),
        (
            claim(json!({"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}, "firstAvailable": [{"name": "s", "deviceClassName": "c"}]}]})),
            vec!["spec.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set".into()],
        ),
        (
            exactly(json!({"deviceClassName": "c", "selectors": [{}, {"cel": {"expression": "?!"}}, {"cel": {"expression": "expensive"}}]})),
            vec![
                "spec.devices.requests[0].exactly.selectors[0].cel: Required value".into(),
                r#"spec.devices.requests[0].exactly.selectors[1].cel.expression: Invalid value: "?!": compilation failed: ERROR: <input>:1:1: Syntax error"#.into(),
                "spec.devices.requests[0].exactly.selectors[2].cel.expression: Forbidden: too complex, exceeds cost limit".into(),
            ],
        ),
        (
            exactly(json!({"deviceClassName": "c", "adminAccess": true})),
            vec!["spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace".into()],
        ),
        (
            claim(json!({
                "requests": [
                    {"name": "r", "exactly": {"deviceClassName": "c"}},
                    {"name": "r", "firstAvailable": [{"name": "s", "deviceClassName": "c"}]},
                ],
                "constraints": [{"requests": ["r", "r/s", "q", "a/b/c"], "matchAttribute": "a"}, {}],
            })),
            vec![
                r#"spec.devices.requests[1]: Duplicate value: "r""#.into(),
                r#"spec.devices.constraints[0].requests[2]: Invalid value: "q": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"#.into(),
                r#"spec.devices.constraints[0].requests[3]: Invalid value: "a/b/c": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"#.into(),
                r#"spec.devices.constraints[0].matchAttribute: Invalid value: "a": a fully qualified name must be a domain and a name separated by a slash"#.into(),
                r#"spec.devices.constraints[1]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#.into(),
            ],
        ),
        (
            claim(json!({"config": [{}, {"opaque": {"driver": "d", "parameters": 3}}, {"requests": ["x"], "opaque": {"driver": "", "parameters": null}}]})),
            vec![
                "spec.devices.config[0].opaque: Required value".into(),
                r#"spec.devices.config[1].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object"#.into(),
                r#"spec.devices.config[2].requests[0]: Invalid value: "x": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"#.into(),
                "spec.devices.config[2].opaque.driver: Required value".into(),
                "spec.devices.config[2].opaque.parameters: Required value".into(),
            ],
        ),
        (
            claim(json!({"requests": vec![json!({}); 33]})),
            vec!["spec.devices.requests: Too many: 33: must have at most 32 items".into()],
        ),
    ];
    for (object, expected) in cases {
        let (_, errors) = create("ResourceClaim", object.clone(), &Bench::default());
        assert_eq!(errors, expected, "{object}");
    }
    let (object, _) =
        create("ResourceClaim", exactly(json!({"deviceClassName": "c", "tolerations": [{}]})), &Bench::default());
    assert_eq!(
        object["spec"]["devices"]["requests"][0]["exactly"],
        json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1, "tolerations": [{"operator": "Equal"}]})
    );
    let admin = Bench { labels: BTreeMap::from([("resource.kubernetes.io/admin-access", "true")]), ..Bench::default() };
    assert_eq!(
        create("ResourceClaim", exactly(json!({"deviceClassName": "c", "adminAccess": true})), &admin).1,
        Vec::<String>::new()
    );
}

fn allocated() -> Value {
    let mut claim = claim(
        json!({"requests": [{"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}}]}),
    );
    claim["status"] = json!({
        "allocation": {"devices": {"results": [{"request": "r", "driver": "d", "pool": "p", "device": "dev"}]}},
        "reservedFor": [{"resource": "pods", "name": "pod", "uid": "1"}],
        "devices": [{"driver": "d", "pool": "p", "device": "dev"}],
    });
    claim
}

#[test]
fn specs_of_claims_cannot_change() {
    let old = allocated();
    let mut new = old.clone();
    new["spec"]["devices"]["requests"][0]["name"] = json!("other");
    let (object, errors) = update("ResourceClaim", new, &old, "", &Bench::default());
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("spec: Invalid value: {") && errors[0].ends_with(": field is immutable"),
        "{errors:?}"
    );
    assert_eq!(object["status"], old["status"]);
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    labelled["spec"]["devices"]["constraints"] = json!([]);
    assert_eq!(update("ResourceClaim", labelled, &old, "", &Bench::default()).1, Vec::<String>::new());
}

#[test]
fn statuses_of_claims_follow_their_rules() {
    let old = allocated();
    let mut pending = old.clone();
    pending["status"] = json!({});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new["status"]);
        new
    };
    let consumers = |count: usize| -> Vec<Value> {
        (0..count).map(|index| json!({"resource": "pods", "name": "p", "uid": index.to_string()})).collect()
    };
    let cases = [
        (with(&|_| {}), &pending, vec![]),
        (with(&|_| {}), &old, vec![]),
        (with(&|status| *status = json!({})), &old, vec![]),
        (
            with(&|status| status["allocation"]["devices"]["results"][0]["device"] = json!("other")),
            &old,
            vec!["status.allocation"],
        ),
        (with(&|status| status["allocation"] = Value::Null), &old, vec!["status.reservedFor"]),
        (with(&|status| status["reservedFor"] = json!(consumers(256))), &old, vec![]),
        (with(&|status| status["reservedFor"] = json!(consumers(257))), &old, vec!["status.reservedFor"]),
        (
            with(&|status| {
                status["reservedFor"] = json!([{"uid": "1"}, {"uid": "1", "resource": "pods", "name": "p"}])
            }),
            &old,
            vec!["status.reservedFor[0].resource", "status.reservedFor[0].name", "status.reservedFor[1]"],
        ),
        (
            with(&|status| {
                status["allocation"]["devices"]["results"] =
                    json!([{"request": "x", "driver": "", "pool": "p", "device": "D"}])
            }),
            &pending,
            vec![
                "status.devices[0]",
                "status.allocation.devices.results[0].request",
                "status.allocation.devices.results[0].driver",
                "status.allocation.devices.results[0].device",
            ],
        ),
        (
            with(&|status| {
                status["devices"][0]["conditions"] = json!([{"type": "Ready", "status": "Yes", "reason": "a b", "lastTransitionTime": "2024-01-01T00:00:00Z"}]);
                status["devices"][0]["networkData"] = json!({"ips": ["10.0.0.1/24", "x"]});
                status["devices"][0]["data"] = json!([]);
            }),
            &old,
            vec![
                "status.devices[0].conditions[0].status",
                "status.devices[0].conditions[0].reason",
                "status.devices[0].data",
                "status.devices[0].networkData.ips[1]",
            ],
        ),
    ];
    for (object, old, expected) in cases {
        let (_, errors) = update("ResourceClaim", object.clone(), old, "status", &Bench::default());
        let fields: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(fields, expected, "{object} {errors:?}");
    }
}

#[test]
fn templates_carry_labels_only() {
    let template =
        |metadata: Value| json!({"metadata": {"name": "t"}, "spec": {"metadata": metadata, "spec": {"devices": {}}}});
    assert_eq!(
        create("ResourceClaimTemplate", template(json!({"labels": {"a": "b"}})), &Bench::default()).1,
        Vec::<String>::new()
    );
    assert_eq!(
        create("ResourceClaimTemplate", template(json!({"name": "x"})), &Bench::default()).1,
        ["spec.metadata.name: Forbidden: cannot be set"]
    );
    let (_, errors) = create(
        "ResourceClaimTemplate",
        json!({"spec": {"spec": {"devices": {"requests": [{"name": "R", "exactly": {"deviceClassName": "c"}}]}}}}),
        &Bench::default(),
    );
    assert!(errors[0].starts_with("spec.spec.devices.requests[0].name: "), "{errors:?}");
}

fn slice(change: impl Fn(&mut Value)) -> Value {
    let mut slice = json!({"spec": {
        "driver": "d.example.com", "nodeName": "n",
        "pool": {"name": "n", "generation": 0, "resourceSliceCount": 1},
        "devices": [{"name": "a"}],
    }});
    change(&mut slice["spec"]);
    slice
}

#[test]
fn slices_are_validated() {
    let devices = |count: usize| -> Value { (0..count).map(|index| json!({"name": format!("d{index}")})).collect() };
    let tainted = |count: usize| -> Value {
        (0..count)
            .map(|index| json!({"name": format!("d{index}"), "taints": [{"key": "k", "effect": "NoSchedule"}]}))
            .collect()
    };
    let device = |members: Value| {
        slice(move |spec| {
            let device = spec["devices"][0].as_object_mut().expect("an object");
            device.extend(members.as_object().expect("an object").clone());
        })
    };
    let cases = [
        (slice(|_| {}), vec![]),
        (slice(|spec| spec["devices"] = devices(128)), vec![]),
        (
            slice(|spec| spec["devices"] = devices(129)),
            vec!["spec.devices: Too many: 129: must have at most 128 items"],
        ),
        (slice(|spec| spec["devices"] = tainted(64)), vec![]),
        (slice(|spec| spec["devices"] = tainted(65)), vec!["spec.devices: Too many: 65: must have at most 64 items"]),
        (
            slice(|spec| spec["pool"]["resourceSliceCount"] = json!(0)),
            vec!["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"],
        ),
        (
            slice(|spec| spec["allNodes"] = json!(true)),
            vec![
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            ],
        ),
        (
            slice(|spec| spec["nodeName"] = Value::Null),
            vec![
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
            ],
        ),
        (
            slice(|spec| spec["sharedCounters"] = json!([{"name": "s", "counters": {"c": {"value": "1"}}}])),
            vec!["spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed"],
        ),
        (device(json!({"attributes": {"a": {"int": 1}, "d.example.com/b": {"version": "1.0.0"}}})), vec![]),
        (
            device(json!({"attributes": {"a": {}, "b": {"int": 1, "bool": true}, "c": {"version": "v1"}}})),
            vec![
                "spec.devices[0].attributes[a]: Invalid value: \"\": exactly one value must be specified",
                "spec.devices[0].attributes[b]: Invalid value: {\"bool\":true,\"int\":1}: exactly one value must be specified",
                "spec.devices[0].attributes[c].version: Invalid value: \"v1\": must be a string compatible with semver.org spec 2.0.0",
            ],
        ),
        (
            device(json!({"capacity": {"m": {"value": "1", "requestPolicy": {}}}})),
            vec!["spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true"],
        ),
        (
            device(json!({"nodeName": "n"})),
            vec![
                "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
            ],
        ),
        (
            device(json!({"bindingConditions": ["a", "a"], "bindingFailureConditions": []})),
            vec![
                "spec.devices[0].bindingConditions[1]: Duplicate value: \"a\"",
                "spec.devices[0].bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use bindingConditions",
            ],
        ),
        (
            device(
                json!({"consumesCounters": [{"counterSet": "s", "counters": {}}, {"counterSet": "s", "counters": {"c": {"value": "1"}}}]}),
            ),
            vec![
                "spec.devices[0].consumesCounters[0].counters: Required value",
                "spec.devices[0].consumesCounters[1]: Duplicate value: \"s\"",
            ],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(create("ResourceSlice", object.clone(), &Bench::default()).1, expected, "{object}");
    }
}

#[test]
fn slices_stay_where_they_are() {
    let old = slice(|_| {});
    let moved = slice(|spec| {
        spec["driver"] = json!("other");
        spec["nodeName"] = json!("m");
        spec["pool"]["name"] = json!("m");
    });
    assert_eq!(
        update("ResourceSlice", moved, &old, "", &Bench::default()).1,
        [
            r#"spec.pool.name: Invalid value: "m": field is immutable"#,
            r#"spec.driver: Invalid value: "other": field is immutable"#,
            r#"spec.nodeName: Invalid value: "m": field is immutable"#,
        ]
    );
}

#[test]
fn classes_recheck_what_changes() {
    let class = |expression: &str| json!({"spec": {"selectors": [{"cel": {"expression": expression}}]}});
    let (_, errors) = create("DeviceClass", class("?!"), &Bench::default());
    assert_eq!(errors.len(), 1);
    let mut same = class("?!");
    same["metadata"] = json!({"labels": {"a": "b"}});
    assert_eq!(update("DeviceClass", same, &class("?!"), "", &Bench::default()).1, Vec::<String>::new());
    let mut named = class("true");
    named["spec"]["extendedResourceName"] = json!("gpu");
    assert_eq!(
        create("DeviceClass", named, &Bench::default()).1,
        [r#"spec.extendedResourceName: Invalid value: "gpu": must be a valid extended resource name"#]
    );
}

#[test]
fn taints_know_when_they_were_added() {
    let rule = |effect: &str| json!({"spec": {"taint": {"key": "k", "effect": effect}}});
    let (old, errors) = create("DeviceTaintRule", rule("NoSchedule"), &Bench::default());
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(old["spec"]["taint"]["timeAdded"], "2023-11-14T22:13:20Z");
    assert_eq!(
        create("DeviceTaintRule", rule("Sometimes"), &Bench::default()).1,
        [r#"spec.taint.effect: Unsupported value: "Sometimes": supported values: "NoExecute", "NoSchedule", "None""#]
    );
    let mut earlier = old;
    earlier["spec"]["taint"]["timeAdded"] = json!("2020-01-01T00:00:00Z");
    let mut changed = earlier.clone();
    changed["spec"]["taint"]["effect"] = json!("NoExecute");
    let (new, _) = update("DeviceTaintRule", changed, &earlier, "", &Bench::default());
    assert_eq!(new["spec"]["taint"]["timeAdded"], "2023-11-14T22:13:20Z");
}

#[test]
fn deprecated_versions_warn() {
    let warning = |kind: &str, version: &str| {
        let row =
            definitions(Release::default()).into_iter().find(|row| row.kind == kind).expect("a kind of this group");
        row.version(version).and_then(|version| version.deprecation_warning.clone())
    };
    assert_eq!(warning("ResourceClaim", "v1"), None);
    assert_eq!(
        warning("ResourceClaim", "v1beta1").as_deref(),
        Some("resource.k8s.io/v1beta1 ResourceClaim is deprecated in v1.35+, unavailable in v1.38+")
    );
    assert_eq!(warning("DeviceTaintRule", "v1beta2"), None);
}
