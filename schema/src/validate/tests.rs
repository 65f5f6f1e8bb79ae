use serde_json::json;

use super::*;
use crate::fixture;

/// Validates `spec` against the schema of `spec`.
fn errors(schema: Value, spec: Value) -> Vec<String> {
    let schema = fixture::custom(&json!({"type": "object", "properties": {"spec": schema}}));
    let found = schema.root().validate(&json!({"spec": spec}), None);
    found.iter().map(|error| format!("{} {error}", error.kind.reason())).collect()
}

#[test]
fn words_are_upstreams() {
    let field = |schema: Value| json!({"type": "object", "properties": {"x": schema}});
    let cases = [
        (
            json!({"type": "integer"}),
            json!("a"),
            r#"FieldValueTypeInvalid spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "string"}),
            json!(null),
            r#"FieldValueTypeInvalid spec.x: Invalid value: "null": spec.x in body must be of type string: "null""#,
        ),
        (
            json!({"type": "object"}),
            json!([]),
            r#"FieldValueTypeInvalid spec.x: Invalid value: "array": spec.x in body must be of type object: "array""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"FieldValueTypeInvalid spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "string", "enum": ["red", "green"]}),
            json!("blue"),
            r#"FieldValueNotSupported spec.x: Unsupported value: "blue": supported values: "red", "green""#,
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            r#"FieldValueNotSupported spec.x: Unsupported value: 3: supported values: "1", "2""#,
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "FieldValueInvalid spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            "FieldValueInvalid spec.x: Invalid value: 5: spec.x in body should be less than 5",
        ),
        (
            json!({"type": "number", "maximum": 0.5}),
            json!(0.75),
            "FieldValueInvalid spec.x: Invalid value: 0.75: spec.x in body should be less than or equal to 0.5",
        ),
        (
            json!({"type": "integer", "multipleOf": 5}),
            json!(7),
            "FieldValueInvalid spec.x: Invalid value: 7: spec.x in body should be a multiple of 5",
        ),
        (
            json!({"type": "string", "maxLength": 5}),
            json!("äöüäöü"),
            "FieldValueTooLong spec.x: Too long: may not be more than 5 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("ä"),
            r#"FieldValueInvalid spec.x: Invalid value: "ä": spec.x in body should be at least 2 chars long"#,
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            r#"FieldValueInvalid spec.x: Invalid value: "b": spec.x in body should match '^a+$'"#,
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("b"),
            r#"FieldValueTypeInvalid spec.x: Invalid value: "b": spec.x in body must be of type date-time: "b""#,
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
            json!([1]),
            "FieldValueInvalid spec.x: Invalid value: 1: spec.x in body should have at least 2 items",
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "maxItems": 3}),
            json!([1, 2, 3, 4]),
            "FieldValueTooMany spec.x: Too many: 4: must have at most 3 items",
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!([1, "a"]),
            r#"FieldValueTypeInvalid spec.x[1]: Invalid value: "string": spec.x[1] in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "FieldValueInvalid spec.x: Invalid value: 0: spec.x in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "maxProperties": 1}),
            json!({"a": 1, "b": 1}),
            "FieldValueTooMany spec.x: Too many: 2: must have at most 1 item",
        ),
        (json!({"type": "object", "required": ["a"]}), json!({}), "FieldValueRequired spec.x.a: Required value"),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            r#"FieldValueTypeInvalid spec.x.k: Invalid value: "integer": spec.x.k in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(4294967296u64),
            r#"FieldValueInvalid <nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.x"#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b", "a", "a"]),
            r#"FieldValueDuplicate spec.x[2]: Duplicate value: "a""#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "properties": {"k": {"type": "string"}}}}),
            json!([{"k": "a"}, {"k": "a"}]),
            r#"FieldValueDuplicate spec.x[1]: Duplicate value: {"k":"a"}"#,
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
            json!({"kind": "Pod"}),
            "FieldValueRequired spec.x.apiVersion: Required value",
        ),
        (
            json!({"type": "integer", "not": {"minimum": 5}}),
            json!(5),
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec.x" must not validate the schema (not)"#,
        ),
    ];
    for (schema, value, expected) in cases {
        assert_eq!(errors(field(schema), json!({"x": value})), [expected]);
    }
}

#[test]
fn a_fraction_is_no_integer_twice() {
    assert_eq!(
        errors(json!({"type": "integer"}), json!(1.5)),
        [
            r#"FieldValueTypeInvalid spec: Invalid value: "number": spec in body must be of type integer: "number""#,
            r#"FieldValueInvalid <nil>: Invalid value: "": Checked value must be of type integer (default format) in spec"#,
        ]
    );
    assert_eq!(errors(json!({"type": "integer"}), json!(1.0)), [""; 0]);
}

#[test]
fn combinations_report_the_best_failure() {
    let either = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(
        errors(either.clone(), json!({"a": 1, "b": 1})),
        [
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
        ]
    );
    assert_eq!(
        errors(either.clone(), json!({})),
        [
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#,
            "FieldValueRequired spec.a: Required value",
        ]
    );
    assert_eq!(errors(either, json!({"a": 1})), [""; 0]);
    let ranges = json!({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}], "anyOf": [{"multipleOf": 2}, {"multipleOf": 3}]});
    assert_eq!(errors(ranges.clone(), json!(2)), [""; 0]);
    assert_eq!(
        errors(ranges, json!(5)),
        [
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)"#,
            "FieldValueInvalid spec: Invalid value: 5: spec in body should be a multiple of 2",
            "FieldValueInvalid spec: Invalid value: 5: spec in body should be less than or equal to 3",
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec" must validate all the schemas (allOf)"#,
        ]
    );
}

#[test]
fn what_did_not_change_is_tolerated() {
    let item =
        json!({"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer", "maximum": 1}}});
    let schema = fixture::custom(&json!({"type": "object", "properties": {
        "size": {"type": "integer", "maximum": 1}, "other": {"type": "string"},
        "map": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
        "list": {"type": "array", "items": item},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    }}));
    let count = |new: Value, old: Value| schema.root().validate(&new, Some(&old)).len();
    assert_eq!(count(json!({"size": 5, "other": "b"}), json!({"size": 5, "other": "a"})), 0);
    assert_eq!(count(json!({"size": 6}), json!({"size": 5})), 1);
    let old = json!({"map": [{"k": "a", "n": 5}, {"k": "b"}], "list": [{"n": 5}], "set": ["a", "a"]});
    assert_eq!(count(json!({"map": [{"k": "b"}, {"k": "a", "n": 5}]}), old.clone()), 0);
    assert_eq!(count(json!({"list": [{"n": 5}, {}]}), old.clone()), 1);
    assert_eq!(count(json!({"set": ["a", "a", "b"]}), old), 0);
    assert_eq!(count(json!({"set": ["a", "a"]}), json!({"set": ["a"]})), 1);
}

#[test]
fn metadata_may_be_restricted_by_name() {
    let schema = fixture::custom(&json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}},
    }}));
    let found = schema.root().validate(&json!({"metadata": {"name": "long", "labels": {"a": "b"}}}), None);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["metadata.name: Too long: may not be more than 3 bytes"]
    );
}

#[test]
fn blocking_errors_keep_rules_from_running() {
    let path = Path::new("spec");
    assert_eq!(rules_not_checked(&[Error::invalid(&path, &json!(1), "x")]), None);
    let error = rules_not_checked(&[Error::required(&path, "")]).expect("blocks");
    assert_eq!(
        error.to_string(),
        "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
    );
}
