//! Claims and volumes find each other.

use std::sync::Arc;

use cluster::{Key, kind};
use serde_json::{Value, json};

use super::{binder, matching, protection, provisioner};
use crate::{action::Action, cache::Cache};

fn claim(spec: Value, annotations: Value) -> Arc<Value> {
    let mut claim = json!({
        "metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "1", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    for (member, value) in spec.as_object().into_iter().flatten() {
        claim["spec"][member] = value.clone();
    }
    Arc::new(claim)
}

fn volume(name: &str, size: &str, more: Value) -> Value {
    let mut volume = json!({
        "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size}},
        "status": {"phase": "Available"},
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        volume["spec"][member] = value.clone();
    }
    volume
}

fn class(mode: &str, provisioner: &str) -> Value {
    json!({"metadata": {"name": "standard"}, "provisioner": provisioner, "volumeBindingMode": mode, "reclaimPolicy": "Delete"})
}

/// What is written, in short: reasons of Events, and the names of the parts that are patched.
fn said(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::Remark { remark, .. } => remark.reason.to_owned(),
        Action::Patch { kind, subresource, patch, .. } => {
            let phase = patch["status"]["phase"].as_str().map(|phase| format!("={phase}")).unwrap_or_default();
            format!("{}{}{phase}", kind.plural, if subresource.is_empty() { "" } else { "/status" })
        }
        Action::Create { kind, .. } => format!("+{}", kind.plural),
        Action::Delete { kind, .. } => format!("-{}", kind.plural),
        other => format!("{other:?}"),
    };
    actions.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_smallest_volume_that_serves_is_taken() {
    let volumes = [
        volume("large", "5Gi", json!({})),
        volume("small", "512Mi", json!({})),
        volume("right", "2Gi", json!({})),
        volume("other-class", "1Gi", json!({"storageClassName": "fast"})),
        volume("block", "1Gi", json!({"volumeMode": "Block"})),
        volume("taken", "1Gi", json!({"claimRef": {"namespace": "n", "name": "other", "uid": "o"}})),
        volume("read-only", "1Gi", json!({"accessModes": ["ReadOnlyMany"]})),
    ];
    let cache = Cache::of(volumes.into_iter().map(|volume| (kind::PERSISTENT_VOLUME, volume)));
    let best = |spec: Value| {
        matching::best(&claim(spec, json!({})), &cache)
            .and_then(|volume| volume["metadata"]["name"].as_str().map(str::to_owned))
    };
    assert_eq!(best(json!({})).as_deref(), Some("right"));
    assert_eq!(best(json!({"storageClassName": "fast"})).as_deref(), Some("other-class"));
    assert_eq!(best(json!({"volumeMode": "Block"})).as_deref(), Some("block"));
    assert_eq!(best(json!({"accessModes": ["ReadOnlyMany"]})).as_deref(), Some("read-only"));
    assert_eq!(best(json!({"accessModes": ["ReadWriteMany"]})), None);
    assert_eq!(best(json!({"selector": {"matchLabels": {"a": "b"}}})), None);
    let kept = volume("kept", "1Mi", json!({"claimRef": {"namespace": "n", "name": "c"}}));
    let cache =
        Cache::of([(kind::PERSISTENT_VOLUME, volume("free", "1Gi", json!({}))), (kind::PERSISTENT_VOLUME, kept)]);
    let best = matching::best(&claim(json!({}), json!({})), &cache).map(|volume| volume["metadata"]["name"].clone());
    assert_eq!(best, Some(json!("kept")));
}

#[test]
fn claims_wait_are_provisioned_bound_or_lost() {
    let of =
        |claim: &Arc<Value>, objects: Vec<(cluster::Kind, Value)>| said(&binder::claim(claim, &Cache::of(objects)));
    let standard = json!({"storageClassName": "standard"});
    let late = || (kind::STORAGE_CLASS, class("WaitForFirstConsumer", provisioner::NAME));
    let now = || (kind::STORAGE_CLASS, class("Immediate", provisioner::NAME));
    assert_eq!(of(&claim(json!({}), json!({})), vec![]), "FailedBinding");
    assert_eq!(of(&claim(standard.clone(), json!({})), vec![]), "ProvisioningFailed");
    assert_eq!(of(&claim(standard.clone(), json!({})), vec![late()]), "WaitForFirstConsumer");
    assert_eq!(of(&claim(standard.clone(), json!({})), vec![now()]), "persistentvolumeclaims ExternalProvisioning");
    let chosen = claim(standard.clone(), json!({super::SELECTED_NODE: "a"}));
    assert_eq!(of(&chosen, vec![late()]), "persistentvolumeclaims ExternalProvisioning");
    let free = || (kind::PERSISTENT_VOLUME, volume("v", "1Gi", json!({})));
    let bound = "persistentvolumes persistentvolumeclaims persistentvolumeclaims/status=Bound";
    assert_eq!(of(&claim(json!({}), json!({})), vec![free()]), bound);
    assert_eq!(of(&claim(json!({"volumeName": "v"}), json!({})), vec![free()]), bound);
    assert_eq!(of(&claim(json!({"volumeName": "v"}), json!({})), vec![]), "");
    let complete = claim(json!({"volumeName": "v"}), json!({super::BIND_COMPLETED: "yes"}));
    assert_eq!(of(&complete, vec![]), "persistentvolumeclaims/status=Lost ClaimLost");
}

#[test]
fn the_provisioner_makes_a_volume_for_the_node_and_takes_it_back() {
    let marks = |node: Value| {
        let mut marks = json!({super::PROVISIONER[0]: provisioner::NAME});
        if node.is_string() {
            marks[super::SELECTED_NODE] = node;
        }
        claim(json!({"storageClassName": "standard"}), marks)
    };
    let cache = Cache::of([(kind::STORAGE_CLASS, class("WaitForFirstConsumer", provisioner::NAME))]);
    assert_eq!(said(&provisioner::provision(&marks(Value::Null), &cache)), "");
    let actions = provisioner::provision(&marks(json!("a")), &cache);
    assert_eq!(said(&actions), "Provisioning +persistentvolumes ProvisioningSucceeded");
    let Some(Action::Create { object, .. }) = actions.get(1) else { panic!("a volume") };
    let node = "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0";
    assert_eq!(object.pointer(node), Some(&json!("a")));
    assert_eq!(object["metadata"]["name"], "pvc-u");
    let foreign = Cache::of([(kind::STORAGE_CLASS, class("Immediate", "csi.example.com"))]);
    assert!(provisioner::provision(&marks(json!("a")), &foreign).is_empty());
    // When the claim is gone, so is what was made for it.
    let mut left = object.clone();
    left["status"] = json!({"phase": "Bound"});
    assert_eq!(
        said(&binder::volume(&Arc::new(left.clone()), &Cache::default())),
        "persistentvolumes/status=Released -persistentvolumes"
    );
    left["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
    assert_eq!(said(&binder::volume(&Arc::new(left), &Cache::default())), "persistentvolumes/status=Released");
}

#[test]
fn finalizers_come_at_once_and_go_when_nobody_uses() {
    let of = |object: Value, used: bool| {
        let actions = protection::protect(kind::PERSISTENT_VOLUME, &Arc::new(object), "f", || used);
        actions.first().map(|action| match action {
            Action::Patch { patch, .. } => patch["metadata"]["finalizers"].clone(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(of(json!({"metadata": {"finalizers": ["other"]}}), true), Some(json!(["other", "f"])));
    assert_eq!(of(json!({"metadata": {"finalizers": ["f"]}}), true), None);
    let going = || json!({"metadata": {"finalizers": ["f", "other"], "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!((of(going(), true), of(going(), false)), (None, Some(json!(["other"]))));
    assert_eq!(Key::of(&going()), Key::default());
}
