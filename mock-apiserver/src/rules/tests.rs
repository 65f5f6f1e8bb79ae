use cel::Minor;
use machinery::field::Path;
use schema::Schema;
use serde_json::{Value, json};

use super::{ObjectRules, definition_errors};
use crate::catalog;

/// The schema of a resource with one property, `spec`.
fn open_api(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "ex.io/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

/// What is wrong with the rules of a schema, and what with the rules of an unchanged one.
fn refused(open_api: &Value, unchanged: bool) -> Vec<String> {
    let object_meta = catalog::object_meta().expect("built in");
    let errors = definition_errors(open_api, &Path::new("schema"), object_meta, (!unchanged).then_some(Minor::LATEST));
    errors.iter().map(ToString::to_string).collect()
}

/// Errors and warnings of a write.
fn run(open_api: &Value, new: &Value, old: Option<&Value>) -> (Vec<String>, Vec<String>) {
    let object_meta = catalog::object_meta().expect("built in");
    let schema = Schema::from_custom(open_api, object_meta).expect("a schema");
    let rules = ObjectRules::compile(&schema, open_api);
    let mut warnings = Vec::new();
    let errors = rules.errors(schema.root(), new, old, &mut |text| warnings.push(text));
    (errors.iter().map(|error| format!("{} {error}", error.kind.reason())).collect(), warnings)
}

fn sized(rule: Value) -> Value {
    open_api(json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "color": {"type": "string", "maxLength": 10}, "port": {"x-kubernetes-int-or-string": true},
    }, "x-kubernetes-validations": [rule]}))
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let at = "schema.properties[spec].x-kubernetes-validations[0]";
    let shown = |rule: &str, message: &str| {
        format!(
            r#"{{"Rule":"{rule}","Message":"","MessageExpression":"{message}","Reason":null,"FieldPath":"","OptionalOldSelf":null}}"#
        )
    };
    let cases = [
        (json!({"rule": "self.size > 1"}), vec![]),
        (json!({"rule": "self.size > oldSelf.size"}), vec![]),
        (
            json!({"rule": "self.missing > 1"}),
            vec![format!(
                "{at}.rule: Invalid value: {}: compilation failed: ERROR: <input>:1:5: undefined field 'missing'\n | self.missing > 1\n | ....^",
                shown(r"self.missing \u003e 1", "")
            )],
        ),
        (
            json!({"rule": "self.size"}),
            vec![format!(
                "{at}.rule: Invalid value: {}: cel expression must evaluate to a bool",
                shown("self.size", "")
            )],
        ),
        (
            json!({"rule": "true", "messageExpression": "self.size"}),
            vec![format!(
                "{at}.messageExpression: Invalid value: {}: messageExpression must evaluate to a string",
                shown("true", "self.size")
            )],
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            vec![format!("{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule")],
        ),
        (json!({"rule": "!oldSelf.hasValue() || self == oldSelf.value()", "optionalOldSelf": true}), vec![]),
    ];
    for (rule, expected) in cases {
        assert_eq!(refused(&sized(rule.clone()), false), expected, "{rule}");
    }
}

