//! What is written down about requests.

use std::sync::Arc;

use mock_apiserver::{
    Config,
    audit::{Audit, Batches, Rotation},
    config,
};
use serde_json::{Value, json};

use crate::{client::Client, site::Site};

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
    let audit = Some(Arc::new(
        Audit::open(&policy).and_then(|audit| audit.logging(&log, Rotation::default())).expect("a policy"),
    ));
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
    assert_eq!(
        event["objectRef"],
        json!({"resource": "configmaps", "namespace": "default", "name": "m", "apiVersion": "v1"})
    );
    assert_eq!(event["user"]["username"], "kubernetes-admin");
    assert_eq!(event["requestObject"]["data"], json!({"a": "b"}));
    assert_eq!(event["responseObject"]["metadata"]["name"], "m");
    assert_eq!(event["responseObject"]["metadata"]["managedFields"], Value::Null);
    assert_eq!(events[1].get("requestObject"), None);
}

/// A server that writes down everything, and what reads it.
struct Heard {
    server: Client,
    audit: Arc<Audit>,
    site: Site,
}

impl Heard {
    async fn start(name: &str, level: &str) -> Self {
        let site = Site::plain(Arc::new(|_, _| Some(json!({})))).await;
        let directory = tempfile::Builder::new().prefix(name).tempdir().expect("a directory");
        let (policy, kubeconfig) = (directory.path().join("policy"), directory.path().join("kubeconfig"));
        let document = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": level}],
        });
        std::fs::write(&policy, document.to_string()).expect("a file");
        let document = json!({
            "clusters": [{"name": "a", "cluster": {"server": format!("http://127.0.0.1:{}/audit", site.port)}}],
            "contexts": [{"name": "a", "context": {"cluster": "a"}}], "current-context": "a",
        });
        std::fs::write(&kubeconfig, document.to_string()).expect("a file");
        let batches = Batches { size_max: 2, ..Batches::default() };
        let audit = Audit::open(&policy).and_then(|audit| audit.sending(&kubeconfig, batches)).expect("a policy");
        let audit = Arc::new(audit);
        let config = Config { definitions: config::definitions(), audit: Some(audit.clone()), ..Config::default() };
        Self { server: Client::start_as(config).await, audit, site }
    }

    /// Every event, and the numbers of those that came at once.
    async fn events(&self) -> (Vec<Value>, Vec<usize>) {
        self.audit.close().await;
        let lists = self.site.asked();
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        for (path, list) in &lists {
            assert_eq!(
                (path.as_str(), &list["kind"], &list["apiVersion"]),
                ("/audit", &json!("EventList"), &json!("audit.k8s.io/v1"))
            );
        }
        (
            lists.iter().flat_map(|(_, list)| items(list)).collect(),
            lists.iter().map(|(_, list)| items(list).len()).collect(),
        )
    }
}

#[tokio::test]
async fn a_webhook_is_sent_what_is_written_down() {
    let heard = Heard::start("audit-webhook", "Metadata").await;
    let server = heard.server.with(&[("audit-id", "mine"), ("x-forwarded-for", "1.2.3.4, what")]);
    assert_eq!(server.get("/api/v1/nodes/none").await.headers["audit-id"], "mine");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    heard.server.post("/api/v1/namespaces/default/pods", pod).await.ok();
    let jane = heard.server.with(&[("impersonate-user", "jane")]);
    jane.get("/version").await.ok();
    let (events, sizes) = heard.events().await;
    assert_eq!(sizes, [2, 1], "no more at once than is said, and what is left at the end");
    let status = json!({
        "metadata": {}, "status": "Failure", "reason": "NotFound", "message": "nodes \"none\" not found",
        "details": {"name": "none", "kind": "nodes"}, "code": 404,
    });
    assert_eq!((&events[0]["auditID"], &events[0]["responseStatus"]), (&json!("mine"), &status));
    assert_eq!(events[0]["sourceIPs"], json!(["1.2.3.4"]));
    let decision = json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""});
    assert_eq!(events[0]["annotations"], decision);
    let about = json!({"resource": "pods", "namespace": "default", "name": "p", "uid": "u", "apiVersion": "v1"});
    assert_eq!(events[1]["objectRef"], about, "what was sent says more than the path");
    assert_eq!(events[1].get("requestObject"), None);
    assert_eq!(events[1]["annotations"]["pod-security.kubernetes.io/enforce-policy"], "privileged:latest");
    assert_eq!(events[2]["impersonatedUser"]["username"], "jane");
}

#[tokio::test]
async fn policies_that_audit_have_it_written_down() {
    let heard = Heard::start("audit-policy", "Request").await;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
            ]},
            "validations": [{"expression": "true"}, {"expression": "object.metadata.name != 'm'", "message": "not m"}],
            "auditAnnotations": [
                {"key": "who", "valueExpression": "'it is ' + object.metadata.name"}, {"key": "none", "valueExpression": "null"},
            ],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Audit"]},
    });
    let group = "/apis/admissionregistration.k8s.io/v1";
    heard.server.post(&format!("{group}/validatingadmissionpolicies"), policy).await.ok();
    heard.server.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.ok();
    heard.server.post(MAPS, json!({"metadata": {"name": "m"}, "data": {"a": "b"}})).await.ok();
    heard.server.merge(&format!("{MAPS}/m"), json!({"data": {"a": "c"}})).await.ok();
    heard.server.delete_with(&format!("{MAPS}/m"), json!({"gracePeriodSeconds": 0})).await.ok();
    let (events, _) = heard.events().await;
    let annotations = &events[2]["annotations"];
    assert_eq!(annotations["p/who"], "it is m");
    assert_eq!(annotations.get("p/none"), None);
    let failure = annotations["validation.policy.admission.k8s.io/validation_failure"].as_str().expect("a text");
    let expected =
        r#"[{"message":"not m","policy":"p","binding":"b","expressionIndex":1,"validationActions":["Audit"]}]"#;
    assert_eq!(failure, expected);
    let sent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}});
    assert_eq!(events[2]["requestObject"], sent, "under the names of its kind");
    assert_eq!(events[3]["requestObject"], json!({"data": {"a": "c"}}), "a patch as it is");
    assert_eq!(events[4]["requestObject"]["kind"], "DeleteOptions");
    assert_eq!(events[4]["responseStatus"]["status"], "Success");
    assert!(events.iter().all(|event| event.get("responseObject").is_none()));
}
