//! What virt-controller decides, step by step.

use std::sync::Arc;

use super::*;

fn moment() -> Moment<'static> {
    Moment { now: jiff::Timestamp::UNIX_EPOCH, failure: None }
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

#[test]
fn the_launcher_uses_the_requests_that_devices_name() {
    let pod = launcher::pod(&instance("Pending"), &Configuration::of(None));
    assert_eq!(pod["metadata"]["generateName"], "virt-launcher-vm-");
    assert_eq!(pod["spec"]["resourceClaims"].as_array().map(Vec::len), Some(2));
    let compute = &pod["spec"]["containers"][0];
    assert_eq!(compute["resources"]["claims"], json!([{"name": "gpu", "request": "one"}]));
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    let mut proposed = instance("Pending");
    proposed["spec"]["domain"] = json!({});
    let claims =
        launcher::pod(&proposed, &Configuration::of(None))["spec"]["containers"][0]["resources"]["claims"].clone();
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

#[test]
fn releases_differ_in_their_launchers() {
    let mut instance = instance("Pending");
    instance["spec"]["volumes"] = json!([{"name": "disk", "containerDisk": {"image": "cirros:1"}}]);
    instance["spec"]["domain"]["memory"] = json!({"guest": "128Mi"});
    let of = |tag: &str| {
        let developer = json!({"developerConfiguration": {"featureGates": ["GPUsWithDRA"]}});
        let kubevirt = json!({"spec": {"imageTag": tag, "configuration": developer}});
        launcher::pod(&instance, &Configuration::of(Some(&kubevirt)))
    };
    let (old, new) = (of("v1.7.0"), of("v1.9.0"));
    let names = |pod: &Value, list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
        containers.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(names(&old, "containers"), ["compute", "volumedisk"]);
    assert_eq!(names(&new, "containers"), ["compute"]);
    assert_eq!(names(&new, "initContainers"), ["volumedisk", "guest-console-log"]);
    assert_eq!(new["spec"]["volumes"][0]["image"]["reference"], "cirros:1");
    assert_eq!(new["spec"]["containers"][0]["resources"]["limits"]["devices.kubevirt.io/kvm"], "1");
    let memory = new["spec"]["containers"][0]["resources"]["requests"]["memory"].as_str().unwrap_or_default();
    assert_eq!(memory, "1454336Ki");
}

/// A claim that has no pod for an owner, and slices that are seen after what was allocated from them.
#[test]
fn who_uses_a_claim_hears_of_it_and_of_its_devices() {
    let mut launcher = launcher::pod(&instance("Running"), &Configuration::of(None));
    launcher["metadata"]["name"] = json!("virt-launcher-vm-x");
    let claim = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"namespace": "n", "name": "s"}});
    let cache = Cache::of([(INSTANCE, instance("Running")), (kind::POD, launcher)]);
    let woken = |kind: Kind, object: Value| {
        let mut due = Vec::new();
        let changed = Changed { kind, before: None, after: Some(Arc::new(object)) };
        KubeVirt.touched(&changed, &cache, &mut due);
        due
    };
    let vm = [(INSTANCE, Key::new("n", "vm"))];
    assert_eq!(woken(generation::GA.claim, claim), vm);
    assert_eq!(woken(kind::RESOURCE_SLICE, json!({"metadata": {"name": "slice"}})), vm);
}
