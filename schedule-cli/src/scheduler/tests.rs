//! Decisions on paper: which node, which victims, and which words.

use std::{sync::Arc, time::Instant};

use api::release::Release;
use cluster::{Change, Key, kind};
use serde_json::{Value, json};

use super::{
    Decision, Options, Preference,
    decision::{self, Placement},
    trial::{Trial, node, pod},
};

const GPU: &str = "gpu.example.com";

fn asks(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

fn with_priority(mut spec: Value, priority: i64) -> Value {
    spec["priority"] = json!(priority);
    spec
}

#[test]
fn taints_to_be_avoided_are_avoided_while_there_is_another_node() {
    let mut trial = Trial::of(&[("b", "")]);
    let mut disliked = node("a", "");
    disliked["spec"] = json!({"taints": [{"key": "k", "value": "v", "effect": "PreferNoSchedule"}]});
    trial.put(kind::NODE, disliked);
    let any = pod("p", json!({}), json!({}));
    assert_eq!(trial.decide(&any), "b");
    let tolerant = |effect: &str| {
        let toleration = json!({"key": "k", "operator": "Exists", "effect": effect});
        pod("p", json!({}), json!({"tolerations": [toleration]}))
    };
    assert_eq!(trial.decide(&tolerant("PreferNoSchedule")), "a");
    assert_eq!(trial.decide(&tolerant("")), "a");
    assert_eq!(trial.decide(&tolerant("NoSchedule")), "b", "it tolerates something else");
    // It outweighs an emptier node, and yields where there is no other.
    trial.place("full", "b", json!({}), asks("7"));
    assert_eq!(trial.decide(&any), "b");
    let mut full = node("b", "");
    full["spec"] = json!({"unschedulable": true});
    trial.put(kind::NODE, full);
    assert_eq!(trial.decide(&any), "a");
}

/// A cluster with one device, and the decision to give it to a pod, which is taken for granted.
fn assumed(trial: &mut Trial) -> (Value, Placement) {
    trial.put(kind::DEVICE_CLASS, json!({"metadata": {"name": "gpu"}, "spec": {}}));
    let pool = json!({"name": "a", "generation": 1, "resourceSliceCount": 1});
    let spec = json!({"driver": GPU, "nodeName": "a", "pool": pool, "devices": [{"name": "only"}]});
    trial.put(kind::RESOURCE_SLICE, json!({"metadata": {"name": "a"}, "spec": spec}));
    trial.put(kind::RESOURCE_CLAIM, claim_at("1", json!({})));
    let spec = json!({"resourceClaims": [{"name": "x", "resourceClaimName": "c"}]});
    let wanting = pod("p", json!({}), spec);
    let Decision::Place(placement) = decision::decide(&wanting, &mut trial.world, &trial.options) else {
        panic!("another decision")
    };
    trial.world.assume(&wanting, &placement);
    (wanting, placement)
}

fn claim_at(revision: &str, status: Value) -> Value {
    let requests = json!([{"name": "r", "exactly": {"deviceClassName": "gpu"}}]);
    json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"namespace": "default", "name": "c", "uid": "c", "resourceVersion": revision},
        "spec": {"devices": {"requests": requests}}, "status": status,
    })
}

fn taken_devices() -> Value {
    let results = json!([{"request": "r", "driver": GPU, "pool": "a", "device": "only"}]);
    json!({"allocation": {"devices": {"results": results}}})
}

/// The answer to a write may be read after the news of what others wrote since.
#[test]
fn a_claim_is_known_as_it_was_seen_last() {
    let mut trial = Trial::of(&[("a", "")]);
    let (pod, placement) = assumed(&mut trial);
    let written = vec![(kind::RESOURCE_CLAIM, claim_at("2", taken_devices()))];
    let mut told = taken_devices();
    told["devices"] = json!([{"driver": GPU, "pool": "a", "device": "only"}]);
    trial.put(kind::RESOURCE_CLAIM, claim_at("3", told));
    trial.world.settle_claims(&pod, &placement, &written);
    let key = Key::new("default", "c");
    let known = trial.world.objects().get(kind::RESOURCE_CLAIM, &key).expect("a claim");
    assert_eq!(known["metadata"]["resourceVersion"], "3");
    assert!(known["status"]["devices"].is_array());
}

