//! KubeVirt: virtual machines that run in pods, with devices from claims (VEP-10).
//!
//! What virt-controller, virt-handler and virt-api do is done here; virt-launcher is a process of the pod, which node
//! agents emulate. `install.yaml` is what the operator installs.

mod configuration;
mod device_status;
mod instance;
mod launcher;
mod machine;
mod machine_status;
mod revision;
mod sync;
#[cfg(test)]
mod tests;
mod virt_api;

use cluster::{Key, Kind, generation, kind};
use machinery::meta;
use serde_json::{Value, json};

pub use configuration::Release;
pub(crate) use configuration::{Configuration, RELEASE};
pub(crate) use sync::{Action, perform};
pub(crate) use virt_api::start as start_api;

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
pub(crate) const INSTALL: [&str; 1] = [include_str!("install.yaml")];

/// The instance of KubeVirt that is installed.
pub(crate) fn instance_of(release: Release) -> Value {
    json!({
        "apiVersion": KUBEVIRT.api_version(), "kind": KUBEVIRT.kind,
        "metadata": {"namespace": "kubevirt", "name": "kubevirt"},
        "spec": {"imageTag": release.to_string()},
    })
}

/// Keeps a VirtualMachine until its instance is gone.
const MACHINE_FINALIZER: &str = "kubevirt.io/virtualMachineControllerFinalize";
/// Keeps a VirtualMachineInstance until its pod is gone.
const INSTANCE_FINALIZER: &str = "kubevirt.io/foregroundDeleteVirtualMachine";
/// What it was called before.
const INSTANCE_FINALIZER_BEFORE_1_8: &str = "foregroundDeleteVirtualMachine";
/// On virt-launcher pods.
const LAUNCHER_LABEL: (&str, &str) = ("kubevirt.io", "virt-launcher");

/// virt-controller and virt-handler.
pub(crate) struct KubeVirt;

impl Controller for KubeVirt {
    fn kinds(&self) -> Vec<Kind> {
        let devices = [generation::GA.claim, kind::RESOURCE_SLICE];
        [MACHINE, INSTANCE, KUBEVIRT, kind::POD, kind::NODE, kind::CONTROLLER_REVISION]
            .into_iter()
            .chain(devices)
            .collect()
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(object) = changed.latest() else { return };
        let key = Key::of(object);
        match changed.kind {
            INSTANCE => due.extend([(INSTANCE, key.clone()), (MACHINE, key)]),
            kind::CONTROLLER_REVISION => {}
            // Slices may be seen after what is allocated from them.
            kind::RESOURCE_SLICE => due.extend(cache.all(INSTANCE).map(|instance| (INSTANCE, Key::of(instance)))),
            kind if kind == generation::GA.claim => {
                // An allocation tells releases up to 1.7 where devices are.
                let pods = cache.users(&key).filter_map(|user| cache.get(kind::POD, user));
                let instances =
                    pods.filter(|pod| is_launcher(pod)).filter_map(|pod| meta::controller(pod)?["name"].as_str());
                due.extend(instances.map(|name| (INSTANCE, Key::new(meta::namespace(object), name))));
            }
            kind::POD => {
                if is_launcher(object)
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
            MACHINE => return machine::reconcile(object, cache, moment),
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

fn is_launcher(pod: &Value) -> bool {
    meta::label(pod, LAUNCHER_LABEL.0) == Some(LAUNCHER_LABEL.1)
}

/// How KubeVirt is to work.
fn configuration(cache: &Cache) -> Configuration {
    Configuration::of(cache.all(KUBEVIRT).next().map(|kubevirt| &**kubevirt))
}

/// `runStrategy`, or what `running` stands for.
fn strategy(machine: &Value) -> &str {
    match (machine["spec"]["runStrategy"].as_str(), machine["spec"]["running"].as_bool()) {
        (Some(strategy), _) => strategy,
        (None, Some(true)) => "Always",
        (None, _) => "Halted",
    }
}

/// Whether an instance has ended for good.
fn is_final(instance: &Value) -> bool {
    matches!(instance["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// An instance of KubeVirt is deployed as soon as it is there.
fn deployed(kubevirt: &Arc<Value>) -> Vec<Write> {
    let release = Configuration::of(Some(kubevirt)).release.to_string();
    let generation = meta::generation(kubevirt);
    let known = &kubevirt["status"];
    if known["phase"] == "Deployed"
        && known["observedKubeVirtVersion"] == release
        && known["observedGeneration"] == generation
    {
        return Vec::new();
    }
    let mut object = Value::clone(kubevirt);
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "AllComponentsReady", "message": "All components are ready."});
    object["status"] = json!({
        "phase": "Deployed",
        "observedGeneration": generation,
        "observedKubeVirtVersion": release,
        "targetKubeVirtVersion": release,
        "operatorVersion": release,
        "defaultArchitecture": "amd64",
        "conditions": [condition("Available", "True"), condition("Progressing", "False"), condition("Degraded", "False")],
    });
    vec![Write::status(KUBEVIRT, object)]
}

/// How many machines the device plugins of virt-handler allow on a node.
const NODE_DEVICES: &str = "1k";

/// virt-handler marks nodes that can run virtual machines, and has devices for them.
fn node(node: &Arc<Value>) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut patch = |subresource: &'static str, patch: Value| {
        let how = cluster::write::PatchKind::Merge;
        writes.push(Write::Patch { kind: kind::NODE, object: node.clone(), subresource, how, patch });
    };
    if meta::label(node, "kubevirt.io/schedulable").is_none() {
        patch("", json!({"metadata": {"labels": {"kubevirt.io/schedulable": "true"}}}));
    }
    if launcher::NODE_RESOURCES.iter().any(|name| node["status"]["allocatable"][*name].is_null()) {
        let devices: Value =
            launcher::NODE_RESOURCES.iter().map(|name| ((*name).to_owned(), json!(NODE_DEVICES))).collect();
        patch("status", json!({"status": {"capacity": devices, "allocatable": devices}}));
    }
    writes
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
