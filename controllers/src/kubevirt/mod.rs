//! KubeVirt: virtual machines that run in pods, with devices from claims (VEP-10).
//!
//! What virt-controller, virt-handler and virt-api do is done here; virt-launcher is a process of the pod, which node
//! agents emulate. `install.yaml` is what the operator installs.

mod instance;
mod launcher;
mod machine;
mod sync;
#[cfg(test)]
mod tests;

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

pub(crate) use sync::{Action, perform};

use crate::{
    action::Action as Write,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
};
use std::sync::Arc;

const GROUP: &str = "kubevirt.io";
/// `VirtualMachine`.
const MACHINE: Kind = namespaced("VirtualMachine", "virtualmachines");
/// `VirtualMachineInstance`.
const INSTANCE: Kind = namespaced("VirtualMachineInstance", "virtualmachineinstances");
/// `KubeVirt`.
pub(crate) const KUBEVIRT: Kind = namespaced("KubeVirt", "kubevirts");

const fn namespaced(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: GROUP, version: "v1", kind, plural, namespaced: true }
}

/// The manifests of the operator.
pub(crate) const INSTALL: &str = include_str!("install.yaml");

/// Keeps a VirtualMachine until its instance is gone.
const MACHINE_FINALIZER: &str = "kubevirt.io/virtualMachineControllerFinalize";
/// Keeps a VirtualMachineInstance until its pod is gone.
const INSTANCE_FINALIZER: &str = "kubevirt.io/foregroundDeleteVirtualMachine";
/// On virt-launcher pods.
const LAUNCHER_LABEL: (&str, &str) = ("kubevirt.io", "virt-launcher");

/// virt-controller and virt-handler.
pub(crate) struct KubeVirt;

impl Controller for KubeVirt {
    fn kinds(&self) -> Vec<Kind> {
        vec![MACHINE, INSTANCE, KUBEVIRT, kind::POD, kind::NODE]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        let key = Key::of(object);
        match changed.kind {
            INSTANCE => due.extend([(INSTANCE, key.clone()), (MACHINE, key)]),
            kind::POD => {
                if meta::label(object, LAUNCHER_LABEL.0) == Some(LAUNCHER_LABEL.1)
                    && let Some(owner) = meta::controller(object)
                {
                    let name = owner["name"].as_str().unwrap_or_default();
                    due.push((INSTANCE, Key::new(meta::namespace(object), name)));
                }
            }
            other => due.push((other, key)),
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(object) = cache.get(of, key) else { return Plan::default() };
        let actions = match of {
            MACHINE => machine::reconcile(object, cache, moment),
            INSTANCE => instance::reconcile(object, cache, moment),
            KUBEVIRT => deployed(object),
            kind::NODE => node(object),
            _ => Vec::new(),
        };
        actions.into()
    }

    fn manager(&self) -> &'static str {
        "virt-controller"
    }
}

/// An instance of KubeVirt is deployed as soon as it is there.
fn deployed(kubevirt: &Arc<Value>) -> Vec<Write> {
    if kubevirt["status"]["phase"] == "Deployed" {
        return Vec::new();
    }
    let mut object = Value::clone(kubevirt);
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "AllComponentsReady"});
    object["status"] = json!({
        "phase": "Deployed",
        "observedKubeVirtVersion": VERSION,
        "targetKubeVirtVersion": VERSION,
        "operatorVersion": VERSION,
        "conditions": [condition("Available", "True"), condition("Progressing", "False"), condition("Degraded", "False")],
    });
    vec![Write::status(KUBEVIRT, object)]
}

/// The release that is emulated.
const VERSION: &str = "v1.9.0";

/// virt-handler marks nodes that can run virtual machines.
fn node(node: &Arc<Value>) -> Vec<Write> {
    if meta::label(node, "kubevirt.io/schedulable").is_some() {
        return Vec::new();
    }
    let labels = json!({"kubevirt.io/schedulable": "true"});
    vec![Write::Patch {
        kind: kind::NODE,
        object: node.clone(),
        subresource: "",
        how: cluster::write::PatchKind::Merge,
        patch: json!({"metadata": {"labels": labels}}),
    }]
}

/// Sets a condition; the time of its last transition stays while its status does.
fn set_condition(status: &mut Value, mut condition: Value, now: &str) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let kind = condition["type"].clone();
    let before = conditions.iter().find(|one| one["type"] == kind);
    condition["lastTransitionTime"] = match before {
        Some(before) if before["status"] == condition["status"] => before["lastTransitionTime"].clone(),
        _ => json!(now),
    };
    condition["lastProbeTime"] = Value::Null;
    let mut kept: Vec<Value> = conditions.iter().filter(|one| one["type"] != kind).cloned().collect();
    kept.push(condition);
    status["conditions"] = json!(kept);
}

/// The condition of a type.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

fn remove_condition(status: &mut Value, kind: &str) {
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|one| one["type"] != kind);
    }
}

/// The object without one of its finalizers.
fn without_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut object = object.clone();
    let kept: Vec<Value> = meta::finalizers(&object).filter(|one| *one != finalizer).map(Value::from).collect();
    meta::set(&mut object, "finalizers", kept);
    object
}

/// The object with one more finalizer.
fn with_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut object = object.clone();
    let all: Vec<Value> = meta::finalizers(&object).chain([finalizer]).map(Value::from).collect();
    meta::set(&mut object, "finalizers", all);
    object
}
