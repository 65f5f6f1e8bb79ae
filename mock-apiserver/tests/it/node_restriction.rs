//! The plug-in `NodeRestriction`: kubelets write what is theirs.

use std::collections::BTreeSet;

use mock_apiserver::{
    Config,
    authorization::Mode,
    config::{self, Access},
};
use serde_json::{Value, json};

use crate::client::{Client, PODS, pod};

const NODES: &str = "/api/v1/nodes";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const SLICES: &str = "/apis/resource.k8s.io/v1/resourceslices";

async fn server(plugins: &[&str]) -> Client {
    let enabled_plugins: BTreeSet<String> = plugins.iter().map(|name| (*name).to_owned()).collect();
    let access = Access { authorization: vec![Mode::Node, Mode::Rbac], ..Access::default() };
    Client::start_as(Config { definitions: config::definitions(), access, enabled_plugins, ..Config::default() }).await
}

fn kubelet(server: &Client, node: &str) -> Client {
    server.with(&[("impersonate-user", &format!("system:node:{node}")), ("impersonate-group", "system:nodes")])
}

fn node(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn on_node(name: &str, node: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["nodeName"] = node.into();
    pod
}

#[tokio::test]
async fn kubelets_write_their_own_node() {
    let server = server(&["NodeRestriction"]).await;
    let own = kubelet(&server, "n1");
    own.post(NODES, node("n2", json!({})))
        .await
        .fails(403, "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    own.post(NODES, node("n1", json!({"node-restriction.kubernetes.io/team": "a", "kubernetes.io/os": "linux"})))
        .await
        .fails(
            403,
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: \
             node-restriction.kubernetes.io/team",
        );
    let mut made = own.post(NODES, node("n1", json!({"kubernetes.io/os": "linux", "own": "x"}))).await.ok();
    let path = format!("{NODES}/n1");
    made["metadata"]["labels"]["node-role.kubernetes.io/admin"] = "".into();
    own.put(&path, made.clone())
        .await
        .fails(403, "nodes \"n1\" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/admin");
    let labels = made["metadata"]["labels"].as_object_mut().expect("labels");
    labels.remove("node-role.kubernetes.io/admin");
    labels.insert("own".to_owned(), "y".into());
    let mut made = own.put(&path, made).await.ok();
    made["spec"]["taints"] = json!([{"key": "a", "effect": "NoSchedule"}]);
    own.put(&path, made).await.fails(403, "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints");
}

#[tokio::test]
async fn kubelets_write_their_own_pods() {
    let server = server(&["NodeRestriction"]).await;
    let own = kubelet(&server, "n1");
    let uid = own.post(NODES, node("n1", json!({}))).await.ok()["metadata"]["uid"].clone();
    own.post(PODS, on_node("p", "n1")).await.fails(
        403,
        "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only \
         create mirror pods",
    );
    let mirror = |node: &str| {
        let mut pod = on_node("static", node);
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": true}]);
        pod
    };
    own.post(PODS, mirror("n2"))
        .await
        .fails(403, "pods \"static\" is forbidden: node \"n1\" can only create pods with spec.nodeName set to itself");
    let mut greedy = mirror("n1");
    greedy["spec"]["volumes"] = json!([{"name": "a", "configMap": {"name": "b"}}]);
    own.post(PODS, greedy)
        .await
        .fails(403, "pods \"static\" is forbidden: node \"n1\" can not create pods that reference configmaps");
    let made = own.post(PODS, mirror("n1")).await.ok();
    assert!(made["spec"]["serviceAccountName"].is_null(), "{made}");

    for (name, at) in [("here", "n1"), ("there", "n2")] {
        server.post(PODS, on_node(name, at)).await.ok();
    }
    let ready = json!({"status": {"phase": "Running"}});
    own.merge(&format!("{PODS}/here/status"), ready.clone()).await.ok();
    own.merge(&format!("{PODS}/there/status"), ready).await.fails(
        403,
        "pods \"there\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to itself",
    );
    own.merge(&format!("{PODS}/here/status"), json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .fails(403, "pods \"here\" is forbidden: node \"n1\" cannot update labels through pod status");
    own.delete(&format!("{PODS}/there"))
        .await
        .fails(403, "pods \"there\" is forbidden: node \"n1\" can only delete pods with spec.nodeName set to itself");
    own.delete(&format!("{PODS}/here")).await.ok();
}

#[tokio::test]
async fn kubelets_write_their_own_leases_slices_and_tokens() {
    let server = server(&["NodeRestriction"]).await;
    let own = kubelet(&server, "n1");
    own.post(NODES, node("n1", json!({}))).await.ok();
    let lease = |name: &str| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": {}});
    own.post(LEASES, lease("n1")).await.ok();
    own.post(LEASES, lease("n2")).await.fails(
        403,
        "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the \
         requesting node",
    );
    let slice = |name: &str, node: &str| {
        json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name},
            "spec": {"driver": "d.example.com", "nodeName": node, "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}},
        })
    };
    own.post(SLICES, slice("a", "n1")).await.ok();
    own.post(SLICES, slice("b", "n2")).await.fails(
        403,
        "resourceslices.resource.k8s.io \"b\" is forbidden: can only create ResourceSlice with the same NodeName as the \
         requesting node",
    );
    for (name, at) in [("here", "n1"), ("there", "n2")] {
        server.post(PODS, on_node(name, at)).await.ok();
    }
    let tokens = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = async |pod: &str, bound: bool| {
        let uid = server.get(&format!("{PODS}/{pod}")).await.ok()["metadata"]["uid"].clone();
        let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid});
        let mut request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
        if bound {
            request["spec"]["boundObjectRef"] = reference;
        }
        own.post(tokens, request).await
    };
    request("here", true).await.ok();
    request("here", false)
        .await
        .fails(403, "serviceaccounts \"default\" is forbidden: node requested token not bound to a pod");
    let driver = json!({"metadata": {"name": "d.example"}, "spec": {"tokenRequests": [{"audience": "of-driver"}]}});
    server.post("/apis/storage.k8s.io/v1/csidrivers", driver).await.ok();
    let mut pod = on_node("volumes", "n1");
    pod["spec"]["volumes"] = json!([
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "of-pod"}}]}},
        {"name": "d", "csi": {"driver": "d.example"}},
    ]);
    let uid = server.post(PODS, pod).await.ok()["metadata"]["uid"].clone();
    let of = async |audiences: &[&str]| {
        let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "volumes", "uid": uid});
        own.post(tokens, json!({"spec": {"audiences": audiences, "boundObjectRef": reference}})).await
    };
    of(&["of-pod"]).await.ok();
    of(&["of-driver"]).await.ok();
    of(&["of-pod", "of-driver"])
        .await
        .fails(403, "serviceaccounts \"default\" is forbidden: node may only request 0 or 1 audiences");
    of(&["other"]).await.fails(
        403,
        "serviceaccounts \"default\" is forbidden: audience \"other\" not found in pod spec volume, system:node:n1 is not \
         authorized to request tokens for this audience",
    );
    let role = json!({"metadata": {"name": "audience"}, "rules": [
        {"apiGroups": [""], "resources": ["other"], "verbs": ["request-serviceaccounts-token-audience"]},
    ]});
    let group = "/apis/rbac.authorization.k8s.io/v1";
    server.post(&format!("{group}/clusterroles"), role).await.ok();
    let binding = json!({
        "metadata": {"name": "audience"}, "subjects": [{"kind": "Group", "name": "system:nodes", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "audience"},
    });
    server.post(&format!("{group}/clusterrolebindings"), binding).await.ok();
    of(&["other"]).await.ok();
    server.delete("/apis/storage.k8s.io/v1/csidrivers/d.example").await.ok();
    of(&["none"]).await.fails(
        403,
        "serviceaccounts \"default\" is forbidden: error validating audience \"none\": csidriver.storage.k8s.io \"d.example\" \
         not found",
    );
    request("there", true).await.fails(
        403,
        "serviceaccounts \"default\" is forbidden: node requested token bound to a pod scheduled on a different node",
    );
}

#[tokio::test]
async fn the_plug_in_is_there_when_it_is_asked_for() {
    let server = server(&[]).await;
    kubelet(&server, "n1").post(NODES, node("n2", json!({"node-restriction.kubernetes.io/team": "a"}))).await.ok();
}
