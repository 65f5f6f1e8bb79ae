//! Files that tell the server what to do: whatever stands in them is taken, or refused in words.

use std::path::PathBuf;

use mock_apiserver::{
    audit::Audit,
    authentication::{AuthenticationConfig, FrontProxy, PublicKey, SigningKey, TokenFile, TokenWebhook},
    authorization::{AbacPolicy, AccessWebhook, AuthorizationConfig},
    plugin_config::PluginConfig,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A file that goes with the test.
struct File(tempfile::TempDir);

impl File {
    fn of(content: &[u8]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("file"), content).expect("a file");
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig().to_string()).expect("a file");
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("file")
    }
}

/// How many readers there are.
const READERS: usize = 11;

/// Has it read as everything that it might be; what each says when it refuses.
fn read_all(content: &[u8]) -> Vec<String> {
    let file = File::of(content);
    let path = file.path();
    let hour = std::time::Duration::from_secs(3600);
    let outcomes: [Option<String>; READERS] = [
        AuthenticationConfig::read(&path).err(),
        AuthorizationConfig::read(&path).err(),
        Audit::open(&path).err(),
        AbacPolicy::read(&path).err(),
        TokenFile::read(&path).err(),
        TokenWebhook::read(&path, "v1", hour).err(),
        AccessWebhook::read(&path, "v1").err(),
        PublicKey::read(&path).err(),
        SigningKey::read(&path).err(),
        FrontProxy::read(&path).err(),
        PluginConfig::read(&path).err(),
    ];
    outcomes.into_iter().flatten().collect()
}

fn kubeconfig() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://localhost:1", "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": {"token": "t", "username": "n", "password": "p"}}],
    })
}

fn documents() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
            "plugins": [
                {"name": "PodSecurity", "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
                    "defaults": {"enforce": "baseline", "enforce-version": "v1.30"}, "exemptions": {"namespaces": ["kube-system"]},
                }},
                {"name": "ResourceQuota", "configuration": {
                    "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
                    "limitedResources": [{"resource": "pods", "matchContains": ["pods"], "matchScopes": [{"scopeName": "PriorityClass"}]}],
                }},
                {"name": "EventRateLimit", "path": "kubeconfig"},
            ],
        }),
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": "https://issuer.example.com", "audiences": ["a"], "audienceMatchPolicy": "MatchAny"},
                "claimValidationRules": [{"claim": "hd", "requiredValue": "x"}, {"expression": "claims.a == 'b'", "message": "m"}],
                "claimMappings": {
                    "username": {"expression": "claims.sub"}, "groups": {"claim": "groups", "prefix": "p:"},
                    "extra": [{"key": "example.com/a", "valueExpression": "claims.a"}],
                },
                "userValidationRules": [{"expression": "user.username != ''", "message": "m"}],
            }],
            "anonymous": {"enabled": true, "conditions": [{"path": "/healthz"}]},
        }),
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
            "authorizers": [
                {"type": "Node", "name": "node"},
                {"type": "Webhook", "name": "hook", "webhook": {
                    "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
                    "failurePolicy": "Deny", "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "kubeconfig"},
                    "matchConditions": [{"expression": "has(request.resourceAttributes)"}],
                }},
            ],
        }),
        json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": ["a"], "resources": [{"group": "", "resources": ["pods", "*/status"]}]},
                      {"level": "RequestResponse", "nonResourceURLs": ["/api*"]}],
        }),
        json!({
            "apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy",
            "spec": {"user": "a", "namespace": "*", "resource": "pods", "apiGroup": "*", "readonly": true},
        }),
        kubeconfig(),
    ]
}

/// All places of a document.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "(claims|user|request)(\\.[a-z]{1,3}|\\[|\\(|\\)|'| == | \\? | : ){0,8}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, 1, "x", {}])),
        Just(json!({"": {"a": [[[]]]}})),
    ]
}

#[test]
fn what_is_whole_is_taken() {
    for document in documents() {
        let refusals = read_all(document.to_string().as_bytes());
        // Each is read by one reader at least; audit and ABAC share a kind.
        assert!(refusals.len() < READERS, "{document}: {refusals:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_damaged_file_is_refused_or_taken(
        row in 0..documents().len(), place in any::<prop::sample::Index>(), value in strange(), removed in any::<bool>(),
    ) {
        let mut document = documents().swap_remove(row);
        let mut all = Vec::new();
        places(&document, "", &mut all);
        let path = place.get(&all);
        if removed && let Some((holder, last)) = path.rsplit_once('/') {
            match document.pointer_mut(holder) {
                Some(Value::Object(members)) => drop(members.remove(&last.replace("~1", "/"))),
                Some(Value::Array(items)) => items.clear(),
                _ => {}
            }
        } else if let Some(at) = document.pointer_mut(path) {
            *at = value;
        }
        for refusal in read_all(document.to_string().as_bytes()) {
            prop_assert!(!refusal.trim().is_empty());
        }
    }

    #[test]
    fn any_text_is_refused_or_taken(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "([\\[\\]{}:,\"'&*!|>-]|-----(BEGIN|END) (PRIVATE KEY|CERTIFICATE)-----|[a-z0-9 \n]){0,60}",
    ) {
        drop((read_all(&bytes), read_all(text.as_bytes())));
    }
}
