use serde_json::{Value, json};

use crate::client::Client;

const CLASSES: &str = "/apis/resource.k8s.io/v1alpha2/deviceclasses";

fn class(name: &str) -> Value {
    json!({"apiVersion": "resource.k8s.io/v1alpha2", "kind": "DeviceClass", "metadata": {"name": name}, "driver": "d.example.com"})
}

#[tokio::test]
async fn an_object_is_found_by_name_at_another_generation() {
    let client = Client::start().await;
    client.post(CLASSES, class("old")).await.ok();
    let by_v1 = "/apis/resource.k8s.io/v1/deviceclasses";
    let path = format!("{by_v1}/old");
    let found = client.get(&path).await.ok();
    assert!(found["apiVersion"].as_str().is_some_and(|version| version.starts_with("resource.k8s.io/v1alpha")));
    let labelled = client.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(labelled["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(client.get(by_v1).await.ok()["items"], json!([]), "programs never see generations mixed");
    client.post(by_v1, json!({"metadata": {"name": "new"}, "spec": {}})).await.ok();
    assert_eq!(client.get(CLASSES).await.ok()["items"].as_array().map(Vec::len), Some(1));
    client.delete(&path).await.ok();
    assert_eq!(client.get(&path).await.code, 404);
}