/// A claim that is deleted while its allocation is written does not come back, and holds nothing.
#[test]
fn a_claim_that_is_gone_holds_nothing() {
    let mut trial = Trial::of(&[("a", "")]);
    let (wanting, placement) = assumed(&mut trial);
    let written = vec![(kind::RESOURCE_CLAIM, claim_at("2", taken_devices()))];
    trial.world.apply(&Change::Deleted(kind::RESOURCE_CLAIM, Arc::new(claim_at("3", taken_devices()))));
    trial.world.settle_claims(&wanting, &placement, &written);
    let key = Key::new("default", "c");
    assert!(trial.world.objects().get(kind::RESOURCE_CLAIM, &key).is_none());
    let mut other = claim_at("4", json!({}));
    other["metadata"]["name"] = json!("d");
    trial.put(kind::RESOURCE_CLAIM, other);
    let spec = json!({"resourceClaims": [{"name": "x", "resourceClaimName": "d"}]});
    assert_eq!(trial.decide(&pod("q", json!({}), spec)), "a");
}

#[test]
fn strategies_choose_among_the_nodes_that_fit() {
    let wanted = pod("p", json!({}), asks("3"));
    let large = pod("p", json!({}), asks("5"));
    for (preference, any, only_with_room) in
        [(Preference::First, "a", "a"), (Preference::Fullest, "b", "a"), (Preference::Emptiest, "c", "c")]
    {
        let mut trial = Trial::of(&[("a", ""), ("b", ""), ("c", "")]);
        trial.options.preference = preference;
        trial.place("1", "a", json!({}), asks("1"));
        trial.place("2", "b", json!({}), asks("4"));
        assert_eq!(trial.decide(&wanted), any, "{preference:?}");
        assert_eq!(trial.decide(&large), only_with_room, "{preference:?}");
    }
}

