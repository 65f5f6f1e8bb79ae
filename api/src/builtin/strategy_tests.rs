//! Every strategy on every kind of document: whatever stands where, nothing panics, and defaulting is done once.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::definitions;
use crate::{
    definition::{Cell, FieldValue, ResourceDefinition, SchemaDocument, SchemaSource, Surroundings},
    hub::Environment,
};

/// Surroundings that know nothing.
struct Nowhere;

impl Surroundings for Nowhere {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn user(&self) -> &str {
        "somebody"
    }

    fn namespace_label(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn feature_enabled(&self, _: &str) -> bool {
        true
    }

    fn check_derived_attribute(&self, _: &str) -> Result<u64, String> {
        Ok(1)
    }

    fn check_selector(&self, _: &str, _: Environment) -> Result<u64, String> {
        Ok(1)
    }
}

/// Deepest nesting of the documents that are made.
const DEPTH: usize = 8;

/// A document with every field that a schema has.
fn full(document: &SchemaDocument, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
        return full(document, &document.definitions[name], depth);
    }
    match schema["type"].as_str() {
        Some("array") => json!([full(document, &schema["items"], depth - 1)]),
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("string") => json!("2026-01-01T00:00:00Z"),
        Some("object") if schema["additionalProperties"].is_object() => {
            json!({"a.b/c": full(document, &schema["additionalProperties"], depth - 1)})
        }
        _ => match schema["properties"].as_object() {
            Some(fields) => {
                let members = fields.iter().map(|(name, field)| (name.clone(), full(document, field, depth - 1)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            None => json!("1"),
        },
    }
}

/// Runs all that a definition does to an object, on this one.
fn exercise(row: &ResourceDefinition, object: &Value) {
    let strategy = &row.strategy;
    let mut defaulted = object.clone();
    strategy.default(&mut defaulted, &Nowhere);
    let once = defaulted.clone();
    strategy.default(&mut defaulted, &Nowhere);
    assert_eq!(defaulted, once, "{row:?}: defaulting twice");
    let mut created = defaulted.clone();
    strategy.prepare_for_create(&mut created, &Nowhere);
    let _ = strategy.validate(&created, &Nowhere);
    let subresources = row.subresources.iter().map(|subresource| subresource.name.as_ref());
    for subresource in std::iter::once("").chain(subresources) {
        for (new, old) in [(&created, object), (object, &created)] {
            let mut updated = new.clone();
            strategy.prepare_for_update(&mut updated, old, subresource, &Nowhere);
            let _ = strategy.validate_update(&updated, old, subresource, &Nowhere);
        }
    }
    let _ = strategy.warnings(&created, Some(object));
    for version in &row.versions {
        let mut converted = object.clone();
        if let (Some(to), Some(from)) = (version.to_storage, version.from_storage) {
            to(&mut converted);
            from(&mut converted);
        }
        for column in &version.columns {
            if let Cell::Computed(cell) = column.cell {
                let _ = cell(&converted, Timestamp::UNIX_EPOCH);
            }
        }
        for field in &version.selectable_fields {
            if let FieldValue::Computed(value) = field.value {
                let _ = value(&converted);
            }
        }
    }
}

/// The pointers to everything in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| pointers(member, &format!("{at}/{}", escape(name)), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

#[test]
fn no_document_makes_a_strategy_panic() {
    let replacements = [
        json!(null),
        json!(-1),
        json!("é/%.."),
        json!([[]]),
        json!({"": {}}),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(true),
    ];
    for row in definitions() {
        let SchemaSource::Built(schema) = row.storage_version().schema else { panic!("a built-in kind has a type") };
        let document = schema();
        let whole = full(&document, &document.definitions[&document.root], DEPTH);
        exercise(&row, &whole);
        for replacement in &replacements {
            exercise(&row, replacement);
        }
        let mut all = Vec::new();
        pointers(&whole, "", &mut all);
        // Large kinds have thousands of fields: the first ones, then one of many.
        let stride = (all.len() / 16).max(1);
        for (index, pointer) in all.iter().enumerate().filter(|(index, _)| *index < 8 || index % stride == 0) {
            let mut broken = whole.clone();
            if let Some(place) = broken.pointer_mut(pointer) {
                *place = replacements[index % replacements.len()].clone();
            }
            exercise(&row, &broken);
        }
    }
}

#[test]
fn an_empty_object_gets_a_status_and_says_what_it_lacks() {
    let rows = definitions();
    let find = |plural: &str| rows.iter().find(|row| row.plural == plural).expect("a row");
    let row = find("deployments");
    let mut object = json!({"metadata": {"name": "d"}, "spec": {"selector": null}, "status": {"replicas": 3}});
    row.strategy.default(&mut object, &Nowhere);
    row.strategy.prepare_for_create(&mut object, &Nowhere);
    assert_eq!(object["status"], json!({}));
    assert_eq!(object["spec"]["replicas"], 1);
    let said: Vec<_> = row.strategy.validate(&object, &Nowhere).iter().map(ToString::to_string).collect();
    assert_eq!(said[..2], ["spec.selector: Required value", "spec.template: Required value"]);
    let mut namespace = json!({"metadata": {"name": "n"}});
    find("namespaces").strategy.prepare_for_create(&mut namespace, &Nowhere);
    assert_eq!(namespace["status"], json!({"phase": "Active"}));
    assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
}

#[test]
fn a_write_to_the_status_changes_nothing_else() {
    let rows = definitions();
    let row = rows.iter().find(|row| row.plural == "deployments").expect("a row");
    let old =
        json!({"metadata": {"name": "d", "ownerReferences": [{"uid": "1"}]}, "spec": {"replicas": 1}, "status": {}});
    let mut new =
        json!({"metadata": {"name": "d", "labels": {"a": "b"}}, "spec": {"replicas": 2}, "status": {"replicas": 2}});
    let mut main = new.clone();
    row.strategy.prepare_for_update(&mut new, &old, "status", &Nowhere);
    assert_eq!(new["spec"], old["spec"]);
    assert_eq!(new["status"], json!({"replicas": 2}));
    assert!(new["metadata"].get("labels").is_none());
    assert_eq!(new["metadata"]["ownerReferences"], old["metadata"]["ownerReferences"]);
    row.strategy.prepare_for_update(&mut main, &old, "", &Nowhere);
    assert_eq!(main["spec"], json!({"replicas": 2}));
    assert_eq!(main["status"], json!({}));
}

#[test]
fn jobs_select_their_own_pods() {
    let rows = definitions();
    let row = rows.iter().find(|row| row.plural == "jobs").expect("a row");
    let mut job = json!({
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    });
    row.strategy.default(&mut job, &Nowhere);
    row.strategy.prepare_for_create(&mut job, &Nowhere);
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u", "controller-uid": "u",
        "batch.kubernetes.io/job-name": "j", "job-name": "j",
    });
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["labels"], labels);
    assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
    assert_eq!(row.strategy.validate(&job, &Nowhere), []);
    let mut other = job.clone();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "k".into();
    let said = row.strategy.validate_update(&other, &job, "", &Nowhere);
    assert!(said[0].to_string().starts_with("spec.template: Invalid value: "));
    assert!(said[0].message.ends_with(": field is immutable"));
}
