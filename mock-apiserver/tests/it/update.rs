use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, config_map};

#[tokio::test]
async fn a_put_replaces_and_keeps_what_is_the_servers() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let mut first = config_map("a", "1");
    first["metadata"]["labels"] = json!({"x": "y"});
    let created = client.post(CONFIG_MAPS, first).await.ok();
    let updated = client.put(&path, config_map("a", "2")).await.ok();
    assert_eq!(updated["data"], json!({"key": "2"}));
    assert_eq!(updated["metadata"].get("labels"), None, "what is left out is removed");
    for member in ["uid", "creationTimestamp"] {
        assert_eq!(updated["metadata"][member], created["metadata"][member]);
    }
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let same = client.put(&path, config_map("a", "2")).await.ok();
    assert_eq!(same, updated, "a write that changes nothing is none");
}

#[tokio::test]
async fn a_revision_is_a_lock() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    client.put(&path, config_map("a", "2")).await.ok();
    let mut stale = created.clone();
    stale["data"] = json!({"key": "3"});
    let refused = client.put(&path, stale.clone()).await;
    refused.fails(
        409,
        r#"Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again"#,
    );
    assert_eq!(refused.body["details"], json!({"name": "a", "kind": "configmaps"}));
    stale["metadata"]["resourceVersion"] = json!("abc");
    client.put(&path, stale).await.fails(500, r#"strconv.ParseUint: parsing "abc": invalid syntax"#);
    client.merge(&path, json!({"metadata": {"resourceVersion": "1"}, "data": {"key": "4"}})).await.fails(
        409,
        r#"Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again"#,
    );
}

#[tokio::test]
async fn identity_cannot_change() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    client.put(&path, config_map("a", "1")).await.fails(404, r#"configmaps "a" not found"#);
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    client
        .put(&path, config_map("b", "1"))
        .await
        .fails(400, "the name of the object (b) does not match the name on the URL (a)");
    client
        .put(&path, json!({"data": {}}))
        .await
        .fails(400, "the name of the object (a based on URL) was undeterminable: name must be provided");
    let mut other = config_map("a", "2");
    other["metadata"]["uid"] = json!("other");
    let uid = created["metadata"]["uid"].as_str().expect("a uid");
    client.put(&path, other).await.fails(409, &format!(
        r#"Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: {uid}"#
    ));
    let patched = client.merge(&path, json!({"metadata": {"uid": "other"}})).await;
    patched.fails(422, r#"ConfigMap "a" is invalid: metadata.uid: Invalid value: "other": field is immutable"#);
    assert_eq!(patched.body["details"]["causes"].as_array().map(Vec::len), Some(2), "upstream checks twice");
}

#[tokio::test]
async fn some_kinds_want_a_revision_and_some_are_created_by_a_put() {
    let client = Client::start().await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let created = client.put(path, lease.clone()).await;
    assert_eq!(created.code, 201);
    let refused = client.put(path, lease).await;
    refused.fails(
        422,
        r#"leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#,
    );
    assert_eq!(refused.body["details"]["kind"], "leases");
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let client = Client::start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        "status": {"replicas": 9},
    });
    let created = client.post(path, deployment).await.ok();
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["status"], json!({}), "a client cannot create a status");
    let object = format!("{path}/d");
    let patched = client.merge(&object, json!({"spec": {"replicas": 3}, "status": {"replicas": 9}})).await.ok();
    assert_eq!(patched["metadata"]["generation"], 2);
    assert_eq!(patched["status"], json!({}));
    let status = format!("{object}/status");
    let patched = client.merge(&status, json!({"spec": {"replicas": 5}, "status": {"replicas": 9}})).await.ok();
    assert_eq!(patched["spec"]["replicas"], 3);
    assert_eq!(patched["status"]["replicas"], 9);
    assert_eq!(patched["metadata"]["generation"], 2);
    assert_eq!(client.get(&status).await.ok(), patched);
    let labelled = client.merge(&object, json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 2);
}

/// They are kept apart from the rest of a stored object, and every answer has them all the same.
#[tokio::test]
async fn managed_fields_are_in_every_answer_and_survive_other_writers() {
    let client = Client::start().await;
    client.apply(&format!("{CONFIG_MAPS}/a"), "first", config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a?fieldManager=second");
    client.merge(&path, json!({"data": {"more": "x"}})).await.ok();
    let managers = |object: &Value| -> Vec<String> {
        let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let partial = client.with(&[("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")]);
    let table = client.with(&[("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")]);
    let path = format!("{CONFIG_MAPS}/a");
    let shown = [
        client.get(&path).await.ok(),
        client.get(CONFIG_MAPS).await.ok()["items"][0].take(),
        partial.get(&path).await.ok(),
        table.get(&path).await.ok()["rows"][0]["object"].take(),
        client.watch(&format!("{CONFIG_MAPS}?watch=1")).await.next().await.expect("an event")["object"].take(),
        client.merge(&format!("{path}?dryRun=All&fieldManager=second"), json!({"data": {"more": "y"}})).await.ok(),
        client.merge(&format!("{path}?fieldManager=second"), json!({"data": {"more": "z"}})).await.ok(),
    ];
    for object in &shown {
        assert_eq!(managers(object), ["first", "second"], "{object}");
    }
}
