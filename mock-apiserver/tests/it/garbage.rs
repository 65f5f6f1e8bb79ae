use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, config_map};

fn owned(name: &str, owner: &Value, blocks: bool) -> Value {
    let mut object = config_map(name, "1");
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
    }]);
    object
}

async fn family() -> Client {
    let client = Client::start().await;
    let owner = client.post(CONFIG_MAPS, config_map("owner", "1")).await.ok();
    let child = client.post(CONFIG_MAPS, owned("child", &owner, true)).await.ok();
    client.post(CONFIG_MAPS, owned("grandchild", &child, true)).await.ok();
    client
}

fn path(name: &str) -> String {
    format!("{CONFIG_MAPS}/{name}")
}

#[tokio::test]
async fn dependents_follow_in_the_background() {
    let client = family().await;
    client.delete(&path("owner")).await.ok();
    client.until(&path("child"), 404).await;
    client.until(&path("grandchild"), 404).await;
}

#[tokio::test]
async fn dependents_go_first_in_the_foreground() {
    let client = family().await;
    client.merge(&path("grandchild"), json!({"metadata": {"finalizers": ["x.io/y"]}})).await.ok();
    let marked = client.delete_with(&path("owner"), json!({"propagationPolicy": "Foreground"})).await.ok();
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    client.until_body(&path("grandchild"), |answer| answer.body["metadata"]["deletionTimestamp"].is_string()).await;
    for name in ["owner", "child"] {
        let waiting = client.get(&path(name)).await.ok();
        assert_eq!(waiting["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{name}");
    }
    client.merge(&path("grandchild"), json!({"metadata": {"finalizers": null}})).await.ok();
    for name in ["grandchild", "child", "owner"] {
        client.until(&path(name), 404).await;
    }
}

#[tokio::test]
async fn orphans_stay_without_owner() {
    let client = family().await;
    client.delete_with(&path("owner"), json!({"propagationPolicy": "Orphan"})).await.ok();
    client.until(&path("owner"), 404).await;
    let child = client.get(&path("child")).await.ok();
    assert_eq!(child["metadata"].get("ownerReferences"), None);
    client.get(&path("grandchild")).await.ok();
}

#[tokio::test]
async fn references_to_nobody_do_not_hold_an_object() {
    let client = Client::start().await;
    let nobody = json!({"metadata": {"name": "nobody", "uid": "nobody"}});
    client.post(CONFIG_MAPS, owned("a", &nobody, false)).await.ok();
    client.until(&path("a"), 404).await;
    let owner = client.post(CONFIG_MAPS, config_map("owner", "1")).await.ok();
    let mut both = owned("b", &owner, false);
    both["metadata"]["ownerReferences"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "nobody"}));
    client.post(CONFIG_MAPS, both).await.ok();
    let kept = client
        .until_body(&path("b"), |answer| answer.body["metadata"]["ownerReferences"].as_array().map(Vec::len) == Some(1))
        .await;
    assert_eq!(kept.body["metadata"]["ownerReferences"][0]["name"], "owner");
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_told_of_in_an_event() {
    let client = Client::start().await;
    let elsewhere = "/api/v1/namespaces/kube-public/configmaps";
    let owner = client.post(elsewhere, config_map("owner", "1")).await.ok();
    let mut dependent = config_map("dependent", "1");
    dependent["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]},
    ]);
    client.post(CONFIG_MAPS, dependent).await.ok();
    client.until(&format!("{CONFIG_MAPS}/dependent"), 404).await;
    let events = client.get("/api/v1/namespaces/default/events").await.ok();
    assert_eq!(events["items"][0]["reason"], "OwnerRefInvalidNamespace");
    let message = events["items"][0]["message"].as_str().expect("a message");
    assert!(message.ends_with("does not exist in namespace \"default\""), "{message}");
}
