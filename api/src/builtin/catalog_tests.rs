//! Every row is whole: names, schemas, references and the tables that complete the schemas.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{definitions, merging, schema_of, subresource_schema, zero_values};
use crate::catalog::catalog_of;
use crate::definition::{SchemaDocument, SchemaSource};
use crate::release::Release;

fn documents() -> Vec<SchemaDocument> {
    let rows = [catalog_of(Release::V1_36), catalog_of(Release::V1_37)].concat();
    let mut documents: Vec<_> = rows
        .iter()
        .flat_map(|row| &row.versions)
        .filter_map(|version| match version.schema {
            SchemaSource::Built(make) => Some(make()),
            _ => None,
        })
        .collect();
    documents.push(schema_of::<k8s_openapi::api::policy::v1::Eviction>());
    documents.push(schema_of::<k8s_openapi::api::autoscaling::v1::Scale>());
    documents.push(schema_of::<k8s_openapi::api::authentication::v1::TokenRequest>());
    documents
}

fn references(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("$ref", Value::String(target)) => drop(found.insert(target.clone())),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_root_exists() {
    for document in documents() {
        assert!(document.definitions.contains_key(&document.root), "{}", document.root);
        let mut found = BTreeSet::new();
        document.definitions.values().for_each(|schema| references(schema, &mut found));
        for target in found {
            let name = target.strip_prefix("#/$defs/").expect("references are local");
            assert!(document.definitions.contains_key(name), "{} refers to {name}", document.root);
        }
    }
}

#[test]
fn tables_name_fields_that_exist() {
    let mut fields = BTreeSet::new();
    let mut types = BTreeSet::new();
    for document in documents() {
        for (name, schema) in &document.definitions {
            types.insert(name.clone());
            for field in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                fields.insert(format!("{name}.{}", field.0));
            }
        }
    }
    for (package, rows) in merging::FIELDS {
        rows.iter().for_each(|(type_, field, _)| {
            assert!(fields.contains(&format!("{package}.{type_}.{field}")), "{package}.{type_}.{field}")
        });
    }
    for (package, rows) in merging::ATOMIC_STRUCTS {
        rows.iter().for_each(|type_| assert!(types.contains(&format!("{package}.{type_}")), "{package}.{type_}"));
    }
    for (package, rows) in zero_values::EMPTY_OBJECTS.iter().chain(zero_values::ZERO_VALUES) {
        rows.iter().for_each(|(type_, field)| {
            assert!(fields.contains(&format!("{package}.{type_}.{field}")), "{package}.{type_}.{field}")
        });
    }
    for (package, rows) in zero_values::DEFAULTS {
        for (type_, field, json) in *rows {
            assert!(fields.contains(&format!("{package}.{type_}.{field}")), "{package}.{type_}.{field}");
            assert!(serde_json::from_str::<Value>(json).is_ok(), "{json}");
        }
    }
}

#[test]
fn merge_keys_are_members_of_the_items() {
    let pod = schema_of::<k8s_openapi::api::core::v1::Pod>();
    let spec = &pod.definitions["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(spec["containers"]["x-kubernetes-list-type"], "map");
    assert_eq!(spec["tolerations"]["x-kubernetes-list-type"], "atomic");
    assert_eq!(spec["nodeSelector"]["x-kubernetes-map-type"], "atomic");
    assert_eq!(spec["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    for document in documents() {
        for (name, schema) in &document.definitions {
            for (field, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let keys = property.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
                let merge_key = property.get("x-kubernetes-patch-merge-key");
                let Some(item) = property["items"]["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/"))
                else {
                    assert!(merge_key.is_none(), "{name}.{field} merges scalars by key");
                    continue;
                };
                for key in keys.chain(merge_key).filter_map(Value::as_str) {
                    let members = &document.definitions[item]["properties"];
                    assert!(members.get(key).is_some(), "{name}.{field}: items have no {key}");
                }
            }
        }
    }
}

#[test]
fn defaults_show_what_go_always_writes() {
    let deployment = schema_of::<k8s_openapi::api::apps::v1::Deployment>().definitions;
    let default = |name: &str, field: &str| deployment[name]["properties"][field].get("default").cloned();
    assert_eq!(default("io.k8s.api.apps.v1.Deployment", "status"), Some(serde_json::json!({})));
    assert_eq!(default("io.k8s.api.apps.v1.DeploymentSpec", "strategy"), Some(serde_json::json!({})));
    assert_eq!(default("io.k8s.api.apps.v1.DeploymentSpec", "selector"), None);
    assert_eq!(default("io.k8s.api.core.v1.Container", "name"), Some("".into()));
    assert_eq!(default("io.k8s.api.core.v1.Container", "image"), None);
    assert_eq!(default("io.k8s.api.core.v1.ContainerPort", "protocol"), Some("TCP".into()));
    assert_eq!(default("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "creationTimestamp"), None);
}

#[test]
fn a_name_leads_to_one_row() {
    let mut seen = BTreeSet::new();
    for row in definitions() {
        for version in &row.versions {
            let name = format!("{}/{}/{}", row.group, version.name, row.plural);
            assert!(seen.insert(name.clone()), "{name} twice");
        }
        let storage = row.versions.iter().filter(|version| version.storage).count();
        let owns_store = row.group_resource().to_string() == row.store;
        assert_eq!(storage, usize::from(owns_store), "{row:?}");
    }
    assert_eq!(seen.len(), 73);
}

#[test]
fn subresource_kinds_have_schemas_unless_they_are_options() {
    for row in definitions() {
        for kind in row.subresources.iter().filter_map(|subresource| subresource.kind.as_ref()) {
            let is_options = kind.kind.ends_with("Options");
            assert_eq!(subresource_schema(kind).is_none(), is_options, "{kind}");
        }
    }
}
