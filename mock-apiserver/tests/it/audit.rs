//! What is written down about requests.

use std::sync::Arc;

use mock_apiserver::{Config, audit::Audit, config};
use serde_json::{Value, json};

use crate::client::Client;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn requests_are_written_down_as_the_policy_says() {
    let directory = std::env::temp_dir().join(format!("mock-apiserver-audit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (policy, log) = (directory.join("policy.yaml"), directory.join("log"));
    let rules = json!([
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}], "omitManagedFields": true},
        {"level": "None", "nonResourceURLs": ["/version"]},
        {"level": "Metadata"},
    ]);
    let document =
        json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
    std::fs::write(&policy, document.to_string()).expect("a file");
    let audit = Some(Arc::new(Audit::open(&policy, &log).expect("a policy")));
    let server = Client::start_as(Config { definitions: config::definitions(), audit, ..Config::default() }).await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}});
    let created = server.post(MAPS, map).await;
    let id = created.headers["audit-id"].to_str().expect("text").to_owned();
    created.ok();
    server.get("/version").await.ok();
    assert_eq!(server.get("/api/v1/nodes/none").await.code, 404);
    server.get(&format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0")).await;

    let text = std::fs::read_to_string(&log).expect("a log");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    drop(std::fs::remove_dir_all(&directory));
    let told: Vec<(&str, &str, u64)> = events
        .iter()
        .map(|event| {
            let text = |member: &str| event[member].as_str().unwrap_or_default();
            (text("verb"), text("stage"), event["responseStatus"]["code"].as_u64().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("create", "ResponseComplete", 201),
            ("get", "ResponseComplete", 404),
            ("watch", "ResponseStarted", 200),
            ("watch", "ResponseComplete", 200),
        ]
    );
    let event = &events[0];
    assert_eq!((&event["auditID"], &event["level"]), (&json!(id), &json!("RequestResponse")));
    assert_eq!(event["objectRef"], json!({"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}));
    assert_eq!(event["user"]["username"], "kubernetes-admin");
    assert_eq!(event["requestObject"]["data"], json!({"a": "b"}));
    assert_eq!(event["responseObject"]["metadata"]["name"], "m");
    assert_eq!(event["responseObject"]["metadata"]["managedFields"], Value::Null);
    assert_eq!(events[1].get("requestObject"), None);
}
