use serde_json::json;

use crate::client::{Client, config_map};

fn namespace(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

#[tokio::test]
async fn namespaces_hold_what_pods_need() {
    let client = Client::start().await;
    let created = client.post("/api/v1/namespaces", namespace("n")).await.ok();
    assert_eq!(created["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(created["status"], json!({"phase": "Active"}));
    assert_eq!(created["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "n"}));
    for name in ["default", "kube-system", "kube-public", "kube-node-lease", "n"] {
        let path = format!("/api/v1/namespaces/{name}");
        client.get(&format!("{path}/serviceaccounts/default")).await.ok();
        let root = client.get(&format!("{path}/configmaps/kube-root-ca.crt")).await.ok();
        assert!(root["data"]["ca.crt"].is_string());
    }
    client.delete("/api/v1/namespaces/n/serviceaccounts/default").await.ok();
    client.until("/api/v1/namespaces/n/serviceaccounts/default", 200).await;
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_content_along() {
    let client = Client::start().await;
    client.post("/api/v1/namespaces", namespace("n")).await.ok();
    let content = "/api/v1/namespaces/n/configmaps";
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["x.io/y"]);
    client.post(content, held).await.ok();
    client.post(content, config_map("free", "1")).await.ok();
    let marked = client.delete("/api/v1/namespaces/n").await.ok();
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(marked["metadata"].get("deletionGracePeriodSeconds"), None);
    let refused = client.post(content, config_map("new", "1")).await;
    refused.fails(
        403,
        r#"configmaps "new" is forbidden: unable to create new content in namespace n because it is being terminated"#,
    );
    assert_eq!(
        refused.body["details"]["causes"],
        json!([{"reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace"}])
    );
    client.until(&format!("{content}/free"), 404).await;
    let waiting =
        client.until_body("/api/v1/namespaces/n", |answer| answer.body["status"]["conditions"].is_array()).await;
    let messages: Vec<_> = waiting.body["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .filter(|condition| condition["status"] == "True")
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "Some resources are remaining: configmaps. has 1 resource instances",
            "Some content in the namespace has finalizers remaining: x.io/y in 1 resource instances",
        ]
    );
    client.merge(&format!("{content}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    client.until("/api/v1/namespaces/n", 404).await;
}

#[tokio::test]
async fn some_namespaces_stay() {
    let client = Client::start().await;
    client
        .delete("/api/v1/namespaces/default")
        .await
        .fails(403, r#"namespaces "default" is forbidden: this namespace may not be deleted"#);
    let stripped = client
        .merge("/api/v1/namespaces/default", json!({"metadata": {"labels": null}, "spec": {"finalizers": []}}))
        .await
        .ok();
    assert_eq!(stripped["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "default"}));
    assert_eq!(stripped["spec"], json!({"finalizers": ["kubernetes"]}));
}

#[tokio::test]
async fn content_that_may_not_be_deleted_is_reported_and_tried_again() {
    let client = Client::start().await;
    client
        .post("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}))
        .await
        .ok();
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "keep"},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]},
            ]},
            "validations": [{"expression": "false", "message": "kept"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "keep"}, "spec": {"policyName": "keep", "validationActions": ["Deny"]},
    });
    client.post(&format!("{group}/validatingadmissionpolicies"), policy).await.ok();
    client.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.ok();
    client.delete("/api/v1/namespaces/n").await.ok();
    let failed = |answer: &crate::client::Answer| {
        let conditions = answer.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "NamespaceDeletionContentFailure" && one["status"] == "True")
    };
    client.until_body("/api/v1/namespaces/n", failed).await;
    client.delete(&format!("{group}/validatingadmissionpolicybindings/keep")).await.ok();
    client.until("/api/v1/namespaces/n", 404).await;
}
