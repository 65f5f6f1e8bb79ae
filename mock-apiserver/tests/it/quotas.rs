//! ResourceQuotas and LimitRanges.

use mock_apiserver::{Config, config};
use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const CLAIMS: &str = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";

async fn quota(client: &Client, hard: Value) {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
    client.post(QUOTAS, quota).await.ok();
}

async fn used(client: &Client) -> Value {
    client.get(&format!("{QUOTAS}/q")).await.ok()["status"]["used"].clone()
}

async fn until_used(client: &Client, wanted: Value) {
    client.until_body(&format!("{QUOTAS}/q"), |answer| answer.body["status"]["used"] == wanted).await;
}

fn asking(name: &str, requests: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": requests});
    pod
}

#[tokio::test]
async fn a_quota_counts_what_is_there_and_what_comes() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("before", "1")).await.ok();
    quota(&client, json!({"count/configmaps": "3"})).await;
    assert_eq!(used(&client).await, json!({"count/configmaps": "2"}), "kube-root-ca.crt is one");
    client.post(CONFIG_MAPS, config_map("third", "1")).await.ok();
    assert_eq!(used(&client).await, json!({"count/configmaps": "3"}));
    let refused = client.post(CONFIG_MAPS, config_map("fourth", "1")).await;
    refused.fails(
        403,
        "configmaps \"fourth\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=3, \
         limited: count/configmaps=3",
    );
    client.delete(&format!("{CONFIG_MAPS}/third")).await.ok();
    until_used(&client, json!({"count/configmaps": "2"})).await;
    client.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("dry", "1")).await.ok();
    assert_eq!(used(&client).await, json!({"count/configmaps": "2"}));
    let again = client.post(CONFIG_MAPS, config_map("before", "1")).await;
    assert_eq!(again.code, 409, "the name is taken");
    until_used(&client, json!({"count/configmaps": "2"})).await;
}

/// As in kube-apiserver: what is created is charged, and all else is the work of kube-controller-manager.
#[tokio::test]
async fn without_upkeep_a_quota_is_charged_and_never_counted() {
    let client =
        Client::start_as(Config { definitions: config::definitions(), upkeep: false, ..Config::default() }).await;
    quota(&client, json!({"count/configmaps": "2"})).await;
    client.post(CONFIG_MAPS, config_map("unseen", "1")).await.ok();
    let path = format!("{QUOTAS}/q");
    assert_eq!(client.get(&path).await.ok()["status"], json!({}), "nobody has counted");
    let counted = json!({"status": {"hard": {"count/configmaps": "2"}, "used": {"count/configmaps": "1"}}});
    client.merge(&format!("{path}/status"), counted).await.ok();
    client.post(CONFIG_MAPS, config_map("second", "1")).await.ok();
    assert_eq!(used(&client).await, json!({"count/configmaps": "2"}));
    let third = client.post(CONFIG_MAPS, config_map("third", "1")).await;
    assert_eq!(third.code, 403, "{}", third.message());
    client.merge(&path, json!({"spec": {"hard": {"count/configmaps": "3"}}})).await.ok();
    client.delete(&format!("{CONFIG_MAPS}/second")).await.ok();
    let status = client.get(&path).await.ok()["status"].clone();
    assert_eq!(status, json!({"hard": {"count/configmaps": "2"}, "used": {"count/configmaps": "2"}}));
}

#[tokio::test]
async fn what_is_limited_needs_a_quota_that_covers_it() {
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
        "limitedResources": [
            {"resource": "configmaps", "matchContains": ["count/"]},
            {
                "resource": "pods",
                "matchScopes": [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}],
            },
        ],
    });
    let client = Client::start_with_plugin("ResourceQuota", configuration).await;
    client
        .post(CONFIG_MAPS, config_map("a", "1"))
        .await
        .fails(403, "configmaps \"a\" is forbidden: insufficient quota to consume: count/configmaps");
    client.post(PODS, pod("plain")).await.ok();
    let mut critical = pod("critical");
    critical["spec"]["priorityClassName"] = "system-node-critical".into();
    client
        .post(PODS, critical.clone())
        .await
        .fails(500, "insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]");
    quota(&client, json!({"count/configmaps": "9"})).await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    client.merge(&format!("{PODS}/plain"), json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    let scoped = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "critical"},
        "spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]},
        ]}},
    });
    client.post(QUOTAS, scoped).await.ok();
    client.post(PODS, critical).await.ok();
}

#[tokio::test]
async fn pods_are_measured_and_must_say_what_they_need() {
    let client = Client::start().await;
    quota(&client, json!({"pods": "2", "requests.cpu": "1"})).await;
    client
        .post(PODS, pod("silent"))
        .await
        .fails(403, "pods \"silent\" is forbidden: failed quota: q: must specify requests.cpu for: c");
    client.post(PODS, asking("a", json!({"cpu": "600m"}))).await.ok();
    client.post(PODS, asking("b", json!({"cpu": "600m"}))).await.fails(
        403,
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, \
         limited: requests.cpu=1",
    );
    client.post(PODS, asking("b", json!({"cpu": "400m"}))).await.ok();
    assert_eq!(used(&client).await, json!({"pods": "2", "requests.cpu": "1"}));
    client.merge(&format!("{PODS}/a/status"), json!({"status": {"phase": "Succeeded"}})).await.ok();
    until_used(&client, json!({"pods": "1", "requests.cpu": "400m"})).await;
}

#[tokio::test]
async fn devices_are_counted_by_class() {
    let client = Client::start().await;
    quota(
        &client,
        json!({
            "gpu.deviceclass.resource.k8s.io/devices": "4", "count/resourceclaims.resource.k8s.io": "5",
        }),
    )
    .await;
    let claim = |name: &str, count: i64| {
        json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {
                "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count,
            }}]}},
        })
    };
    client.post(CLAIMS, claim("a", 3)).await.ok();
    client.post(CLAIMS, claim("b", 2)).await.fails(
        403,
        "resourceclaims.resource.k8s.io \"b\" is forbidden: exceeded quota: q, requested: \
         gpu.deviceclass.resource.k8s.io/devices=2, used: gpu.deviceclass.resource.k8s.io/devices=3, \
         limited: gpu.deviceclass.resource.k8s.io/devices=4",
    );
    let wanted = json!({"count/resourceclaims.resource.k8s.io": "1", "gpu.deviceclass.resource.k8s.io/devices": "3"});
    assert_eq!(used(&client).await, wanted);
}

#[tokio::test]
async fn many_at_once_do_not_exceed_a_quota() {
    let client = Client::start().await;
    quota(&client, json!({"count/configmaps": "11"})).await;
    let creates = (0..40).map(|index| {
        let client = &client;
        async move { client.post(CONFIG_MAPS, config_map(&format!("c{index}"), "1")).await.code }
    });
    let codes = futures::future::join_all(creates).await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 10, "{codes:?}");
    assert_eq!(used(&client).await, json!({"count/configmaps": "11"}));
}

#[tokio::test]
async fn limit_ranges_fill_in_and_bound() {
    let client = Client::start().await;
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "250m"}, "max": {"cpu": "1"}}]},
    });
    client.post("/api/v1/namespaces/default/limitranges", range).await.ok();
    let created = client.post(PODS, pod("a")).await.ok();
    let resources = json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "250m"}});
    assert_eq!(created["spec"]["containers"][0]["resources"], resources);
    assert_eq!(
        created["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let mut big = pod("big");
    big["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    client
        .post(PODS, big)
        .await
        .fails(403, "pods \"big\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}
