use serde_json::{Value, json};

use crate::client::{Client, PODS, pod};

fn binding(pod: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "annotations": {"a": "b"}},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node}})
}

#[tokio::test]
async fn a_binding_puts_a_pod_on_a_node() {
    let client = Client::start().await;
    client.post(PODS, pod("p")).await.ok();
    let path = format!("{PODS}/p/binding");
    let bound = client.post(&path, binding("p", "n1")).await;
    assert_eq!(
        (bound.code, &bound.body),
        (201, &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    );
    let found = client.get(&format!("{PODS}/p")).await.ok();
    assert_eq!(found["spec"]["nodeName"], "n1");
    assert_eq!(found["metadata"]["annotations"], json!({"a": "b"}));
    let scheduled =
        found["status"]["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "PodScheduled"));
    assert_eq!(scheduled.map(|condition| &condition["status"]), Some(&json!("True")));
    client
        .post(&path, binding("p", "n2"))
        .await
        .fails(409, r#"Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1""#);
    client
        .post(&path, binding("q", "n2"))
        .await
        .fails(400, "the name of the object (q) does not match the name on the URL (p)");
    assert_eq!(client.get(&path).await.code, 405);
    client.post(PODS, pod("q")).await.ok();
    assert_eq!(client.post("/api/v1/namespaces/default/bindings", binding("q", "n2")).await.code, 201);
    let on_n2 = client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").await.ok();
    assert_eq!(on_n2["items"][0]["metadata"]["name"], "q");
}

#[tokio::test]
async fn evictions_heed_the_budget() {
    let client = Client::start().await;
    client.post(PODS, pod("p")).await.ok();
    client.post(&format!("{PODS}/p/binding"), binding("p", "n1")).await.ok();
    client.merge(&format!("{PODS}/p/status"), json!({"status": {"phase": "Running"}})).await.ok();
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    client.post(budgets, budget).await.ok();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let evict = || client.post("/api/v1/namespaces/default/pods/p/eviction", eviction.clone());
    let refused = evict().await;
    refused.fails(429, "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(refused.headers["retry-after"], "10");
    let status = json!({"status": {"observedGeneration": 1, "desiredHealthy": 1, "currentHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1}});
    client.merge(&format!("{budgets}/b/status"), status).await.ok();
    let refused = evict().await;
    assert_eq!(
        refused.body["details"]["causes"][0]["message"],
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
    client.merge(&format!("{budgets}/b/status"), json!({"status": {"disruptionsAllowed": 1}})).await.ok();
    assert_eq!(evict().await.code, 201);
    let going = client.get(&format!("{PODS}/p")).await.ok();
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let target = going["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] == "DisruptionTarget"));
    assert_eq!(target.map(|condition| &condition["reason"]), Some(&json!("EvictionByEvictionAPI")));
    let charged = client.get(&format!("{budgets}/b")).await.ok();
    assert_eq!(charged["status"]["disruptionsAllowed"], 0);
    assert!(charged["status"]["disruptedPods"]["p"].is_string());
}
