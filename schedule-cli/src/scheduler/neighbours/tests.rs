//! Where pods go because of other pods.

use cluster::kind;
use serde_json::{Value, json};

use crate::scheduler::trial::{Trial, pod};

const NODES: [(&str, &str); 4] = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")];
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";
const SKEWED: &str = "node(s) didn't match pod topology spread constraints";

fn web() -> Value {
    json!({"app": "web"})
}

fn term(key: &str, app: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
}

fn spread(key: &str, skew: i64, more: Value) -> Value {
    let mut constraint = json!({
        "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        constraint[member] = value.clone();
    }
    constraint
}

fn spreads(constraints: Value) -> Value {
    pod("p", web(), json!({"topologySpreadConstraints": constraints}))
}

#[test]
fn hard_spread_keeps_the_skew() {
    let mut trial = Trial::of(&NODES);
    trial.place("1", "a1", web(), json!({}));
    trial.place("2", "b1", web(), json!({}));
    let by_zone = |more: Value| spreads(json!([spread(ZONE, 1, more)]));
    assert_eq!(trial.decide(&by_zone(Value::Null)), "c1");
    trial.place("3", "c1", web(), json!({}));
    trial.place("4", "a2", web(), json!({}));
    assert_eq!(trial.decide(&by_zone(Value::Null)), "b1", "of the zones with one pod, the first by name");
    // Both constraints must be kept: a2 is full by host, and every other zone by zone.
    let mut full = Trial::of(&[("a1", "a"), ("b1", "b")]);
    full.place("1", "a1", web(), json!({}));
    let only_a = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "nodeAffinityPolicy": "Ignore"});
    let mut wanted = spreads(json!([spread(ZONE, 1, only_a.clone())]));
    wanted["spec"]["nodeSelector"] = json!({ZONE: "a"});
    let sentence = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match \
                    pod topology spread constraints.";
    assert_eq!(full.decide(&wanted), sentence, "zone b counts though the pod may not go there");
    wanted["spec"]["topologySpreadConstraints"][0]["nodeAffinityPolicy"] = json!("Honor");
    assert_eq!(full.decide(&wanted), "a1", "zone b does not count");
}

#[test]
fn spread_counts_what_its_policies_say() {
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b"), ("nowhere", "")]);
    trial.place("1", "a1", web(), json!({}));
    // Another namespace, one that goes, and other labels do not count.
    trial.place("2", "b1", json!({"app": "db"}), json!({}));
    let mut going = pod("3", web(), json!({"nodeName": "b1"}));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    trial.put(kind::POD, going);
    let mut elsewhere = pod("4", web(), json!({"nodeName": "b1"}));
    elsewhere["metadata"]["namespace"] = json!("other");
    trial.put(kind::POD, elsewhere);
    assert_eq!(trial.decide(&spreads(json!([spread(ZONE, 1, Value::Null)]))), "b1");
    // A tainted node's domain counts unless its taints are honoured.
    let mut tainted = crate::scheduler::trial::node("b1", "b");
    tainted["spec"] = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
    trial.put(kind::NODE, tainted);
    let told = trial.decide(&spreads(json!([spread(ZONE, 1, Value::Null)])));
    assert!(
        told.contains(&format!("1 {SKEWED},")) && told.contains(&format!("1 {SKEWED} (missing required label)")),
        "{told}"
    );
    assert_eq!(trial.decide(&spreads(json!([spread(ZONE, 1, json!({"nodeTaintsPolicy": "Honor"}))]))), "a1");
}

#[test]
fn too_few_domains_count_as_empty() {
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b")]);
    trial.place("1", "a1", web(), json!({}));
    trial.place("2", "b1", web(), json!({}));
    assert_eq!(trial.decide(&spreads(json!([spread(ZONE, 1, json!({"minDomains": 2}))]))), "a1");
    let told = trial.decide(&spreads(json!([spread(ZONE, 1, json!({"minDomains": 3}))])));
    assert_eq!(told, format!("0/2 nodes are available: 2 {SKEWED}."));
}

