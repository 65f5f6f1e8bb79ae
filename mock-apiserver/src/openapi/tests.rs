use std::collections::HashSet;

use serde_json::Value;

use super::{cache::encode, *};
use crate::{
    catalog::{Catalog, Served},
    protobuf::wire::Reader,
    storage::MemoryStore,
};

fn served() -> Arc<Served> {
    Catalog::new(api::catalog::catalog(), &MemoryStore::new()).served()
}

fn json(served: &Served, form: Form) -> Value {
    serde_json::from_slice(&encode(served, &form).1).expect("a document is JSON")
}

/// Every reference in a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => found.push(target),
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let served = served();
    let mut forms: Vec<Form> = discovery_keys(&served).into_iter().map(Form::V3).collect();
    forms.push(Form::V2Json);
    for form in forms {
        let document = json(&served, form.clone());
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{form:?}: {reference} is missing");
        }
        let mut ids = HashSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for operation in item.as_object().expect("a path item").values().filter(|value| value.is_object()) {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{form:?}: {id} of {path} twice");
            }
        }
    }
}

fn discovery_keys(served: &Served) -> Vec<String> {
    crate::discovery::endpoints(served).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn kubectl_finds_what_it_looks_for_in_v3() {
    let document = json(&served(), Form::V3("apis/apps/v1".to_owned()));
    let kind = serde_json::json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let object = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = &object["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(parameters.iter().any(|one| one["name"] == "fieldValidation" && one["in"] == "query"));
    let content = patch["requestBody"]["content"].as_object().expect("media types");
    assert!(content.contains_key("application/strategic-merge-patch+json"));
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], serde_json::json!([kind]));
    assert!(document["paths"]["/apis/apps/v1/deployments"]["get"].is_object());
    assert!(document["paths"]["/apis/apps/v1/deployments"].get("post").is_none());
}

#[test]
fn the_message_of_v2_has_every_path_and_definition() {
    let served = served();
    let document = json(&served, Form::V2Json);
    let (_, message) = encode(&served, &Form::V2Protobuf);
    let (mut paths, mut definitions) = (0, 0);
    let mut reader = Reader::new(&message);
    while let Some((number, field)) = reader.next_field().expect("a message") {
        let count = |bytes| {
            let (mut inner, mut count) = (Reader::new(bytes), 0);
            while inner.next_field().expect("a message").is_some() {
                count += 1;
            }
            count
        };
        match number {
            8 => paths = count(field.bytes().expect("a message")),
            9 => definitions = count(field.bytes().expect("a message")),
            _ => {}
        }
    }
    assert_eq!(Some(paths), document["paths"].as_object().map(serde_json::Map::len));
    assert_eq!(Some(definitions), document["definitions"].as_object().map(serde_json::Map::len));
}

#[test]
fn hashes_differ_by_group_and_stay_while_nothing_changes() {
    let served = served();
    let (one, two) = (index::Index::of(&served), index::Index::of(&served));
    assert_eq!(one.hash(), two.hash());
    assert_ne!(one.hash_of("api/v1"), one.hash_of("apis/apps/v1"));
    assert_eq!(one.hash_of("apis/nope/v1"), None);
    let document: Value = serde_json::from_str(&one.document()).expect("JSON");
    let url = document["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a URL");
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="));
}

#[test]
fn a_document_comes_back_from_its_compressed_form() {
    let served = served();
    let cache = Cache::default();
    let form = Form::V3("apis/coordination.k8s.io/v1".to_owned());
    let hash = cache.index(&served).hash_of("apis/coordination.k8s.io/v1").expect("served").to_owned();
    assert!(cache.find(&form, &hash).is_none());
    let document = cache.make(&served, form.clone(), hash.clone());
    assert_eq!(document.bytes(), encode(&served, &form).1);
    assert!(cache.find(&form, &hash).is_some());
    assert!(cache.find(&form, "other").is_none());
}

#[test]
fn the_client_says_which_v2_it_reads() {
    for (accept, expected) in [
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Some(Form::V2Protobuf)),
        ("application/json, */*", Some(Form::V2Json)),
        ("*/*", Some(Form::V2Json)),
        ("text/html", None),
    ] {
        let mut request = HeaderMap::new();
        request.insert(header::ACCEPT, accept.parse().expect("a header value"));
        assert_eq!(wanted_v2(&request), expected, "{accept}");
    }
}
