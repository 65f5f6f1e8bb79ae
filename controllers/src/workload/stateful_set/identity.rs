//! Who a pod of a stateful set is: its ordinal, its name, its volumes.

use std::sync::Arc;

use cluster::{Key, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::COMPONENT;
use crate::{
    action::{Action, Tell},
    cache::Cache,
    node_fit::list,
    ownership::Owner,
    workload::{revision::REVISION_HASH, template},
};

/// The label with the name of the pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// The label with its ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal in the name of a pod of the set.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let digits = meta::name(pod).strip_prefix(meta::name(set))?.strip_prefix('-')?;
    digits.parse().ok().filter(|ordinal: &i64| *ordinal >= 0)
}

/// The pod of an ordinal, from the template of a revision.
pub(super) fn pod(owner: &Owner<'_>, from: &Value, revision: &str, ordinal: i64) -> Value {
    let set = owner.object;
    let name = format!("{}-{ordinal}", meta::name(set));
    let mut pod = template::pod(from, meta::namespace(set), owner.reference());
    meta::set(&mut pod, "name", name.as_str());
    for (label, value) in [(POD_NAME, name.as_str()), (POD_INDEX, &ordinal.to_string()), (REVISION_HASH, revision)] {
        template::set_label(&mut pod, label, value);
    }
    pod["spec"]["hostname"] = json!(name);
    if let Some(service) = set["spec"]["serviceName"].as_str().filter(|service| !service.is_empty()) {
        pod["spec"]["subdomain"] = json!(service);
    }
    let mut volumes: Vec<Value> = list(set, "/spec/volumeClaimTemplates")
        .map(|claim| {
            let claim_name = claim_name(set, claim, ordinal);
            json!({"name": meta::name(claim), "persistentVolumeClaim": {"claimName": claim_name, "readOnly": false}})
        })
        .collect();
    let named = |volumes: &[Value], volume: &Value| volumes.iter().any(|one| one["name"] == volume["name"]);
    let others: Vec<Value> = list(&pod, "/spec/volumes").filter(|one| !named(&volumes, one)).cloned().collect();
    volumes.extend(others);
    if !volumes.is_empty() {
        pod["spec"]["volumes"] = json!(volumes);
    }
    pod
}

fn claim_name(set: &Value, claim: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", meta::name(claim), meta::name(set))
}

/// The volume claims of an ordinal.
fn claims(set: &Value, ordinal: i64) -> impl Iterator<Item = Value> {
    list(set, "/spec/volumeClaimTemplates").map(move |template| {
        let mut claim = template.clone();
        claim["apiVersion"] = json!("v1");
        claim["kind"] = json!("PersistentVolumeClaim");
        meta::set(&mut claim, "name", claim_name(set, template, ordinal));
        meta::set(&mut claim, "namespace", meta::namespace(set));
        let selected = set.pointer("/spec/selector/matchLabels").and_then(Value::as_object).into_iter().flatten();
        for (label, value) in selected {
            template::set_label(&mut claim, label, value.as_str().unwrap_or_default());
        }
        drop(claim.as_object_mut().map(|claim| claim.remove("status")));
        claim
    })
}

/// Creates the volume claims of an ordinal that are not there.
pub(super) fn make_claims(set: &Arc<Value>, ordinal: i64, cache: &Cache) -> Vec<Action> {
    let missing =
        claims(set, ordinal).filter(|claim| cache.get(kind::PERSISTENT_VOLUME_CLAIM, &Key::of(claim)).is_none());
    let create = |claim: Value| {
        let (pod, set_name) = (format!("{}-{ordinal}", meta::name(set)), meta::name(set));
        let (claim_name, named) = (meta::name(&claim).to_owned(), format!("Pod {pod} in StatefulSet {set_name}"));
        let tell = Tell {
            about: set.clone(),
            component: COMPONENT,
            done: ("SuccessfulCreate", format!("create Claim {{}} {named} success")),
            failed: ("FailedCreate", format!("create Claim {claim_name} for {named} failed error: {{}}")),
        };
        Action::Create { kind: kind::PERSISTENT_VOLUME_CLAIM, object: claim, tell: Some(tell) }
    };
    missing.map(create).collect()
}

/// Gives the volume claims of an ordinal the owner that the retention policy of the set wants: with the set they go, or
/// with the pod, or with nobody. `pod` is the pod of the ordinal; `condemned`: it is to go since the set shrinks.
pub(super) fn keep_claims(
    owner: &Owner<'_>,
    pod: &Arc<Value>,
    condemned: bool,
    ordinal: i64,
    cache: &Cache,
) -> Vec<Action> {
    let set = owner.object;
    let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
    let with_set = policy["whenDeleted"] == "Delete";
    let with_pod = policy["whenScaled"] == "Delete" && condemned;
    let wanted = if with_pod {
        Some(json!({"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod)}))
    } else if with_set {
        let (name, uid) = (meta::name(set), meta::uid(set));
        Some(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": uid}))
    } else {
        None
    };
    let present = claims(set, ordinal)
        .filter_map(|claim| cache.get(kind::PERSISTENT_VOLUME_CLAIM, &Key::of(&claim)))
        .filter(|claim| meta::deletion_timestamp(claim).is_none());
    let repair = |claim: &Arc<Value>| {
        let ours = |one: &Value| one["uid"] == meta::uid(set) || one["kind"] == "Pod" && one["name"] == meta::name(pod);
        let mut owners: Vec<Value> = meta::owner_references(claim).iter().filter(|one| !ours(one)).cloned().collect();
        owners.extend(wanted.clone());
        if owners == meta::owner_references(claim) {
            return None;
        }
        let mut changed = Value::clone(claim);
        meta::set(&mut changed, "ownerReferences", owners);
        Some(Action::Replace { kind: kind::PERSISTENT_VOLUME_CLAIM, object: changed, subresource: "" })
    };
    present.filter_map(repair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::selector::label::Selector;

    #[test]
    fn a_pod_knows_who_it_is() {
        let set = Arc::new(json!({
            "metadata": {"namespace": "n", "name": "web", "uid": "u"},
            "spec": {
                "serviceName": "nginx", "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"volumes": [{"name": "www"}, {"name": "x"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "www"}, "spec": {}, "status": {}}],
            },
        }));
        let selector = Selector::everything();
        let owner = Owner { kind: kind::STATEFUL_SET, object: &set, selector: &selector };
        let pod = pod(&owner, &set["spec"]["template"], "web-1", 2);
        assert_eq!((meta::name(&pod), ordinal(&set, &pod)), ("web-2", Some(2)));
        assert_eq!(pod["spec"]["subdomain"], "nginx");
        let names: Vec<&str> = list(&pod, "/spec/volumes").filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["www", "x"]);
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "www-web-2");
        let made = make_claims(&set, 2, &Cache::default());
        let [Action::Create { object, .. }] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((meta::name(object), meta::label(object, "a")), ("www-web-2", Some("b")));
        assert_eq!(ordinal(&set, &json!({"metadata": {"name": "web-x"}})), None);
    }
}
