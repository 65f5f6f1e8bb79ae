//! Admission webhooks, asked over TLS on this machine.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    client::{CONFIG_MAPS, Client, config_map},
    webhook::Webhook,
};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

fn configuration(kind: &str, client_config: Value, more: Value) -> Value {
    let mut webhook = json!({
        "name": "check.example.com", "clientConfig": client_config, "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [{
            "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
        }],
    });
    for (member, value) in more.as_object().expect("members") {
        webhook[member] = value.clone();
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "hooks"},
        "webhooks": [webhook],
    })
}

async fn validating(client: &Client, client_config: Value, more: Value) {
    let configuration = configuration("ValidatingWebhookConfiguration", client_config, more);
    client.post(&format!("{GROUP}/validatingwebhookconfigurations"), configuration).await.ok();
}

async fn mutating(client: &Client, client_config: Value, more: Value) {
    let configuration = configuration("MutatingWebhookConfiguration", client_config, more);
    client.post(&format!("{GROUP}/mutatingwebhookconfigurations"), configuration).await.ok();
}

fn allow(_: &Value) -> Option<Value> {
    Some(json!({"allowed": true, "warnings": ["think again"]}))
}

fn deny(_: &Value) -> Option<Value> {
    Some(json!({"allowed": false, "status": {"code": 403, "reason": "Forbidden", "message": "not on my watch"}}))
}

fn label(request: &Value) -> Option<Value> {
    let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"by": request["operation"]}}]);
    let patch = STANDARD.encode(patch.to_string());
    Some(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

fn fall_over(_: &Value) -> Option<Value> {
    None
}

#[tokio::test]
async fn a_webhook_sees_the_request_and_may_warn() {
    let (client, webhook) = (Client::start().await, Webhook::start(allow).await);
    validating(&client, webhook.url(), json!({})).await;
    let answer = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    assert_eq!((answer.code, answer.warnings()), (201, vec!["299 - \"think again\""]));
    let asked = webhook.asked();
    let request = &asked[0]["request"];
    assert_eq!(asked[0]["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(request["resource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!((&request["name"], &request["namespace"]), (&json!("a"), &json!("default")));
    assert_eq!((&request["operation"], &request["dryRun"]), (&json!("CREATE"), &json!(false)));
    assert_eq!(request["object"]["data"]["key"], "1");
    assert_eq!(request["oldObject"], Value::Null);
    assert_eq!(request["options"]["kind"], "CreateOptions");
    assert!(request["userInfo"]["username"].is_string());
    client.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"key": "2"}})).await.ok();
    assert_eq!(webhook.asked()[1]["request"]["oldObject"]["data"]["key"], "1");
}

#[tokio::test]
async fn a_webhook_refuses_in_its_own_words() {
    let (client, webhook) = (Client::start().await, Webhook::start(deny).await);
    validating(&client, webhook.url(), json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    refused.fails(403, "admission webhook \"check.example.com\" denied the request: not on my watch");
    assert_eq!(refused.body["reason"], "Forbidden");
}

#[tokio::test]
async fn a_webhook_changes_objects() {
    let (client, webhook) = (Client::start().await, Webhook::start(label).await);
    mutating(&client, webhook.url(), json!({"reinvocationPolicy": "IfNeeded"})).await;
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    assert_eq!(created["metadata"]["labels"], json!({"by": "CREATE"}));
    assert_eq!(webhook.asked().len(), 1, "nobody else changed the object");
}

#[tokio::test]
async fn services_are_reached_by_their_external_name() {
    let (client, webhook) = (Client::start().await, Webhook::start(deny).await);
    let service = json!({"service": {"name": "hook", "namespace": "default", "path": "/v", "port": webhook.port}});
    let mut config = service;
    config["caBundle"] = webhook.ca_bundle.clone().into();
    validating(&client, config, json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    let why = format!(
        "Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook: \
         Post \"https://hook.default.svc:{}/v?timeout=10s\": service \"hook\" not found",
        webhook.port
    );
    refused.fails(500, &why);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    client.post("/api/v1/namespaces/default/services", service).await.ok();
    assert_eq!(client.post(CONFIG_MAPS, config_map("a", "1")).await.code, 403);
}

#[tokio::test]
async fn webhooks_that_do_not_answer_fail_as_they_are_told() {
    let (client, webhook) = (Client::start().await, Webhook::start(fall_over).await);
    validating(&client, webhook.url(), json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    refused.fails(
        500,
        "Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook: \
         an error on the server (\"it broke\") has prevented the request from succeeding",
    );
    let untrusted = json!({"url": format!("https://localhost:{}/", webhook.port)});
    let path = format!("{GROUP}/validatingwebhookconfigurations/hooks");
    client.delete(&path).await.ok();
    validating(&client, untrusted.clone(), json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    assert!(refused.message().ends_with("x509: certificate signed by unknown authority"), "{}", refused.message());
    client.delete(&path).await.ok();
    validating(&client, untrusted, json!({"failurePolicy": "Ignore"})).await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
}

#[tokio::test]
async fn dry_runs_reach_only_webhooks_without_side_effects() {
    let (client, webhook) = (Client::start().await, Webhook::start(allow).await);
    validating(&client, webhook.url(), json!({"sideEffects": "NoneOnDryRun"})).await;
    client.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("a", "1")).await.ok();
    assert_eq!(webhook.asked()[0]["request"]["dryRun"], true);
}

#[tokio::test]
async fn conditions_and_selectors_spare_webhooks_questions() {
    let (client, webhook) = (Client::start().await, Webhook::start(deny).await);
    let more = json!({
        "matchConditions": [{"name": "only-a", "expression": "object.metadata.name == 'a'"}],
        "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
    });
    validating(&client, webhook.url(), more).await;
    client.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    let mut skipped = config_map("a", "1");
    skipped["metadata"]["labels"] = json!({"skip": "me"});
    client.post(CONFIG_MAPS, skipped).await.ok();
    assert!(webhook.asked().is_empty());
    client.delete(&format!("{CONFIG_MAPS}/a")).await.ok();
    assert_eq!(client.post(CONFIG_MAPS, config_map("a", "1")).await.code, 403);
}
