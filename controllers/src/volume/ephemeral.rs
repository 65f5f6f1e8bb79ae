//! The claims of generic ephemeral volumes: one for each such volume of a pod, which owns it.

use std::sync::Arc;

use cluster::{Key, Kind, kind};
use machinery::{field::quote, meta};
use serde_json::{Value, json};

use super::own_claim;
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
};

const COMPONENT: &str = "ephemeral_volume";

/// The controller of ephemeral volumes.
pub(crate) struct EphemeralVolumes;

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter(|volume| volume["ephemeral"]["volumeClaimTemplate"].is_object())
}

impl Controller for EphemeralVolumes {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::POD, kind::PERSISTENT_VOLUME_CLAIM]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        if changed.kind == kind::POD {
            due.extend(
                changed.after.as_ref().filter(|pod| volumes(pod).next().is_some()).map(|pod| (kind::POD, Key::of(pod))),
            );
        } else if changed.after.is_none() {
            let owner = crate::pod::owner(object).map(|owner| Key::new(meta::namespace(object), owner.name));
            due.extend(owner.map(|key| (kind::POD, key)));
        }
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let pod = cache.get(kind::POD, key).filter(|pod| meta::deletion_timestamp(pod).is_none());
        let Some(pod) = pod else { return Plan::default() };
        volumes(pod).filter_map(|volume| make(pod, volume, cache)).collect::<Vec<_>>().into()
    }
}

fn make(pod: &Arc<Value>, volume: &Value, cache: &Cache) -> Option<Action> {
    let name = own_claim(pod, volume);
    let template = &volume["ephemeral"]["volumeClaimTemplate"];
    if let Some(claim) = cache.get(kind::PERSISTENT_VOLUME_CLAIM, &Key::new(meta::namespace(pod), &name)) {
        let message = format!("PVC {} was not created for pod {} (pod is not owner)", Key::of(claim), Key::of(pod));
        let remark = Remark::warning(COMPONENT, "EphemeralVolumeNotOwned", message);
        return (!crate::pod::owns(pod, claim)).then(|| Action::Remark { about: pod.clone(), remark });
    }
    let owner = json!({
        "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod),
        "controller": true, "blockOwnerDeletion": true,
    });
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("namespace".to_owned(), json!(meta::namespace(pod)));
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    let object = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
    });
    tracing::debug!(pod = %Key::of(pod), claim = quote(&name), "an ephemeral volume gets its claim");
    Some(Action::Create { kind: kind::PERSISTENT_VOLUME_CLAIM, object, tell: None })
}
