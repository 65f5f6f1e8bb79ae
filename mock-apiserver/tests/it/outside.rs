//! Others who know who somebody is, or what they may do: webhooks, issuers of tokens, proxies, Secrets of new nodes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use mock_apiserver::{
    authentication::{AuthenticationConfig, TokenWebhook},
    authorization::{AbacPolicy, AccessWebhook, AuthorizationConfig, Mode},
    config::Access,
    flags::AccessFlags,
    tls::Authority,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    secure,
    site::Site,
};

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mock-apiserver-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn kubeconfig(name: &str, port: u16) -> Self {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}/ask")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        Self::new(name, &config.to_string())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn whoami(server: &Client, token: &str) -> Answer {
    let client = server.with(&[("authorization", &format!("Bearer {token}"))]);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await
}

#[tokio::test]
async fn a_webhook_knows_whose_token_it_is() {
    let site = Site::plain(Arc::new(|_, review| {
        let status = match review["spec"]["token"].as_str() {
            Some("good") => json!({"authenticated": true, "user": {"username": "jane", "groups": ["devs"]}}),
            Some("broken") => return None,
            _ => json!({"authenticated": false}),
        };
        Some(json!({"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}))
    }))
    .await;
    let file = File::kubeconfig("token-webhook", site.port);
    let webhook = TokenWebhook::read(&file.0, "v1", Duration::from_secs(60)).expect("a webhook");
    let server = Client::start_with(Access { token_webhook: Some(Arc::new(webhook)), ..Access::default() }).await;
    let me = whoami(&server, "good").await.ok()["status"]["userInfo"].clone();
    assert_eq!(me, json!({"username": "jane", "groups": ["devs", "system:authenticated"]}));
    for token in ["bad", "broken"] {
        whoami(&server, token).await.fails(401, "Unauthorized");
    }
    whoami(&server, "good").await.ok();
    let asked = site.asked();
    assert_eq!(asked.len(), 3, "what was said counts for a time: {asked:?}");
    assert_eq!(asked[0].1["apiVersion"], "authentication.k8s.io/v1");
    assert!(TokenWebhook::read(&file.0, "v2", Duration::ZERO).is_err());
}

#[tokio::test]
async fn a_webhook_decides() {
    let site = Site::plain(Arc::new(|_, review| {
        let spec = &review["spec"];
        let status = match (spec["user"].as_str(), spec["resourceAttributes"]["verb"].as_str()) {
            (Some("jane"), Some("list")) => json!({"allowed": true, "reason": "of course"}),
            (Some("eve"), _) => json!({"allowed": false, "denied": true, "reason": "never"}),
            (Some("nobody"), _) => return None,
            _ => json!({"allowed": false, "reason": "no idea"}),
        };
        Some(json!({"status": status}))
    }))
    .await;
    let file = File::kubeconfig("access-webhook", site.port);
    let access = |modes: &[Mode]| Access {
        authorization: modes.to_vec(),
        webhooks: vec![Arc::new(AccessWebhook::read(&file.0, "v1").expect("a webhook"))],
        ..Access::default()
    };
    let server = Client::start_with(access(&[Mode::Webhook])).await;
    let of = |name: &str| server.with(&[("impersonate-user", name)]);
    of("jane").get("/api/v1/nodes").await.ok();
    of("jane").get("/api/v1/nodes/x").await.fails(
        403,
        "nodes \"x\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group \"\" at the cluster scope: no idea",
    );
    let unanswered = of("nobody").get("/api/v1/nodes?limit=1").await;
    assert_eq!(
        (unanswered.code, &unanswered.headers["content-type"]),
        (500, &"text/plain; charset=utf-8".parse().expect("ASCII"))
    );
    let status = async |user: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": {"verb": "list", "resource": "nodes"}},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        server.post(path, review).await.ok()["status"].clone()
    };
    assert_eq!(status("eve").await, json!({"allowed": false, "denied": true, "reason": "never"}));
    let unknown = status("nobody").await;
    assert!(unknown["allowed"] == false && unknown["evaluationError"].is_string(), "{unknown}");
    // A no ends it, whatever comes after; no opinion does not.
    let lenient = Client::start_with(access(&[Mode::Webhook, Mode::AlwaysAllow])).await;
    assert_eq!(lenient.with(&[("impersonate-user", "eve")]).get("/api/v1/nodes").await.code, 403);
    lenient.with(&[("impersonate-user", "bob")]).get("/api/v1/nodes").await.ok();
    lenient.with(&[("impersonate-user", "nobody")]).get("/api/v1/nodes").await.ok();
}

#[tokio::test]
async fn a_file_says_when_a_webhook_is_asked() {
    let site = Site::plain(Arc::new(|_, _| Some(json!({"status": {"denied": true}})))).await;
    let kubeconfig = File::kubeconfig("conditional-webhook", site.port);
    let config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
        "authorizers": [
            {"type": "Webhook", "name": "w", "webhook": {
                "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
                "failurePolicy": "Deny", "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": kubeconfig.0},
                "matchConditions": [
                    {"expression": "has(request.resourceAttributes)"},
                    {"expression": "request.resourceAttributes.namespace == 'kube-system'"},
                ],
            }},
            {"type": "AlwaysAllow", "name": "a"},
        ],
    });
    let file = File::new("authorization-config", &config.to_string());
    let AuthorizationConfig { modes, webhooks } = AuthorizationConfig::read(&file.0).expect("a configuration");
    let server = Client::start_with(Access { authorization: modes, webhooks, ..Access::default() }).await;
    let jane = server.with(&[("impersonate-user", "jane")]);
    assert_eq!(jane.get("/api/v1/namespaces/kube-system/pods").await.code, 403);
    jane.get("/api/v1/namespaces/default/pods").await.ok();
    assert_eq!(jane.get("/api/v1/nodes").await.code, 500, "a condition that fails is no answer");
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn a_file_of_policies_decides() {
    let file = File::new(
        "abac",
        r#"{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"jane","namespace":"*","resource":"pods","apiGroup":"*","readonly":true}}"#,
    );
    let abac = Arc::new(AbacPolicy::read(&file.0).expect("policies"));
    let server = Client::start_with(Access { authorization: vec![Mode::Abac], abac, ..Access::default() }).await;
    let jane = server.with(&[("impersonate-user", "jane")]);
    jane.get("/api/v1/namespaces/default/pods").await.ok();
    jane.delete("/api/v1/namespaces/default/pods/p").await.fails(
        403,
        "pods \"p\" is forbidden: User \"jane\" cannot delete resource \"pods\" in API group \"\" in the namespace \
         \"default\": No policy matched.",
    );
}

