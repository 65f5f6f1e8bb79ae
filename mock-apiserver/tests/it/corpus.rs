//! Upstream's published test objects, sent in every encoding: whatever the server makes of one, it makes the same of it in
//! JSON, YAML and protobuf.

use std::{collections::BTreeMap, io::Read as _};

use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use http::Request;
use http_body_util::BodyExt as _;
use mock_apiserver::{ApiServer, Config, config};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

async fn send(router: &Router, request: http::request::Builder, body: Vec<u8>) -> (u16, Value) {
    let request = request.header("host", "127.0.0.1").body(Body::from(body)).expect("a request");
    let response = router.clone().oneshot(request).await.expect("a router never fails");
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The collection of every kind that objects can be created of, by `apiVersion` and `kind`.
async fn collections(router: &Router) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for root in ["/api", "/apis"] {
        let (_, list) = send(router, Request::get(root).header("accept", AGGREGATED), Vec::new()).await;
        for group in list["items"].as_array().into_iter().flatten() {
            let name = group["metadata"]["name"].as_str().map_or_else(String::new, |name| format!("{name}/"));
            for version in group["versions"].as_array().into_iter().flatten() {
                let api_version = format!("{name}{}", version["version"].as_str().expect("a version"));
                for resource in version["resources"].as_array().into_iter().flatten() {
                    let creates = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == "create"));
                    let lists = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == "list"));
                    if !(creates && lists) {
                        continue;
                    }
                    let kind = resource["responseKind"]["kind"].as_str().expect("a kind").to_owned();
                    let plural = resource["resource"].as_str().expect("a plural");
                    let place = if resource["scope"] == "Namespaced" { "/namespaces/default" } else { "" };
                    found.insert((api_version.clone(), kind), format!("{root}/{api_version}{place}/{plural}"));
                }
            }
        }
    }
    found
}

/// An answer without what differs from request to request.
fn comparable((code, mut body): (u16, Value)) -> (u16, Value) {
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        for member in ["uid", "creationTimestamp", "managedFields"] {
            metadata.remove(member);
        }
    }
    (code, body)
}

#[tokio::test]
async fn every_published_object_means_the_same_in_every_encoding() {
    let config = Config { definitions: config::definitions(), ..Config::default() };
    let shutdown = CancellationToken::new();
    let router = ApiServer::start(config, shutdown.clone()).await.expect("a server").router();
    let collections = collections(&router).await;
    let packed: &[u8] = include_bytes!("../../../testdata/corpus/api-objects.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("the corpus is compressed text");
    let (mut sent, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let mut row: Value = serde_json::from_str(line).expect("a row is JSON");
        let name = row["name"].as_str().expect("a name").to_owned();
        let mut object = row["json"].take();
        let key = |member: &str| object[member].as_str().unwrap_or_default().to_owned();
        let collection = collections.get(&(key("apiVersion"), key("kind")));
        let Some(collection) = collection.filter(|_| !name.ends_with("after_roundtrip")) else { continue };
        // Both forms are in the namespace `namespaceValue`.
        let path = collection.replace("/namespaces/default", "/namespaces/namespaceValue");
        object["status"] = object["status"].take();
        if object["status"].is_null() {
            object.as_object_mut().expect("an object").remove("status");
        }
        let post = |media_type: &str| Request::post(format!("{path}?dryRun=All")).header("content-type", media_type);
        let json = comparable(send(&router, post("application/json"), object.to_string().into()).await);
        let yaml = machinery::yaml::to_string(&object).into_bytes();
        let yaml = comparable(send(&router, post("application/yaml"), yaml).await);
        let message = STANDARD.decode(row["pb"].as_str().expect("base64")).expect("base64");
        let protobuf = comparable(send(&router, post("application/vnd.kubernetes.protobuf"), message).await);
        sent += 1;
        if json != yaml {
            wrong.push(format!("{name} in YAML:\n  {yaml:?}\n  {json:?}"));
        }
        if json != protobuf {
            wrong.push(format!("{name} in protobuf:\n  {protobuf:?}\n  {json:?}"));
        }
        if !matches!(json.0, 201 | 403 | 404 | 422) {
            wrong.push(format!("{name}: {json:?}"));
        }
    }
    shutdown.cancel();
    assert!(sent > 50, "only {sent} objects were sent");
    assert!(
        wrong.is_empty(),
        "{} of {sent}\n{}",
        wrong.len(),
        wrong.iter().map(|w| w.chars().take(1500).collect::<String>()).collect::<Vec<_>>().join("\n")
    );
}
