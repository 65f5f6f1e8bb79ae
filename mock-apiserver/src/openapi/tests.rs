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
    let pages = page::pages(served).into_iter().map(|page| page.key);
    crate::discovery::endpoints(served).into_iter().map(|(key, _)| key).chain(pages).collect()
}

#[test]
fn pages_are_listed_and_documented() {
    let served = served();
    let index = index::Index::of(&served);
    for key in [".well-known/openid-configuration", "api", "apis", "apis/apps", "openid/v1/jwks", "version"] {
        assert!(index.hash_of(key).is_some(), "{key}");
    }
    let apps = json(&served, Form::V3("apis/apps".to_owned()));
    assert_eq!(apps["paths"]["/apis/apps/"]["get"]["operationId"], "getAppsAPIGroup");
    assert!(apps["components"]["schemas"]["io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup"].is_object());
    let rbac = json(&served, Form::V3("apis/rbac.authorization.k8s.io/v1".to_owned()));
    let list = &rbac["paths"]["/apis/rbac.authorization.k8s.io/v1/"]["get"];
    assert_eq!(list["operationId"], "getRbacAuthorizationV1APIResources");
    assert_eq!(list["tags"], serde_json::json!(["rbacAuthorization_v1"]));
    let all = json(&served, Form::V2Json);
    for path in ["/api/", "/api/v1/", "/apis/", "/apis/apps/", "/apis/apps/v1/", "/version/"] {
        assert!(all["paths"][path]["get"].is_object(), "{path}");
    }
}

/// How many fields with a number a message has, and the last of them.
fn field(message: &[u8], wanted: u32) -> (usize, &[u8]) {
    let (mut reader, mut found) = (Reader::new(message), (0, &message[..0]));
    while let Some((number, field)) = reader.next_field().expect("a message") {
        if number == wanted {
            found = (found.0 + 1, field.bytes().expect("a message"));
        }
    }
    found
}

#[test]
fn the_message_of_v3_has_every_path_and_schema() {
    let served = served();
    for key in discovery_keys(&served) {
        let document = json(&served, Form::V3(key.clone()));
        let (media_type, message) = encode(&served, &Form::V3Protobuf(key));
        assert_eq!(media_type, "application/com.github.proto-openapi.spec.v3.v1.0+protobuf");
        assert_eq!(field(&message, 1), (1, b"3.0.0".as_slice()));
        let paths = field(field(&message, 4).1, 1).0;
        let schemas = field(field(field(&message, 5).1, 1).1, 1).0;
        assert_eq!(Some(paths), document["paths"].as_object().map(serde_json::Map::len));
        assert_eq!(Some(schemas), document["components"]["schemas"].as_object().map(serde_json::Map::len));
    }
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
fn the_client_says_which_form_it_reads() {
    let v3 = || Form::V3("api/v1".to_owned());
    let message = || Form::V3Protobuf("api/v1".to_owned());
    for (accept, two, three) in [
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Some(Form::V2Protobuf), None),
        ("application/com.github.proto-openapi.spec.v3@v1.0+protobuf", None, Some(message())),
        ("application/com.github.proto-openapi.spec.v3.v1.0+protobuf", None, Some(message())),
        ("application/json, */*", Some(Form::V2Json), Some(v3())),
        ("*/*", Some(Form::V2Json), Some(v3())),
        ("", Some(Form::V2Json), Some(v3())),
        ("text/html", None, None),
    ] {
        let mut request = HeaderMap::new();
        request.insert(header::ACCEPT, accept.parse().expect("a header value"));
        assert_eq!(wanted(&request, &GNOSTIC_V2, Form::V2Json, Form::V2Protobuf), two, "{accept}");
        assert_eq!(wanted(&request, &GNOSTIC_V3, v3(), message()), three, "{accept}");
    }
}