/// Somebody who signs tokens.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key"))
    }

    fn jwks(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let part = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "x": part(1), "y": part(33)}]})
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "k"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

#[tokio::test]
async fn an_issuer_says_who_somebody_is() {
    let authority = Authority::generate().expect("an authority");
    let issuer = Arc::new(Issuer::new());
    let keys = issuer.clone();
    let port = Arc::new(std::sync::OnceLock::new());
    let known = port.clone();
    let site = Site::secure(
        &authority,
        false,
        Arc::new(move |path, _| {
            let url = format!("https://localhost:{}", known.get()?);
            match path {
                "/.well-known/openid-configuration" => Some(json!({"issuer": url, "jwks_uri": format!("{url}/keys")})),
                "/keys" => Some(keys.jwks()),
                _ => None,
            }
        }),
    )
    .await;
    port.set(site.port).expect("set once");
    let url = format!("https://localhost:{}", site.port);
    let config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": url, "audiences": ["me"], "certificateAuthority": authority.certificate_pem()},
            "claimMappings": {
                "username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"expression": "claims.roles.map(r, 'r:' + r)"},
            },
            "userValidationRules": [{"expression": "user.username != 'oidc:eve'", "message": "not eve"}],
        }],
    });
    let file = File::new("authentication-config", &config.to_string());
    let issuers = AuthenticationConfig::read(&file.0).expect("a configuration").issuers;
    let server = Client::start_with(Access { issuers: Arc::new(issuers), ..Access::default() }).await;
    let claims = json!({"iss": url, "aud": ["me", "you"], "sub": "jane", "exp": 4_000_000_000_u64, "roles": ["a"]});
    let me = whoami(&server, &issuer.sign(&claims)).await.ok()["status"]["userInfo"].clone();
    assert_eq!(me, json!({"username": "oidc:jane", "groups": ["r:a", "system:authenticated"]}));
    for (member, value) in [
        ("aud", json!("you")),
        ("exp", json!(1)),
        ("sub", json!("eve")),
        ("nbf", json!(3_999_999_999_u64)),
        ("iss", json!("https://other")),
    ] {
        let mut wrong = claims.clone();
        wrong[member] = value;
        whoami(&server, &issuer.sign(&wrong)).await.fails(401, "Unauthorized");
    }
    for _ in 0..3 {
        whoami(&server, &Issuer::new().sign(&claims)).await.fails(401, "Unauthorized");
    }
    assert!(
        site.asked().len() <= 4,
        "tokens that nobody signed do not make the server ask and ask: {:?}",
        site.asked()
    );
}

