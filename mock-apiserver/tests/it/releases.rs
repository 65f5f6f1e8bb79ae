use api::release::Release;
use mock_apiserver::{Config, config, feature_gates::FeatureGates};
use serde_json::{Value, json};

use crate::client::Client;

async fn client(minor: u32) -> Client {
    let release = Release::of_minor(minor);
    let config = Config {
        definitions: config::definitions_of(release),
        feature_gates: FeatureGates::of_release(release),
        ..Config::default()
    };
    Client::start_as(config).await
}

fn slice() -> Value {
    json!({
        "metadata": {"name": "s"},
        "spec": {
            "driver": "d.example.com",
            "nodeName": "node-1",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}], "allowMultipleAllocations": true}],
        },
    })
}

async fn stored_device(client: &Client, version: &str) -> Value {
    let path = format!("/apis/resource.k8s.io/{version}/resourceslices");
    client.post(&path, slice()).await.ok()["spec"]["devices"][0].clone()
}

#[tokio::test]
async fn a_release_serves_and_keeps_what_it_has() {
    let old = client(33).await;
    assert_eq!(old.get("/apis/resource.k8s.io/v1/resourceslices").await.code, 404);
    assert_eq!(stored_device(&old, "v1beta2").await, json!({"name": "a"}), "nothing of it was on by default");
    assert_eq!(old.get("/version").await.ok()["minor"], "33");

    let middle = client(36).await;
    let device = stored_device(&middle, "v1").await;
    assert!(device["taints"][0]["timeAdded"].is_string() && device["allowMultipleAllocations"] == true);
    assert_eq!(middle.get("/apis/resource.k8s.io/v1/devicetaintrules").await.code, 404);

    let new = client(37).await;
    let rule = json!({"metadata": {"name": "r"}, "spec": {"taint": {"key": "k", "effect": "None"}}});
    new.post("/apis/resource.k8s.io/v1/devicetaintrules", rule).await.ok();
    let found = new.get("/apis/resource.k8s.io/v1alpha3/devicetaintrules/r").await.ok();
    assert_eq!(found["apiVersion"], "resource.k8s.io/v1alpha3");
    stored_device(&new, "v1").await;
    let by_pool = "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.pool.name%3D";
    for (pool, count) in [("p", 1), ("q", 0)] {
        let list = new.get(&format!("{by_pool}{pool}")).await.ok();
        assert_eq!(list["items"].as_array().map_or(0, Vec::len), count);
    }
}
