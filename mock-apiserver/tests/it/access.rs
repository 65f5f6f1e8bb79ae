//! Who is let in, and what they may do.

use http::Method;
use mock_apiserver::{authentication::TokenFile, authorization::Mode, config::Access};
use serde_json::{Value, json};

use crate::client::{Answer, CONFIG_MAPS, Client, PODS, config_map, pod};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const TOKENS: &str = "jane-token,jane,7,\"devs\"\nops-token,olga,8,\"ops\"\nroot-token,root,9,\"system:masters\"\n";

async fn server() -> Client {
    server_with(&[Mode::Rbac]).await
}

async fn server_with(modes: &[Mode]) -> Client {
    let tokens = TokenFile::parse(TOKENS).expect("tokens");
    Client::start_with(Access { authorization: modes.to_vec(), tokens, ..Access::default() }).await
}

fn jane(server: &Client) -> Client {
    server.with(&[("authorization", "Bearer jane-token")])
}

fn binding(kind: &str, name: &str, role: &str, subjects: Value) -> Value {
    let (role_kind, role) = role.split_once('/').expect("kind/name");
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role}, "subjects": subjects,
    })
}

fn user(name: &str) -> Value {
    json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}])
}

async fn bind_in_default(server: &Client, role: &str, subjects: Value) {
    let name = role.replace('/', "-").to_lowercase();
    let path = format!("{RBAC}/namespaces/default/rolebindings");
    server.post(&path, binding("RoleBinding", &name, role, subjects)).await.ok();
}

async fn cluster_role(server: &Client, name: &str, rules: Value) {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    server.post(&format!("{RBAC}/clusterroles"), role).await.ok();
}

/// Clients look for `cluster-admin` and `view` wherever they are.
#[tokio::test]
async fn the_default_roles_are_there_whoever_decides() {
    let server = Client::start().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    for role in ["cluster-admin", "view", "system:node"] {
        server.get(&format!("{roles}/{role}")).await.ok();
    }
    server.get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cluster-admin").await.ok();
    server.get("/readyz/poststarthook/rbac/bootstrap-roles").await.ok();
}

/// They are made when somebody looks, and nobody's webhook has a say in that.
#[tokio::test]
async fn no_webhook_keeps_the_default_roles_away() {
    let server = Client::start().await;
    let hook = json!({"name": "no.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]});
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "no"}, "webhooks": [hook]});
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    server.post(path, configuration).await.ok();
    server.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/view").await.ok();
}

#[tokio::test]
async fn nobody_may_do_what_no_role_allows() {
    let server = server().await;
    let jane = jane(&server);
    jane.get(PODS).await.fails(
        403,
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    );
    jane.get("/metrics").await.fails(403, "forbidden: User \"jane\" cannot get path \"/metrics\"");
    for path in ["/api", "/apis/apps/v1", "/version", "/readyz", "/openapi/v3"] {
        jane.get(path).await.ok();
    }
    bind_in_default(&server, "ClusterRole/view", user("jane")).await;
    jane.get(PODS).await.ok();
    jane.get("/api/v1/namespaces/default").await.ok();
    jane.post(PODS, pod("p")).await.fails(
        403,
        "pods is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\"",
    );
    let elsewhere = jane.get("/api/v1/namespaces/kube-system/pods").await;
    assert_eq!(elsewhere.code, 403);
    let secrets = jane.get("/api/v1/namespaces/default/secrets").await;
    assert_eq!(secrets.code, 403, "view does not show secrets");
}

#[tokio::test]
async fn groups_and_service_accounts_have_roles_too() {
    let server = server().await;
    bind_in_default(
        &server,
        "ClusterRole/edit",
        json!([
            {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "devs"},
            {"kind": "ServiceAccount", "name": "robot", "namespace": "kube-system"},
        ]),
    )
    .await;
    jane(&server).post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let robot = server.with(&[("impersonate-user", "system:serviceaccount:kube-system:robot")]);
    robot.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    let other = server.with(&[("impersonate-user", "system:serviceaccount:default:robot")]);
    assert_eq!(other.get(CONFIG_MAPS).await.code, 403);
}

