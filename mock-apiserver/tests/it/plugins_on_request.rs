//! Plug-ins of admission that run only where they are asked for, or can be left out.

use std::collections::BTreeSet;

use mock_apiserver::{
    Config,
    authorization::Mode,
    config::{self, Access},
};
use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

fn names(plugins: &[&str]) -> BTreeSet<String> {
    plugins.iter().map(|name| (*name).to_owned()).collect()
}

async fn with(plugins: &[&str]) -> Client {
    let enabled_plugins = names(plugins);
    Client::start_as(Config { definitions: config::definitions(), enabled_plugins, ..Config::default() }).await
}

#[tokio::test]
async fn a_namespace_is_there_when_something_is_created_in_it() {
    let path = CONFIG_MAPS.replace("/default/", "/fresh/");
    Client::start().await.post(&path, config_map("a", "1")).await.fails(404, "namespaces \"fresh\" not found");
    let server = with(&["NamespaceAutoProvision"]).await;
    server.post(&path, config_map("a", "1")).await.ok();
    server.get("/api/v1/namespaces/fresh").await.ok();
}

#[tokio::test]
async fn pods_pull_their_images_and_tolerate_what_guards_their_devices() {
    let server = with(&["AlwaysPullImages", "ExtendedResourceToleration"]).await;
    let mut wanted = pod("p");
    let container = &mut wanted["spec"]["containers"][0];
    container["image"] = json!("busybox:1");
    container["imagePullPolicy"] = json!("Never");
    container["resources"] = json!({"limits": {"example.com/gpu": "1"}});
    let made = server.post(PODS, wanted).await.ok();
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "Always");
    let tolerations = made["spec"]["tolerations"].as_array().expect("tolerations");
    assert!(tolerations.contains(&json!({"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"})));
}

#[tokio::test]
async fn pods_go_where_their_namespace_says() {
    let server = with(&["PodNodeSelector"]).await;
    let annotation = json!({"metadata": {"annotations": {"scheduler.alpha.kubernetes.io/node-selector": "pool=a"}}});
    server.merge("/api/v1/namespaces/default", annotation).await.ok();
    let made = server.post(PODS, pod("p")).await.ok();
    assert_eq!(made["spec"]["nodeSelector"], json!({"pool": "a"}));
    let mut elsewhere = pod("q");
    elsewhere["spec"]["nodeSelector"] = json!({"pool": "b"});
    server.post(PODS, elsewhere).await.fails(
        403,
        "pods \"q\" is forbidden: pod node label selector conflicts with its namespace node label selector",
    );
}

#[tokio::test]
async fn pods_keep_others_off_their_node_only() {
    let server = with(&["LimitPodHardAntiAffinityTopology"]).await;
    let apart = |name: &str, key: &str| {
        let mut pod = pod(name);
        pod["spec"]["affinity"] = json!({"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": {}}]}});
        pod
    };
    server.post(PODS, apart("p", "kubernetes.io/hostname")).await.ok();
    server.post(PODS, apart("q", "zone")).await.fails(
        403,
        "pods \"q\" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key \
         kubernetes.io/hostname is allowed",
    );
}

#[tokio::test]
async fn services_get_no_new_external_addresses() {
    let server = with(&["DenyServiceExternalIPs"]).await;
    let path = "/api/v1/namespaces/default/services";
    let service = |addresses: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80}], "externalIPs": addresses}})
    };
    let refused = "services \"s\" is forbidden: Use of external IPs is denied by admission control";
    server.post(path, service(json!(["192.0.2.1"]))).await.fails(403, refused);
    server.post(path, service(json!([]))).await.ok();
    server.merge(&format!("{path}/s"), json!({"spec": {"externalIPs": ["192.0.2.1"]}})).await.fails(403, refused);
}

#[tokio::test]
async fn owners_are_given_by_those_who_may_delete() {
    let access = Access { authorization: vec![Mode::Rbac], ..Access::default() };
    let enabled_plugins = names(&["OwnerReferencesPermissionEnforcement"]);
    let config = Config { definitions: config::definitions(), access, enabled_plugins, ..Config::default() };
    let server = Client::start_as(config).await;
    let owner = server.post(CONFIG_MAPS, config_map("owner", "1")).await.ok();
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = |verbs: &[&str], resources: &[&str]| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "writer"}, "rules": [{"apiGroups": [""], "resources": resources, "verbs": verbs}]})
    };
    server.post(&format!("{rbac}/roles"), role(&["create", "update", "patch"], &["configmaps"])).await.ok();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]});
    server.post(&format!("{rbac}/rolebindings"), binding).await.ok();
    let ann = server.with(&[("impersonate-user", "ann")]);
    let owned = |blocks: bool| {
        let mut map = config_map("owned", "1");
        map["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks}]);
        map
    };
    ann.post(CONFIG_MAPS, owned(false)).await.fails(
        403,
        "configmaps \"owned\" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>",
    );
    server.put(&format!("{rbac}/roles/writer"), role(&["create", "delete"], &["configmaps"])).await.ok();
    ann.post(CONFIG_MAPS, owned(true)).await.fails(
        403,
        "configmaps \"owned\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't \
         set finalizers on: , <nil>",
    );
    ann.post(CONFIG_MAPS, owned(false)).await.ok();
}

#[tokio::test]
async fn a_default_class_can_be_left_to_others() {
    let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "c",
        "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}, "spec": {"controller": "example.com/c"}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    for (disabled, expected) in [(&[][..], json!("c")), (&["DefaultIngressClass"][..], Value::Null)] {
        let disabled_plugins = names(disabled);
        let config = Config { definitions: config::definitions(), disabled_plugins, ..Config::default() };
        let server = Client::start_as(config).await;
        server.post("/apis/networking.k8s.io/v1/ingressclasses", class.clone()).await.ok();
        let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
        assert_eq!(server.post(path, ingress.clone()).await.ok()["spec"]["ingressClassName"], expected);
    }
}
