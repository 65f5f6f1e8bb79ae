//! Finalizers that keep a claim while a pod uses it, and a volume while a claim does.

use std::sync::Arc;

use cluster::{Key, Kind, kind, write::PatchKind};
use machinery::meta;
use serde_json::{Value, json};

use super::claims_of;
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    pod,
};

/// Keeps claims.
pub(crate) struct ClaimProtection;
/// Keeps volumes.
pub(crate) struct VolumeProtection;

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

impl Controller for ClaimProtection {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::PERSISTENT_VOLUME_CLAIM, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let claims = kind::PERSISTENT_VOLUME_CLAIM;
        if changed.kind == claims {
            due.extend(changed.after.as_ref().map(|claim| (claims, Key::of(claim))));
        } else if changed.after.as_ref().is_none_or(|pod| pod::is_terminal(pod)) {
            let used = changed.states().flat_map(|pod| claims_of(pod)).filter(|key| cache.get(claims, key).is_some());
            due.extend(used.map(|key| (claims, key)));
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(claim) = cache.get(of, key) else { return Plan::default() };
        let used = || {
            let pods = cache.in_namespace(kind::POD, &key.namespace).filter(|pod| !pod::is_terminal(pod));
            pods.filter(|pod| pod::node_name(pod).is_some()).any(|pod| claims_of(pod).any(|used| used == *key))
        };
        protect(of, claim, OF_CLAIMS, used).into()
    }
}

impl Controller for VolumeProtection {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::PERSISTENT_VOLUME]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        due.extend(changed.after.as_ref().map(|volume| (kind::PERSISTENT_VOLUME, Key::of(volume))));
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(volume) = cache.get(of, key) else { return Plan::default() };
        protect(of, volume, OF_VOLUMES, || volume["status"]["phase"] == "Bound").into()
    }
}

/// Puts the finalizer on what lives, and takes it off what is to go and is not used.
pub(super) fn protect(of: Kind, object: &Arc<Value>, finalizer: &str, used: impl Fn() -> bool) -> Vec<Action> {
    let has = meta::finalizers(object).any(|one| one == finalizer);
    let mut finalizers: Vec<&str> = meta::finalizers(object).filter(|one| *one != finalizer).collect();
    match meta::deletion_timestamp(object) {
        None if !has => finalizers.push(finalizer),
        Some(_) if has && !used() => {}
        _ => return Vec::new(),
    }
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta::resource_version(object)}});
    vec![Action::Patch { kind: of, object: object.clone(), subresource: "", how: PatchKind::Merge, patch }]
}