#[tokio::test]
async fn rules_name_objects_subresources_and_paths() {
    let server = server().await;
    server.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    server.post(CONFIG_MAPS, config_map("b", "1")).await.ok();
    cluster_role(
        &server,
        "narrow",
        json!([
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]},
        ]),
    )
    .await;
    cluster_role(&server, "metrics", json!([{"nonResourceURLs": ["/metrics", "/healthz/*"], "verbs": ["get"]}])).await;
    bind_in_default(&server, "ClusterRole/narrow", user("jane")).await;
    let path = format!("{RBAC}/clusterrolebindings");
    server.post(&path, binding("ClusterRoleBinding", "m", "ClusterRole/metrics", user("jane"))).await.ok();
    let jane = jane(&server);
    jane.get(&format!("{CONFIG_MAPS}/a")).await.ok();
    assert_eq!(jane.get(&format!("{CONFIG_MAPS}/b")).await.code, 403);
    assert_eq!(jane.get(CONFIG_MAPS).await.code, 403);
    jane.get(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Da")).await.ok();
    assert_eq!(jane.get(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Db")).await.code, 403);
    let scale = jane.get("/apis/apps/v1/namespaces/default/deployments/x/scale").await;
    assert_eq!(scale.code, 404, "allowed, and not there: {}", scale.body);
    assert_eq!(jane.get("/metrics").await.code, 200);
    assert_eq!(jane.get("/healthz/ping").await.code, 200);
    assert_eq!(jane.get("/livez/ping").await.code, 403);
}

#[tokio::test]
async fn a_change_that_creates_wants_that_permission_too() {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let server = server().await;
    let changes = |verbs: &[&str]| json!([{"apiGroups": ["", "coordination.k8s.io"], "resources": ["pods", "leases"], "verbs": verbs}]);
    cluster_role(&server, "changes", changes(&["get", "patch", "update"])).await;
    bind_in_default(&server, "ClusterRole/changes", user("jane")).await;
    let jane = jane(&server);
    let (new, lease) = (format!("{PODS}/new"), format!("{LEASES}/new"));
    let lease_document = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "new"}});
    let refused = jane.apply(&new, "jane", pod("new")).await;
    refused.fails(403, "pods \"new\" is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\"");
    assert_eq!(refused.body["details"], json!({"name": "new", "kind": "pods"}));
    jane.put(&lease, lease_document.clone()).await.fails(
        403,
        "leases.coordination.k8s.io \"new\" is forbidden: User \"jane\" cannot create resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"default\"",
    );
    cluster_role(&server, "creates", changes(&["create"])).await;
    bind_in_default(&server, "ClusterRole/creates", user("jane")).await;
    assert_eq!(jane.apply(&new, "jane", pod("new")).await.code, 201);
    assert_eq!(jane.put(&lease, lease_document).await.code, 201);
}

#[tokio::test]
async fn a_binding_of_a_role_that_is_not_there_says_so() {
    let server = server().await;
    bind_in_default(&server, "Role/gone", user("jane")).await;
    jane(&server).get(PODS).await.fails(
        403,
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\": \
         RBAC: role.rbac.authorization.k8s.io \"gone\" not found",
    );
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let server = server().await;
    bind_in_default(&server, "ClusterRole/admin", user("jane")).await;
    let jane = jane(&server);
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |name: &str, rules: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules});
    let pods = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]);
    jane.post(&roles, role("fine", pods)).await.ok();
    let greedy = json!([{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "proxy"]}]);
    jane.post(&roles, role("greedy", greedy.clone())).await.fails(
        403,
        "roles.rbac.authorization.k8s.io \"greedy\" is forbidden: user \"jane\" (groups=[\"devs\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"proxy\"]}\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"proxy\"]}",
    );
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    jane.post(&bindings, binding("RoleBinding", "ok", "ClusterRole/view", user("bob"))).await.ok();
    let refused = jane.post(&bindings, binding("RoleBinding", "all", "ClusterRole/cluster-admin", user("bob"))).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused.message().contains("{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"),
        "{}",
        refused.message()
    );
    let missing = jane.post(&bindings, binding("RoleBinding", "x", "Role/missing", user("bob"))).await;
    assert_eq!((missing.code, missing.message()), (404, "roles.rbac.authorization.k8s.io \"missing\" not found"));

    cluster_role(
        &server,
        "granting",
        json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "clusterroles"], "verbs": ["escalate", "bind"]}]),
    )
    .await;
    bind_in_default(&server, "ClusterRole/granting", user("jane")).await;
    jane.post(&roles, role("greedy", greedy)).await.ok();
    jane.post(&bindings, binding("RoleBinding", "all", "ClusterRole/cluster-admin", user("bob"))).await.ok();
}

