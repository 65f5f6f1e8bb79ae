//! Versions of a custom resource that a webhook converts.

use serde_json::{Value, json};

use crate::{client::Client, webhook::Webhook};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn things(version: &str) -> String {
    format!("/apis/ex.io/{version}/namespaces/default/things")
}

/// `v1` has a host and a port, `v2` has both in one text.
fn convert(request: &Value) -> Option<Value> {
    let desired = request["desiredAPIVersion"].as_str()?;
    let objects = request["objects"].as_array()?.iter().map(|object| {
        let mut object = object.clone();
        object["apiVersion"] = desired.into();
        let spec = &object["spec"];
        object["spec"] = match desired {
            "ex.io/v2" if spec.get("host").is_some() => {
                json!({"address": format!("{}:{}", spec["host"].as_str().unwrap_or_default(), spec["port"])})
            }
            "ex.io/v1" if spec.get("address").is_some() => {
                let address = spec["address"].as_str().unwrap_or_default();
                let (host, port) = address.split_once(':').unwrap_or((address, "0"));
                json!({"host": host, "port": port.parse::<i64>().unwrap_or(0)})
            }
            _ => spec.clone(),
        };
        object["metadata"]["uid"] = "forged".into();
        object
    });
    let objects: Vec<Value> = objects.collect();
    Some(json!({"result": {"status": "Success"}, "convertedObjects": objects}))
}

fn refuse(_: &Value) -> Option<Value> {
    Some(json!({"result": {"status": "Failure", "message": "not today"}}))
}

async fn with_things(webhook: &Webhook) -> Client {
    let client = Client::start().await;
    let version = |name: &str, storage: bool, properties: Value| {
        json!({
            "name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": properties},
            }}},
        })
    };
    let text = || json!({"type": "string"});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.ex.io"},
        "spec": {
            "group": "ex.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                version("v1", true, json!({"host": text(), "port": {"type": "integer"}})),
                version("v2", false, json!({"address": text()})),
            ],
            "conversion": {"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"], "clientConfig": webhook.url(),
            }},
        },
    });
    client.post(CRDS, crd).await.ok();
    client
}

#[tokio::test]
async fn every_verb_speaks_the_clients_version() {
    let webhook = Webhook::start(convert).await;
    let client = with_things(&webhook).await;
    let thing = json!({
        "apiVersion": "ex.io/v2", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"address": "localhost:80"},
    });
    let created = client.post(&things("v2"), thing).await.ok();
    assert_eq!((&created["apiVersion"], &created["spec"]), (&json!("ex.io/v2"), &json!({"address": "localhost:80"})));
    assert_ne!(created["metadata"]["uid"], "forged");
    let (v1, v2) = (format!("{}/t", things("v1")), format!("{}/t", things("v2")));
    assert_eq!(client.get(&v1).await.ok()["spec"], json!({"host": "localhost", "port": 80}));
    assert_eq!(client.get(&v2).await.ok(), created);
    assert_eq!(client.get(&things("v2")).await.ok()["items"][0]["spec"], json!({"address": "localhost:80"}));
    let patched = client.merge(&v2, json!({"spec": {"address": "example:81"}})).await.ok();
    assert_eq!(patched["spec"], json!({"address": "example:81"}));
    let mut replaced = patched.clone();
    replaced["spec"] = json!({"address": "other:82"});
    client.put(&v2, replaced.clone()).await.ok();
    assert_eq!(client.put(&v2, replaced).await.code, 409, "the revision is an old one");
    assert_eq!(client.get(&v1).await.ok()["spec"], json!({"host": "other", "port": 82}));
    let mut events = client.watch(&format!("{}?watch=true&timeoutSeconds=5", things("v2"))).await;
    assert_eq!(events.next().await.expect("an event")["object"]["spec"], json!({"address": "other:82"}));
    client.delete(&v2).await.ok();
    assert_eq!(client.get(&v1).await.code, 404);
}

