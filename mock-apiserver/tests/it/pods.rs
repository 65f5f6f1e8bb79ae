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
    client.post(&path, binding("q", "n2")).await.fails(400, "name in URL does not match name in Binding object");
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
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    client.merge(&format!("{PODS}/p/status"), json!({"status": ready})).await.ok();
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

#[tokio::test]
async fn logs_and_commands_are_the_nodes_business() {
    let client = Client::start().await;
    let mut two = pod("p");
    two["spec"]["containers"].as_array_mut().expect("a list").push(json!({"name": "c2", "image": "i"}));
    client.post(PODS, two).await.ok();
    let path = format!("{PODS}/p");
    let choose = "a container name must be specified for pod p, choose one of: [c c2]";
    client.get(&format!("{path}/log")).await.fails(400, choose);
    client.get(&format!("{path}/log?container=zz")).await.fails(400, "container zz is not valid for pod p");
    assert_eq!(client.get(&format!("{path}/log?container=c")).await.code, 204);
    client.get(&format!("{path}/exec?container=c&command=ls")).await.fails(400, "pod p does not have a host assigned");
    client.post(&format!("{path}/binding"), binding("p", "n")).await.ok();
    client.get(&format!("{path}/log?container=c")).await.fails(404, r#"pods "n" not found"#);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    client
        .post(
            "/api/v1/nodes",
            json!({"metadata": {"name": "n"}, "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            }}),
        )
        .await
        .ok();
    let kubelet = axum::Router::new().fallback(|uri: http::Uri| async move { uri.to_string() });
    let task = tokio::spawn(async move { axum::serve(listener, kubelet).await });
    let log = client.get(&format!("{path}/log?container=c&follow=true")).await;
    assert_eq!((log.code, log.body), (200, json!("/containerLogs/default/p/c?follow=true")));
    task.abort();
    drop(task.await);
    let refused = client.get(&format!("{path}/log?container=c")).await;
    assert_eq!(refused.code, 500);
    assert!(refused.message().ends_with("connect: connection refused"), "{}", refused.message());
}

#[tokio::test]
async fn new_pods_get_account_tolerations_and_priority() {
    let client = Client::start().await;
    let made = client.post(PODS, pod("p")).await.ok();
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&made["spec"]["priority"], &made["spec"]["preemptionPolicy"]),
        (&json!(0), &json!("PreemptLowerPriority"))
    );
    let volume = made["spec"]["volumes"][0]["name"].as_str().expect("a volume");
    assert!(volume.starts_with("kube-api-access-"), "{volume}");
    let mut critical = pod("q");
    critical["spec"]["priorityClassName"] = json!("system-node-critical");
    assert_eq!(client.post(PODS, critical).await.ok()["spec"]["priority"], 2_000_001_000);
    let mut unknown = pod("r");
    unknown["spec"]["priorityClassName"] = json!("x");
    client.post(PODS, unknown).await.fails(403, r#"pods "r" is forbidden: no PriorityClass with name x was found"#);
    let mut nobody = pod("r");
    nobody["spec"]["serviceAccountName"] = json!("bob");
    client.post(PODS, nobody).await.fails(
        403,
        r#"pods "r" is forbidden: error looking up service account default/bob: serviceaccount "bob" not found"#,
    );
    let kept = client.delete("/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical").await;
    assert_eq!(kept.code, 403);
}
