use mock_apiserver::{Config, config, feature_gates::FeatureGates};
use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

#[tokio::test]
async fn a_watch_tells_every_change_in_order() {
    let client = Client::start().await;
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let revision = created["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
    let mut events = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={revision}")).await;
    client.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"key": "2"}})).await.ok();
    client.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"key": "2"}})).await.ok();
    client.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    client.delete(&format!("{CONFIG_MAPS}/a")).await.ok();
    let modified = events.next().await.expect("an event");
    assert_eq!((&modified["type"], &modified["object"]["kind"]), (&json!("MODIFIED"), &json!("ConfigMap")));
    assert_eq!(events.brief().await, ("ADDED".into(), "b".into()));
    let deleted = events.next().await.expect("an event");
    assert_eq!(deleted["object"]["data"], json!({"key": "2"}));
    let revision = |event: &serde_json::Value| {
        event["object"]["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok())
    };
    assert!(revision(&deleted) > revision(&modified), "a delete has a revision of its own");
}

#[tokio::test]
async fn a_watch_list_ends_its_beginning_with_a_bookmark() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut events = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(events.brief().await, ("ADDED".into(), "a".into()));
    assert_eq!(events.brief().await, ("ADDED".into(), "kube-root-ca.crt".into()));
    let bookmark = events.next().await.expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    client.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    assert_eq!(events.brief().await, ("ADDED".into(), "b".into()));
    let refused = client.get(&format!("{CONFIG_MAPS}?watch=true&sendInitialEvents=true")).await;
    assert_eq!(refused.code, 422);
    assert_eq!(client.get(&format!("{CONFIG_MAPS}?watch=true&resourceVersionMatch=NotOlderThan")).await.code, 422);
}

#[tokio::test]
async fn a_server_without_watch_lists_says_so() {
    let mut feature_gates = FeatureGates::default();
    feature_gates.set("WatchList", false);
    let client =
        Client::start_as(Config { definitions: config::definitions(), feature_gates, ..Config::default() }).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    client.get(&format!("{CONFIG_MAPS}?{query}")).await.fails(
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the \
         WatchList feature gate is enabled",
    );
}

#[tokio::test]
async fn a_selection_gains_and_loses_objects() {
    let client = Client::start().await;
    client.post(PODS, pod("p")).await.ok();
    let mut events = client.watch(&format!("{PODS}?watch=true&labelSelector=app%3Dx")).await;
    assert_eq!(events.brief().await, ("ADDED".into(), "p".into()));
    let path = format!("{PODS}/p");
    let away = client.merge(&path, json!({"metadata": {"labels": {"app": "y"}}})).await.ok();
    let gone = events.next().await.expect("an event");
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["app"], "x", "the old content");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], away["metadata"]["resourceVersion"], "the new revision");
    client.merge(&path, json!({"metadata": {"labels": {"other": "1"}}})).await.ok();
    client.merge(&path, json!({"metadata": {"labels": {"app": "x"}}})).await.ok();
    assert_eq!(events.brief().await, ("ADDED".into(), "p".into()));
}

#[tokio::test]
async fn too_old_a_revision_is_an_error_event() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    for round in 0..4200 {
        client.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"key": round.to_string()}})).await.ok();
    }
    let mut events = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=3")).await;
    let error = events.next().await.expect("an event");
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(error["object"]["message"].as_str().unwrap_or_default().starts_with("too old resource version: 3 ("));
    assert_eq!(events.next().await, None, "an error is the end");
}

#[tokio::test]
async fn a_watch_ends_in_time() {
    let client = Client::start().await;
    let query = "watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=1";
    let mut events = client.watch(&format!("/api/v1/namespaces/none/pods?{query}")).await;
    while let Some(event) = events.next().await {
        assert_eq!(event["type"], "BOOKMARK");
    }
}

#[tokio::test]
async fn the_old_paths_watch_too() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let mut events = client.watch("/api/v1/watch/namespaces/default/configmaps/a").await;
    assert_eq!(events.brief().await, ("ADDED".into(), "a".into()));
    client.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    client.delete(&format!("{CONFIG_MAPS}/a")).await.ok();
    assert_eq!(events.brief().await, ("DELETED".into(), "a".into()));
}