#[test]
fn what_is_kept_for_a_nominated_pod_is_not_there_for_lesser_ones() {
    let mut trial = Trial::of(&[("a", "")]);
    let mut nominated = pod("vip", json!({}), with_priority(asks("6"), 10));
    nominated["status"] = json!({"nominatedNodeName": "a"});
    trial.put(kind::POD, nominated.clone());
    let told = trial.decide(&pod("p", json!({}), with_priority(asks("3"), 5)));
    assert_eq!(told, "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(trial.decide(&pod("p", json!({}), with_priority(asks("2"), 5))), "a");
    assert_eq!(trial.decide(&pod("p", json!({}), with_priority(asks("3"), 11))), "a", "it goes before");
    assert_eq!(trial.decide(&nominated), "a");
    trial.world.apply(&Change::Deleted(kind::POD, Arc::new(nominated)));
    assert_eq!(trial.decide(&pod("p", json!({}), with_priority(asks("3"), 5))), "a");
}

#[test]
fn the_least_and_the_fewest_leave() {
    let placed = |trial: &mut Trial, name: &str, node: &str, cpu: &str, priority: i64| {
        trial.place(name, node, json!({"app": name}), with_priority(asks(cpu), priority));
    };
    let important = pod("p", json!({}), with_priority(asks("6"), 100));
    let mut trial = Trial::of(&[("a", ""), ("b", ""), ("c", "")]);
    placed(&mut trial, "a1", "a", "4", 50);
    placed(&mut trial, "a2", "a", "4", 1);
    placed(&mut trial, "b1", "b", "8", 10);
    placed(&mut trial, "c1", "c", "4", 10);
    placed(&mut trial, "c2", "c", "4", 10);
    // On a both must leave, of which one is of 50; b and c lose pods of 10, and b only one of them.
    assert_eq!(trial.decide(&important), "preempts b1 on b");
    let budget = json!({
        "metadata": {"namespace": "default", "name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "b1"}}}, "status": {"disruptionsAllowed": 0},
    });
    trial.put(kind::POD_DISRUPTION_BUDGET, budget.clone());
    assert_eq!(trial.decide(&important), "preempts c1 c2 on c", "the budget of b1 allows nothing");
    let mut allowed = budget;
    allowed["status"]["disruptionsAllowed"] = json!(1);
    trial.put(kind::POD_DISRUPTION_BUDGET, allowed);
    assert_eq!(trial.decide(&important), "preempts b1 on b");
    let mut meek = important.clone();
    meek["spec"]["preemptionPolicy"] = json!("Never");
    assert_eq!(trial.decide(&meek), "0/3 nodes are available: 3 Insufficient cpu.");
    let equal = pod("p", json!({}), with_priority(asks("6"), 1));
    assert_eq!(trial.decide(&equal), "0/3 nodes are available: 3 Insufficient cpu.");
}

#[test]
fn who_waits_for_victims_makes_no_others_leave() {
    let mut trial = Trial::of(&[("a", ""), ("b", "")]);
    let mut leaving = pod("old", json!({}), with_priority(asks("8"), 1));
    leaving["spec"]["nodeName"] = json!("a");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let preempted = json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
    leaving["status"] = json!({ "conditions": preempted });
    trial.put(kind::POD, leaving.clone());
    trial.place("other", "b", json!({}), with_priority(asks("8"), 1));
    let mut waiting = pod("p", json!({}), with_priority(asks("8"), 10));
    waiting["status"] = json!({"nominatedNodeName": "a"});
    assert_eq!(trial.decide(&waiting), "0/2 nodes are available: 2 Insufficient cpu.");
    // One that goes for reasons of its own is not waited for.
    leaving["status"] = json!({});
    trial.put(kind::POD, leaving);
    assert!(trial.decide(&waiting).starts_with("preempts"), "{}", trial.decide(&waiting));
}

fn with_gpus(trial: &mut Trial, node: &str, count: usize) {
    let devices: Vec<Value> = (0..count).map(|number| json!({"name": format!("gpu-{number}")})).collect();
    let slice = json!({
        "metadata": {"name": node, "uid": node},
        "spec": {
            "driver": GPU, "nodeName": node, "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
        },
    });
    trial.put(kind::RESOURCE_SLICE, slice);
    let selector = json!({"cel": {"expression": format!("device.driver == '{GPU}'")}});
    let class = json!({
        "metadata": {"name": "gpu", "uid": "gpu"}, "spec": {"selectors": [selector], "extendedResourceName": "example.com/gpu"},
    });
    trial.put(kind::DEVICE_CLASS, class);
}

fn claim(name: &str, devices: &[&str], reserved: usize) -> Value {
    let mut claim = json!({
        "metadata": {"namespace": "default", "name": name, "uid": name},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {
            "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1,
        }}]}},
    });
    if !devices.is_empty() {
        let result = |device: &&str| json!({"request": "r", "driver": GPU, "pool": "a", "device": device});
        let consumer =
            |number: usize| json!({"resource": "pods", "name": format!("p{number}"), "uid": format!("u{number}")});
        claim["status"] = json!({
            "allocation": {"devices": {"results": devices.iter().map(result).collect::<Vec<_>>()}},
            "reservedFor": (0..reserved).map(consumer).collect::<Vec<_>>(),
        });
    }
    claim
}

fn uses(name: &str, claims: &[&str]) -> Value {
    let entry = |claim: &&str| json!({"name": claim, "resourceClaimName": claim});
    pod(name, json!({}), json!({"resourceClaims": claims.iter().map(entry).collect::<Vec<_>>()}))
}

