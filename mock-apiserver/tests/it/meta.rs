//! What the server tells about itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::{CONFIG_MAPS, Client, config_map};

#[tokio::test]
async fn metrics_tell_each_series_once_under_upstreams_names() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "x")).await.ok();
    client.get(&format!("{CONFIG_MAPS}/none")).await.fails(404, "configmaps \"none\" not found");
    client.get("/apis/nothing.example/v1/things").await;
    let watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=0")).await;
    let metrics = client.text("/metrics").await;
    let samples = metrics.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' '));
    let series: Vec<&str> = samples.map(|sample| sample.expect("a series and a value").0).collect();
    assert_eq!(series.iter().collect::<BTreeSet<_>>().len(), series.len(), "a series is told twice");
    let of = "group=\"\",resource=\"configmaps\"";
    let labels =
        |scope: &str, verb: &str| format!("{of},scope=\"{scope}\",subresource=\"\",verb=\"{verb}\",version=\"v1\"");
    let component = "component=\"apiserver\"";
    for expected in [
        format!("apiserver_request_total{{code=\"201\",{component},dry_run=\"\",{}}} 1\n", labels("resource", "POST")),
        format!("apiserver_request_total{{code=\"404\",{component},dry_run=\"\",{}}} 1\n", labels("resource", "GET")),
        format!(
            "apiserver_request_duration_seconds_count{{{component},dry_run=\"\",{}}} 1\n",
            labels("resource", "POST")
        ),
        format!("apiserver_longrunning_requests{{{component},{}}} 1\n", labels("namespace", "WATCH")),
        format!("apiserver_resource_objects{{{of}}} "),
        "apiserver_storage_objects{resource=\"deviceclasses.resource.k8s.io\"} 0\n".to_owned(),
        "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0\n".to_owned(),
        "kubernetes_feature_enabled{name=\"DynamicResourceAllocation\",stage=\"\"} 1\n".to_owned(),
        "authentication_attempts{result=\"success\"} ".to_owned(),
    ] {
        assert!(metrics.contains(&expected), "no {expected} in\n{metrics}");
    }
    drop(watch);
    let closed = format!("apiserver_longrunning_requests{{{component},{}}} 0\n", labels("namespace", "WATCH"));
    assert!(client.text("/metrics").await.contains(&closed));
}

#[tokio::test]
async fn checks_of_health_have_upstreams_names() {
    let client = Client::start().await;
    for check in ["etcd", "etcd-readiness", "informer-sync", "poststarthook/bootstrap-controller"] {
        assert_eq!(client.text(&format!("/readyz/{check}")).await, "ok");
    }
    let told = client.text("/metrics/slis").await;
    assert!(told.contains("kubernetes_healthcheck{name=\"ping\",type=\"readyz\"} 1\n"), "{told}");
}

#[tokio::test]
async fn components_are_asked_how_they_are() {
    let client = Client::start().await;
    let list = client.get("/api/v1/componentstatuses").await.ok();
    let names: Vec<&str> =
        list["items"].as_array().expect("items").iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["scheduler", "controller-manager", "etcd-0"]);
    let own = client.get("/api/v1/componentstatuses/etcd-0").await.ok();
    assert_eq!(own["conditions"][0]["status"], "True");
    let selected = client.get("/api/v1/componentstatuses?fieldSelector=metadata.name%3Detcd-0").await.ok();
    assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
    client.get("/api/v1/componentstatuses/x").await.fails(404, "componentstatuses \"x\" not found");
    assert_eq!(own["metadata"], serde_json::json!({"name": "etcd-0"}));
    assert_ne!(own["kind"], Value::Null);
}
