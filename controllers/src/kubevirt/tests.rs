//! What virt-controller decides, step by step.

use std::sync::Arc;

use super::*;

fn moment() -> Moment<'static> {
    Moment { now: jiff::Timestamp::UNIX_EPOCH, failure: None }
}

fn machine(spec: Value) -> Value {
    let mut spec = spec;
    spec["template"] = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"domain": {}}});
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"namespace": "n", "name": "vm", "uid": "m", "finalizers": [MACHINE_FINALIZER]},
        "spec": spec,
    })
}

fn instance(phase: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {
            "namespace": "n", "name": "vm", "uid": "i",
            "ownerReferences": [{"uid": "m", "name": "vm", "controller": true}],
        },
        "spec": {"domain": {"devices": {"gpus": [{"name": "gpu0", "claimName": "gpu", "requestName": "one"}]}},
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}, {"name": "spare", "resourceClaimName": "s"}]},
        "status": {"phase": phase},
    })
}

/// The kinds of actions, and the words that users see.
fn decided(spec: Value, instance: Option<Value>) -> (Vec<&'static str>, String) {
    let objects = [(MACHINE, machine(spec))].into_iter().chain(instance.map(|one| (INSTANCE, one)));
    let cache = Cache::of(objects);
    let machine = cache.get(MACHINE, &Key::new("n", "vm")).expect("the machine").clone();
    let mut shown = String::new();
    let actions = machine::reconcile(&machine, &cache, moment());
    let names = actions.iter().map(|action| match action {
        Write::Create { .. } => "create",
        Write::Delete { .. } => "delete",
        Write::Replace { object, subresource: "status", .. } => {
            shown = object["status"]["printableStatus"].as_str().unwrap_or_default().to_owned();
            "status"
        }
        _ => "other",
    });
    (names.collect(), shown)
}

#[test]
fn strategies_start_and_stop_machines() {
    let cases = [
        (json!({"running": false}), None, vec!["status"], "Stopped"),
        (json!({"running": true}), None, vec!["create", "status"], "Starting"),
        (json!({"runStrategy": "Halted"}), Some("Running"), vec!["delete", "status"], "Stopping"),
        (json!({"runStrategy": "Always"}), Some("Running"), vec!["status"], "Running"),
        (json!({"runStrategy": "Always"}), Some("Failed"), vec!["delete", "status"], "Stopping"),
        (json!({"runStrategy": "RerunOnFailure"}), Some("Succeeded"), vec!["status"], "Stopped"),
        (json!({"runStrategy": "Manual"}), None, vec!["status"], "Stopped"),
        (json!({"runStrategy": "Once"}), Some("Succeeded"), vec!["status"], "Stopped"),
    ];
    for (spec, phase, actions, shown) in cases {
        assert_eq!(decided(spec.clone(), phase.map(instance)), (actions, shown.to_owned()), "{spec} {phase:?}");
    }
}

#[test]
fn the_launcher_uses_the_requests_that_devices_name() {
    let pod = launcher::pod(&instance("Pending"));
    assert_eq!(pod["metadata"]["generateName"], "virt-launcher-vm-");
    assert_eq!(pod["spec"]["resourceClaims"].as_array().map(Vec::len), Some(2));
    let compute = &pod["spec"]["containers"][0];
    assert_eq!(compute["resources"]["claims"], json!([{"name": "gpu", "request": "one"}]));
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    let mut proposed = instance("Pending");
    proposed["spec"]["domain"] = json!({});
    let claims = launcher::pod(&proposed)["spec"]["containers"][0]["resources"]["claims"].clone();
    assert_eq!(claims, json!([{"name": "gpu"}, {"name": "spare"}]));
}

#[test]
fn an_instance_follows_its_pod() {
    let next = |phase: &str, pod: Value| {
        let mut objects = vec![(INSTANCE, instance(phase))];
        if !pod.is_null() {
            let mut pod = pod;
            pod["metadata"] = json!({
                "namespace": "n", "name": "p", "uid": "p", "ownerReferences": [{"uid": "i", "name": "vm", "controller": true}],
            });
            objects.push((kind::POD, pod));
        }
        let cache = Cache::of(objects);
        let instance: Arc<Value> = cache.get(INSTANCE, &Key::new("n", "vm")).expect("the instance").clone();
        let actions = instance::reconcile(&instance, &cache, moment());
        actions.iter().find_map(|action| match action {
            Write::Replace { object, .. } => object["status"]["phase"].as_str().map(str::to_owned),
            Write::Create { .. } => Some("a pod".to_owned()),
            _ => None,
        })
    };
    let running = json!({
        "spec": {"nodeName": "x"},
        "status": {"phase": "Running", "containerStatuses": [{"name": "compute", "ready": true}]},
    });
    assert_eq!(next("Pending", Value::Null).as_deref(), Some("a pod"));
    assert_eq!(next("Pending", json!({"status": {"phase": "Pending"}})).as_deref(), Some("Scheduling"));
    assert_eq!(next("Scheduling", running).as_deref(), Some("Scheduled"));
    assert_eq!(next("Running", json!({"status": {"phase": "Failed"}})).as_deref(), Some("Failed"));
    assert_eq!(next("Running", Value::Null).as_deref(), Some("Failed"));
}