#[test]
fn keys_of_the_pod_narrow_whom_it_counts() {
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b")]);
    trial.place("old", "b1", json!({"app": "web", "hash": "1"}), json!({}));
    let mut new = spreads(json!([spread(ZONE, 1, json!({"matchLabelKeys": ["hash", "absent"]}))]));
    new["metadata"]["labels"]["hash"] = json!("2");
    trial.place("new", "a1", json!({"app": "web", "hash": "2"}), json!({}));
    assert_eq!(trial.decide(&new), "b1", "pods of the other hash do not count");
}

#[test]
fn a_selector_without_requirements_counts_nobody() {
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b")]);
    trial.place("1", "a1", web(), json!({}));
    trial.place("2", "a1", web(), json!({}));
    let constraint = spread(ZONE, 1, json!({"labelSelector": {}}));
    let told = trial.decide(&spreads(json!([constraint])));
    assert_eq!(told, "b1", "both fit, and the emptier one is better");
    trial.place("3", "b1", web(), json!({}));
    trial.place("4", "b1", web(), json!({}));
    trial.place("5", "b1", web(), json!({}));
    assert_eq!(trial.decide(&spreads(json!([spread(ZONE, 1, json!({"labelSelector": {}}))]))), "a1");
}

#[test]
fn soft_spread_prefers_empty_domains_and_refuses_none() {
    let mut trial = Trial::of(&NODES);
    trial.place("1", "a1", web(), json!({}));
    trial.place("2", "b1", web(), json!({}));
    let soft = |key: &str| spreads(json!([spread(key, 1, json!({"whenUnsatisfiable": "ScheduleAnyway"}))]));
    assert_eq!(trial.decide(&soft(ZONE)), "c1");
    assert_eq!(trial.decide(&soft(HOST)), "a2");
    trial.place("3", "c1", web(), json!({}));
    assert_eq!(trial.decide(&soft(ZONE)), "a2", "all zones are equal, and this node is empty");
}

#[test]
fn pods_of_services_and_controllers_spread_unless_they_say_how() {
    let full = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "4Gi"}}}]});
    let alike = |spec: Value| {
        let mut pod = pod("p", web(), spec);
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]);
        pod
    };
    // b1 is fuller, but the zone of a1 and a2 has two pods of the set already.
    let mut trial = Trial::of(&[("a1", "a"), ("a2", "a"), ("b1", "b")]);
    for name in ["1", "2"] {
        trial.place(name, "a1", web(), json!({}));
    }
    trial.place("3", "b1", json!({"app": "other"}), full.clone());
    assert_eq!(trial.decide(&alike(json!({}))), "a2");
    let set = json!({
        "metadata": {"namespace": "default", "name": "r", "uid": "r"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    });
    trial.put(kind::REPLICA_SET, set);
    assert_eq!(trial.decide(&alike(json!({}))), "b1");
    assert_eq!(trial.decide(&pod("p", web(), json!({}))), "a2", "nobody controls it");
    let service = json!({"metadata": {"namespace": "default", "name": "s"}, "spec": {"selector": {"app": "web"}}});
    trial.put(kind::SERVICE, service);
    assert_eq!(trial.decide(&pod("p", web(), json!({}))), "b1");
    assert_eq!(trial.decide(&pod("p", json!({"app": "db"}), json!({}))), "a2", "the service is for others");
    let own = json!({"topologySpreadConstraints": [spread(HOST, 5, Value::Null)]});
    assert_eq!(trial.decide(&alike(own)), "a2", "what it states goes before what is built in");
}