#[tokio::test]
async fn roles_are_made_of_others() {
    let server = server().await;
    let admin = server.get(&format!("{RBAC}/clusterroles/admin")).await.ok();
    let rules = admin["rules"].to_string();
    assert!(rules.contains("rolebindings") && rules.contains("\"deployments\"") && rules.contains("\"pods/log\""));
    let part = |verbs: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"apiGroups": ["ex.io"], "resources": ["widgets"], "verbs": verbs}],
        })
    };
    server.post(&format!("{RBAC}/clusterroles"), part(json!(["get"]))).await.ok();
    let rules_of =
        async |name: &str| server.get(&format!("{RBAC}/clusterroles/{name}")).await.ok()["rules"].to_string();
    for name in ["view", "edit", "admin"] {
        assert!(rules_of(name).await.contains("widgets"), "{name}");
    }
    server.put(&format!("{RBAC}/clusterroles/widgets"), part(json!(["list"]))).await.ok();
    assert!(rules_of("admin").await.contains(r#"{"apiGroups":["ex.io"],"resources":["widgets"],"verbs":["list"]}"#));
    server.delete(&format!("{RBAC}/clusterroles/widgets")).await.ok();
    for name in ["view", "edit", "admin"] {
        assert!(!rules_of(name).await.contains("widgets"), "{name}");
    }
    // Two roles that choose each other come to rest.
    for (name, other) in [("a", "b"), ("b", "a")] {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": {"into": other}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": name}}]},
        });
        server.post(&format!("{RBAC}/clusterroles"), role).await.ok();
    }
}

#[tokio::test]
async fn tokens_and_modes_decide() {
    let server = server_with(&[Mode::AlwaysDeny]).await;
    jane(&server)
        .get("/api")
        .await
        .fails(403, "forbidden: User \"jane\" cannot get path \"/api\": Everything is forbidden.");
    server.with(&[("authorization", "Bearer root-token")]).get(PODS).await.ok();
    server.with(&[("authorization", "Bearer nonsense")]).get("/api").await.fails(401, "Unauthorized");
    let open = server_with(&[Mode::AlwaysAllow]).await;
    jane(&open).get(PODS).await.ok();
    open.with(&[("authorization", "Bearer nonsense")]).get("/version").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn those_who_may_act_as_others() {
    let server = server().await;
    let as_bob = server.with(&[("authorization", "Bearer jane-token"), ("impersonate-user", "bob")]);
    as_bob.get(PODS).await.fails(
        403,
        "pods is forbidden: User \"jane\" cannot impersonate-on:user-info:list resource \"pods\" in API group \"\" in the \
         namespace \"default\"",
    );
    cluster_role(
        &server,
        "acting",
        json!([{"apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"], "verbs": ["impersonate"]}]),
    )
    .await;
    let path = format!("{RBAC}/clusterrolebindings");
    server.post(&path, binding("ClusterRoleBinding", "acting", "ClusterRole/acting", user("jane"))).await.ok();
    let bob =
        "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    as_bob.get(PODS).await.fails(403, bob);
    let in_group = [("authorization", "Bearer jane-token"), ("impersonate-user", "bob"), ("impersonate-group", "ops")];
    assert!(server.with(&in_group).get(PODS).await.message().contains("cannot impersonate resource \"groups\""));
    let nobody = server.with(&[("impersonate-group", "ops")]).get(PODS).await;
    let said = "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"ops\"}, Extra:map[string][]string(nil)} \
                without impersonating a user name";
    nobody.fails(400, said);
}

