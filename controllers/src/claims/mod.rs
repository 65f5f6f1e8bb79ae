//! The claims of pods, in every generation of the device API: made from templates, recorded, reserved, released,
//! deallocated, deleted.

mod action;
mod claim;
mod pod_claims;

use cluster::{Generation, Key, Kind, claim_reference, generation, kind};
use machinery::meta;
use serde_json::Value;

pub(crate) use action::{Action, perform};

use crate::{
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    pod,
};

/// The resourceclaim controller.
pub(crate) struct Claims;

impl Controller for Claims {
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![kind::POD];
        for one in generation::ALL {
            // One kind plays two parts in some generations.
            for kind in [one.claim, one.template] {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        kinds
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        for object in changed.states() {
            touched(changed.kind, object, cache, due);
        }
    }

    fn reconcile(&mut self, kind: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(object) = cache.get(kind, key) else { return Plan::default() };
        match Generation::of(kind) {
            None => pod_claims::reconcile(object, cache).into(),
            Some(generation) => claim::reconcile(object, generation, cache).into(),
        }
    }

    /// As upstream's controller is called.
    fn manager(&self) -> &'static str {
        "ResourceClaimController"
    }
}

fn touched(kind: Kind, object: &Value, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
    let key = Key::of(object);
    let namespaced = |name: &str| Key::new(meta::namespace(object), name);
    if kind == kind::POD {
        if !pod::has_claims(object) {
            return;
        }
        for name in claim_reference::claim_names(object) {
            due.extend(generation::ALL.map(|one| (one.claim, namespaced(&name))));
        }
        due.push((kind::POD, key));
        return;
    }
    due.extend(cache.users(&key).map(|user| (kind::POD, user.clone())));
    if generation::ALL.iter().any(|one| one.claim == kind) {
        if let Some(owner) = pod::owner(object) {
            due.push((kind::POD, namespaced(&owner.name)));
        }
        due.push((kind, key));
    }
}
