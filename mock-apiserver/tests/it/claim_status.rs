//! Who may write which part of a claim's status.

use mock_apiserver::{authentication::TokenFile, authorization::Mode, config::Access};
use serde_json::{Value, json};

use crate::client::Client;

const CLAIMS: &str = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const STATUS: &str = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/c/status";
const TOKENS: &str = "jane-token,jane,7\nroot-token,root,9,\"system:masters\"\n";

async fn allow(root: &Client, name: &str, resource: &str, verbs: Value, names: Value) {
    let rules =
        json!([{"apiGroups": ["resource.k8s.io"], "resources": [resource], "verbs": verbs, "resourceNames": names}]);
    let role = json!({"metadata": {"name": name}, "rules": rules});
    root.post(&format!("{RBAC}/clusterroles"), role).await.ok();
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    });
    root.post(&format!("{RBAC}/clusterrolebindings"), binding).await.ok();
}

#[tokio::test]
async fn parts_of_a_status_need_their_own_permissions() {
    let tokens = TokenFile::parse(TOKENS).expect("tokens");
    let server = Client::start_with(Access { authorization: vec![Mode::Rbac], tokens, ..Access::default() }).await;
    let root = server.with(&[("authorization", "Bearer root-token")]);
    let jane = server.with(&[("authorization", "Bearer jane-token")]);
    allow(&root, "status", "resourceclaims/status", json!(["update", "patch"]), json!([])).await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}});
    root.post(CLAIMS, claim).await.ok();

    let device = json!({"driver": "d.example.com", "pool": "p", "device": "d"});
    let mut result = device.clone();
    result["request"] = json!("r");
    let allocation = json!({"status": {"allocation": {"devices": {"results": [result]}}}});
    let refused = jane.merge(STATUS, allocation.clone()).await;
    refused.fails(
        422,
        "ResourceClaim.resource.k8s.io \"c\" is invalid: status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"patch\" permission: resourceclaims.resource.k8s.io is forbidden: User \"jane\" cannot patch resource \"resourceclaims/binding\" in API group \"resource.k8s.io\" at the cluster scope",
    );
    allow(&root, "binding", "resourceclaims/binding", json!(["update", "patch"]), json!([])).await;
    jane.merge(STATUS, allocation).await.ok();

    let report = json!({"status": {"devices": [device]}});
    assert_eq!(jane.merge(STATUS, report.clone()).await.code, 422);
    allow(&root, "other", "resourceclaims/driver", json!(["arbitrary-node:patch"]), json!(["other.example.com"])).await;
    assert_eq!(jane.merge(STATUS, report.clone()).await.code, 422);
    allow(&root, "driver", "resourceclaims/driver", json!(["arbitrary-node:patch"]), json!(["d.example.com"])).await;
    jane.merge(STATUS, report).await.ok();
    root.delete(&format!("{RBAC}/clusterroles/driver")).await.ok();
    let freed = jane.merge(STATUS, json!({"status": {"allocation": null}})).await.ok();
    assert_eq!(freed["status"], json!({}), "reports go with the devices");
}
