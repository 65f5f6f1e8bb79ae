//! Requests and answers, byte by byte where it matters.

use axum::{Router, body::Body};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use mock_apiserver::{ApiServer, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const GNOSTIC: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

async fn server() -> Router {
    let config = Config { definitions: api::catalog::catalog(), ..Config::default() };
    ApiServer::start(config, CancellationToken::new()).await.expect("a server").router()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn send(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let response: Response<Body> = router.clone().oneshot(request).await.expect("a router never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(router: &Router, path: &str, accept: &str) -> Answer {
    send(router, "GET", path, &[("accept", accept)], Vec::new()).await
}

async fn create_config_map(router: &Router, name: &str) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "<&>"}});
    let headers = [("content-type", "application/json")];
    let answer =
        send(router, "POST", "/api/v1/namespaces/default/configmaps", &headers, object.to_string().into()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn every_path_answers_with_its_status_and_type() {
    let router = server().await;
    create_config_map(&router, "cm").await;
    let object = "/api/v1/namespaces/default/configmaps/cm";
    let list = "/api/v1/namespaces/default/configmaps";
    let json = "application/json";
    let text = "text/plain; charset=utf-8";
    for (path, accept, status, content_type, part) in [
        ("/", "*/*", 200, json, "\"/apis/apps/v1\""),
        ("/version", "*/*", 200, json, "\"minor\": \"36\""),
        ("/healthz", "*/*", 200, text, "ok"),
        ("/readyz?verbose", "*/*", 200, text, "readyz check passed"),
        ("/livez/ping", "*/*", 200, text, "ok"),
        ("/livez/nope", "*/*", 404, text, "404 page not found"),
        (
            "/metrics",
            "*/*",
            200,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            "kubernetes_build_info",
        ),
        ("/nope", "*/*", 404, text, "404 page not found"),
        ("/apis/nope", "*/*", 404, text, "404 page not found"),
        ("/apis/nope/v1", "*/*", 404, text, "404 page not found"),
        ("/apis/apps/v9", "*/*", 404, json, "the server could not find the requested resource"),
        ("/api", "*/*", 200, json, "\"versions\":[\"v1\"]"),
        ("/apis/", "*/*", 200, json, "APIGroupList"),
        ("/apis/apps", "*/*", 200, json, "\"preferredVersion\""),
        ("/apis/apps/v1", "*/*", 200, json, "\"deployments/scale\""),
        ("/apis", "application/yaml", 200, "application/yaml", "kind: APIGroupList"),
        ("/apis", AGGREGATED, 200, AGGREGATED, "\"apidiscovery.k8s.io/v2\""),
        ("/openapi/v3", "*/*", 200, text, "\"api/v1\""),
        ("/openapi/v3/apis/coordination.k8s.io/v1", json, 200, json, "io.k8s.api.coordination.v1.Lease"),
        ("/openapi/v3/apis/nope/v1", json, 404, text, "404 page not found"),
        ("/openapi/v3/apis/coordination.k8s.io/v1", "text/html", 406, text, ""),
        (object, "*/*", 200, json, r#""data":{"a":"\u003c\u0026\u003e"}"#),
        (object, "application/yaml", 200, "application/yaml", "kind: ConfigMap"),
        (object, PROTOBUF, 200, PROTOBUF, "k8s\0"),
        (object, TABLE, 200, json, r#""columnDefinitions":[{"name":"Name""#),
        (object, PARTIAL, 200, json, r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1""#),
        (object, PARTIAL_LIST, 406, json, "not a list"),
        (list, PARTIAL, 406, json, "(*core.ConfigMapList)"),
        (list, PARTIAL_LIST, 200, json, "PartialObjectMetadataList"),
        (list, "application/cbor", 406, json, "406: Not Acceptable"),
        (
            list,
            "application/json;as=Nothing;v=v1;g=meta.k8s.io",
            406,
            json,
            "only the following media types are accepted",
        ),
    ] {
        let answer = get(&router, path, accept).await;
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path} {accept}: {shown}");
        assert_eq!(answer.header("content-type"), content_type, "{path} {accept}");
        assert!(shown.contains(part), "{path} {accept}: no {part} in {shown}");
        assert!(!answer.header("audit-id").is_empty(), "{path} {accept}");
    }
}

#[tokio::test]
async fn documents_that_a_client_holds_are_not_sent_again() {
    let router = server().await;
    for (path, accept) in
        [("/apis", AGGREGATED), ("/api", AGGREGATED), ("/openapi/v3", "*/*"), ("/openapi/v2", GNOSTIC)]
    {
        let first = get(&router, path, accept).await;
        assert_eq!(first.status, 200, "{path}");
        let etag = first.header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.len() > 10, "{path}: {etag}");
        let held = [("accept", accept), ("if-none-match", etag.as_str())];
        let second = send(&router, "GET", path, &held, Vec::new()).await;
        assert_eq!((second.status.as_u16(), second.body.len()), (304, 0), "{path}");
    }
}

#[tokio::test]
async fn a_document_under_its_hash_may_be_kept_for_ever() {
    let router = server().await;
    let index = get(&router, "/openapi/v3", "*/*").await;
    let index: Value = serde_json::from_str(index.text()).expect("the index is JSON");
    let url = index["paths"]["apis/coordination.k8s.io/v1"]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    let document = get(&router, &url, "application/json").await;
    assert_eq!(document.status, 200);
    assert!(document.header("cache-control").contains("immutable"));
    let wrong = get(&router, "/openapi/v3/apis/coordination.k8s.io/v1?hash=00", "application/json").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("location")), (301, url.as_str()));
    let compressed = [("accept", "application/json"), ("accept-encoding", "gzip")];
    let compressed = send(&router, "GET", &url, &compressed, Vec::new()).await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert_ne!(compressed.body, document.body);
}

