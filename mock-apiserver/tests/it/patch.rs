use http::Method;
use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

#[tokio::test]
async fn json_patches_apply_or_say_nothing_useful() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let patch = |body: String| client.request(Method::PATCH, &path, "application/json-patch+json; charset=utf-8", body);
    let patched = patch(json!([{"op": "add", "path": "/data/b", "value": "2"}]).to_string()).await.ok();
    assert_eq!(patched["data"], json!({"key": "1", "b": "2"}));
    for wrong in [
        json!([{"op": "remove", "path": "/data/nope"}]),
        json!([{"op": "test", "path": "/data/b", "value": "3"}]),
        json!([{"op": "fly", "path": "/data/b"}]),
    ] {
        let refused = patch(wrong.to_string()).await;
        refused.fails(422, "the server rejected our request due to an error in our request");
        assert_eq!(refused.body["details"], json!({}));
    }
    assert!(patch("{}".to_owned()).await.message().starts_with("error decoding patch: "));
    let many: Vec<_> = (0..10_001).map(|_| json!({"op": "test", "path": "/data/b", "value": "2"})).collect();
    patch(json!(many).to_string())
        .await
        .fails(413, "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001");
}

#[tokio::test]
async fn merge_patches_remove_by_null() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let patched = client.merge(&path, json!({"data": {"key": null, "b": "2"}})).await.ok();
    assert_eq!(patched["data"], json!({"b": "2"}));
    let wrong = client.merge(&path, json!({"data": []})).await;
    assert_eq!(wrong.code, 422);
    assert!(wrong.message().starts_with(r#" "" is invalid: patch: Invalid value: "#), "{}", wrong.message());
    let renamed = client.merge(&path, json!({"metadata": {"name": "b"}})).await;
    renamed.fails(400, "the name of the object (b) does not match the name on the URL (a)");
    let strict = client.merge(&format!("{path}?fieldValidation=Strict"), json!({"foo": 1})).await;
    assert_eq!(strict.code, 422);
    assert!(strict.message().ends_with(r#"strict decoding error: unknown field "foo""#), "{}", strict.message());
    let warned = client.merge(&path, json!({"foo": 1})).await;
    assert_eq!(warned.warnings(), [r#"299 - "unknown field \"foo\"""#]);
}

#[tokio::test]
async fn strategic_patches_merge_lists_by_key() {
    let client = Client::start().await;
    client.post(PODS, pod("p")).await.ok();
    let path = format!("{PODS}/p");
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    let patched =
        client.request(Method::PATCH, &path, "application/strategic-merge-patch+json", patch.to_string()).await.ok();
    assert_eq!(patched["spec"]["containers"][0]["image"], "j");
    assert_eq!(patched["spec"]["containers"][0]["terminationMessagePolicy"], "File");
    assert_eq!(patched["metadata"]["generation"], 2);
    let keyless = json!({"spec": {"containers": [{"image": "x"}]}});
    client
        .request(Method::PATCH, &path, "application/strategic-merge-patch+json", keyless.to_string())
        .await
        .fails(500, "map: map[image:x] does not contain declared merge key: name");
}

#[tokio::test]
async fn other_patches_are_refused() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let refused = client.request(Method::PATCH, &path, "application/json", "{}").await;
    refused.fails(415, "415: Unsupported Media Type");
    assert_eq!(refused.body["details"], json!({}));
    client.merge(&format!("{path}?force=true"), json!({})).await.fails(
        422,
        r#"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#,
    );
    client.merge(&format!("{CONFIG_MAPS}/nope"), json!({})).await.fails(404, r#"configmaps "nope" not found"#);
}

#[tokio::test]
async fn racing_patches_all_arrive() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let path = format!("{CONFIG_MAPS}/a");
    let patches = (0..50).map(|index| {
        let (client, path) = (&client, &path);
        async move { client.merge(path, json!({"data": {format!("k{index}"): "v"}})).await.ok() }
    });
    futures::future::join_all(patches).await;
    let data = client.get(&path).await.ok()["data"].clone();
    assert_eq!(data.as_object().map(serde_json::Map::len), Some(51));
}

#[tokio::test]
async fn operations_of_json_patches_are_read_strictly() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let patch = r#"[{"op": "add", "path": "/data/x", "value": "1", "foo": "bar"}, {"op": "add", "path": "/data/y", "path": "/data/z", "value": "2"}]"#;
    let send = async |validation: &str| {
        let path = format!("{path}?fieldValidation={validation}");
        client.request(Method::PATCH, &path, "application/json-patch+json", patch).await
    };
    let refused = send("Strict").await;
    assert_eq!(refused.code, 422);
    let found = r#"strict decoding error: json patch unknown field "[0].foo", json patch duplicate field "[1].path""#;
    assert!(refused.message().ends_with(found), "{}", refused.message());
    let warned = send("Warn").await;
    assert_eq!(
        warned.warnings(),
        [r#"299 - "json patch unknown field \"[0].foo\"""#, r#"299 - "json patch duplicate field \"[1].path\"""#]
    );
    assert_eq!(warned.ok()["data"], json!({"key": "1", "x": "1", "z": "2"}));
}
