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

/// Answers with what the new object holds.
fn as_told(request: &Value) -> Option<Value> {
    let told = |member: &str| request["object"]["data"][member].as_str().unwrap_or_default().to_owned();
    Some(json!({"raw": told("raw"), "status": told("status").parse::<u16>().unwrap_or(200)}))
}

#[tokio::test]
async fn answers_that_are_none_are_told_in_the_words_of_client_go() {
    let (client, webhook) = (Client::start().await, Webhook::start(as_told).await);
    validating(&client, webhook.url(), json!({})).await;
    let review = |response: &str| {
        format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{response}}}"#)
    };
    let untyped =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let unread = |found: &str| {
        format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type {untyped}"
        )
    };
    let scheme = r#"in scheme "k8s.io/apiserver/pkg/util/webhook/client.go:71""#;
    for (status, raw, why) in [
        (403, "not you".to_owned(), "not you".to_owned()),
        (422, "x".to_owned(), "the server rejected our request due to an error in our request".to_owned()),
        (
            429,
            "x".to_owned(),
            "the server has received too many requests and has asked us to try again later".to_owned(),
        ),
        (503, "x".to_owned(), "the server is currently unable to handle the request".to_owned()),
        (
            418,
            "x".to_owned(),
            "the server responded with the status code 418 but did not return more information".to_owned(),
        ),
        (
            403,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"said so","code":403}"#.to_owned(),
            "said so".to_owned(),
        ),
        (200, String::new(), "0-length response with status code: 200 and content type: ".to_owned()),
        (200, "<html>".to_owned(), unread("string")),
        (200, "[1]".to_owned(), unread("array")),
        (
            200,
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"Foo"}"#.to_owned(),
            format!(r#"no kind "Foo" is registered for version "admission.k8s.io/v1" {scheme}"#),
        ),
        (
            200,
            r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#.to_owned(),
            "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion".to_owned(),
        ),
        (
            200,
            review(r#"{"allowed":"yes"}"#),
            "json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool"
                .to_owned(),
        ),
    ] {
        let mut object = config_map("a", "1");
        object["data"] = json!({"raw": raw, "status": status.to_string()});
        let refused = client.post(CONFIG_MAPS, object).await;
        let call = "Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook";
        refused.fails(500, &format!("{call}: {why}"));
    }
}

#[tokio::test]
async fn both_kinds_of_webhook_see_deletes() {
    let (client, webhook) = (Client::start().await, Webhook::start(allow).await);
    let about = json!({"rules": [{
        "operations": ["DELETE", "CONNECT"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["configmaps", "pods", "pods/*"],
    }]});
    validating(&client, webhook.url(), about.clone()).await;
    mutating(&client, webhook.url(), about).await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    client.delete(&format!("{CONFIG_MAPS}/a?gracePeriodSeconds=3")).await.ok();
    let asked = webhook.asked();
    assert_eq!(asked.len(), 2);
    for review in &asked {
        let request = &review["request"];
        assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
        assert_eq!(request["oldObject"]["data"]["key"], "1");
        let options = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 3});
        assert_eq!(request["options"], options);
    }
    // A pod that goes by its eviction is not asked about a second time.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let pods = "/api/v1/namespaces/default/pods";
    client.post(pods, pod).await.ok();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    client.post(&format!("{pods}/p/eviction"), eviction).await.ok();
    assert_eq!(webhook.asked().len(), 2);
    client.get(&format!("{pods}/p/proxy/a/b")).await;
    let request = webhook.asked()[2]["request"].clone();
    assert_eq!((&request["operation"], &request["subResource"]), (&json!("CONNECT"), &json!("proxy")));
    assert_eq!(request["object"], json!({"kind": "PodProxyOptions", "apiVersion": "v1", "path": "/a/b"}));
}

#[tokio::test]
async fn objects_stay_what_and_where_they_are() {
    fn change(request: &Value) -> Option<Value> {
        let patch = json!([request["object"]["data"]]).to_string();
        Some(json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch)}))
    }
    let (client, webhook) = (Client::start().await, Webhook::start(change).await);
    mutating(&client, webhook.url(), json!({})).await;
    for (path, value, code, why) in [
        (
            "/metadata/namespace",
            "other",
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "/apiVersion",
            "v2",
            500,
            "Internal error occurred: no kind \"ConfigMap\" is registered for version \"v2\" in scheme \
             \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
        ),
    ] {
        let mut object = config_map("a", "1");
        object["data"] = json!({"op": "replace", "path": path, "value": value});
        client.post(CONFIG_MAPS, object).await.fails(code, why);
    }
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
