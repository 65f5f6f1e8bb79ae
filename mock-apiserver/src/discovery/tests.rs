use serde_json::json;

use super::aggregated::DiscoveryVersion;
use super::*;
use crate::aggregation::Remotes;
use crate::{catalog::Catalog, respond::Encoding, storage::MemoryStore};

fn served() -> Arc<Served> {
    Catalog::new(api::builtin::definitions(), &MemoryStore::new()).served()
}

fn at(path: &str) -> Value {
    let segments: Vec<&str> = path.split('/').collect();
    document(&served(), &Remotes::default(), &segments, &HeaderMap::new()).expect("a document")
}

fn entry<'a>(list: &'a Value, name: &str) -> &'a Value {
    let entries = list["resources"].as_array().expect("resources");
    entries.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn resources_are_listed_as_upstream_lists_them() {
    let apps = at("apis/apps/v1");
    assert_eq!(
        *entry(&apps, "deployments"),
        json!({
            "name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "shortNames": ["deploy"], "categories": ["all"], "storageVersionHash": "8aSe+NMegvE=",
        })
    );
    assert_eq!(
        *entry(&apps, "deployments/scale"),
        json!({
            "name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling", "version": "v1",
            "kind": "Scale", "verbs": ["get", "patch", "update"],
        })
    );
    let core = at("api/v1");
    assert_eq!(core.get("apiVersion"), None);
    assert_eq!(core["groupVersion"], "v1");
    assert_eq!(entry(&core, "pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(entry(&core, "bindings").get("storageVersionHash"), None);
    let names: Vec<&str> =
        core["resources"].as_array().expect("resources").iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert!(names.is_sorted());
}

#[test]
fn groups_come_in_the_order_of_their_priority() {
    let list = at("apis");
    let names: Vec<&str> =
        list["groups"].as_array().expect("groups").iter().filter_map(|group| group["name"].as_str()).collect();
    let place = |name: &str| names.iter().position(|found| *found == name).unwrap_or_else(|| panic!("no {name}"));
    assert!(place("apps") < place("batch") && place("batch") < place("rbac.authorization.k8s.io"));
    assert!(!names.contains(&""));
    assert_eq!(at("apis/autoscaling")["preferredVersion"]["groupVersion"], "autoscaling/v2");
    assert_eq!(at("apis/apps")["kind"], "APIGroup");
}

fn bytes(document: &Document, version: DiscoveryVersion) -> Vec<u8> {
    document.bytes(Wanted { version, encoding: Encoding::Json }).expect("JSON is always there")
}

#[test]
fn the_aggregated_document_says_the_same() {
    let documents = Cache::default().documents(&served(), &Remotes::default());
    let named: Value = serde_json::from_slice(&bytes(&documents.named, DiscoveryVersion::V2Beta1)).expect("JSON");
    assert_eq!(named["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    let apps = named["items"].as_array().expect("items").iter().find(|item| item["metadata"]["name"] == "apps");
    let resources = apps.expect("apps")["versions"][0]["resources"].as_array().expect("resources");
    let deployments = resources.iter().find(|resource| resource["resource"] == "deployments").expect("deployments");
    assert_eq!(
        *deployments,
        json!({
            "resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
            "scope": "Namespaced", "singularResource": "deployment",
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "shortNames": ["deploy"], "categories": ["all"],
            "subresources": [
                {
                    "subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                    "verbs": ["get", "patch", "update"],
                },
                {
                    "subresource": "status", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
                    "verbs": ["get", "patch", "update"],
                },
            ],
        })
    );
    let core: Value = serde_json::from_slice(&bytes(&documents.core, DiscoveryVersion::V2)).expect("JSON");
    assert_eq!(core["items"][0]["metadata"], json!({}));
    assert_eq!(core["items"].as_array().map(Vec::len), Some(1));
}
