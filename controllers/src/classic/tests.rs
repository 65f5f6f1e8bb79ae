//! What drivers decide to do, condition by condition.

use super::*;

fn class(driver: &str) -> (Kind, Value) {
    (kind::RESOURCE_CLASS, json!({"metadata": {"name": "gpu"}, "driverName": driver}))
}

fn claim(mode: &str, metadata: Value, status: Value) -> (Kind, Value) {
    let mut claim = json!({
        "apiVersion": CLAIM.api_version(), "kind": CLAIM.kind,
        "metadata": {"namespace": "n", "name": "c", "uid": "u"},
        "spec": {"resourceClassName": "gpu", "allocationMode": mode}, "status": status,
    });
    for (name, value) in metadata.as_object().into_iter().flatten() {
        claim["metadata"][name] = value.clone();
    }
    (CLAIM, claim)
}

fn slice() -> Value {
    json!({
        "apiVersion": "resource.k8s.io/v1alpha2", "kind": "ResourceSlice", "metadata": {"name": "s"},
        "nodeName": "a", "driverName": "d", "namedResources": {"instances": [{"name": "gpu-0"}]},
    })
}

fn drivers() -> Drivers {
    let drivers = Drivers::default();
    lock(&drivers.state).inventory.change(kind::NAMED_RESOURCE_SLICE, None, Some(&slice().into()));
    drivers
}

fn decides(objects: Vec<(Kind, Value)>) -> String {
    let cache = Cache::of(objects);
    let plan =
        drivers().reconcile(CLAIM, &Key::new("n", "c"), &cache, Moment { now: Default::default(), failure: None });
    let names = plan.actions.iter().map(|action| match action {
        Write::Classic(Action::Allocate { .. }) => "allocate",
        Write::Classic(Action::Deallocate { .. }) => "deallocate",
        Write::Remark { .. } => "remark",
        _ => "other",
    });
    names.collect::<Vec<_>>().join(",")
}

#[test]
fn the_first_condition_decides() {
    let (none, immediate, delayed) = (json!({}), "Immediate", "WaitForFirstConsumer");
    let allocated = json!({"allocation": {"resourceHandles": []}});
    let deleted = json!({"deletionTimestamp": "x", "finalizers": ["d/deletion-protection"]});
    let foreign = json!({"deletionTimestamp": "x", "finalizers": ["other/deletion-protection"]});
    let used = json!({"allocation": {}, "reservedFor": [{"resource": "pods", "name": "p", "uid": "v"}]});
    let cases = [
        (class("d"), claim(immediate, none.clone(), none.clone()), "allocate"),
        (class("d"), claim(delayed, none.clone(), none.clone()), ""),
        (class("other"), claim(immediate, none.clone(), none.clone()), ""),
        (class("d"), claim(immediate, none.clone(), allocated.clone()), ""),
        (class("d"), claim(immediate, deleted.clone(), allocated.clone()), "deallocate"),
        (class("d"), claim(immediate, deleted.clone(), none.clone()), "deallocate"),
        (class("d"), claim(immediate, foreign, allocated), ""),
        (class("d"), claim(immediate, deleted.clone(), used), ""),
        (
            class("d"),
            claim(
                delayed,
                json!({"finalizers": ["d/deletion-protection"]}),
                json!({"allocation": {}, "deallocationRequested": true}),
            ),
            "deallocate",
        ),
    ];
    for (class, claim, expected) in cases {
        assert_eq!(decides(vec![class, claim.clone()]), expected, "{}", claim.1);
    }
    assert_eq!(decides(vec![claim(immediate, none.clone(), none)]), "remark");
}

#[test]
fn what_claims_hold_follows_the_cluster_except_where_it_is_old() {
    let mut ledger = Ledger::default();
    let data = classic::HandleData {
        node: "a".into(),
        devices: vec![classic::HandleDevice { name: "gpu-0".into(), ..Default::default() }],
        ..Default::default()
    };
    let handle = json!({"driverName": "d", "data": data.encode()});
    let (_, allocated) = claim("Immediate", json!({}), json!({"allocation": {"resourceHandles": [handle]}}));
    let (_, free) = claim("Immediate", json!({}), json!({}));
    assert!(!ledger.observe(&allocated, true));
    assert_eq!(ledger.held("d", "a").len(), 1);
    assert!(ledger.observe(&free, true));
    assert!(ledger.held("d", "a").is_empty());
    ledger.open("u", ("d".into(), "a".into()), data.devices);
    assert!(!ledger.observe(&free, true));
    assert_eq!(ledger.held("d", "a").len(), 1);
    ledger.close("u", true);
    assert!(ledger.observe(&allocated, false));
}

#[test]
fn a_claim_that_is_seen_after_its_proposal_is_answered() {
    let pod = json!({
        "metadata": {"namespace": "n", "name": "p", "uid": "v"},
        "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]},
    });
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "v", "controller": true});
    let context = json!({
        "metadata": {"namespace": "n", "name": "p", "ownerReferences": [owner]}, "spec": {"selectedNode": "a"},
    });
    let (of, late) = claim("WaitForFirstConsumer", json!({}), json!({}));
    let cache = Cache::of([class("d"), (kind::POD, pod), (CONTEXT, context), (of, late.clone())]);
    let mut due = Vec::new();
    let mut drivers = drivers();
    drivers.touched(&Changed { kind: of, before: None, after: Some(Arc::new(late)) }, &cache, &mut due);
    assert!(due.contains(&(CONTEXT, Key::new("n", "p"))), "{due:?}");
    let moment = Moment { now: Default::default(), failure: None };
    let plan = drivers.reconcile(CONTEXT, &Key::new("n", "p"), &cache, moment);
    assert!(matches!(plan.actions.as_slice(), [Write::Classic(Action::Answer { .. })]));
}
