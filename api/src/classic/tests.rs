//! Writes of classic objects, and of what the API forbids.

use serde_json::{Value, json};

use crate::{catalog::catalog, definition::ResourceDefinition, resource::tests::Bench};

fn row(kind: &str) -> ResourceDefinition {
    let of_version = |row: &ResourceDefinition| row.kind == kind && row.version("v1alpha2").is_some();
    catalog().into_iter().find(of_version).expect("a classic kind")
}

fn errors(kind: &str, object: Value) -> Vec<String> {
    let strategy = row(kind).strategy;
    let mut object = object;
    strategy.default(&mut object, &Bench::default());
    strategy.prepare_for_create(&mut object, &Bench::default());
    strategy.validate(&object, &Bench::default()).iter().map(ToString::to_string).collect()
}

/// A write to the status of a claim.
fn status_errors(old: Value, new: Value) -> Vec<String> {
    let claim =
        |status: Value| json!({"metadata": {"name": "c"}, "spec": {"resourceClassName": "k"}, "status": status});
    let (strategy, bench) = (row("ResourceClaim").strategy, Bench::default());
    let (old, mut new) = (claim(old), claim(new));
    strategy.prepare_for_update(&mut new, &old, "status", &bench);
    strategy.validate_update(&new, &old, "status", &bench).iter().map(ToString::to_string).collect()
}

#[test]
fn a_claim_says_by_its_shape_which_it_is() {
    let strategy = row("ResourceClaim").strategy;
    let mut claim = json!({"metadata": {"name": "c"}, "spec": {"resourceClassName": "k"}});
    strategy.default(&mut claim, &Bench::default());
    assert_eq!(claim["spec"]["allocationMode"], "WaitForFirstConsumer");
    let mut prototype = json!({"metadata": {"name": "c"}, "spec": {"requests": [{"deviceClassName": "k"}]}});
    strategy.default(&mut prototype, &Bench::default());
    assert_eq!(prototype["spec"], json!({"requests": [{"deviceClassName": "k", "name": "request-0"}]}));
    assert_eq!(
        errors(
            "ResourceClaim",
            json!({"spec": {"resourceClassName": "k", "requests": [{}], "allocationMode": "Later"}})
        ),
        [
            r#"spec.allocationMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer""#,
            "spec.requests: Forbidden: may not be specified together with `resourceClassName`",
        ]
    );
}

#[test]
fn odd_objects_are_refused() {
    let cases = [
        ("ResourceClass", json!({"driverName": "d"}), vec![]),
        (
            "ResourceClass",
            json!({"driverName": "", "parametersRef": {"apiGroup": "gpu.example.com/v1"}, "suitableNodes": {"nodeSelectorTerms": []}}),
            vec![
                "driverName: Required value",
                "parametersRef.apiGroup: Invalid value: \"gpu.example.com/v1\": a lowercase RFC 1123 subdomain",
                "parametersRef.kind: Required value",
                "parametersRef.name: Required value",
                "suitableNodes.nodeSelectorTerms: Required value",
            ],
        ),
        (
            "PodSchedulingContext",
            json!({"spec": {"potentialNodes": ["a", "a"]}}),
            vec!["spec.potentialNodes[1]: Duplicate value"],
        ),
        (
            "ResourceSlice",
            json!({"driverName": "d"}),
            vec!["<nil>: Required value: exactly one structured model field must be set"],
        ),
        (
            "ResourceSlice",
            json!({"driverName": "d", "namedResources": {"instances": [
                {"name": "a", "attributes": [{"name": "x-y", "int": 1}, {"name": "b.c"}]}, {"name": "a"},
            ]}}),
            vec![
                "namedResources.instances[0].attributes[0].name: Invalid value: \"x-y\": a valid C identifier",
                "namedResources.instances[0].attributes[1]: Required value: exactly one value must be set",
                "namedResources.instances[1]: Duplicate value: \"a\"",
            ],
        ),
        (
            "ResourceClaimParameters",
            json!({"driverRequests": [{"driverName": "d", "requests": [{"namedResources": {"selector": "?!"}}, {}]}]}),
            vec![
                "driverRequests[0].requests[0].namedResources.selector: Invalid value: \"?!\": compilation failed",
                "driverRequests[0].requests[1]: Required value: exactly one structured model field must be set",
            ],
        ),
    ];
    for (kind, object, expected) in cases {
        let found = errors(kind, object.clone());
        assert_eq!(found.len(), expected.len(), "{kind} {object}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{kind} {object}: {found}");
        }
    }
}

#[test]
fn a_status_changes_only_as_the_parties_agree() {
    let consumer = |uid: &str| json!({"resource": "pods", "name": uid, "uid": uid});
    let allocated = || json!({"driverName": "d", "allocation": {"resourceHandles": [{"data": "x"}]}});
    let with = |mut status: Value, member: &str, value: Value| {
        status[member] = value;
        status
    };
    assert_eq!(status_errors(json!({}), allocated()), Vec::<String>::new());
    let reserved = with(allocated(), "reservedFor", json!([consumer("a"), consumer("b")]));
    assert_eq!(
        status_errors(allocated(), reserved.clone()),
        ["status.reservedFor: Forbidden: may not be reserved more than once"]
    );
    assert_eq!(
        status_errors(json!({}), json!({"reservedFor": [consumer("a")]})),
        ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
    );
    let asked = with(allocated(), "deallocationRequested", json!(true));
    assert_eq!(status_errors(allocated(), asked.clone()), Vec::<String>::new());
    assert_eq!(status_errors(asked.clone(), json!({})), Vec::<String>::new());
    assert_eq!(
        status_errors(asked.clone(), allocated()),
        [
            "status.deallocationRequested: Forbidden: deallocation cannot be canceled, it may only be cleared when `allocation` is also cleared"
        ]
    );
    assert_eq!(
        status_errors(asked.clone(), with(asked, "reservedFor", json!([consumer("a")]))),
        [
            "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
            "status.deallocationRequested: Forbidden: deallocation cannot be requested while `reservedFor` is set",
        ]
    );
    assert_eq!(
        status_errors(json!({}), json!({"deallocationRequested": true})),
        ["status.deallocationRequested: Forbidden: deallocation cannot be requested while not allocated"]
    );
}

#[test]
fn one_handle_of_1_26_is_a_list_of_one() {
    let mut claim = json!({
        "spec": {"resourceClassName": "k"},
        "status": {"driverName": "d", "allocation": {"resourceHandle": "x"}},
    });
    let old = claim.clone();
    super::claim_to_v1alpha2(&mut claim);
    assert_eq!(claim["status"]["allocation"], json!({"resourceHandles": [{"driverName": "d", "data": "x"}]}));
    super::claim_to_v1alpha1(&mut claim);
    assert_eq!(claim, old);
}