#[tokio::test]
async fn new_nodes_come_with_a_token() {
    let access = Access { bootstrap_tokens: true, authorization: vec![Mode::Rbac], ..Access::default() };
    let server = Client::start_with(access).await;
    let secret = |id: &str, more: Value| {
        let mut data = json!({
            "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        });
        data.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": format!("bootstrap-token-{id}")}, "stringData": data,
        })
    };
    for secret in [
        secret("aaaaaa", json!({"auth-extra-groups": "system:bootstrappers:kubeadm"})),
        secret("bbbbbb", json!({"expiration": "2001-01-01T00:00:00Z"})),
        secret("cccccc", json!({"usage-bootstrap-authentication": "false"})),
        secret("dddddd", json!({"auth-extra-groups": "system:masters"})),
    ] {
        server.post("/api/v1/namespaces/kube-system/secrets", secret).await.ok();
    }
    let me = whoami(&server, "aaaaaa.0123456789abcdef").await.ok()["status"]["userInfo"].clone();
    let groups = json!(["system:bootstrappers", "system:bootstrappers:kubeadm", "system:authenticated"]);
    assert_eq!(me, json!({"username": "system:bootstrap:aaaaaa", "groups": groups}));
    for bad in
        ["aaaaaa.0123456789abcdee", "bbbbbb.0123456789abcdef", "cccccc.0123456789abcdef", "dddddd.0123456789abcdef"]
    {
        whoami(&server, bad).await.fails(401, "Unauthorized");
    }
}

#[tokio::test]
async fn a_proxy_says_who_asks_and_others_cannot() {
    let proxies = Authority::generate().expect("an authority");
    let file = File::new("front-proxy-ca", &proxies.certificate_pem());
    let strings = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let flags = AccessFlags {
        authorization_mode: vec![Mode::Rbac],
        requestheader_client_ca_file: Some(file.0.clone()),
        requestheader_allowed_names: strings(&["front"]),
        requestheader_username_headers: strings(&["X-Remote-User"]),
        requestheader_group_headers: strings(&["X-Remote-Group"]),
        requestheader_extra_headers_prefix: strings(&["X-Remote-Extra-"]),
        ..AccessFlags::default()
    };
    let (access, _) = flags.read(false, [127, 0, 0, 1].into()).expect("flags");
    let server = secure::Secure::start_with(access).await;
    let ask = async |name: &str| {
        let credentials = proxies.client(name, &["system:masters"]).expect("credentials");
        let (address, root) = (server.address(), server.admin.root_certificate.clone());
        let headers = [("x-remote-user", "jane"), ("x-remote-group", "devs")];
        let (code, body) =
            secure::send_with(address, &root, Some(&credentials), Method::GET, "/api/v1/nodes", &headers, &Value::Null)
                .await;
        (code.as_u16(), body["message"].as_str().unwrap_or_default().to_owned())
    };
    let (code, message) = ask("front").await;
    assert_eq!(code, 403);
    assert!(message.contains("User \"jane\" cannot list"), "{message}");
    assert_eq!(ask("other").await.0, 401, "an authority of proxies is not one of users");

    let admin = server.admin.credentials.clone().expect("credentials");
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let (_, map) = secure::get(&server, Some(&admin), path).await;
    assert_eq!(map["data"]["requestheader-allowed-names"], "[\"front\"]");
    assert_eq!(map["data"]["requestheader-username-headers"], "[\"X-Remote-User\"]");
    assert_eq!(map["data"]["client-ca-file"], server.admin.root_certificate.as_str());
}

#[tokio::test]
async fn some_paths_may_be_for_everybody() {
    let access = Access {
        authorization: vec![Mode::Rbac],
        anonymous: Some(true),
        anonymous_paths: vec!["/livez".to_owned()],
        ..Access::default()
    };
    let server = secure::Secure::start_with(access).await;
    assert_eq!(secure::get(&server, None, "/livez").await.0, 200);
    assert_eq!(secure::get(&server, None, "/version").await.0, 401);
}
