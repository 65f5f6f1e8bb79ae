//! What an instance was made from: a ControllerRevision with the machine's spec of that time.

use std::sync::Arc;

use cluster::{Key, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::MACHINE;
use crate::{action::Action, cache::Cache};

/// Members of an instance's spec that take effect without a restart.
const LIVE: [&str; 3] = ["nodeSelector", "affinity", "tolerations"];

/// The name of the revision of a machine as it is now.
pub(super) fn name(machine: &Value) -> String {
    format!("revision-start-vm-{}-{}", meta::uid(machine), meta::generation(machine))
}

/// Keeps the machine's spec, and drops what was kept of it before.
pub(super) fn keep(machine: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let name = name(machine);
    let mut actions = Vec::new();
    let mut known = false;
    for revision in cache.owned(kind::CONTROLLER_REVISION, meta::uid(machine)) {
        if meta::name(revision) == name {
            known = true;
        } else {
            let (kind, object) = (kind::CONTROLLER_REVISION, revision.clone());
            actions.push(Action::Delete { kind, object, grace: None, tell: None });
        }
    }
    if !known {
        let owner = json!({
            "apiVersion": MACHINE.api_version(), "kind": MACHINE.kind, "name": meta::name(machine),
            "uid": meta::uid(machine), "controller": true, "blockOwnerDeletion": true,
        });
        let object = json!({
            "apiVersion": kind::CONTROLLER_REVISION.api_version(), "kind": kind::CONTROLLER_REVISION.kind,
            "metadata": {"namespace": meta::namespace(machine), "name": name, "ownerReferences": [owner]},
            "revision": meta::generation(machine), "data": {"spec": machine["spec"]},
        });
        actions.push(Action::Create { kind: kind::CONTROLLER_REVISION, object, tell: None });
    }
    actions
}

/// Whether the machine's template has changed, since the instance was made, where only a restart brings that about.
pub(super) fn differs(machine: &Value, instance: &Value, cache: &Cache) -> bool {
    let Some(name) = instance["status"]["virtualMachineRevisionName"].as_str() else { return false };
    let key = Key::new(meta::namespace(machine), name);
    let Some(revision) = cache.get(kind::CONTROLLER_REVISION, &key) else { return false };
    fixed(&revision["data"]["spec"]) != fixed(&machine["spec"])
}

/// The part of a machine's spec that does not change while it runs.
fn fixed(spec: &Value) -> Value {
    let mut of_instance = spec["template"]["spec"].clone();
    if let Some(members) = of_instance.as_object_mut() {
        LIVE.iter().for_each(|member| drop(members.remove(*member)));
    }
    for (part, member) in [("cpu", "sockets"), ("memory", "guest")] {
        if let Some(members) = of_instance.pointer_mut(&format!("/domain/{part}")).and_then(Value::as_object_mut) {
            members.remove(member);
        }
    }
    of_instance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_changes_want_a_restart() {
        let of = |spec: Value| fixed(&json!({"template": {"spec": spec}}));
        let before = json!({"domain": {"cpu": {"sockets": 1, "model": "m"}, "memory": {"guest": "1Gi"}}});
        let plugged =
            json!({"domain": {"cpu": {"sockets": 2, "model": "m"}, "memory": {"guest": "2Gi"}}, "nodeSelector": {}});
        assert_eq!(of(before.clone()), of(plugged));
        let other = json!({"domain": {"cpu": {"sockets": 1, "model": "n"}, "memory": {"guest": "1Gi"}}});
        assert_ne!(of(before), of(other));
    }
}