#[test]
fn affinity_between_pods_must_hold() {
    let near = |key: &str, app: &str| json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(key, app)]}}});
    let far = |key: &str, app: &str| json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(key, app)]}}});
    let mut trial = Trial::of(&NODES);
    trial.place("1", "a1", web(), json!({}));
    let db = |spec: Value| pod("p", json!({"app": "db"}), spec);
    assert_eq!(trial.decide(&db(near(HOST, "web"))), "a1");
    assert_eq!(trial.decide(&db(near(ZONE, "web"))), "a2", "the emptier node of the zone");
    assert_eq!(
        trial.decide(&db(near(ZONE, "cache"))),
        "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."
    );
    assert_eq!(trial.decide(&db(near(ZONE, "db"))), "a2", "the first of its kind");
    let missing =
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("rack", "db")]}}});
    assert!(trial.decide(&db(missing)).contains("4 node(s) didn't match pod affinity rules"));
    assert_eq!(trial.decide(&db(far(ZONE, "web"))), "b1");
    trial.place("2", "b1", json!({"app": "shy"}), far(ZONE, "db"));
    trial.place("3", "c1", web(), json!({}));
    let told = trial.decide(&db(far(ZONE, "web")));
    let sentence = "0/4 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules, 3 node(s) didn't \
                    match pod anti-affinity rules.";
    assert_eq!(told, sentence);
}

#[test]
fn namespaces_of_a_term_are_named_or_selected() {
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b")]);
    trial.put(kind::NAMESPACE, json!({"metadata": {"name": "team", "labels": {"env": "prod"}}}));
    let mut there = pod("1", web(), json!({"nodeName": "b1"}));
    there["metadata"]["namespace"] = json!("team");
    trial.put(kind::POD, there);
    let near = |more: Value| {
        let mut term = term(HOST, "web");
        for (member, value) in more.as_object().into_iter().flatten() {
            term[member] = value.clone();
        }
        pod(
            "p",
            json!({}),
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
        )
    };
    let nowhere = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.";
    assert_eq!(trial.decide(&near(json!({}))), nowhere);
    assert_eq!(trial.decide(&near(json!({"namespaces": ["team"]}))), "b1");
    assert_eq!(trial.decide(&near(json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}}))), "b1");
    assert_eq!(trial.decide(&near(json!({"namespaceSelector": {"matchLabels": {"env": "dev"}}}))), nowhere);
    assert_eq!(trial.decide(&near(json!({"namespaceSelector": {}}))), "b1", "all namespaces");
}

#[test]
fn preferences_draw_both_ways() {
    let weighed = |of: &str, term: Value| json!({"affinity": {of: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 50, "podAffinityTerm": term}]}}});
    let db = |spec: Value| pod("p", json!({"app": "db"}), spec);
    let mut trial = Trial::of(&[("a1", "a"), ("b1", "b"), ("c1", "c")]);
    trial.place("1", "b1", web(), json!({}));
    assert_eq!(trial.decide(&db(json!({}))), "a1");
    assert_eq!(trial.decide(&db(weighed("podAffinity", term(ZONE, "web")))), "b1");
    trial.place("2", "a1", web(), json!({}));
    assert_eq!(trial.decide(&db(weighed("podAntiAffinity", term(ZONE, "web")))), "c1");
    // What placed pods say about the pod counts too: it is wanted at c1, and not at a1.
    trial.place("3", "c1", json!({"app": "fan"}), weighed("podAffinity", term(HOST, "db")));
    assert_eq!(trial.decide(&db(json!({}))), "c1");
    trial.place("4", "c1", json!({"app": "foe"}), weighed("podAntiAffinity", term(HOST, "db")));
    trial.place("5", "c1", json!({"app": "foe"}), weighed("podAntiAffinity", term(HOST, "db")));
    assert_eq!(trial.decide(&db(json!({}))), "a1");
    // A required term of a placed pod weighs 1.
    let required =
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(HOST, "db")]}}});
    trial.place("6", "b1", web(), required);
    assert_eq!(trial.decide(&db(json!({}))), "b1");
}
