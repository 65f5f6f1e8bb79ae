//! What Kubernetes 1.36.2 says of device objects that are changed in one place: accepted, or refused with these causes.
//!
//! `testdata/corpus/device-rules.json` holds the objects (`bases`) and the changes (`rows`), with the answers that a
//! kube-apiserver gave. A row replaces what is `at` a place by what it turns `to`, removes it, or repeats the first item of a list.

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use machinery::meta;
use mock_apiserver::{ApiServer, Config, config, feature_gates::FeatureGates};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const TABLE: &str = include_str!("../../../testdata/corpus/device-rules.json");

struct Server(Router);

impl Server {
    async fn start(gates: &Value) -> Self {
        let release = api::release::Release::V1_36;
        let mut feature_gates = FeatureGates::of_release(release);
        for gate in gates.as_array().into_iter().flatten().filter_map(Value::as_str) {
            feature_gates.set(gate, true);
        }
        let config = Config { definitions: config::definitions_of(release), feature_gates, ..Config::default() };
        let server = Self(ApiServer::start(config, CancellationToken::new()).await.expect("a server").router());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}});
        server.send("POST", "/api/v1/namespaces", &namespace).await;
        server
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        let response = self.0.clone().oneshot(request.expect("a request")).await.expect("a router never fails");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Stores an object, and its status where it has one.
    async fn store(&self, object: &Value) {
        let (status, answer) = self.send("POST", &collection(object), object).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    async fn store_status(&self, object: &Value) {
        let path = format!("{}/{}/status", collection(object), meta::name(object));
        let (status, answer) = self.send("PUT", &path, object).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    async fn delete(&self, object: &Value) {
        let path = format!("{}/{}", collection(object), meta::name(object));
        let (status, answer) = self.send("DELETE", &path, &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

fn collection(object: &Value) -> String {
    let plural = match meta::kind(object) {
        "DeviceClass" => "deviceclasses".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let namespace = if object["metadata"].get("namespace").is_some() { "namespaces/ns/" } else { "" };
    format!("/apis/{}/{namespace}{plural}", object["apiVersion"].as_str().expect("a version"))
}

/// The object with the change of a row.
fn changed(base: &Value, row: &Value) -> Value {
    let mut object = base.clone();
    let at = row["at"].as_str().expect("a place");
    let (parent, name) = at.rsplit_once('/').expect("a pointer");
    if let Some(to) = row.get("to") {
        let parent = object.pointer_mut(parent).expect("a place in the object");
        match parent {
            Value::Array(items) => items[name.parse::<usize>().expect("an index")] = to.clone(),
            other => other[name.replace("~1", "/").replace("~0", "~")] = to.clone(),
        }
    } else if let Some(count) = row["repeat"].as_u64() {
        let list = object.pointer_mut(at).and_then(Value::as_array_mut).expect("a list");
        let first = list[0].clone();
        *list = (0..count).map(|index| numbered(&first, index)).collect();
    } else {
        match object.pointer_mut(parent).expect("a place in the object") {
            Value::Array(items) => drop(items.remove(name.parse::<usize>().expect("an index"))),
            Value::Object(members) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
            other => panic!("{other} has no parts"),
        }
    }
    object
}

/// An item that is told from its copies by its number.
fn numbered(item: &Value, index: u64) -> Value {
    let mut item = item.clone();
    match &mut item {
        Value::String(text) => text.push_str(&index.to_string()),
        Value::Object(members) => {
            for (name, prefix, offset) in
                [("name", "n", 0), ("counterSet", "n", 0), ("uid", "n", 0), ("type", "N", 0), ("device", "dev-", 1)]
            {
                if members.get(name).is_some_and(Value::is_string) {
                    members.insert(name.to_owned(), format!("{prefix}{}", index + offset).into());
                }
            }
        }
        _ => {}
    }
    item
}

fn causes(answer: &Value) -> Value {
    let causes = answer["details"]["causes"].as_array().into_iter().flatten();
    let text = |cause: &Value, member: &str| cause[member].as_str().unwrap_or_default().to_owned();
    causes.map(|cause| json!([text(cause, "field"), text(cause, "reason"), text(cause, "message")])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn device_objects_are_judged_as_kubernetes_does() {
    let table: Value = serde_json::from_str(TABLE).expect("the table is JSON");
    let server = Server::start(&table["gates"]).await;
    let rows = table["rows"].as_array().expect("rows");
    let mut wrong = Vec::new();
    for (name, base) in table["bases"].as_object().expect("objects") {
        for operation in ["create", "update", "status", "status-again"] {
            let of_base = rows.iter().filter(|row| row["of"] == **name && row["op"] == operation);
            let of_base: Vec<&Value> = of_base.collect();
            if of_base.is_empty() {
                continue;
            }
            if operation != "create" {
                server.store(base).await;
            }
            if operation == "status-again" {
                server.store_status(base).await;
            }
            for row in of_base {
                let mut object = changed(base, row);
                let (method, path) = match operation {
                    "create" => {
                        object["metadata"]["name"] = format!("{}-n", meta::name(&object)).into();
                        ("POST", format!("{}?dryRun=All", collection(base)))
                    }
                    "update" => ("PUT", format!("{}/{}?dryRun=All", collection(base), meta::name(base))),
                    _ => ("PUT", format!("{}/{}/status?dryRun=All", collection(base), meta::name(base))),
                };
                let (status, answer) = server.send(method, &path, &object).await;
                let expected = row.get("causes").cloned().unwrap_or_else(|| json!([]));
                if status.as_u16() != row["code"] || causes(&answer) != expected {
                    wrong.push(format!("{row}\n  ours {status} {}", causes(&answer)));
                }
            }
            if operation != "create" {
                server.delete(base).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() > 500, "the table is whole");
}
