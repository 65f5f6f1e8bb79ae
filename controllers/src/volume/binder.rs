//! Binds claims to volumes: the rules of upstream's `persistentvolume-binder-controller`.

use std::sync::Arc;

use api::persistent_volume::is_for;
use cluster::{Key, Kind, kind, write::PatchKind};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, NO_PROVISIONER, PROVISIONER, SELECTED_NODE, class, matching, provisioner,
    waits,
};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
};

const COMPONENT: &str = "persistentvolume-controller";

/// The controller of claims and volumes.
pub(crate) struct VolumeBinder;

impl Controller for VolumeBinder {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::PERSISTENT_VOLUME_CLAIM, kind::PERSISTENT_VOLUME, kind::STORAGE_CLASS, kind::POD]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let claims = kind::PERSISTENT_VOLUME_CLAIM;
        let pending = || cache.all(claims).filter(|claim| claim["spec"]["volumeName"].is_null());
        for object in changed.states() {
            match changed.kind {
                kind::PERSISTENT_VOLUME => {
                    due.push((kind::PERSISTENT_VOLUME, Key::of(object)));
                    due.extend(claim_key(object).map(|key| (claims, key)));
                    if object["spec"]["claimRef"].is_null() {
                        due.extend(pending().map(|claim| (claims, Key::of(claim))));
                    }
                }
                kind::STORAGE_CLASS => due.extend(pending().map(|claim| (claims, Key::of(claim)))),
                // A pod that uses a claim changes only what is told about waiting.
                kind::POD => {}
                _ => {
                    due.push((claims, Key::of(object)));
                    let volume = object["spec"]["volumeName"].as_str().filter(|name| !name.is_empty());
                    due.extend(volume.map(|name| (kind::PERSISTENT_VOLUME, Key::new("", name))));
                }
            }
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(object) = cache.get(of, key) else { return Plan::default() };
        match of {
            kind::PERSISTENT_VOLUME => volume(object, cache).into(),
            _ => claim(object, cache).into(),
        }
    }
}

fn claim_key(volume: &Value) -> Option<Key> {
    let reference = &volume["spec"]["claimRef"];
    Some(Key::new(reference["namespace"].as_str()?, reference["name"].as_str()?))
}

/// What to write for a claim.
pub(super) fn claim(claim: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    if meta::deletion_timestamp(claim).is_some() {
        return Vec::new();
    }
    let named = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty());
    let Some(name) = named else { return unbound(claim, cache) };
    let found = cache.get(kind::PERSISTENT_VOLUME, &Key::new("", name));
    let completed = meta::annotation(claim, BIND_COMPLETED).is_some();
    match found {
        Some(volume) if is_for(volume, claim) || (!completed && volume["spec"]["claimRef"].is_null()) => {
            bind(claim, volume)
        }
        None if !completed => phase(claim, "Pending"),
        // What was stored is gone.
        _ if completed => lost(claim, found.is_some()),
        _ => phase(claim, "Pending"),
    }
}

fn lost(claim: &Arc<Value>, misbound: bool) -> Vec<Action> {
    let mut actions = phase(claim, "Lost");
    if !actions.is_empty() {
        let remark = if misbound {
            Remark::warning(
                COMPONENT,
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
            )
        } else {
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            Remark::warning(COMPONENT, "ClaimLost", message)
        };
        actions.push(Action::Remark { about: claim.clone(), remark });
    }
    actions
}

fn unbound(claim: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let class_of_claim = class(claim, cache);
    let tell = |remark| Action::Remark { about: claim.clone(), remark };
    let selected = meta::annotation(claim, SELECTED_NODE);
    let kept = || cache.all(kind::PERSISTENT_VOLUME).any(|volume| is_for(volume, claim));
    if class_of_claim.is_some_and(|class| waits(class)) && selected.is_none() && !kept() {
        let message = "waiting for first consumer to be created before binding";
        let mut actions = phase(claim, "Pending");
        actions.push(tell(Remark::normal(COMPONENT, "WaitForFirstConsumer", message)));
        return actions;
    }
    // Where a node is selected, the scheduler has chosen among the volumes that exist.
    let usable = matching::best(claim, cache).filter(|volume| selected.is_none() || is_for(volume, claim));
    if let Some(volume) = usable {
        return bind(claim, volume);
    }
    let mut actions = phase(claim, "Pending");
    let named = claim["spec"]["storageClassName"].as_str().filter(|name| !name.is_empty());
    match (class_of_claim, named) {
        (Some(class), _) if class["provisioner"] != NO_PROVISIONER => {
            let provisioner = class["provisioner"].as_str().unwrap_or_default();
            if PROVISIONER.iter().any(|mark| meta::annotation(claim, mark) != Some(provisioner)) {
                let marks: serde_json::Map<String, Value> =
                    PROVISIONER.iter().map(|mark| ((*mark).to_owned(), json!(provisioner))).collect();
                actions.push(annotate(
                    kind::PERSISTENT_VOLUME_CLAIM,
                    claim,
                    json!({"metadata": {"annotations": marks}}),
                ));
            }
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
                 system administrator. If volume creation is delayed, please verify that the provisioner is running and \
                 correctly registered."
            );
            actions.push(tell(Remark::normal(COMPONENT, "ExternalProvisioning", message)));
        }
        (None, Some(name)) => {
            let message = format!("storageclass.storage.k8s.io {} not found", machinery::field::quote(name));
            actions.push(tell(Remark::warning(COMPONENT, "ProvisioningFailed", message)));
        }
        _ => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            actions.push(tell(Remark::normal(COMPONENT, "FailedBinding", message)));
        }
    }
    actions
}

