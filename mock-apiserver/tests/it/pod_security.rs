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

fn deployment(pod: &Value) -> Value {
    let labels = json!({"app": "d"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod["spec"]}},
    })
}

/// Pods that a Deployment would ask for in vain are told of when it is created.
#[tokio::test]
async fn who_enforces_also_warns() {
    let client = Client::start().await;
    label(&client, json!({"pod-security.kubernetes.io/enforce": "restricted"})).await;
    let created = client.post("/apis/apps/v1/namespaces/default/deployments", deployment(&pod("p"))).await;
    assert_eq!(created.code, 201);
    assert!(
        created.warnings()[0].contains("would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation")
    );
    assert!(label(&client, json!({"pod-security.kubernetes.io/enforce": "baseline"})).await.is_empty(), "that is less");
    let wrong = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce-version": "1.30"}}});
    client.merge(NAMESPACE, wrong).await.fails(
        422,
        "Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce-version]: Invalid value: \
         \"1.30\": must be \"latest\" or \"v1.x\"",
    );
}

#[tokio::test]
async fn a_configuration_holds_where_labels_say_nothing() {
    let configuration = json!({
        "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline", "warn": "restricted"},
        "exemptions": {"namespaces": ["kube-system"], "runtimeClasses": ["vm"]},
    });
    let client = Client::start_with_plugin("PodSecurity", configuration).await;
    let mut powerful = pod("p");
    powerful["spec"]["hostNetwork"] = true.into();
    let refused =
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    client.post(PODS, powerful.clone()).await.fails(403, refused);
    let answer = client.post(PODS, pod("plain")).await;
    assert!(
        answer.warnings()[0].contains("would violate PodSecurity \\\"restricted:latest\\\""),
        "{:?}",
        answer.warnings()
    );
    let exempt = client.post("/api/v1/namespaces/kube-system/pods", powerful.clone()).await;
    assert_eq!((exempt.code, exempt.warnings().len()), (201, 0));
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "vm"}, "handler": "h",
    });
    client.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.ok();
    powerful["spec"]["runtimeClassName"] = "vm".into();
    client.post(PODS, powerful).await.ok();
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let labelled = client.merge("/api/v1/namespaces/kube-system", labels).await;
    assert_eq!(
        labelled.warnings(),
        [
            "299 - \"namespace \\\"kube-system\\\" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored\""
        ]
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

#[tokio::test]
async fn pods_get_what_their_runtime_class_says() {
    let client = Client::start().await;
    let mut sandboxed = pod("p");
    sandboxed["spec"]["runtimeClassName"] = "sandboxed".into();
    let refused = client.post(PODS, sandboxed.clone()).await;
    refused.fails(403, "pods \"p\" is forbidden: pod rejected: RuntimeClass \"sandboxed\" not found");
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandboxed"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "100m"}}, "scheduling": {"nodeSelector": {"sandbox": "yes"}},
    });
    client.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.ok();
    let created = client.post(PODS, sandboxed).await.ok();
    assert_eq!(created["spec"]["overhead"], json!({"cpu": "100m"}));
    assert_eq!(created["spec"]["nodeSelector"], json!({"sandbox": "yes"}));
}

#[tokio::test]
async fn there_is_one_default_priority() {
    let client = Client::start().await;
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = |name: &str, value: i64| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "globalDefault": true,
        })
    };
    client.post(path, class("usual", 10)).await.ok();
    client.post(path, class("other", 20)).await.fails(
        403,
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. Only one \
         default can exist",
    );
    let created = client.post(PODS, pod("p")).await.ok();
    assert_eq!((&created["spec"]["priority"], &created["spec"]["priorityClassName"]), (&json!(10), &json!("usual")));
}
