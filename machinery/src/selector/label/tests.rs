use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEY_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn selectors_print_sorted() {
    let table = [
        ("", ""),
        ("  ", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("z==c, a != b", "a!=b,z==c"),
        ("x=", "x="),
        ("x= ,z= ", "x=,z="),
        ("!x", "!x"),
        ("x", "x"),
        ("x>1,y<7", "x>1,y<7"),
        ("x in (c,a,b)", "x in (a,b,c)"),
        ("x in(a,a)", "x in (a)"),
        ("x\tnotin\n( a , b )", "x notin (a,b)"),
        ("x in ()", "x in ()"),
        ("x in (,)", "x in ()"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin=in", "notin=in"),
        ("b,a=2,a=1", "a=2,a=1,b"),
        ("example.com/x notin (a)", "example.com/x notin (a)"),
    ];
    for (text, expected) in table {
        assert_eq!(selector(text).to_string(), expected, "{text}");
    }
}

#[test]
fn bad_selectors_have_upstreams_words() {
    let table = [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        (
            "x=a||y=b",
            "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("x=a,", "found '', expected: identifier after ','"),
        ("x=a,,y", "found ',', expected: identifier after ','"),
        (",x", "found ',', expected: !, identifier, or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("x=a b", "found 'b', expected: ',' or 'end of string'"),
        ("!!x", "unable to parse requirement: found '!', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in", "unable to parse requirement: found '' expected: '('"),
        ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (a,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
        ("x=(a)", "unable to parse requirement: found '(', expected: identifier"),
        ("x==a=b", "found '=', expected: ',' or 'end of string'"),
        ("x===a", "unable to parse requirement: found '=', expected: identifier"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "x<",
            "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(Selector::parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
    let expected = format!("unable to parse requirement: <nil>: Invalid value: \"-x\": name part {KEY_RULE}");
    assert_eq!(Selector::parse("-x=a").map_err(|error| error.to_string()), Err(expected));
}

#[test]
fn labels_match() {
    let labels = [("app", "web"), ("tier", ""), ("cores", "12")];
    let lookup = |key: &str| labels.iter().find(|label| label.0 == key).map(|label| label.1);
    let table = [
        ("", true),
        ("app=web", true),
        ("app==db", false),
        ("app!=db", true),
        ("absent!=db", true),
        ("absent=", false),
        ("tier=", true),
        ("app in (web,db)", true),
        ("app notin (web,db)", false),
        ("absent notin (web)", true),
        ("absent in (web)", false),
        ("tier", true),
        ("!tier", false),
        ("!absent,tier", true),
        ("cores>8,cores<16", true),
        ("cores>12", false),
        ("app>1", false),
        ("absent<1", false),
        ("app=web,tier=x", false),
    ];
    for (text, expected) in table {
        assert_eq!(selector(text).matches(lookup), expected, "{text}");
    }
    assert!(!Selector::nothing().matches(lookup));
    assert!(selector("app=web").matches_object(&json!({"metadata": {"labels": {"app": "web"}}})));
    assert!(!selector("app").matches_object(&json!({})));
    assert_eq!(selector("app=web").exact("app"), Some("web"));
    assert_eq!(selector("app in (web)").exact("app"), Some("web"));
    assert_eq!(selector("app!=web").exact("app"), None);
}

#[test]
fn object_forms_are_read() {
    let table = [
        (json!({}), Ok("")),
        (json!({"matchLabels": {"b": "2", "a": "1"}}), Ok("a=1,b=2")),
        (
            json!({"matchLabels": {"x": "y"}, "matchExpressions": [
                {"key": "k", "operator": "In", "values": ["b", "a"]},
                {"key": "l", "operator": "NotIn", "values": ["c"]},
                {"key": "m", "operator": "Exists"},
                {"key": "n", "operator": "DoesNotExist", "values": []},
            ]}),
            Ok("k in (a,b),l notin (c),m,!n,x=y"),
        ),
        (
            json!({"matchExpressions": [{"key": "k", "operator": "Gt", "values": ["1"]}]}),
            Err("\"Gt\" is not a valid label selector operator"),
        ),
        (
            json!({"matchExpressions": [{"key": "k", "operator": "In"}]}),
            Err("values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"),
        ),
    ];
    for (object, expected) in table {
        let read = Selector::from_json(Some(&object)).map(|s| s.to_string()).map_err(|e| e.to_string());
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{object}");
    }
    assert_eq!(Selector::from_json(None), Ok(Selector::nothing()));
    assert_eq!(Selector::from_json(Some(&Value::Null)), Ok(Selector::nothing()));
}

#[test]
fn object_forms_are_validated() {
    let object = json!({"matchLabels": {"-": "ok"}, "matchExpressions": [
        {"key": "k", "operator": "In", "values": []},
        {"key": "k", "operator": "Exists", "values": ["a"]},
        {"key": "k", "operator": "Like", "values": ["a"]},
        {"key": "", "operator": "NotIn", "values": ["a", "b c"]},
    ]});
    let errors: Vec<String> =
        validate(&object, &field::Path::new("spec")).iter().map(|error| error.to_string()).collect();
    let expected = [
        format!("spec.matchLabels: Invalid value: \"-\": name part {KEY_RULE}"),
        "spec.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".into(),
        "spec.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'".into(),
        "spec.matchExpressions[2].operator: Invalid value: \"Like\": not a valid selector operator".into(),
        "spec.matchExpressions[3].key: Invalid value: \"\": name part must be non-empty".into(),
        format!("spec.matchExpressions[3].key: Invalid value: \"\": name part {KEY_RULE}"),
        "spec.matchExpressions[3].values[1]: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".into(),
    ];
    assert_eq!(errors, expected);
}

proptest! {
    #[test]
    fn text_round_trips(text in "(!?[ab]( in | notin |==|=|!=|>|<)?(\\([abc,]{0,4}\\)|[abc]|[12])?,?){0,4}") {
        if let Ok(parsed) = Selector::parse(&text) {
            let shown = parsed.to_string();
            let again = selector(&shown);
            prop_assert_eq!(again.to_string(), shown);
            prop_assert_eq!(again, parsed);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC*", symbols in "[ab!=<>(), \\x00in]{0,20}") {
        let _ = Selector::parse(&text);
        let _ = Selector::parse(&symbols);
    }
}
