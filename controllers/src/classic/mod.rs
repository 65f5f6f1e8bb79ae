//! The controllers of classic DRA drivers (KEP-3063), emulated: every driver that publishes devices on some node has one.
//!
//! Each allocates Immediate claims when they appear, answers PodSchedulingContexts, allocates for the selected node, and
//! deallocates when asked to. It is one emulator for all drivers: what tells them apart is the class.

mod allocate;
mod inventory;
mod ledger;
mod model;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{classic, convert};
use cluster::{Key, Kind, claim_reference, generation, kind};
use machinery::meta;
use serde_json::{Value, json};

pub(crate) use allocate::{Action, perform};

use crate::{
    action::Action as Write,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    pod,
};
use allocate::OwnClaim;
use inventory::Inventory;
use ledger::Ledger;

/// Claims and templates of classic DRA are of these kinds.
const CLAIM: Kind = generation::EVOLUTION.claim;
const CONTEXT: Kind = kind::POD_SCHEDULING_CONTEXT;

/// What the emulated drivers know together.
#[derive(Debug, Default)]
pub(crate) struct State {
    inventory: Inventory,
    ledger: Ledger,
}

/// The emulated drivers.
#[derive(Default)]
pub(crate) struct Drivers {
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Controller for Drivers {
    fn kinds(&self) -> Vec<Kind> {
        let own = [CLAIM, CONTEXT, kind::RESOURCE_CLASS, kind::POD, kind::NODE, generation::GA.claim];
        own.into_iter().chain(inventory::KINDS).collect()
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        let key = Key::of(object);
        match changed.kind {
            CONTEXT => due.push((CONTEXT, key)),
            kind::POD => {
                if pod::has_claims(object) && (changed.before.is_none() || changed.differs_at("/spec/nodeName")) {
                    due.push((kind::POD, key.clone()));
                }
                due.extend(cache.get(CONTEXT, &key).map(|_| (CONTEXT, key)));
            }
            kind::NODE => {}
            kind::RESOURCE_CLASS => self.all(cache, due),
            kind if kind == CLAIM || kind == generation::GA.claim => {
                let freed = lock(&self.state).ledger.observe(object, changed.after.is_some());
                if kind == CLAIM && classic::is_classic(object) {
                    due.push((CLAIM, key.clone()));
                    // Each kind is watched for itself: a claim may be seen after the proposal that it was made for.
                    due.extend(cache.users(&key).map(|user| (kind::POD, user.clone())));
                    due.extend(
                        cache.users(&key).filter_map(|user| cache.get(CONTEXT, user).map(|_| (CONTEXT, user.clone()))),
                    );
                }
                if freed {
                    // Others may get now what they could not get before.
                    self.all(cache, due);
                }
            }
            kind if inventory::KINDS.contains(&kind) => {
                let (before, after) = (changed.before.as_ref(), changed.after.as_ref());
                if !lock(&self.state).inventory.change(kind, before, after).is_empty() {
                    self.all(cache, due);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(object) = cache.get(of, key) else { return Plan::default() };
        let actions = match of {
            CONTEXT => self.answer(object, cache),
            kind::POD => self.follow_placement(object, cache),
            _ if classic::is_classic(object) => self.claim(object, cache),
            _ => Vec::new(),
        };
        actions.into()
    }

    fn manager(&self) -> &'static str {
        "resource-driver"
    }
}

impl Drivers {
    /// Everything that waits for a driver.
    fn all(&self, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        if cache.all(kind::RESOURCE_CLASS).next().is_none() {
            return;
        }
        due.extend(cache.all(CONTEXT).map(|context| (CONTEXT, Key::of(context))));
        let waits = |claim: &&Arc<Value>| classic::is_classic(claim) && !convert::is_allocated(claim);
        due.extend(cache.all(CLAIM).filter(waits).map(|claim| (CLAIM, Key::of(claim))));
    }

    /// The class of a claim, when it is for an emulated driver to serve.
    fn own_class(&self, claim: &Value, cache: &Cache) -> Option<Arc<Value>> {
        let name = claim["spec"]["resourceClassName"].as_str()?;
        let class = cache.get(kind::RESOURCE_CLASS, &Key::new("", name))?;
        let emulated = lock(&self.state).inventory.has(class["driverName"].as_str()?);
        (emulated && class["structuredParameters"] != true).then(|| class.clone())
    }

    /// What a driver does about a claim: the first condition that holds decides.
    fn claim(&self, claim: &Arc<Value>, cache: &Cache) -> Vec<Write> {
        if convert::has_consumers(claim) {
            return Vec::new();
        }
        let ends = meta::deletion_timestamp(claim).is_some() || claim["status"]["deallocationRequested"] == true;
        if ends {
            // Whose finalizer it is tells who allocated it, whatever became of the class.
            let own = meta::finalizers(claim).find(|one| one.ends_with(FINALIZER)).map(str::to_owned);
            let emulated = |finalizer: &String| {
                finalizer.strip_suffix(FINALIZER).is_some_and(|driver| lock(&self.state).inventory.has(driver))
            };
            let deallocate = |finalizer| Write::Classic(Action::Deallocate { claim: claim.clone(), finalizer });
            return own.filter(emulated).map(deallocate).into_iter().collect();
        }
        if convert::is_allocated(claim) || classic::is_delayed(claim) {
            return Vec::new();
        }
        let name = claim["spec"]["resourceClassName"].as_str().unwrap_or_default();
        if cache.get(kind::RESOURCE_CLASS, &Key::new("", name)).is_none() {
            let message = format!("resource class {name} does not exist");
            return vec![Write::Remark { about: claim.clone(), remark: Remark::warning(COMPONENT, FAILED, message) }];
        }
        let Some(class) = self.own_class(claim, cache) else { return Vec::new() };
        let node_labels = cache.all(kind::NODE).map(|node| allocate::labels_of(node)).collect();
        vec![Write::Classic(Action::Allocate {
            claim: OwnClaim { entry: String::new(), claim: claim.clone(), class },
            nodes: node_labels,
            state: self.state.clone(),
        })]
    }

    /// What drivers answer to a proposal of the scheduler.
    fn answer(&self, context: &Arc<Value>, cache: &Cache) -> Vec<Write> {
        let spec = &context["spec"];
        let selected = spec["selectedNode"].as_str().unwrap_or_default();
        let potential = spec["potentialNodes"].as_array().is_some_and(|nodes| !nodes.is_empty());
        if meta::deletion_timestamp(context).is_some() || (selected.is_empty() && !potential) {
            return Vec::new();
        }
        let Some(pod) = cache.get(kind::POD, &Key::of(context)) else { return Vec::new() };
        if meta::deletion_timestamp(pod).is_some() || !pod::owns(pod, context) {
            return Vec::new();
        }
        let claims = self.pending(pod, cache);
        if claims.is_empty() {
            return Vec::new();
        }
        let (context, pod, state) = (context.clone(), pod.clone(), self.state.clone());
        vec![Write::Classic(Action::Answer { context, pod, claims, state })]
    }

    /// The pending claims of a pod that emulated drivers allocate for it.
    fn pending(&self, pod: &Value, cache: &Cache) -> Vec<OwnClaim> {
        let mut pending = Vec::new();
        for (entry, claim) in classic_claims(pod, cache) {
            let waits = !convert::is_allocated(&claim) && classic::is_delayed(&claim);
            if waits
                && meta::deletion_timestamp(&claim).is_none()
                && let Some(class) = self.own_class(&claim, cache)
            {
                pending.push(OwnClaim { entry, claim, class });
            }
        }
        pending
    }

    /// A pod that got its node without a scheduler still needs its claims: the context with that node makes drivers
    /// allocate (kube-controller-manager does this).
    fn follow_placement(&self, pod: &Arc<Value>, cache: &Cache) -> Vec<Write> {
        let Some(node) = pod::node_name(pod) else { return Vec::new() };
        let settled = pod::is_terminal(pod) || meta::deletion_timestamp(pod).is_some();
        if settled || cache.get(CONTEXT, &Key::of(pod)).is_some() || self.pending(pod, cache).is_empty() {
            return Vec::new();
        }
        let owner = json!({
            "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod), "controller": true,
        });
        let object = json!({
            "apiVersion": CONTEXT.api_version(), "kind": CONTEXT.kind,
            "metadata": {"namespace": meta::namespace(pod), "name": meta::name(pod), "ownerReferences": [owner]},
            "spec": {"selectedNode": node},
        });
        vec![Write::Create { kind: CONTEXT, object, tell: None }]
    }
}

/// The classic claims of a pod that exist, with the entries that name them.
fn classic_claims(pod: &Value, cache: &Cache) -> Vec<(String, Arc<Value>)> {
    let named = |reference: cluster::ClaimReference| {
        let name = match reference.source {
            cluster::ClaimSource::Claim(name) => name,
            _ => claim_reference::recorded_claim(pod, &reference.entry)??,
        };
        let claim = cache.get(CLAIM, &Key::new(meta::namespace(pod), name))?;
        classic::is_classic(claim).then(|| (reference.entry, claim.clone()))
    };
    claim_reference::claim_references(pod).into_iter().filter_map(named).collect()
}

/// What follows the name of the driver in its finalizer.
const FINALIZER: &str = "/deletion-protection";
const FAILED: &str = "Failed";
/// In whose name events are written that concern no driver yet.
const COMPONENT: &str = "resource driver";
