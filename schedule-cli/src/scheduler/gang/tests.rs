//! Sessions that follow each other faster than the cluster tells what came of them.

use std::sync::Arc;

use cluster::{Change, Key, Objects, kind};
use serde_json::{Value, json};

use super::Gangs;
use crate::scheduler::{Options, Target, pod};

fn node(name: &str, cpu: u32) -> (cluster::Kind, Value) {
    let amounts = json!({"cpu": cpu.to_string(), "memory": "8Gi", "pods": "110"});
    (kind::NODE, json!({"metadata": {"name": name}, "status": {"capacity": amounts, "allocatable": amounts}}))
}

fn queue(name: &str) -> (cluster::Kind, Value) {
    (kind::QUEUE, json!({"metadata": {"name": name}, "spec": {"weight": 1}, "status": {"state": "Open"}}))
}

fn group(name: &str, queue: &str) -> (cluster::Kind, Value) {
    let group = json!({
        "metadata": {"namespace": "n", "name": name},
        "spec": {"minMember": 1, "queue": queue}, "status": {"phase": "Inqueue"},
    });
    (kind::POD_GROUP, group)
}

fn member(name: &str, group: &str, node: &str) -> (cluster::Kind, Value) {
    let pod = json!({
        "metadata": {
            "namespace": "n", "name": name, "uid": name, "annotations": {"scheduling.k8s.io/group-name": group},
        },
        "spec": {
            "schedulerName": Gangs::NAME, "nodeName": node,
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
        },
        "status": {"phase": "Pending"},
    });
    (kind::POD, pod)
}

/// A scheduler that has seen these objects, and the place to which it writes.
fn gangs(documents: Vec<(cluster::Kind, Value)>) -> Gangs {
    let mut objects = Objects::new();
    for (kind, document) in &documents {
        objects.put(*kind, document.clone().into());
    }
    let options = Options { scheduler_name: Gangs::NAME.to_owned(), ..Options::default() };
    let mut gangs = Gangs::new(options, Target::memory(objects), &[]);
    documents.into_iter().for_each(|(kind, document)| see(&mut gangs, kind, document));
    gangs
}

fn see(gangs: &mut Gangs, kind: cluster::Kind, document: Value) {
    let change = Change::Applied(kind, Arc::new(document));
    gangs.members.apply(&change, Gangs::NAME);
    gangs.world.apply(&change);
}

/// The node that a pod has been given.
fn place(gangs: &Gangs, name: &str) -> Option<String> {
    let held = gangs.target.held();
    held.get(kind::POD, &Key::new("n", name)).and_then(|pod| pod::node_name(pod)).map(str::to_owned)
}

#[tokio::test]
async fn what_is_bound_and_not_yet_seen_stays_where_it_is() {
    let mut gangs =
        gangs(vec![node("n1", 1), node("n2", 1), queue("default"), group("g", "default"), member("a", "g", "")]);
    gangs.session().await;
    let first = place(&gangs, "a").expect("a node");
    let (of, late) = member("b", "g", "");
    if let Target::Memory(objects) = &gangs.target {
        objects.lock().expect("nobody panicked").put(of, late.clone().into());
    }
    see(&mut gangs, of, late);
    gangs.session().await;
    assert_eq!(place(&gangs, "a"), Some(first.clone()));
    assert!(place(&gangs, "b").is_some_and(|second| second != first));
    // Its queue knows, too.
    let held = gangs.target.held();
    let queue = held.get(kind::QUEUE, &Key::new("", "default")).expect("the queue");
    assert_eq!(queue["status"]["allocated"], json!({"cpu": "2", "pods": "2"}));
}

#[tokio::test]
async fn nobody_is_made_to_leave_for_what_somebody_leaves_already() {
    let configuration = json!({
        "metadata": {"namespace": "volcano-system", "name": "volcano-scheduler-configmap"},
        "data": {"volcano-scheduler.conf": "actions: \"enqueue, allocate, reclaim\"\ntiers:\n- plugins:\n  - name: proportion\n"},
    });
    let mut documents = vec![
        (super::configuration::CONFIG_MAP, configuration),
        node("n1", 4),
        queue("rich"),
        queue("poor"),
        group("r", "rich"),
        group("p", "poor"),
    ];
    documents.extend(["r1", "r2", "r3", "r4"].map(|name| member(name, "r", "n1")));
    documents.extend(["p1", "p2", "p3"].map(|name| member(name, "p", "")));
    let mut gangs = gangs(documents);
    gangs.session().await;
    let left = |gangs: &Gangs| gangs.target.held().count(kind::POD);
    assert_eq!(left(&gangs), 5, "two of four leave");
    gangs.session().await;
    gangs.session().await;
    assert_eq!(left(&gangs), 5, "and nobody else");
}
