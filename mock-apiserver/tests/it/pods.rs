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

async fn node(client: &Client, name: &str, labels: Value) {
    let allocatable = json!({"cpu": "2", "memory": "2Gi"});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": {"allocatable": allocatable}});
    client.post("/api/v1/nodes", node).await.ok();
}

#[tokio::test]
async fn a_binding_wants_the_pod_it_knows() {
    let client = Client::start().await;
    let revision = client.post(PODS, pod("p")).await.ok()["metadata"]["resourceVersion"].clone();
    client.merge(&format!("{PODS}/p"), json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
    let mut outdated = binding("p", "n1");
    outdated["metadata"]["resourceVersion"] = revision;
    let refused = client.post(&format!("{PODS}/p/binding"), outdated).await;
    assert_eq!(refused.code, 409);
    assert!(
        refused.message().contains("Precondition failed: ResourceVersion in precondition"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn pods_are_told_the_zone_of_their_node() {
    let client = Client::start().await;
    let (zone, region) = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region");
    node(&client, "n1", json!({zone: "a", region: "r", "topology.kubernetes.io/other": "o"})).await;
    let mut labelled = pod("p");
    labelled["metadata"]["labels"] = json!({zone: "wrong", "app": "x"});
    client.post(PODS, labelled).await.ok();
    let mut bound = binding("p", "n1");
    bound["metadata"]["labels"] = json!({"from": "scheduler"});
    assert_eq!(client.post(&format!("{PODS}/p/binding"), bound).await.code, 201);
    let found = client.get(&format!("{PODS}/p")).await.ok();
    let told = json!({zone: "a", region: "r", "app": "x", "from": "scheduler"});
    assert_eq!(found["metadata"]["labels"], told);
    let mut placed = pod("q");
    placed["spec"]["nodeName"] = "n1".into();
    let created = client.post(PODS, placed).await.ok();
    assert_eq!(created["metadata"]["labels"][zone], "a");
}

#[tokio::test]
async fn pods_are_resized_to_what_their_node_has() {
    let client = Client::start().await;
    node(&client, "n1", json!({})).await;
    node(&client, "w1", json!({"kubernetes.io/os": "windows"})).await;
    for (name, node) in [("p", "n1"), ("w", "w1"), ("lost", "n2")] {
        let mut pod = pod(name);
        pod["spec"]["nodeName"] = node.into();
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
        client.post(PODS, pod).await.ok();
    }
    let resize = async |name: &str, cpu: &str| {
        let patch =
            json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}});
        client.merge(&format!("{PODS}/{name}/resize"), patch).await
    };
    assert_eq!(resize("p", "1").await.code, 200);
    let refused = resize("p", "4").await;
    refused.fails(
        403,
        "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 4000, allocatable: 2000",
    );
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "NodeCapacity");
    resize("w", "1")
        .await
        .fails(403, "pods \"w\" is forbidden: pod resize is only supported on linux nodes, node \"w1\" is \"windows\"");
    resize("lost", "1").await.fails(403, "pods \"lost\" is forbidden: node \"n2\" not found");
}

#[tokio::test]
async fn a_new_pod_has_nothing_that_only_an_old_one_can_have() {
    let client = Client::start().await;
    let mut early = pod("p");
    early["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "i"}]);
    let refused = client.post(PODS, early).await;
    assert!(
        refused.message().ends_with("spec.ephemeralContainers: Forbidden: cannot be set on create"),
        "{}",
        refused.message()
    );
    let mut gated = pod("p");
    gated["spec"]["nodeName"] = "n1".into();
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    let refused = client.post(PODS, gated).await;
    let why = "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared";
    assert!(refused.message().ends_with(why), "{}", refused.message());
}

#[tokio::test]
async fn an_eviction_may_name_the_revision() {
    let client = Client::start().await;
    let old = client.post(PODS, pod("p")).await.ok()["metadata"]["resourceVersion"].clone();
    let phase = json!({"status": {"phase": "Running"}});
    let new = client.merge(&format!("{PODS}/p/status"), phase).await.ok()["metadata"]["resourceVersion"].clone();
    let path = format!("{PODS}/p/eviction");
    let eviction = |revision: &Value| {
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"},
            "deleteOptions": {"gracePeriodSeconds": 0, "preconditions": {"resourceVersion": revision}}})
    };
    let refused = client.post(&path, eviction(&old)).await;
    assert_eq!(refused.code, 409);
    assert!(refused.message().contains("does not match the ResourceVersion in record"), "{}", refused.message());
    assert_eq!(client.post(&path, eviction(&new)).await.code, 201, "the eviction's own write does not count");
    client.get(&format!("{PODS}/p")).await.fails(404, "pods \"p\" not found");
    let applied = client.request(http::Method::PATCH, &path, "application/apply-patch+yaml", "{}").await;
    assert_eq!(applied.code, 405, "it is not asked for a field manager first");
}

#[tokio::test]
async fn subresources_take_documents_of_versions_that_exist() {
    let client = Client::start().await;
    client.post(PODS, pod("p")).await.ok();
    let no_kind = |kind: &str, version: &str| {
        format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: no kind \"{kind}\" is registered for version \"{version}\" in \
             scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
            version.rsplit('/').next().expect("a split has a last part")
        )
    };
    let eviction = |version: &str| json!({"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p"}});
    let path = format!("{PODS}/p/eviction?dryRun=All");
    client.post(&path, eviction("policy/v2")).await.fails(400, &no_kind("Eviction", "policy/v2"));
    assert_eq!(client.post(&path, eviction("policy/v1beta1")).await.code, 201);
    assert_eq!(client.post(&path, eviction("")).await.code, 201);
    let mut bound = binding("p", "n1");
    bound["apiVersion"] = json!("v2");
    client.post(&format!("{PODS}/p/binding"), bound).await.fails(400, &no_kind("Binding", "v2"));
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
    let log = client.get(&format!("{path}/log?container=c&follow=True&previous=0&timestamps=&tailLines=5")).await;
    let asked = "/containerLogs/default/p/c?follow=true&timestamps=true&tailLines=5";
    assert_eq!((log.code, log.body), (200, json!(asked)), "flags are read as upstream reads them");
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
