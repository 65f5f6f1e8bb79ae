//! Tokens of service accounts: issued, proven, bound, and told to the world.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mock_apiserver::{authorization::Mode, config::Access};
use serde_json::{Value, json};

use crate::client::{Answer, Client, PODS, pod};

const DEFAULT: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";

async fn server() -> Client {
    Client::start_with(Access { authorization: vec![Mode::Rbac], ..Access::default() }).await
}

async fn request(server: &Client, spec: Value) -> Answer {
    let document = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    server.post(DEFAULT, document).await
}

async fn token(server: &Client, spec: Value) -> String {
    let answer = request(server, spec).await.ok();
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

async fn whoami(server: &Client, token: &str) -> Answer {
    let client = server.with(&[("authorization", &format!("Bearer {token}"))]);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await
}

async fn review(server: &Client, token: &str, audiences: &[&str]) -> Value {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": audiences},
    });
    server.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.ok()["status"].clone()
}

#[tokio::test]
async fn a_token_says_who_and_until_when() {
    let server = server().await;
    let answer = request(&server, json!({"expirationSeconds": 600})).await.ok();
    assert_eq!(answer["metadata"]["name"], "default");
    assert_eq!(answer["spec"]["audiences"], json!(["https://kubernetes.default.svc.cluster.local"]));
    assert!(answer["status"]["expirationTimestamp"].is_string());
    let token = answer["status"]["token"].as_str().expect("a token");
    assert_eq!(part(token, 0)["alg"], "ES256");
    let claims = part(token, 1);
    assert_eq!(claims["sub"], "system:serviceaccount:default:default");
    assert_eq!(claims["exp"].as_i64().unwrap_or(0) - claims["iat"].as_i64().unwrap_or(0), 600);
    assert_eq!(claims["kubernetes.io"]["namespace"], "default");
    let me = whoami(&server, token).await.ok()["status"]["userInfo"].clone();
    assert_eq!(me["username"], "system:serviceaccount:default:default");
    assert_eq!(
        me["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    let id = format!("JTI={}", claims["jti"].as_str().unwrap_or_default());
    assert_eq!(me["extra"]["authentication.kubernetes.io/credential-id"], json!([id]));
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_worth_nothing() {
    let server = server().await;
    let token = token(&server, json!({})).await;
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let (header, _) = head.split_once('.').expect("three parts");
    let mut claims = part(&token, 1);
    claims["sub"] = "system:serviceaccount:kube-system:default".into();
    claims["kubernetes.io"]["namespace"] = "kube-system".into();
    let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), token.split('.').nth(1).expect("three parts"));
    let cut = &token[..token.len() - 3];
    for bad in [forged.as_str(), unsigned.as_str(), cut, head, "a.b.c", "..", "."] {
        whoami(&server, bad).await.fails(401, "Unauthorized");
    }
    whoami(&server, &token).await.ok();
}

#[tokio::test]
async fn audiences_are_for_whom_a_token_is_good() {
    let server = server().await;
    let vault = token(&server, json!({"audiences": ["vault", "other"]})).await;
    whoami(&server, &vault).await.fails(401, "Unauthorized");
    let good = review(&server, &vault, &["vault", "elsewhere"]).await;
    assert_eq!((&good["authenticated"], &good["audiences"]), (&json!(true), &json!(["vault"])));
    let bad = review(&server, &vault, &["elsewhere"]).await;
    assert_eq!(bad["authenticated"], Value::Null);
    assert!(bad["error"].as_str().unwrap_or_default().contains("is invalid for the target audiences"), "{bad}");
}

#[tokio::test]
async fn a_bound_token_goes_with_what_it_is_bound_to() {
    let server = server().await;
    let created = server.post(PODS, pod("p")).await.ok();
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": created["metadata"]["uid"]});
    let bound = token(&server, json!({"boundObjectRef": reference})).await;
    let me = whoami(&server, &bound).await.ok()["status"]["userInfo"].clone();
    assert_eq!(me["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    server.delete(&format!("{PODS}/p")).await.ok();
    whoami(&server, &bound).await.fails(401, "Unauthorized");
    request(&server, json!({"boundObjectRef": reference})).await.fails(404, "pods \"p\" not found");
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "c"});
    request(&server, json!({"boundObjectRef": config_map}))
        .await
        .fails(400, "cannot bind token to object of type /v1, Kind=ConfigMap");
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    let free = token(&server, json!({})).await;
    server.delete(account).await.ok();
    server.until(account, 200).await;
    whoami(&server, &free).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn times_have_bounds() {
    let server = server().await;
    request(&server, json!({"expirationSeconds": 10})).await.fails(
        422,
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a \
         duration less than 10 minutes",
    );
    assert_eq!(request(&server, json!({"expirationSeconds": 4_294_967_297_i64})).await.code, 422);
    let missing = "/api/v1/namespaces/default/serviceaccounts/nobody/token";
    let document = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    server.post(missing, document).await.fails(404, "serviceaccounts \"nobody\" not found");
}

#[tokio::test]
async fn the_issuer_tells_how_to_prove_its_tokens() {
    let server = server().await;
    let configuration = server.get("/.well-known/openid-configuration").await.ok();
    assert_eq!(configuration["issuer"], "https://kubernetes.default.svc.cluster.local");
    assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let keys = server.get("/openid/v1/jwks").await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let token = token(&server, json!({})).await;
    assert_eq!(keys.body["keys"][0]["kid"], part(&token, 0)["kid"]);
    let anybody = server.with(&[("impersonate-user", "jane")]);
    assert_eq!(anybody.get("/openid/v1/jwks").await.code, 403);
    let account = server.with(&[("authorization", &format!("Bearer {token}"))]);
    account.get("/openid/v1/jwks").await.ok();
}

#[tokio::test]
async fn a_secret_may_keep_a_token() {
    let server = server().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = |annotations: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": "kept", "annotations": annotations},
        })
    };
    let nameless = server.post(secrets, secret(json!({}))).await;
    assert_eq!(nameless.code, 422, "{}", nameless.body);
    let kept = server.post(secrets, secret(json!({"kubernetes.io/service-account.name": "default"}))).await.ok();
    let data = |member: &str| {
        let text = kept["data"][member].as_str().expect("an entry");
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).expect("base64")).expect("text")
    };
    assert_eq!(data("namespace"), "default");
    let me = whoami(&server, &data("token")).await.ok();
    assert_eq!(me["status"]["userInfo"]["username"], "system:serviceaccount:default:default");
    server.delete(&format!("{secrets}/kept")).await.ok();
    whoami(&server, &data("token")).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn a_kept_token_goes_with_its_account() {
    let server = server().await;
    let (secrets, accounts) = ("/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default/serviceaccounts");
    let secret = |name: &str, account: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
        })
    };
    let gone = async |name: &str| {
        for _ in 0..600 {
            if server.get(&format!("{secrets}/{name}")).await.code == 404 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{name} stays for ever");
    };
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    server.post(accounts, account).await.ok();
    server.post(secrets, secret("of-robot", "robot")).await.ok();
    server.post(secrets, secret("of-default", "default")).await.ok();
    server.post(secrets, secret("of-nobody", "nobody")).await.ok();
    gone("of-nobody").await;
    server.delete(&format!("{accounts}/robot")).await.ok();
    gone("of-robot").await;
    server.get(&format!("{secrets}/of-default")).await.ok();
    // A token that somebody took out comes back.
    let emptied = server.merge(&format!("{secrets}/of-default"), json!({"data": {"token": null}})).await.ok();
    assert!(emptied["data"]["token"].as_str().is_some_and(|token| !token.is_empty()), "{emptied}");
}
