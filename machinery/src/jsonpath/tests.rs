use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {"name": "a", "labels": {"a.b": "dotted", "x/y": "slashed"}, "annotations": {"a": {"b": "deep"}}},
        "spec": {"replicas": 3, "ratio": 0.5, "on": true, "empty": null, "list": [1, 2, 3, 4, 5], "none": []},
        "status": {"conditions": [
            {"type": "Ready", "status": "True", "n": 1, "on": true},
            {"type": "Synced", "status": "False", "n": 2, "f": 1.5, "reason": "x)y"},
        ]},
    })
}

fn found(path: &str) -> Result<String, String> {
    let path = JsonPath::parse(path).map_err(|error| format!("parse: {error}"))?;
    let object = object();
    let values = path.find(&object).map_err(|error| error.to_string())?;
    Ok(values.iter().map(|value| to_text(value)).collect::<Vec<_>>().join(" "))
}

#[test]
fn paths_find_what_kubectl_finds() {
    let table = [
        (".metadata.name", "a"),
        ("$.metadata.name", "a"),
        ("@.metadata.name", "a"),
        (".spec.replicas", "3"),
        (".spec.ratio", "0.5"),
        (".spec.on", "true"),
        (".spec.empty", "null"),
        (".spec.empty.x", ""),
        (".spec.missing.x", ""),
        (".spec.replicas.x", ""),
        (".spec.none", "[]"),
        (".spec.list", "[1,2,3,4,5]"),
        (".spec.list[*]", "1 2 3 4 5"),
        (".spec.list[0]", "1"),
        (".spec.list[-1]", "5"),
        (".spec.list[-2:]", "4 5"),
        (".spec.list[1:3]", "2 3"),
        (".spec.list[:2]", "1 2"),
        (".spec.list[0:5:2]", "1 3 5"),
        (".spec.list[::2]", "1 3 5"),
        (".spec.list[0,2]", "1 3"),
        (".spec.list[2:2]", ""),
        (".spec.none[*]", ""),
        (".spec['replicas','on']", "3 true"),
        (".metadata.labels.a\\.b", "dotted"),
        (".metadata.labels['a\\.b']", "dotted"),
        (".metadata.labels.x/y", "slashed"),
        (".metadata.annotations['a.b']", "deep"),
        (".metadata.labels.*", "dotted slashed"),
        (".status.conditions[?(@.type==\"Ready\")].status", "True"),
        (".status.conditions[?(@.type=='Ready')].status", "True"),
        (".status.conditions[?(@.type != \"Ready\")].status", "False"),
        (".status.conditions[?(@.type==\"Absent\")].status", ""),
        (".status.conditions[?(@.reason==\"x)y\")].type", "Synced"),
        (".status.conditions[?(@.reason)].type", "Synced"),
        (".status.conditions[?(@.n>1)].type", "Synced"),
        (".status.conditions[?(@.n<=1)].type", "Ready"),
        (".status.conditions[?(@.on==true)].type", "Ready"),
        (".status.conditions[?(@.f>=1.5)].type", "Synced"),
        (".status.conditions[*].type", "Ready Synced"),
        ("..type", "Ready Synced"),
        ("..conditions[0].type", "Ready"),
        ("", object().to_string().as_str()),
    ]
    .map(|(path, expected)| (path.to_owned(), expected.to_owned()));
    for (path, expected) in table {
        assert_eq!(found(&path), Ok(expected), "{path}");
    }
}

#[test]
fn errors_have_client_gos_words() {
    let table = [
        (".spec.list[5]", "array index out of bounds: index 5, length 5"),
        (".spec.list[-6]", "array index out of bounds: index -1, length 5"),
        (".spec.list[3:1]", "starting index 3 is greater than ending index 1"),
        (".spec.list[0:5:0]", "step must be > 0"),
        (".spec[0]", "map[string]interface {} is not array or slice"),
        (".metadata.name[0]", "string is not array or slice"),
        (".metadata.name[?(@.x)]", "a is not array or slice and cannot be filtered"),
        (".spec.empty[?(@.x)]", "<nil> is not array or slice and cannot be filtered"),
        (".status.conditions[?(@.type==1)]", "incompatible types for comparison"),
        (".status.conditions[?(@.n==1.5)]", "incompatible types for comparison"),
        (".status.conditions[?(@.on<true)]", "invalid type for comparison"),
        (".status.conditions[?(@.type=~'x')]", "parse: unrecognized character in action: U+007E '~'"),
        (".status.conditions[?(@.type=='x]", "parse: unterminated filter"),
        (".status.conditions[?(@.type=='x')", "parse: unclosed array expect ]"),
        (".spec.list[", "parse: unterminated array"),
        (".spec.list[x]", "parse: invalid array index x"),
        (".spec.list[99999999999999999999]", "parse: array index 99999999999999999999 is not a number"),
        (".a....b", "parse: invalid multiple recursive descent"),
        ("'x", "parse: unterminated quoted string"),
        ("{.x}", "parse: unrecognized character in action: U+007B '{'"),
        ("spec", "unrecognized identifier spec"),
        ("1.2.3", "parse: cannot parse number 1.2.3"),
        (".a\n", "parse: unclosed action"),
    ];
    for (path, expected) in table {
        assert_eq!(found(path), Err(expected.to_owned()), "{path}");
    }
    assert!(JsonPath::parse(&".a".repeat(3000)).is_err());
    let nested = format!("{}.a{}", "[?(".repeat(20), ")]".repeat(20));
    assert!(JsonPath::parse(&nested).is_err());
}

#[test]
fn the_first_result_is_what_a_column_shows() {
    let object = object();
    let first = |path: &str| JsonPath::parse(path).ok()?.first(&object).map(Cow::into_owned);
    assert_eq!(first(".spec.list[*]"), Some(json!(1)));
    assert_eq!(first(".spec.list[9]"), None);
    assert_eq!(first(".spec.empty"), Some(Value::Null));
    assert_eq!(first(".spec.missing"), None);
}

#[test]
fn results_are_bounded() {
    let wide = Value::Array((0..200).map(|_| json!([[1], [2], [3]])).collect());
    let path = JsonPath::parse("..[*]..[*]..[*]").unwrap_or_else(|error| panic!("{error}"));
    let _ = path.find(&wide);
    let huge = Value::Array((0..VALUES_MAX + 1).map(|n| json!(n)).collect());
    let path = JsonPath::parse("[*]").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(path.find(&huge).map(|found| found.len()), Err(Error("more than 10000 results".to_owned())));
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,40}", path in "[.\\[\\]?()@$*:,'\"\\\\<>=!0-9a-c -]{0,30}") {
        let object = json!({"a": [{"b": [1, 2, {"c": "x"}]}, {"b": []}], "b": {"a": {"c": 1}}, "c": null});
        for text in [text, path] {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.find(&object);
            }
        }
    }
}