#[tokio::test]
async fn people_get_indented_json() {
    let router = server().await;
    // Go ends a document with a line feed, unless it lays it out for people.
    for (agent, query, lines, end) in
        [("curl/8.5", "", 2, "\n}"), ("curl/8.5", "?pretty=false", 1, "}\n"), ("kubectl/v1.33", "", 1, "}\n")]
    {
        let path = format!("/api/v1/namespaces/default{query}");
        let answer = send(&router, "GET", &path, &[("user-agent", agent)], Vec::new()).await;
        assert!(answer.text().lines().count().min(2) == lines, "{agent} {query}");
        assert!(answer.text().ends_with(end), "{agent} {query}");
    }
}

#[tokio::test]
async fn lists_have_the_shape_of_their_kind() {
    let router = server().await;
    create_config_map(&router, "cm").await;
    let list = get(&router, "/api/v1/namespaces/default/configmaps", "*/*").await;
    assert!(list.text().starts_with(r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":""#));
    assert_eq!(list.json()["items"][0].get("kind"), None);
    let table = get(&router, "/api/v1/namespaces/default/configmaps?includeObject=None", TABLE).await.json();
    assert_eq!(table["rows"][0]["object"], Value::Null);
    let refused = get(&router, "/api/v1/namespaces/default/configmaps?includeObject=All", TABLE).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_watch_shows_tables_and_metadata_too() {
    let router = server().await;
    create_config_map(&router, "cm").await;
    let path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1";
    let (table, partial, protobuf) = tokio::join!(
        get(&router, path, TABLE),
        get(&router, path, PARTIAL),
        get(&router, path, "application/vnd.kubernetes.protobuf;stream=watch")
    );
    let events: Vec<Value> = table.text().lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert!(events.len() >= 2);
    assert_eq!(events[0]["object"]["kind"], "Table");
    assert!(events[0]["object"]["columnDefinitions"].is_array());
    assert!(events[1..].iter().all(|event| event["object"]["columnDefinitions"].is_null()));
    assert!(partial.text().lines().all(|line| line.contains(r#""object":{"kind":"PartialObjectMetadata""#)));
    assert_eq!(protobuf.header("content-type"), "application/vnd.kubernetes.protobuf;stream=watch");
    let length = u32::from_be_bytes(protobuf.body[..4].try_into().expect("four bytes")) as usize;
    assert!(protobuf.body.len() >= 4 + length);
    assert!(protobuf.body[4..4 + length].windows(4).any(|window| window == b"k8s\0"));
}

#[tokio::test]
async fn protobuf_goes_in_as_it_comes_out() {
    let router = server().await;
    create_config_map(&router, "cm").await;
    let path = "/api/v1/namespaces/default/configmaps/cm";
    let message = get(&router, path, PROTOBUF).await.body;
    let deleted = send(&router, "DELETE", path, &[], Vec::new()).await;
    assert_eq!(deleted.status, 200);
    let headers = [("content-type", PROTOBUF), ("accept", "application/vnd.kubernetes.protobuf,application/json")];
    // The identity of the deleted object is in the message, so a PUT of it is a conflict.
    let refused = send(&router, "PUT", path, &headers, message).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.header("content-type"), PROTOBUF);
    assert!(refused.body.starts_with(b"k8s\0"));
    let broken = send(&router, "POST", "/api/v1/namespaces/default/configmaps", &headers, b"k8s\0\xff".to_vec()).await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn large_lists_are_compressed_for_those_who_ask() {
    let router = server().await;
    let data = "x".repeat(200 * 1024);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"a": data}});
    let headers = [("content-type", "application/json")];
    send(&router, "POST", "/api/v1/namespaces/default/configmaps", &headers, object.to_string().into()).await;
    let list = "/api/v1/namespaces/default/configmaps";
    let compressed = send(&router, "GET", list, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert_eq!((compressed.header("content-encoding"), compressed.header("vary")), ("gzip", "Accept-Encoding"));
    assert!(compressed.body.len() < 100 * 1024);
    assert_eq!(send(&router, "GET", list, &[], Vec::new()).await.header("content-encoding"), "");
}
