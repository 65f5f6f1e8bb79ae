//! Costs that upstream's tests pin: estimated at least and at most, and as spent by a program that computes nothing
//! beforehand.

use serde_json::{Value as Json, json};

use crate::document::value_of;
use crate::eval::Activation;
use crate::shape::Shape;
use crate::types::Type;
use crate::value::Value;
use crate::{Budget, Environment};

/// Variables with their declarations and values.
struct Variables<'v>(Vec<(&'v str, Shape, Json)>);

impl Activation for Variables<'_> {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        self.0.iter().find(|(known, _, _)| *known == name).map(|(_, shape, json)| value_of(json, shape))
    }
}

/// Estimated minimum and maximum, and actual cost.
fn costs(source: &str, variables: &Variables<'_>) -> (u64, u64, u64) {
    let environment = variables
        .0
        .iter()
        .fold(Environment::base(), |environment, (name, shape, _)| environment.with_variable(name, shape.clone()));
    let checked = environment.check(source).unwrap_or_else(|issues| panic!("{source}: {issues}"));
    let estimate = checked.cost();
    let program = checked.program_as_written().expect("a program");
    let mut budget = Budget::unlimited();
    let result = program.eval(variables, &mut budget);
    assert!(result.is_ok(), "{source}: {result:?}");
    (estimate.min, estimate.max, budget.cost())
}

#[test]
fn without_variables() {
    let table: Vec<(String, u64, u64, u64)> =
        serde_json::from_str(include_str!("../../testdata/cel/costs.json")).expect("a table");
    assert_eq!(table.len(), 150);
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(source, min, max, actual)| {
            let found = costs(source, &Variables(Vec::new()));
            let expected = (*min, *max, *actual);
            (found != expected).then(|| format!("{source}: {found:?} instead of {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn with_variables() {
    let text = |max| Shape::simple(Type::String).with_max_elements(max);
    let any_text = || Shape::simple(Type::String);
    let bytes = Shape::simple(Type::Bytes).with_max_elements(500);
    let long = "x".repeat(500);
    let ints = |max| Shape::list(Shape::simple(Type::Int), max);
    let maps = |key: Shape, inner: u64, outer: u64| {
        Shape::map(key, Shape::map(any_text(), Shape::simple(Type::Dyn), inner), outer)
    };
    let one = |name, shape: Shape, value: Json| vec![(name, shape, value)];
    let table = [
        ("input", one("input", ints(10), json!([1, 2])), (1, 1, 1)),
        ("input['key']", one("input", Shape::map(any_text(), any_text(), 5), json!({"key": "v"})), (2, 2, 2)),
        ("input[0]", one("input", Shape::list(any_text(), 5), json!(["v"])), (2, 2, 2)),
        ("input['ke' + 'y']", one("input", Shape::map(any_text(), any_text(), 5), json!({"key": "v"})), (3, 3, 3)),
        ("input[3-3]", one("input", Shape::list(any_text(), 5), json!(["v"])), (3, 3, 3)),
        ("has(input.a.b)", one("input", maps(any_text(), 5, 5), json!({"a": {"b": 0}})), (2, 2, 2)),
        ("input.all(x, true)", one("input", ints(100), json!([])), (2, 302, 2)),
        ("input.matches('[0-9]')", one("input", text(500), json!(long)), (3, 103, 103)),
        ("input.matches('\\\\d+a\\\\d+b')", one("input", text(500), json!(long)), (3, 103, 103)),
        ("bytes(input)", one("input", text(500), json!(long)), (1, 51, 51)),
        ("bytes(input) == bytes(input)", one("input", text(500), json!(long)), (3, 302, 152)),
        ("string(input) == string(input)", one("input", bytes, json!("")), (3, 152, 2)),
        (
            "input.contains(arg1)",
            vec![("input", text(500), json!(long)), ("arg1", text(500), json!(long))],
            (2, 2502, 2502),
        ),
        (
            "input.startsWith(arg1)",
            vec![("input", any_text(), json!("idc")), ("arg1", text(500), json!(long))],
            (2, 52, 3),
        ),
        ("input.size()", one("input", any_text(), json!("500")), (2, 2, 2)),
        (
            "a || b || c || d",
            ["a", "b", "c", "d"].map(|name| (name, Shape::simple(Type::Bool), json!(false))).to_vec(),
            (1, 4, 4),
        ),
        (
            "(x > 2 ? input1 : input2).all(y, true)",
            vec![
                ("x", Shape::simple(Type::Int), json!(1)),
                ("input1", ints(1), json!([1])),
                ("input2", ints(1), json!([1])),
            ],
            (4, 7, 6),
        ),
        ("input.all(k, k.contains(k))", one("input", maps(text(10), 10, 5), json!({})), (2, 32, 2)),
        (
            "input.all(k, input[k].all(k, true) && k.contains(k))",
            one("input", maps(text(5), 2, 2), json!({})),
            (2, 34, 2),
        ),
        (
            "(list1 + list2).all(x, true)",
            vec![("list1", ints(10), json!([])), ("list2", ints(10), json!([]))],
            (4, 64, 4),
        ),
        (
            "\"abcdefg\".contains(str1 + str2)",
            vec![("str1", text(10), json!("val1")), ("str2", text(10), json!("val2222222"))],
            (2, 6, 6),
        ),
        (
            "[list1, list2].exists(l, l.exists(v, v.startsWith('hi')))",
            vec![("list1", Shape::list(text(64), 10), json!(["hi"])), ("list2", Shape::list(text(128), 20), json!([]))],
            (21, 265, 28),
        ),
        (
            "input.map(x, [x, x]).all(y, y.all(y, y.startsWith('a')))",
            one("input", Shape::list(text(10), 5), json!([])),
            (13, 208, 13),
        ),
        (
            "self.val1 == 1.0",
            one("self", Shape::map(any_text(), Shape::simple(Type::Double), 5), json!({"val1": 1})),
            (3, 3, 3),
        ),
        (
            "type(self.val1)",
            one("self", Shape::map(any_text(), Shape::simple(Type::Int), 5), json!({"val1": 1})),
            (3, 3, 3),
        ),
    ];
    for (source, variables, expected) in table {
        assert_eq!(costs(source, &Variables(variables)), expected, "{source}");
    }
}
