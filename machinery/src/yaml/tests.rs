//! Expectations are what kubectl reads and prints.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::limits::DOCUMENT_DEPTH_MAX;

fn read(text: &str) -> Value {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn lines(text: &[&str]) -> String {
    text.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn scalars_become_json() {
    let table = [
        ("yes", json!(true)),
        ("0644", json!(420)),
        ("1_000", json!(1000)),
        ("08", json!(8)),
        ("1.0", json!(1)),
        ("1.50", json!(1.5)),
        ("1e3", json!(1000)),
        ("1e21", json!(1e21)),
        ("1E400", json!("1E400")),
        ("12:30:45", json!("12:30:45")),
        ("2024-01-02", json!("2024-01-02")),
        ("18446744073709551615", json!(u64::MAX)),
        ("~", Value::Null),
        ("", Value::Null),
        ("''", json!("")),
        ("\"yes\"", json!("yes")),
        ("\"\\ud83d\\ude00\"", json!("😀")),
        ("!!str 5", json!("5")),
        ("!!int \"5\"", json!(5)),
        ("!!float 3", json!(3)),
        ("!mine 5", json!("5")),
        ("! 5", json!("5")),
        ("!!binary aGk=", json!("hi")),
    ];
    for (text, expected) in table {
        assert_eq!(read(&format!("a: {text}\n")), json!({ "a": expected }), "{text}");
    }
}

#[test]
fn keys_become_text() {
    let text = "1: a\n1.5: b\nyes: c\n2024-01-02: d\n1e20: f\n.1: g\n0x10: h\n16777217.5: i\n";
    let expected = json!({"1": "a", "1.5": "b", "true": "c", "2024-01-02": "d", "1e+20": "f", "0.1": "g", "16": "h", "1.6777218e+07": "i"});
    assert_eq!(read(text), expected);
}

#[test]
fn anchors_and_merges_are_expanded() {
    let table = [
        ("a: &b\nc: *b\n", json!({"a": null, "c": null})),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n", json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}})),
        (
            "a: &x {b: 1, c: 3}\ne: &y {b: 2}\nc: {<<: [*x, *y], d: 2}\n",
            json!({"a": {"b": 1, "c": 3}, "e": {"b": 2}, "c": {"b": 1, "c": 3, "d": 2}}),
        ),
        ("\"<<\": {a: 1}\n", json!({"<<": {"a": 1}})),
        ("a: &k key\n*k : 1\n", json!({"a": "key", "key": 1})),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn errors_have_go_yamls_words_and_lines() {
    let table = [
        ("a: b: c\n", "yaml: mapping values are not allowed in this context"),
        ("x: 1\na: b: c\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("a\nb: 1\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("x: 1\ny: 2\na:\n  b: 1\n c: 2\n", "yaml: line 4: did not find expected key"),
        ("a:\n- b\n c: 1\n", "yaml: line 3: mapping values are not allowed in this context"),
        ("a: [1, 2\nb: 3\n", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: {b: 1\nc: 2\n", "yaml: line 1: did not find expected ',' or '}'"),
        ("a: \"x\nb: 1\n", "yaml: line 3: found unexpected end of stream"),
        ("a: 1\nb\nc: 2\n", "yaml: line 3: could not find expected ':'"),
        ("a:\n\tb: 1\n", "yaml: line 2: found character that cannot start any token"),
        ("a: @x\n", "yaml: found character that cannot start any token"),
        ("a: *x\n", "yaml: unknown anchor 'x' referenced"),
        ("a: &a [*a]\n", "yaml: anchor 'a' value contains itself"),
        ("a: !!int abc\n", "yaml: cannot decode !!str `abc` as a !!int"),
        ("a: !!binary '*'\n", "yaml: !!binary value contains invalid base64 data"),
        ("<<: 1\n", "yaml: map merge requires map or sequence of maps as the value"),
        ("a: \u{1}\n", "yaml: control characters are not allowed"),
        ("a: .inf\n", "json: unsupported value: +Inf"),
        ("? [a]\n: b\n", "yaml: invalid map key"),
        ("~: 1\n", "unsupported map key of type: <nil>"),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
    for (bytes, why) in [
        (&[0xff][..], "invalid leading UTF-8 octet"),
        (&[0xc3, b'x'], "invalid trailing UTF-8 octet"),
        (&[0xe2, 0x82], "incomplete UTF-8 octet sequence"),
    ] {
        let text = [b"a: ", bytes].concat();
        assert_eq!(parse(text).map_err(|error| error.to_string()), Err(format!("yaml: {why}")));
    }
    assert_eq!(
        parse("%YAML 1.2\n---\na: b\n").map_err(|error| error.to_string()),
        Err("yaml: found incompatible YAML document".to_owned())
    );
}

#[test]
fn the_last_of_equal_keys_counts_unless_strict() {
    let text = "x: 0\na: 1\nb:\n  c: 1\n  c: {}\n\"a\": 2\n1: x\n1: z\n";
    assert_eq!(read(text), json!({"x": 0, "a": 2, "b": {"c": {}}, "1": "z"}));
    let expected = "yaml: unmarshal errors:\n  line 5: key \"c\" already set in map\n  line 6: key \"a\" already set in map\n  line 8: key 1 already set in map";
    assert_eq!(parse_strict(text).map_err(|error| error.to_string()), Err(expected.to_owned()));
    assert_eq!(parse_strict("a: 1\n"), Ok(json!({"a": 1})));
}

#[test]
fn streams_have_documents_with_lines() {
    let text = "# first\na: 1\n---\n---\n# nothing\n---\n\nb:\n- 2\n...\n---\n- 3\n";
    let read = documents(text).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = read.iter().map(|document| (document.start().line, document.value().clone())).collect();
    assert_eq!(found, [(2, json!({"a": 1})), (8, json!({"b": [2]})), (12, json!([3]))]);
    assert_eq!(parse(""), Ok(Value::Null));
    assert_eq!(documents("# nothing\n").map(|all| all.len()), Ok(0));
    assert_eq!(parse("a: 1\n---\n: : :\n"), Ok(json!({"a": 1})), "only the first document is read");
    assert!(documents("a: 1\n---\na: b: c\n").is_err_and(|error| error.to_string().starts_with("yaml: line 3: ")));
}

#[test]
fn json_is_read() {
    assert_eq!(read("{\"a\":1,\n\t\"b\":[1,\t2, \"x\\/y\"],\"c\":{}}"), json!({"a": 1, "b": [1, 2, "x/y"], "c": {}}));
}

#[test]
fn fields_know_their_places() {
    let text = "kind: X\nspec:\n  a.b: 1\n  a:\n    b: 2\n  list:\n  - name: x\n    deep: {e: 1,\n      f: 2}\n  - y\n  ref: &r\n    g: 1\n  use: *r\n";
    let read = documents(text).unwrap_or_else(|error| panic!("{error}"));
    let table = [
        ("", 1, 1),
        ("kind", 1, 1),
        ("spec", 2, 1),
        ("spec.a.b", 3, 3),
        ("spec[a.b]", 3, 3),
        ("spec.list", 6, 3),
        ("spec.list[0]", 7, 5),
        ("spec.list[0].name", 7, 5),
        ("spec.list[0].deep.f", 9, 7),
        ("spec.list[1]", 10, 5),
        ("spec.list[7].x", 6, 3),
        ("spec.missing.x", 2, 1),
        ("spec.use.g", 12, 5),
        ("<nil>", 1, 1),
    ];
    for (path, line, column) in table {
        assert_eq!(read[0].position_of(path), Position { line, column }, "{path}");
    }
}

#[test]
fn bombs_and_towers_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let excessive = Err("yaml: document contains excessive aliasing".to_owned());
    assert_eq!(parse(&bomb).map_err(|error| error.to_string()), excessive);
    let large = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 50].join(","));
    assert_eq!(parse(&large).map_err(|error| error.to_string()), excessive);
    let beyond = DOCUMENT_DEPTH_MAX + 2;
    for tower in ["[".repeat(beyond), "- ".repeat(beyond), "{a: ".repeat(beyond), "[".repeat(100_000)] {
        assert!(parse(&tower).is_err());
    }
    let within = DOCUMENT_DEPTH_MAX - 1;
    assert!(parse(format!("{}{}", "[".repeat(within), "]".repeat(within))).is_ok());
}

#[test]
fn texts_are_quoted_as_kubectl_quotes_them() {
    let table = [
        ("a", "a"),
        ("", "\"\""),
        ("true", "\"true\""),
        ("off", "\"off\""),
        ("y", "\"y\""),
        ("~", "\"~\""),
        ("1", "\"1\""),
        ("0644", "\"0644\""),
        ("08", "\"08\""),
        ("1_000", "\"1_000\""),
        ("1e3", "\"1e3\""),
        (".5", "\".5\""),
        ("12:30", "\"12:30\""),
        ("12:99", "12:99"),
        ("2024-01-02T03:04:05Z", "\"2024-01-02T03:04:05Z\""),
        ("0.5Gi", "0.5Gi"),
        ("v1.2", "v1.2"),
        ("a: b", "'a: b'"),
        ("a:b", "a:b"),
        ("a:", "'a:'"),
        ("a #b", "'a #b'"),
        ("a#b", "a#b"),
        ("- a", "'- a'"),
        ("-a", "-a"),
        ("---", "'---'"),
        ("{a}", "'{a}'"),
        ("*a", "'*a'"),
        ("%a", "'%a'"),
        ("'a", "'''a'"),
        ("it's", "it's"),
        ("\"a\" b", "'\"a\" b'"),
        (" a", "' a'"),
        ("a ", "'a '"),
        ("a\tb", "\"a\\tb\""),
        ("a\r\nb", "\"a\\r\\nb\""),
        ("é", "é"),
        ("😀", "\"\\U0001F600\""),
        ("<<", "\"<<\""),
        ("\u{2028}", "\"\\L\""),
        ("a\nb", "|-\n  a\n  b"),
        ("a\nb\n", "|\n  a\n  b"),
        ("a\n\n", "|+\n  a\n"),
        (" a\nb\n", "|2\n   a\n  b"),
        ("a \nb", "\"a \\nb\""),
    ];
    for (text, expected) in table {
        assert_eq!(to_string(&json!({ "k": text })), format!("k: {expected}\n"), "{text:?}");
    }
}

#[test]
fn collections_are_laid_out_as_kubectl_lays_them_out() {
    let value = json!({
        "empty": {"a": [], "b": {}},
        "list": [[], {}, [[]], [1, [2]], {"a": 1, "b": [{"c": null}]}, "x\ny"],
        "nums": [0.1, 1e20, 1.5e300, 1234567.5, 0.00001, -3],
        "a10": 1, "a9": 2, "B": 3, "true": 4,
        "long key ".repeat(20): {"a": 1, "b": 2},
        "line\nbreak": ["v"],
    });
    let expected = lines(&[
        "B: 3",
        "a9: 2",
        "a10: 1",
        "empty:",
        "  a: []",
        "  b: {}",
        "? |-",
        "  line",
        "  break",
        ": - v",
        "list:",
        "- []",
        "- {}",
        "- - []",
        "- - 1",
        "  - - 2",
        "- a: 1",
        "  b:",
        "  - c: null",
        "- |-",
        "  x",
        "  y",
        "? 'long key long key long key long key long key long key long key long key long key",
        "  long key long key long key long key long key long key long key long key long key",
        "  long key long key '",
        ": a: 1",
        "  b: 2",
        "nums:",
        "- 0.1",
        "- 1e+20",
        "- 1.5e+300",
        "- 1.2345675e+06",
        "- 1e-05",
        "- -3",
        "\"true\": 4",
    ]);
    assert_eq!(to_string(&value), expected);
    assert_eq!(parse(&expected), Ok(value));
    assert_eq!(to_string(&json!([])), "[]\n");
    assert_eq!(to_string(&json!("a")), "a\n");
}

#[test]
fn long_texts_are_folded_at_blanks() {
    let words = "word ".repeat(40);
    let value = json!({"a": {"plain": words.trim_end(), "quoted": format!("# {}", words.trim_end())}});
    let text = to_string(&value);
    assert!(text.lines().all(|line| line.len() < 90), "{text}");
    assert_eq!(text.lines().count(), 7, "{text}");
    assert_eq!(parse(&text), Ok(value));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ a-z0-9:#'\"\\\\\n\t,\\[\\]{}&*!|>%@`?.=<~_+-]{0,12}",
        "\\PC{0,8}",
        "([a-z'\"#]{0,9}  ?){0,40}",
        "[-+]?[0-9_]{1,4}[.:xobe-]?[0-9]{0,3}",
        Just("<<".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has fractions only", |f| f.is_finite() && f.fract() != 0.0)
            .prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(texts(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in values()) {
        let text = to_string(&value);
        prop_assert_eq!(parse(&text), Ok(value.clone()), "{}", text);
        prop_assert_eq!(parse_strict(value.to_string()), Ok(value));
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[a\\-: \n\t\\[\\]{}&*!|>'\"#,?%<0]{0,40}") {
        let _ = documents(&bytes);
        if let Ok(read) = documents(&text) {
            for document in read {
                let _ = document.position_of("a[0].a");
            }
        }
    }
}