#[test]
fn old_values_are_unknown_below_lists_without_keys() {
    let list = |list_type: &str| {
        json!({"type": "array", "maxItems": 3, "x-kubernetes-list-type": list_type, "x-kubernetes-list-map-keys": ["k"], "items": {
            "type": "object", "x-kubernetes-map-type": "atomic", "required": ["k"],
            "properties": {"k": {"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
        }})
    };
    assert_eq!(refused(&open_api(list("map")), false), Vec::<String>::new());
    assert_eq!(
        refused(&open_api(list("atomic")), false),
        [
            r#"schema.properties[spec].items.properties[k].x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[spec]"#
        ]
    );
}

#[test]
fn costs_are_limited() {
    const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let texts = |rules: usize, items: Option<u64>| {
        let rule = json!({"rule": "self.all(a, self.all(b, a == b))"});
        let mut list = json!({"type": "array", "items": {"type": "string", "maxLength": 10}, "x-kubernetes-validations": vec![rule; rules]});
        if let Some(items) = items {
            list["maxItems"] = json!(items);
        }
        open_api(list)
    };
    assert_eq!(refused(&texts(1, Some(10)), false), Vec::<String>::new());
    let at = "schema.properties[spec].x-kubernetes-validations";
    let much =
        format!("{at}[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {ADVICE}");
    let unlimited = refused(&texts(1, None), false);
    assert_eq!(unlimited.first(), Some(&much));
    assert_eq!(unlimited.len(), 3, "{unlimited:?}");
    // Fourteen rules, each within its limit, are too much together; four are blamed.
    let together = refused(&texts(14, Some(1_000)), false);
    assert_eq!(together.len(), 5, "{together:?}");
    assert_eq!(
        together.first(),
        Some(&format!(
            "{at}[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        ))
    );
    assert!(
        together[4].starts_with("schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of 1."),
        "{together:?}"
    );
    // What was accepted once may stay, one expression at a time.
    let unchanged = refused(&texts(1, None), true);
    assert!(!unchanged.contains(&much), "{unchanged:?}");
}

#[test]
fn broken_rules_are_reported_as_they_want_it() {
    let cases = [
        (json!({"rule": "self.size <= 10"}), json!({"size": 10}), vec![]),
        (
            json!({"rule": "self.size <= 10"}),
            json!({"size": 11}),
            vec!["FieldValueInvalid spec: Invalid value: failed rule: self.size <= 10"],
        ),
        (
            json!({"rule": "self.size <= 10", "message": " size too big ", "fieldPath": ".size"}),
            json!({"size": 11}),
            vec!["FieldValueInvalid spec.size: Invalid value: size too big"],
        ),
        (
            json!({"rule": "self.size <= 10", "messageExpression": "'size is ' + string(self.size)", "reason": "FieldValueForbidden"}),
            json!({"size": 11}),
            vec!["FieldValueForbidden spec: Forbidden: size is 11"],
        ),
        (
            json!({"rule": "self.size <= 10", "message": "big", "messageExpression": "self.color", "reason": "FieldValueRequired"}),
            json!({"size": 11}),
            vec!["FieldValueRequired spec: Required value: big"],
        ),
        (
            json!({"rule": "self.size <= 10", "reason": "FieldValueDuplicate"}),
            json!({"size": 11}),
            vec!["FieldValueDuplicate spec: Duplicate value"],
        ),
        (
            json!({"rule": "self.size <= 10"}),
            json!({}),
            vec![
                r#"FieldValueInvalid spec: Invalid value: "object": no such key: size evaluating rule: self.size <= 10"#,
            ],
        ),
        (
            json!({"rule": "self.port + 1 > 2"}),
            json!({"port": "http"}),
            vec![
                r#"FieldValueInvalid spec: Invalid value: "object": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port + 1 > 2"#,
            ],
        ),
        (json!({"rule": "self.size == oldSelf.size"}), json!({"size": 1}), vec![]),
        (
            json!({"rule": "oldSelf.hasValue()", "optionalOldSelf": true}),
            json!({"size": 1}),
            vec!["FieldValueInvalid spec: Invalid value: failed rule: oldSelf.hasValue()"],
        ),
    ];
    for (rule, spec, expected) in cases {
        let (errors, warnings) = run(&sized(rule.clone()), &object(spec.clone()), None);
        assert_eq!((errors, warnings.len()), (expected.iter().map(ToString::to_string).collect(), 0), "{rule} {spec}");
    }
}

#[test]
fn scalars_are_shown_and_the_root_has_no_name() {
    let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.name == 'x'"}], "properties": {
        "spec": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'a'", "message": "no"}]}},
    }});
    let (errors, _) = run(&schema, &object(json!({"k.x": "a", "l": "b"})), None);
    assert_eq!(
        errors,
        [
            "FieldValueInvalid <nil>: Invalid value: failed rule: self.metadata.name == 'x'",
            r#"FieldValueInvalid spec[k.x]: Invalid value: "a": no"#,
        ]
    );
}

#[test]
fn transition_rules_compare_and_unchanged_parts_are_tolerated() {
    let immutable = sized(
        json!({"rule": "self.color == oldSelf.color", "message": "color is immutable", "reason": "FieldValueForbidden"}),
    );
    let (red, green) = (object(json!({"color": "red"})), object(json!({"color": "green"})));
    assert_eq!(run(&immutable, &red, Some(&red)).0, Vec::<String>::new());
    assert_eq!(run(&immutable, &green, Some(&red)).0, ["FieldValueForbidden spec: Forbidden: color is immutable"]);
    let small = sized(json!({"rule": "self.size <= 10"}));
    let big = object(json!({"size": 11}));
    let (errors, warnings) = run(&small, &big, Some(&big));
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(warnings, ["spec: Invalid value: failed rule: self.size <= 10"]);
    assert_eq!(run(&small, &object(json!({"size": 12})), Some(&big)).0.len(), 1);
    // Items of a list without keys are tolerated with the list.
    let list = open_api(
        json!({"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]}}),
    );
    let old = object(json!([1, 9]));
    assert_eq!(run(&list, &old, Some(&old)).0, Vec::<String>::new());
    assert_eq!(
        run(&list, &object(json!([2, 9])), Some(&old)).0,
        ["FieldValueInvalid spec[1]: Invalid value: 9: failed rule: self < 5"]
    );
}

#[test]
fn evaluation_is_bounded() {
    let numbers: Vec<u32> = (0..2_000).collect();
    let list = |rule: &str| {
        open_api(
            json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}, {"rule": "false"}]}),
        )
    };
    let quadratic = "self.all(a, self.all(b, a + b >= 0))";
    assert_eq!(
        run(&list(quadratic), &object(json!(numbers)), None).0,
        [format!(
            "FieldValueInvalid spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: {quadratic}"
        )]
    );
    // Each evaluation is within its limit, all of them are not.
    let rows = open_api(json!({"type": "array", "items": {"type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": quadratic}]}}));
    let row: Vec<u32> = (0..300).collect();
    let (errors, _) = run(&rows, &object(json!(vec![row; 40])), None);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].ends_with("Invalid value: \"array\": validation failed due to running out of cost budget, no further validation rules will be run"), "{errors:?}");
    // Rules that cost nothing end with the errors.
    let wrong = open_api(
        json!({"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "false"}]}}),
    );
    assert_eq!(run(&wrong, &object(json!(numbers)), None).0.len(), schema::ERRORS_MAX);
}