#[test]
fn a_claim_serves_256_pods_and_no_more() {
    let mut trial = Trial::of(&[("a", "")]);
    with_gpus(&mut trial, "a", 1);
    trial.put(kind::RESOURCE_CLAIM, claim("shared", &["gpu-0"], 255));
    assert_eq!(trial.decide(&uses("p", &["shared"])), "a");
    trial.put(kind::RESOURCE_CLAIM, claim("shared", &["gpu-0"], 256));
    assert_eq!(trial.decide(&uses("p", &["shared"])), "0/1 nodes are available: resourceclaim in use.");
    let mut among_them = uses("p7", &["shared"]);
    among_them["metadata"]["uid"] = json!("u7");
    assert_eq!(trial.decide(&among_them), "a", "it is one of them");
}

#[test]
fn features_decide_what_is_allocated() {
    let mut trial = Trial::of(&[("a", "")]);
    with_gpus(&mut trial, "a", 1);
    let wanted = pod(
        "p",
        json!({}),
        json!({"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}]}),
    );
    let at = |trial: &mut Trial, release: u32, gates: &[(&str, bool)]| {
        trial.options = Options::default().of_release(Release::of_minor(release));
        let gates: Vec<(String, bool)> = gates.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect();
        trial.options.switch(&gates);
        trial.decide(&wanted)
    };
    let refused = "0/1 nodes are available: 1 Insufficient example.com/gpu.";
    assert_eq!(at(&mut trial, 36, &[]), "a");
    assert_eq!(at(&mut trial, 35, &[]), refused, "alpha");
    assert_eq!(at(&mut trial, 35, &[("DRAExtendedResource", true)]), "a");
    assert_eq!(at(&mut trial, 36, &[("DRAExtendedResource", false)]), refused);
    let mut options = Options::default();
    assert!(options.features.binding_conditions);
    options.switch(&[("DRAResourceClaimDeviceStatus".to_owned(), false)]);
    assert!(!options.features.binding_conditions, "nobody could say that devices are ready");
    assert!(!Options::default().of_release(Release::of_minor(33)).features.device_taints);
}

/// A DevicePool of k8srm-prototype serves claims of dra-evolution too.
#[test]
fn a_device_that_two_generations_see_is_given_once() {
    let mut trial = Trial::of(&[("node-00", "")]);
    let pool = |devices: &[&str]| {
        let device = |name: &&str| json!({"name": name, "attributes": []});
        json!({
            "metadata": {"name": "node-00-foozer", "uid": "pool"},
            "spec": {
                "nodeName": "node-00", "driver": "example.com-foozer",
                "devices": devices.iter().map(device).collect::<Vec<_>>(),
            },
        })
    };
    let class =
        json!({"metadata": {"name": "gpu", "uid": "k"}, "spec": {"definition": {"driver": "example.com-foozer"}}});
    trial.put(kind::K8SRM_DEVICE_CLASS, class);
    let class = json!({"metadata": {"name": "any", "uid": "e"}, "requirements": [{"deviceSelector": "true"}]});
    trial.put(kind::EVOLUTION_DEVICE_CLASS, class);
    let ask = json!({"requests": [{"name": "r", "deviceClassName": "any"}]});
    trial.put(
        kind::EVOLUTION_RESOURCE_CLAIM,
        json!({"metadata": {"namespace": "default", "name": "one", "uid": "one"}, "spec": ask}),
    );
    let ask = json!({"devices": [{"name": "d", "allOf": [{"class": "gpu"}]}]});
    trial.put(
        kind::K8SRM_DEVICE_CLAIM,
        json!({"metadata": {"namespace": "default", "name": "two", "uid": "two"}, "spec": ask}),
    );
    let mut both = uses("p", &["one"]);
    both["spec"]["deviceClaims"] = json!({"claimName": "two"});
    trial.put(kind::K8SRM_DEVICE_POOL, pool(&["dev-00"]));
    assert_eq!(trial.decide(&uses("p", &["one"])), "node-00");
    assert_eq!(trial.decide(&both), "0/1 nodes are available: 1 cannot allocate all claims.");
    trial.put(kind::K8SRM_DEVICE_POOL, pool(&["dev-00", "dev-01"]));
    assert_eq!(trial.decide(&both), "node-00");
}

/// Counts how many of many waiting pods an event wakes.
#[test]
fn an_event_wakes_those_whom_it_helps_and_nobody_else() {
    use super::{
        queue::{Hope, Queue},
        refusal::Plugin,
    };
    let mut trial = Trial::of(&[("a", ""), ("b", "")]);
    let (mut queue, now) = (Queue::default(), Instant::now());
    for number in 0..300 {
        let (plugin, spec) = match number % 3 {
            0 => {
                (Plugin::Devices, json!({"resourceClaims": [{"name": "g", "resourceClaimName": format!("c{number}")}]}))
            }
            1 => (Plugin::Resources, asks(if number < 150 { "20" } else { "8" })),
            _ => (Plugin::Node, json!({"nodeSelector": {"kubernetes.io/hostname": "nowhere"}})),
        };
        let waiting = Arc::new(pod(&format!("p{number}"), json!({}), spec));
        queue.park(&waiting, Hope::of(&[plugin].into(), false), now);
    }
    let mut woken = |change: Change| {
        let before = trial.world.apply(&change).expect("it is new");
        queue.wake(&change, &before, &trial.world, now);
        std::iter::from_fn(|| queue.pop()).map(|key| key.name).collect::<Vec<_>>()
    };
    let applied = |kind, document: Value| Change::Applied(kind, Arc::new(document));
    let mut heartbeat = node("a", "");
    heartbeat["status"]["conditions"] = json!([{"type": "Ready", "lastHeartbeatTime": "later"}]);
    assert_eq!(woken(applied(kind::NODE, heartbeat)), [""; 0]);
    let mut bound = pod("other", json!({}), json!({"nodeName": "a"}));
    assert_eq!(woken(applied(kind::POD, bound.clone())), [""; 0]);
    bound["status"] = json!({"phase": "Running"});
    assert_eq!(woken(applied(kind::POD, bound.clone())), [""; 0]);
    // Its own claim wakes one pod; a claim of somebody else that keeps its devices none.
    let ga = |mut document: Value| {
        document["apiVersion"] = json!("resource.k8s.io/v1");
        document["kind"] = json!("ResourceClaim");
        document
    };
    assert_eq!(woken(applied(kind::RESOURCE_CLAIM, ga(claim("c3", &[], 0)))), ["p3"]);
    let foreign = ga(claim("foreign", &["gpu-0"], 1));
    assert_eq!(woken(applied(kind::RESOURCE_CLAIM, foreign.clone())), [""; 0]);
    let freed = woken(Change::Deleted(kind::RESOURCE_CLAIM, Arc::new(foreign)));
    assert_eq!(freed.len(), 99, "all that wait for devices, without the one that is awake");
    let ended = woken(Change::Deleted(kind::POD, Arc::new(bound)));
    assert_eq!(ended.len(), 50, "all that wait for room and could have it on that node");
    let waits_for_room = |name: &String| name[1..].parse::<u32>().is_ok_and(|number| number % 3 == 1 && number >= 150);
    assert!(ended.iter().all(waits_for_room), "{ended:?}");
    let mut labelled = node("b", "");
    labelled["metadata"]["labels"]["kubernetes.io/hostname"] = json!("nowhere");
    assert_eq!(woken(applied(kind::NODE, labelled)).len(), 100, "all that wait for such a node");
    assert_eq!(Key::new("default", "p0").to_string(), "default/p0");
}