/// The constrained ways of KEP-5284: what is done must be allowed, too.
#[tokio::test]
async fn those_who_may_do_single_things_as_others() {
    let server = server().await;
    let rule = |verbs: &[&str], group: &str, resource: &str, name: &str| {
        let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        if !name.is_empty() {
            rule["resourceNames"] = json!([name]);
        }
        rule
    };
    let authentication = "authentication.k8s.io";
    let rules = json!([
        rule(&["impersonate:user-info"], authentication, "users", "bob"),
        rule(&["impersonate:user-info"], authentication, "groups", "ops"),
        rule(&["impersonate:arbitrary-node"], authentication, "nodes", "n1"),
        rule(&["impersonate:serviceaccount"], authentication, "serviceaccounts", "robot"),
        rule(
            &[
                "impersonate-on:user-info:list",
                "impersonate-on:arbitrary-node:list",
                "impersonate-on:serviceaccount:list"
            ],
            "",
            "pods",
            "",
        ),
    ]);
    cluster_role(&server, "acting", rules).await;
    let path = format!("{RBAC}/clusterrolebindings");
    server.post(&path, binding("ClusterRoleBinding", "acting", "ClusterRole/acting", user("jane"))).await.ok();
    let acting = |headers: &[(&'static str, &'static str)]| {
        let mut all = vec![("authorization", "Bearer jane-token")];
        all.extend(headers);
        server.with(&all)
    };
    let cannot_list = |name: &str| format!("pods is forbidden: User \"{name}\" cannot list resource \"pods\"");
    let said = acting(&[("impersonate-user", "bob")]).get(PODS).await.message().to_owned();
    assert!(said.starts_with(&cannot_list("bob")), "{said}");
    let said =
        acting(&[("impersonate-user", "bob"), ("impersonate-group", "ops")]).get(PODS).await.message().to_owned();
    assert!(said.starts_with(&cannot_list("bob")), "{said}");
    let said = acting(&[("impersonate-user", "system:node:n1")]).get(PODS).await.message().to_owned();
    assert!(said.starts_with(&cannot_list("system:node:n1")), "{said}");
    let said = acting(&[("impersonate-user", "system:serviceaccount:a:robot")]).get(PODS).await.message().to_owned();
    assert!(said.starts_with(&cannot_list("system:serviceaccount:a:robot")), "{said}");
    for (headers, path, expected) in [
        (&[("impersonate-user", "bob")][..], "/api/v1/nodes", "impersonate-on:user-info:list resource \"nodes\""),
        (&[("impersonate-user", "eve")], PODS, "cannot impersonate:user-info resource \"users\""),
        (
            &[("impersonate-user", "bob"), ("impersonate-group", "system:masters")],
            PODS,
            "impersonating the system:masters group is not allowed",
        ),
        (
            &[("impersonate-user", "bob"), ("impersonate-extra-foo", "x")],
            PODS,
            "extra.key: Invalid value: \"foo\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
        (
            &[("impersonate-user", "bob"), ("impersonate-uid", "7")],
            PODS,
            "cannot impersonate:user-info resource \"uids\"",
        ),
        (&[("impersonate-user", "system:node:n2")], PODS, "cannot impersonate:arbitrary-node resource \"nodes\""),
        (
            &[("impersonate-user", "system:node:n1"), ("impersonate-group", "system:nodes")],
            PODS,
            "cannot impersonate resource \"users\"",
        ),
    ] {
        let answer = acting(headers).get(path).await;
        assert_eq!(answer.code, 403, "{headers:?}");
        assert!(answer.message().contains(expected), "{headers:?}: {}", answer.message());
    }
}

async fn review(client: &Client, group: &str, plural: &str, kind: &str, spec: Value) -> Answer {
    let document = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
    client.post(&format!("/apis/{group}/v1/{plural}"), document).await
}

#[tokio::test]
async fn reviews_answer_what_requests_would_meet() {
    let server = server().await;
    bind_in_default(&server, "ClusterRole/view", user("jane")).await;
    let jane = jane(&server);
    let authorization = "authorization.k8s.io";
    let pods = |verb: &str| json!({"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}});
    let can = async |verb| {
        let answer =
            review(&jane, authorization, "selfsubjectaccessreviews", "SelfSubjectAccessReview", pods(verb)).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body["status"].clone()
    };
    assert_eq!(can("create").await, json!({"allowed": false}));
    assert_eq!(
        can("list").await,
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"clusterrole-view/default\" of ClusterRole \"view\" to User \"jane\""})
    );
    let about = |user: &str| {
        let mut spec = pods("list");
        spec["user"] = user.into();
        spec
    };
    let plural = "subjectaccessreviews";
    let refused = review(&jane, authorization, plural, "SubjectAccessReview", about("bob")).await;
    assert_eq!(refused.code, 403);
    let bob = review(&server, authorization, plural, "SubjectAccessReview", about("bob")).await.ok();
    assert_eq!(bob["status"], json!({"allowed": false}));
    let jane_too = review(&server, authorization, plural, "SubjectAccessReview", about("jane")).await.ok();
    assert_eq!(jane_too["status"]["allowed"], true);
    let local = "namespaces/kube-system/localsubjectaccessreviews";
    let elsewhere = review(&server, authorization, local, "LocalSubjectAccessReview", about("jane")).await;
    elsewhere.fails(
        422,
        ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"default\": must match \
         metadata.namespace",
    );
    let rules = json!({"namespace": "default"});
    let rules = review(&jane, authorization, "selfsubjectrulesreviews", "SelfSubjectRulesReview", rules).await.ok();
    assert_eq!(rules["status"]["incomplete"], false);
    assert!(rules["status"]["resourceRules"].to_string().contains("\"pods/log\""));
    assert!(rules["status"]["nonResourceRules"].to_string().contains("\"/healthz\""));
    let authentication = "authentication.k8s.io";
    let me = review(&jane, authentication, "selfsubjectreviews", "SelfSubjectReview", json!({})).await.ok();
    assert_eq!(
        me["status"]["userInfo"],
        json!({"username": "jane", "uid": "7", "groups": ["devs", "system:authenticated"]})
    );
    for (token, authenticated) in [("jane-token", json!(true)), ("nonsense", Value::Null)] {
        let spec = json!({"token": token});
        let answer = review(&server, authentication, "tokenreviews", "TokenReview", spec).await.ok();
        assert_eq!(answer["status"]["authenticated"], authenticated, "{answer}");
    }
    review(&server, authentication, "tokenreviews", "TokenReview", json!({}))
        .await
        .fails(400, "token is required for TokenReview in authentication");
}

#[tokio::test]
async fn reviews_come_back_with_the_manager_of_their_fields() {
    let server = server().await;
    let (authorization, authentication) = ("authorization.k8s.io", "authentication.k8s.io");
    let pods = json!({"verb": "list", "resource": "pods", "namespace": "default"});
    let spec = json!({"resourceAttributes": pods, "user": "bob"});
    let asked = json!({".": {}, "f:namespace": {}, "f:resource": {}, "f:verb": {}});
    for (group, path, kind, spec, fields) in [
        (
            authorization,
            "selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            json!({"resourceAttributes": pods}),
            json!({"f:resourceAttributes": asked}),
        ),
        (
            authorization,
            "subjectaccessreviews",
            "SubjectAccessReview",
            spec.clone(),
            json!({"f:resourceAttributes": asked, "f:user": {}}),
        ),
        (
            authorization,
            "namespaces/default/localsubjectaccessreviews",
            "LocalSubjectAccessReview",
            spec,
            json!({"f:resourceAttributes": asked, "f:user": {}}),
        ),
        (authentication, "tokenreviews", "TokenReview", json!({"token": "jane-token"}), json!({"f:token": {}})),
    ] {
        let document = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec, "status": {"allowed": false, "user": {}}
        });
        let answer = server.post(&format!("/apis/{group}/v1/{path}?fieldManager=me"), document).await.ok();
        let entry = &answer["metadata"]["managedFields"][0];
        assert_eq!(entry["manager"], "me", "{answer}");
        assert_eq!(entry["operation"], "Update", "{answer}");
        assert_eq!(entry["fieldsV1"], json!({"f:spec": fields}), "{answer}");
    }
    let table = server.with(&[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")]);
    let spec = json!({"nonResourceAttributes": {"path": "/", "verb": "get"}});
    // Conformance: "should return a 406 for a backend which does not implement metadata".
    let answer = review(&table, authorization, "selfsubjectaccessreviews", "SelfSubjectAccessReview", spec).await;
    assert_eq!(answer.code, 406, "{}", answer.body);
    // These two are made anew.
    let rules = json!({"namespace": "default"});
    let rules = review(&server, authorization, "selfsubjectrulesreviews", "SelfSubjectRulesReview", rules).await.ok();
    assert_eq!(rules["metadata"], json!({}));
    let me = review(&server, authentication, "selfsubjectreviews", "SelfSubjectReview", json!({})).await.ok();
    assert_eq!(me["metadata"]["managedFields"], Value::Null);
}

#[tokio::test]
async fn a_kubelet_sees_what_its_pods_need() {
    let server = server_with(&[Mode::Node, Mode::Rbac]).await;
    let mut needy = pod("needy");
    needy["spec"]["nodeName"] = "n1".into();
    needy["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "needed"}}]);
    server.post(PODS, needy).await.ok();
    server.post(CONFIG_MAPS, config_map("needed", "1")).await.ok();
    server.post(CONFIG_MAPS, config_map("other", "1")).await.ok();
    let kubelet = |node: &str| {
        server.with(&[("impersonate-user", &format!("system:node:{node}")), ("impersonate-group", "system:nodes")])
    };
    kubelet("n1").get(&format!("{CONFIG_MAPS}/needed")).await.ok();
    kubelet("n1").get(&format!("{PODS}/needy")).await.ok();
    for (node, path) in [
        ("n1", format!("{CONFIG_MAPS}/other")),
        ("n2", format!("{CONFIG_MAPS}/needed")),
        ("n2", format!("{PODS}/needy")),
        ("n1", CONFIG_MAPS.to_owned()),
        ("n1", "/api/v1/nodes/n2".to_owned()),
    ] {
        let answer = kubelet(node).get(&path).await;
        assert_eq!(answer.code, 403, "{node} {path}: {}", answer.body);
    }
    // What is not one's own has to be left out.
    let slices = "/apis/resource.k8s.io/v1/resourceslices";
    for path in [PODS, "/api/v1/pods", slices] {
        kubelet("n1").get(&format!("{path}?fieldSelector=spec.nodeName%3Dn1")).await.ok();
        let others = kubelet("n1").get(&format!("{path}?fieldSelector=spec.nodeName%3Dn2")).await;
        assert!(others.message().contains("field selector"), "{path}: {}", others.body);
        assert_eq!(kubelet("n1").get(path).await.code, 403, "{path}");
    }
    let all = kubelet("n1").get("/api/v1/nodes").await;
    assert!(all.message().ends_with("node 'n1' cannot read all nodes, only its own Node object"), "{}", all.body);
    assert_eq!(kubelet("n1").get("/api/v1/nodes/n1").await.code, 404);
    let created = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    kubelet("n1").post("/api/v1/nodes", created).await.ok();
}

#[tokio::test]
async fn a_role_of_absurd_size_is_refused_at_once() {
    let server = server().await;
    bind_in_default(&server, "ClusterRole/admin", user("jane")).await;
    let many: Vec<String> = (0..400).map(|number| format!("r{number}")).collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "big"},
        "rules": [{"apiGroups": many, "resources": many, "verbs": many}],
    });
    let answer = jane(&server)
        .request(Method::POST, &format!("{RBAC}/namespaces/default/roles"), "application/json", role.to_string())
        .await;
    assert_eq!(answer.code, 403);
    assert!(answer.message().contains("permissions, which cannot be compared"), "{}", answer.message());
}