#[tokio::test]
async fn managers_keep_the_version_they_wrote_in() {
    let webhook = Webhook::start(convert).await;
    let client = with_things(&webhook).await;
    let (v1, v2) = (format!("{}/t", things("v1")), format!("{}/t", things("v2")));
    let configuration = |version: &str, spec: Value| json!({"apiVersion": format!("ex.io/{version}"), "kind": "Thing", "metadata": {"name": "t"}, "spec": spec});
    let managers = |object: &Value| -> Vec<(String, String, Value)> {
        let text = |entry: &Value, member: &str| entry[member].as_str().unwrap_or_default().to_owned();
        let entries = object["metadata"]["managedFields"].as_array().expect("managers");
        entries
            .iter()
            .map(|entry| (text(entry, "manager"), text(entry, "apiVersion"), entry["fieldsV1"].clone()))
            .collect()
    };
    let address = json!({"f:spec": {"f:address": {}}});
    let applied = client.apply(&v2, "two", configuration("v2", json!({"address": "a:1"}))).await.ok();
    assert_eq!(managers(&applied), [("two".to_owned(), "ex.io/v2".to_owned(), address.clone())]);
    // In v1 the same text is two fields; whoever wants another port is in conflict with the text's owner.
    let other = client.apply(&v1, "one", configuration("v1", json!({"port": 2}))).await;
    assert_eq!(other.code, 409);
    assert!(other.message().contains("conflict with \"two\": .spec.address"), "{}", other.message());
    let agreed = client.apply(&v1, "one", configuration("v1", json!({"port": 1}))).await.ok();
    let port = json!({"f:spec": {"f:port": {}}});
    assert_eq!(
        managers(&agreed),
        [("one".to_owned(), "ex.io/v1".to_owned(), port), ("two".to_owned(), "ex.io/v2".to_owned(), address)]
    );
    let forced = client.apply(&v1, "one&force=true", configuration("v1", json!({"port": 3}))).await.ok();
    assert_eq!(forced["spec"], json!({"host": "a", "port": 3}));
    assert_eq!(managers(&forced).len(), 1, "the text belongs to nobody else: {forced}");
    let merged = client.merge(&format!("{v2}?fieldManager=three"), json!({"spec": {"address": "b:3"}})).await.ok();
    let versions: Vec<String> =
        managers(&merged).into_iter().map(|(manager, version, _)| manager + " " + &version).collect();
    assert!(versions.contains(&"three ex.io/v2".to_owned()), "{versions:?}");
    let created = client
        .post(
            &format!("{}?fieldManager=four", things("v2")),
            json!({
                "apiVersion": "ex.io/v2", "kind": "Thing", "metadata": {"name": "u"}, "spec": {"address": "c:4"},
            }),
        )
        .await
        .ok();
    assert_eq!(created["metadata"]["managedFields"][0]["apiVersion"], "ex.io/v2");
}

#[tokio::test]
async fn what_is_stored_in_an_older_version_is_converted_when_it_is_read() {
    let webhook = Webhook::start(convert).await;
    let client = with_things(&webhook).await;
    let thing =
        json!({"apiVersion": "ex.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"host": "a", "port": 1}});
    client.post(&things("v1"), thing).await.ok();
    let path = format!("{CRDS}/things.ex.io");
    let mut crd = client.get(&path).await.ok();
    crd["spec"]["versions"][0]["storage"] = false.into();
    crd["spec"]["versions"][1]["storage"] = true.into();
    let updated = client.put(&path, crd).await.ok();
    assert_eq!(updated["status"]["storedVersions"], json!(["v1", "v2"]));
    let newer =
        json!({"apiVersion": "ex.io/v2", "kind": "Thing", "metadata": {"name": "u"}, "spec": {"address": "b:2"}});
    client.post(&things("v2"), newer).await.ok();
    let addresses = |list: &Value| -> Vec<Value> {
        list["items"].as_array().expect("items").iter().map(|item| item["spec"].clone()).collect()
    };
    let list = client.get(&things("v2")).await.ok();
    assert_eq!(addresses(&list), [json!({"address": "a:1"}), json!({"address": "b:2"})]);
    let list = client.get(&things("v1")).await.ok();
    assert_eq!(addresses(&list), [json!({"host": "a", "port": 1}), json!({"host": "b", "port": 2})]);
    let one = format!("{}/t", things("v2"));
    let patched = client.merge(&one, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(patched["spec"], json!({"address": "a:1"}));
}

#[tokio::test]
async fn a_conversion_that_fails_is_told() {
    let webhook = Webhook::start(refuse).await;
    let client = with_things(&webhook).await;
    let thing = json!({"apiVersion": "ex.io/v2", "kind": "Thing", "metadata": {"name": "t"}, "spec": {}});
    client.post(&things("v2"), thing).await.fails(500, "conversion webhook for ex.io/v2, Kind=Thing failed: not today");
}
