use serde_json::json;

use super::*;
use crate::fixture;

/// Checks a schema whose `spec` is this.
fn spec(spec: Value) -> Vec<String> {
    check(json!({"type": "object", "properties": {"spec": spec}}), false)
}

/// Errors with the path of the schema cut off.
fn check(open_api: Value, status: bool) -> Vec<String> {
    let found = errors(&open_api, &Path::new("s"), status, &fixture::object_meta());
    found
        .iter()
        .map(|error| {
            error.to_string().replace("s.openAPIV3Schema.properties[spec]", "SPEC").replace("s.openAPIV3Schema", "ROOT")
        })
        .collect()
}

#[test]
fn good_schemas_pass() {
    let schemas = [
        json!({"type": "object"}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}},
            "spec": {"type": "object", "default": {"size": 5}, "required": ["size"], "properties": {
                "size": {"type": "integer", "default": 1},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "list": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                    "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}},
                },
                "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            }, "oneOf": [{"required": ["port"]}, {"properties": {"size": {"minimum": 3}}}]},
            "status": {"type": "object", "nullable": true},
        }, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".spec.size", "reason": "FieldValueInvalid"}]}),
    ];
    for schema in schemas {
        assert_eq!(check(schema.clone(), true), [""; 0], "{schema}");
    }
}

#[test]
fn structure_is_required() {
    let cases = [
        (json!({}), "SPEC.type: Required value: must not be empty for specified object fields"),
        (json!({"type": "array"}), "SPEC.items: Required value: must be specified"),
        (
            json!({"type": "array", "items": {}}),
            "SPEC.items.type: Required value: must not be empty for specified array items",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}),
            "SPEC.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            json!({"type": "integer", "anyOf": [{"type": "string"}]}),
            "SPEC.anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            json!({"type": "string", "pattern": "("}),
            "SPEC.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`",
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true}),
            "SPEC.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ),
        (
            json!({"type": "string", "default": 1}),
            "SPEC.default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "default": {"a": 1}}),
            "SPEC.default: Invalid value: {\"a\":1}: must not have unknown fields",
        ),
        (
            json!({"type": "foo"}),
            "SPEC.type: Unsupported value: \"foo\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            "SPEC.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
            "SPEC.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            json!({"type": "object", "x-kubernetes-map-type": "foo"}),
            "SPEC.x-kubernetes-map-type: Unsupported value: \"foo\": supported values: \"atomic\", \"granular\"",
        ),
        (
            json!({"type": "string", "x-kubernetes-map-type": "atomic"}),
            "SPEC.type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
        ),
        (
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
            "SPEC.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        (
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
            "SPEC.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
            "SPEC.x-kubernetes-list-map-keys: Invalid value: [\"k\"]: entries must all be names of item properties",
        ),
        (
            json!({"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
            "SPEC.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": " "}]}),
            "SPEC.x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".x"}]}),
            "SPEC.x-kubernetes-validations[0].fieldPath: Invalid value: \".x\": must be a valid path",
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": "true", "reason": "x"}]}),
            "SPEC.x-kubernetes-validations[0].reason: Unsupported value: \"x\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
        ),
        (json!({"type": "object", "$ref": "x"}), "SPEC.$ref: Forbidden: $ref is not supported"),
    ];
    for (schema, expected) in cases {
        let found = spec(schema.clone());
        assert!(found.len() == 1 && found[0].starts_with(expected), "{schema}: {found:?}");
    }
}

#[test]
fn roots_have_rules_of_their_own() {
    let cases = [
        (json!({}), false, "ROOT.type: Required value: must not be empty at the root"),
        (json!({"type": "string"}), false, "ROOT.type: Invalid value: \"string\": must be object at the root"),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            false,
            "ROOT.additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            json!({"type": "object", "nullable": true}),
            false,
            "ROOT.nullable: Forbidden: nullable cannot be true at the root",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            false,
            "ROOT.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ),
        (
            json!({"type": "object", "not": {"properties": {"a": {}}}}),
            false,
            "ROOT.properties[a]: Required value: because it is defined in ROOT.not.properties[a]",
        ),
        (
            json!({"type": "object", "properties": {"kind": {"type": "string", "default": "x"}}}),
            false,
            "ROOT.properties[kind].default: Forbidden: must not be set in top-level kind",
        ),
    ];
    for (schema, status, expected) in cases {
        assert_eq!(check(schema, status), [expected]);
    }
    let with_status = check(json!({"type": "object", "oneOf": [{"required": ["a"]}]}), true);
    assert!(with_status[0].contains("only [Description Type Format Title Maximum"), "{with_status:?}");
}

#[test]
fn depth_is_bounded() {
    let mut schema = json!({"type": "string"});
    for _ in 0..200 {
        schema = json!({"type": "array", "items": schema});
    }
    assert_eq!(check(schema, false), ["ROOT: Forbidden: must not nest deeper than 128 levels"]);
}