fn annotate(of: Kind, object: &Arc<Value>, patch: Value) -> Action {
    Action::Patch { kind: of, object: object.clone(), subresource: "", how: PatchKind::Merge, patch }
}

fn phase(claim: &Arc<Value>, phase: &str) -> Vec<Action> {
    if claim["status"]["phase"] == phase {
        return Vec::new();
    }
    let patch = json!({"status": {"phase": phase}});
    let (kind, object) = (kind::PERSISTENT_VOLUME_CLAIM, claim.clone());
    vec![Action::Patch { kind, object, subresource: "status", how: PatchKind::Merge, patch }]
}

/// Writes on both that they belong together: the volume first, which nobody else can take then.
fn bind(claim: &Arc<Value>, volume: &Arc<Value>) -> Vec<Action> {
    let mut actions = Vec::new();
    let of_volume = |patch: Value| annotate(kind::PERSISTENT_VOLUME, volume, patch);
    let reference = &volume["spec"]["claimRef"];
    if reference["uid"] != meta::uid(claim) {
        let mut patch = json!({"spec": {"claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta::namespace(claim),
            "name": meta::name(claim), "uid": meta::uid(claim), "resourceVersion": meta::resource_version(claim),
        }}});
        if reference.is_null() {
            patch["metadata"] = json!({
                "annotations": {BOUND_BY_CONTROLLER: "yes"}, "resourceVersion": meta::resource_version(volume),
            });
        }
        actions.push(of_volume(patch));
    }
    let complete = meta::annotation(claim, BIND_COMPLETED).is_some();
    if claim["spec"]["volumeName"] != meta::name(volume) || !complete {
        let mut marks = json!({BIND_COMPLETED: "yes"});
        if claim["spec"]["volumeName"].is_null() {
            marks[BOUND_BY_CONTROLLER] = json!("yes");
        }
        let patch = json!({"metadata": {"annotations": marks}, "spec": {"volumeName": meta::name(volume)}});
        actions.push(annotate(kind::PERSISTENT_VOLUME_CLAIM, claim, patch));
    }
    let status = json!({
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
    if ["phase", "accessModes", "capacity"].iter().any(|member| claim["status"][member] != status[member]) {
        let (kind, object) = (kind::PERSISTENT_VOLUME_CLAIM, claim.clone());
        let patch = json!({ "status": status });
        actions.push(Action::Patch { kind, object, subresource: "status", how: PatchKind::Merge, patch });
    }
    actions
}

/// What to write for a volume: its phase; and its end, once its claim is gone.
pub(super) fn volume(volume: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let reference = &volume["spec"]["claimRef"];
    let claim = claim_key(volume).and_then(|key| cache.get(kind::PERSISTENT_VOLUME_CLAIM, &key));
    let claim = claim.filter(|claim| is_for(volume, claim));
    let phase = match (reference["uid"].as_str().filter(|uid| !uid.is_empty()), claim) {
        (None, _) => "Available",
        (Some(_), None) => "Released",
        (Some(_), Some(claim))
            if claim["spec"]["volumeName"].as_str().is_none_or(|name| name == meta::name(volume)) =>
        {
            "Bound"
        }
        (Some(_), Some(_)) => "Released",
    };
    let mut actions = Vec::new();
    if volume["status"]["phase"] != phase {
        let patch = json!({"status": {"phase": phase}});
        let (kind, object) = (kind::PERSISTENT_VOLUME, volume.clone());
        actions.push(Action::Patch { kind, object, subresource: "status", how: PatchKind::Merge, patch });
    }
    if phase == "Released" {
        actions.extend(provisioner::reclaim(volume));
    }
    actions
}
