use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

#[tokio::test]
async fn a_delete_answers_with_a_status_or_the_object() {
    let client = Client::start().await;
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let deleted = client.delete(&path).await.ok();
    assert_eq!(
        deleted,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}})
    );
    client.delete(&path).await.fails(404, r#"configmaps "a" not found"#);
    client.post(PODS, pod("p")).await.ok();
    assert_eq!(client.delete(&format!("{PODS}/p")).await.ok()["kind"], "Pod");
}

#[tokio::test]
async fn preconditions_and_options_come_from_the_body() {
    let client = Client::start().await;
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let uid = created["metadata"]["uid"].as_str().expect("a uid");
    let refused = client.delete_with(&path, json!({"preconditions": {"uid": "x"}})).await;
    refused.fails(409, &format!(
        r#"Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted and then recreated"#
    ));
    assert_eq!(refused.body["details"]["kind"], "ConfigMap");
    assert_eq!(client.delete_with(&path, json!({"preconditions": {"resourceVersion": "1"}})).await.code, 409);
    client.delete_with(&path, json!({"dryRun": ["All"]})).await.ok();
    client.get(&path).await.ok();
    client.delete_with(&format!("{path}?dryRun=All"), json!({"kind": "DeleteOptions", "apiVersion": "v1"})).await.ok();
    assert_eq!(client.get(&path).await.code, 404, "a body makes the query count for nothing");
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let client = Client::start().await;
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["x.io/y"]);
    client.post(CONFIG_MAPS, object).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let marked = client.delete(&path).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    client
        .post(CONFIG_MAPS, config_map("a", "1"))
        .await
        .fails(409, r#"object is being deleted: configmaps "a" already exists"#);
    client.merge(&path, json!({"metadata": {"finalizers": ["x.io/y", "x.io/z"]}})).await.fails(
        422,
        r#"ConfigMap "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.io/z"}"#,
    );
    let mut events = client
        .watch(&format!(
            "{CONFIG_MAPS}?watch=1&resourceVersion={}",
            marked["metadata"]["resourceVersion"].as_str().unwrap_or_default()
        ))
        .await;
    let last = client.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(last["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    assert_eq!(client.get(&path).await.code, 404);
    assert_eq!(events.brief().await, ("DELETED".into(), "a".into()));
}

#[tokio::test]
async fn pods_on_a_node_take_their_time() {
    let client = Client::start().await;
    let mut running = pod("p");
    running["spec"]["nodeName"] = json!("n");
    client.post(PODS, running).await.ok();
    let path = format!("{PODS}/p");
    let marked = client.delete(&path).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(marked["metadata"]["generation"], 2);
    let again = client.delete_with(&path, json!({"gracePeriodSeconds": 60})).await.ok();
    assert_eq!(again, marked, "only a shorter time counts");
    let sooner = client.delete_with(&path, json!({"gracePeriodSeconds": 5})).await.ok();
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    client.delete_with(&path, json!({"gracePeriodSeconds": 0})).await.ok();
    assert_eq!(client.get(&path).await.code, 404);
}

#[tokio::test]
async fn collections_are_deleted_by_selection() {
    let client = Client::start().await;
    for name in ["a", "b", "c"] {
        let mut object = config_map(name, "1");
        object["metadata"]["labels"] = json!({"keep": if name == "b" { "yes" } else { "no" }});
        client.post(CONFIG_MAPS, object).await.ok();
    }
    let deleted = client.delete(&format!("{CONFIG_MAPS}?labelSelector=keep%3Dno")).await.ok();
    assert_eq!(deleted["kind"], "ConfigMapList");
    assert_eq!(deleted["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/b")).await.code, 200);
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
}
