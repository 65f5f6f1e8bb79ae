//! Pod Security labels of namespaces, and default classes.

use serde_json::{Value, json};

use crate::client::{Client, PODS, pod};

const NAMESPACE: &str = "/api/v1/namespaces/default";

async fn label(client: &Client, labels: Value) -> Vec<String> {
    let answer = client.merge(NAMESPACE, json!({"metadata": {"labels": labels}})).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    answer.warnings().into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_level_of_a_namespace_holds_for_its_pods() {
    let client = Client::start().await;
    label(&client, json!({"pod-security.kubernetes.io/enforce": "baseline"})).await;
    let mut powerful = pod("p");
    powerful["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    client.post(PODS, powerful.clone()).await.fails(
        403,
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"c\" must not set \
         securityContext.privileged=true)",
    );
    client.post(PODS, pod("plain")).await.ok();
    let told = label(&client, json!({"pod-security.kubernetes.io/enforce": "restricted"})).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("existing pods in namespace \\\"default\\\" violate the new PodSecurity enforce level"));
    assert!(told[1].contains("plain: allowPrivilegeEscalation != false, unrestricted capabilities"), "{told:?}");
    label(&client, json!({"pod-security.kubernetes.io/enforce": null, "pod-security.kubernetes.io/warn": "baseline"}))
        .await;
    let answer = client.post(PODS, powerful).await;
    assert_eq!(answer.code, 201);
    assert!(answer.warnings()[0].contains("would violate PodSecurity \\\"baseline:latest\\\": privileged"));
}

#[tokio::test]
async fn an_unknown_level_is_none() {
    let client = Client::start().await;
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "strict"}}});
    client.merge(NAMESPACE, labels).await.fails(
        422,
        "Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
         \"strict\": must be one of privileged, baseline, restricted",
    );
}

#[tokio::test]
async fn volume_claims_get_the_default_class() {
    let client = Client::start().await;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/p",
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    });
    client.post("/apis/storage.k8s.io/v1/storageclasses", class).await.ok();
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let created = client.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await.ok();
    assert_eq!(created["spec"]["storageClassName"], "fast");
}
