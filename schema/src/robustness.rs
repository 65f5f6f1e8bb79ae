//! Whatever a CRD or a document says, nothing panics, and a few laws hold.

use machinery::{field::Path, names::GroupVersionKind};
use proptest::{collection, prelude::*};
use serde_json::{Map, Value, json};

use crate::{
    Schema, fixture,
    openapi::{self, Version},
    structural,
};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..300).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-d.'\\[\\]ä]{0,3}".prop_map(Value::from),
    ]
}

/// A document whose members have the names that schemas use.
fn document() -> impl Strategy<Value = Value> {
    let name = prop_oneof![3 => "[a-c]", 1 => Just("metadata".to_owned()), 1 => Just("kind".to_owned())];
    scalar().prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(name.clone(), inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

/// Something like a schema, mostly well formed.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = collection::btree_map(keyword(), document(), 0..4).prop_map(|members| json!(members));
    leaf.prop_recursive(4, 32, 4, |inner| {
        let part = prop_oneof![
            2 => collection::btree_map("[a-c]", inner.clone(), 0..4).prop_map(|properties| json!({"type": "object", "properties": properties})),
            1 => inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            1 => inner.clone().prop_map(|values| json!({"type": "object", "additionalProperties": values})),
            1 => (combination(), collection::vec(inner.clone(), 0..3)).prop_map(|(name, branches)| json!({name: branches})),
            1 => inner.prop_map(|not| json!({"not": not})),
        ];
        let extra = collection::btree_map(keyword(), prop_oneof![document(), well_formed()], 0..3);
        (part, extra).prop_map(|(part, extra)| {
            let mut members: Map<String, Value> = extra.into_iter().collect();
            members.extend(part.as_object().cloned().unwrap_or_default());
            Value::Object(members)
        })
    })
}

fn combination() -> impl Strategy<Value = String> {
    prop_oneof![Just("allOf".to_owned()), Just("anyOf".to_owned()), Just("oneOf".to_owned())]
}

/// Values that keywords mean something with.
fn well_formed() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(true)),
        Just(json!(2)),
        Just(json!(["a", "b"])),
        Just(json!("map")),
        Just(json!("set")),
        Just(json!("atomic")),
        Just(json!("string")),
        Just(json!("date-time")),
        Just(json!([{"rule": "true", "fieldPath": ".a['b']"}])),
    ]
}

fn keyword() -> impl Strategy<Value = String> {
    let names = [
        "type",
        "format",
        "default",
        "nullable",
        "enum",
        "minimum",
        "maximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "uniqueItems",
        "items",
        "properties",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "$ref",
        "const",
    ];
    proptest::sample::select(names.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn custom_schemas_do_not_panic(schema in schema(), document in document(), old in document()) {
        let kind = GroupVersionKind::new("ex.io", "v1", "X");
        structural::errors(&schema, &Path::new("spec"), true, &fixture::object_meta());
        for version in [Version::V2, Version::V3] {
            openapi::custom(version, &schema, &kind, "Meta");
        }
        let schema = Schema::from_custom(&schema, &fixture::object_meta()).expect("not deep");
        schema.rule_sites();
        schema.root().visit_rules(&document, Some(&old), &mut |_| true);
        schema.root().validate(&document, Some(&old));
        let mut decoded = document.clone();
        let _ = schema.root().decode(&mut decoded);
        let mut pruned = document;
        schema.root().prune(&mut pruned);
        let once = pruned.clone();
        prop_assert_eq!(schema.root().prune(&mut pruned), Vec::<String>::new());
        prop_assert_eq!(&pruned, &once);
    }

    #[test]
    fn definitions_do_not_panic(schema in schema(), document in document()) {
        let definitions = json!({"R": schema});
        let definitions = definitions.as_object().expect("an object");
        openapi::definitions(Version::V3, definitions);
        openapi::definitions(Version::V2, definitions);
        if let Ok(schema) = Schema::from_definitions("R", definitions.clone()) {
            let mut document = document;
            schema.root().apply_defaults(&mut document);
            let _ = schema.root().decode(&mut document);
            schema.root().prune(&mut document);
            schema.root().validate(&document, None);
        }
    }

    #[test]
    fn what_is_unchanged_is_valid(schema in schema(), document in document()) {
        let schema = Schema::from_custom(&schema, &fixture::object_meta()).expect("not deep");
        let found: Vec<String> = schema.root().validate(&document, Some(&document)).iter().map(ToString::to_string).collect();
        let about_identity = |error: &String| error.contains("apiVersion") || error.contains("kind");
        prop_assert!(found.iter().all(about_identity), "{found:?}");
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(document in document()) {
        let schema = fixture::widget();
        let mut once = json!({"spec": document});
        schema.root().apply_defaults(&mut once);
        let mut twice = once.clone();
        schema.root().apply_defaults(&mut twice);
        prop_assert_eq!(once, twice);
    }
}
