//! The end of a claim: reservations of pods that are gone, deallocation, finalizer, deletion.

use std::{collections::BTreeSet, sync::Arc};

use api::convert::{self, ReservedPod};
use cluster::{Generation, Key, kind};
use machinery::meta;
use serde_json::Value;

use super::Action as Claims;
use crate::{action::Action, cache::Cache, pod};

/// What to write for a claim.
pub(crate) fn reconcile(claim: &Arc<Value>, generation: Generation, cache: &Cache) -> Vec<Action> {
    let (mut gone, mut unseen) = (BTreeSet::new(), BTreeSet::new());
    for reserved in convert::reserved_pods(claim) {
        match cache.get(kind::POD, &Key::new(meta::namespace(claim), reserved.name.as_str())) {
            Some(pod) if reserved.is(pod) && !pod::is_done(pod) => {}
            Some(_) => drop(gone.insert(reserved)),
            // The claim may be ahead of what was seen of pods.
            None => drop(unseen.insert(reserved)),
        }
    }
    if !gone.is_empty() || !unseen.is_empty() {
        return vec![Action::Claims(Claims::Release { generation, claim: claim.clone(), gone, unseen })];
    }
    let mut actions = Vec::new();
    if convert::has_consumers(claim) {
        return actions;
    }
    let protected = meta::finalizers(claim).any(|one| one == generation.finalizer);
    if meta::deletion_timestamp(claim).is_some() {
        if protected {
            actions.push(Action::Claims(Claims::Unprotect { generation, claim: claim.clone() }));
        }
    } else if is_left_over(claim, cache) {
        actions.push(Action::Delete { kind: generation.claim, object: claim.clone(), grace: None, tell: None });
    }
    actions
}

/// Whether it was made for a pod that needs it no more. When that pod is not to be found, garbage collection sees to it.
fn is_left_over(claim: &Value, cache: &Cache) -> bool {
    let Some(owner) = pod::owner(claim) else { return false };
    let key = Key::new(meta::namespace(claim), owner.name);
    cache.get(kind::POD, &key).is_some_and(|pod| meta::uid(pod) != owner.uid || pod::is_done(pod))
}

/// Takes reservations out; with the last one goes the allocation, where the finalizer says that it may. False: nothing
/// changed.
pub(crate) fn release(claim: &mut Value, generation: Generation, gone: &BTreeSet<ReservedPod>) -> bool {
    let released = convert::release(claim, &|pod| gone.contains(pod));
    if released && !convert::has_consumers(claim) && meta::finalizers(claim).any(|one| one == generation.finalizer) {
        convert::deallocate(claim);
    }
    released
}

/// Takes the finalizer off a claim that nobody uses. False: it is used, or has none.
pub(crate) fn unprotect(claim: &mut Value, generation: Generation) -> bool {
    let mut kept: Vec<Value> = meta::finalizers(claim).map(Value::from).collect();
    let before = kept.len();
    kept.retain(|one| one != generation.finalizer);
    if kept.len() == before || convert::is_allocated(claim) || convert::has_consumers(claim) {
        return false;
    }
    meta::set(claim, "finalizers", kept);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::generation;
    use serde_json::json;

    fn claim(reserved: &[(&str, &str)]) -> Arc<Value> {
        let entry = |(name, uid): &(&str, &str)| json!({"resource": "pods", "name": name, "uid": uid});
        Arc::new(json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {
                "namespace": "n", "name": "c", "finalizers": ["other", generation::GA.finalizer],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}],
            },
            "status": {"allocation": {}, "reservedFor": reserved.iter().map(entry).collect::<Vec<_>>()},
        }))
    }

    fn pods(pods: Vec<Value>) -> Cache {
        Cache::of(pods.into_iter().map(|pod| (kind::POD, pod)))
    }

    fn pod(uid: &str, more: Value) -> Value {
        let mut pod = json!({"metadata": {"namespace": "n", "name": "p", "uid": uid}, "spec": {"nodeName": "x"}});
        for (name, value) in more.as_object().expect("members") {
            pod[name] = value.clone();
        }
        pod
    }

    #[test]
    fn reservations_go_with_their_pods() {
        let counts = |cache: Cache| match reconcile(&claim(&[("p", "u")]), generation::GA, &cache).as_slice() {
            [] => (0, 0),
            [Action::Claims(Claims::Release { gone, unseen, .. })] => (gone.len(), unseen.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(counts(pods(vec![pod("u", json!({}))])), (0, 0));
        assert_eq!(counts(pods(vec![pod("new", json!({}))])), (1, 0));
        assert_eq!(counts(pods(vec![pod("u", json!({"status": {"phase": "Failed"}}))])), (1, 0));
        assert_eq!(counts(Cache::default()), (0, 1));
        let deleting = json!({"namespace": "n", "name": "p", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(counts(pods(vec![pod("u", json!({"metadata": deleting}))])), (0, 0));
        assert_eq!(counts(pods(vec![pod("u", json!({"metadata": deleting, "spec": {}}))])), (1, 0));
    }

    #[test]
    fn the_last_consumer_takes_the_allocation_along() {
        let mut shared = Value::clone(&claim(&[("p", "u"), ("q", "v")]));
        let gone =
            |name: &str, uid: &str| BTreeSet::from([ReservedPod { name: name.to_owned(), uid: Some(uid.to_owned()) }]);
        assert!(!release(&mut shared, generation::GA, &gone("p", "other")));
        assert!(release(&mut shared, generation::GA, &gone("p", "u")));
        assert!(convert::is_allocated(&shared) && !unprotect(&mut shared, generation::GA));
        assert!(release(&mut shared, generation::GA, &gone("q", "v")));
        assert!(!convert::is_allocated(&shared) && unprotect(&mut shared, generation::GA));
        assert_eq!(shared["metadata"]["finalizers"], json!(["other"]));
    }

    #[test]
    fn generated_claims_of_done_pods_are_deleted_and_others_left() {
        let deletes =
            |cache: Cache| matches!(reconcile(&claim(&[]), generation::GA, &cache).as_slice(), [Action::Delete { .. }]);
        assert!(deletes(pods(vec![pod("u", json!({"status": {"phase": "Succeeded"}}))])));
        assert!(deletes(pods(vec![pod("new", json!({}))])));
        assert!(!deletes(pods(vec![pod("u", json!({}))])));
        assert!(!deletes(Cache::default()));
    }

    #[test]
    fn a_deleted_claim_loses_its_finalizer_when_unused() {
        let deleting = |reserved: &[(&str, &str)]| {
            let mut claim = Value::clone(&claim(reserved));
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            reconcile(&Arc::new(claim), generation::GA, &pods(vec![pod("u", json!({}))])).len()
        };
        assert_eq!((deleting(&[]), deleting(&[("p", "u")])), (1, 0));
    }
}
