//! Syntax errors, in the words of cel-go.

use cel::Environment;

const OPERAND: &str =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Message by line and column; `$` stands for what an operand can begin with, `DOLLAR` for itself.
fn check(source: &str, expected: &[(&str, &str)]) {
    let issues = Environment::base().with_binding().check(source).expect_err(source);
    let text = issues.to_string();
    let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("ERROR: <input>:")).collect();
    let expected: Vec<String> = expected
        .iter()
        .map(|(place, message)| format!("{place}: {}", message.replace('$', OPERAND).replace("DOLLAR", "$")))
        .collect();
    assert_eq!(found, expected, "{source}");
}

#[test]
fn one_mistake() {
    check(
        "a | b",
        &[
            ("1:3", "Syntax error: token recognition error at: '| '"),
            ("1:5", "Syntax error: extraneous input 'b' expecting <EOF>"),
        ],
    );
    check(
        "{",
        &[(
            "1:2",
            "Syntax error: mismatched input '<EOF>' expecting {'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', \
         'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
        )],
    );
    check("TestAllTypes(){}", &[("1:15", "Syntax error: mismatched input '{' expecting <EOF>")]);
    check("TestAllTypes{}()", &[("1:15", "Syntax error: mismatched input '(' expecting <EOF>")]);
    check(r#"{"a": 1}."a""#, &[("1:10", r#"Syntax error: no viable alternative at input '."a"'"#)]);
    check("{a}", &[("1:3", "Syntax error: mismatched input '}' expecting ':'")]);
    check("ind[a{b}]", &[("1:8", "Syntax error: mismatched input '}' expecting ':'")]);
    check("1 +", &[("1:4", "Syntax error: mismatched input '<EOF>' expecting $")]);
    check("(1", &[("1:3", "Syntax error: missing ')' at '<EOF>'")]);
    check("a ? b", &[("1:6", "Syntax error: mismatched input '<EOF>' expecting ':'")]);
    check("a.", &[("1:3", "Syntax error: no viable alternative at input '.'")]);
    check("a.true", &[("1:3", "Syntax error: mismatched input 'true' expecting IDENTIFIER")]);
}

#[test]
fn several_mistakes() {
    check(
        "*@a | b",
        &[
            ("1:1", "Syntax error: extraneous input '*' expecting $"),
            ("1:2", "Syntax error: token recognition error at: '@'"),
            ("1:5", "Syntax error: token recognition error at: '| '"),
            ("1:7", "Syntax error: extraneous input 'b' expecting <EOF>"),
        ],
    );
    check(
        "1 + $",
        &[
            ("1:5", "Syntax error: token recognition error at: 'DOLLAR'"),
            ("1:6", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
    check(
        "1 + +",
        &[
            ("1:5", "Syntax error: mismatched input '+' expecting $"),
            ("1:6", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
    check(
        "?",
        &[
            ("1:1", "Syntax error: mismatched input '?' expecting $"),
            ("1:2", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
    check(
        "in",
        &[
            ("1:1", "Syntax error: mismatched input 'in' expecting $"),
            ("1:3", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
    check(
        "--",
        &[
            ("1:3", "Syntax error: no viable alternative at input '-'"),
            ("1:3", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
    check(
        "func{{a}}",
        &[
            ("1:6", "Syntax error: extraneous input '{' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            ("1:8", "Syntax error: mismatched input '}' expecting ':'"),
            ("1:9", "Syntax error: extraneous input '}' expecting <EOF>"),
        ],
    );
    check(
        "msg{:a}",
        &[
            ("1:5", "Syntax error: extraneous input ':' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            ("1:7", "Syntax error: mismatched input '}' expecting ':'"),
        ],
    );
    check(
        "{:a}",
        &[
            (
                "1:2",
                "Syntax error: extraneous input ':' expecting {'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', \
             'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
            ),
            ("1:4", "Syntax error: mismatched input '}' expecting ':'"),
        ],
    );
    check(
        "'😁' in ['😁', '😑', '😦']\n   && in.😁",
        &[
            ("2:7", "Syntax error: extraneous input 'in' expecting $"),
            ("2:10", "Syntax error: token recognition error at: '😁'"),
            ("2:11", "Syntax error: no viable alternative at input '.'"),
        ],
    );
    check(
        r#""\xFh""#,
        &[
            ("1:1", r#"Syntax error: token recognition error at: '"\xFh'"#),
            ("1:6", r#"Syntax error: token recognition error at: '"'"#),
            ("1:7", "Syntax error: mismatched input '<EOF>' expecting $"),
        ],
    );
}

#[test]
fn literals_names_and_macros() {
    check("0xFFFFFFFFFFFFFFFFF", &[("1:1", "invalid int literal")]);
    check("0xFFFFFFFFFFFFFFFFFu", &[("1:1", "invalid uint literal")]);
    check("1.99e90000009", &[("1:1", "invalid double literal")]);
    check("break", &[("1:1", "reserved identifier: break")]);
    check("has(m)", &[("1:5", "invalid argument to has() macro")]);
    check("[].existsOne(__result__, __result__)", &[("1:14", "iteration variable overwrites accumulator variable")]);
    check("m.filter(a.b, false)", &[("1:11", "argument is not an identifier")]);
    check("1.all(2, 3)", &[("1:7", "argument must be a simple name")]);
    check("cel.bind(1, 2, 3)", &[("1:10", "cel.bind() variable names must be simple identifiers")]);
    check(
        "[1, 2, 3].map(var, var * var)",
        &[
            ("1:15", "reserved identifier: var"),
            ("1:15", "argument is not an identifier"),
            ("1:20", "reserved identifier: var"),
            ("1:26", "reserved identifier: var"),
        ],
    );
}

#[test]
fn mistakes_inside_brackets() {
    let optional = OPERAND.replace("'!', ", "'!', '?', ");
    check(
        "a [> 1",
        &[
            ("1:4", &format!("Syntax error: extraneous input '>' expecting {optional}")),
            ("1:7", "Syntax error: missing ']' at '<EOF>'"),
        ],
    );
    check("f((g(1)", &[("1:8", "Syntax error: mismatched input '<EOF>' expecting ')'")]);
    check("f([1, ", &[("1:7", "Syntax error: mismatched input '<EOF>' expecting ']'")]);
    check(
        "f([1, , 3])",
        &[("1:7", "Syntax error: missing ']' at ','"), ("1:10", "Syntax error: extraneous input ']' expecting ')'")],
    );
    check(
        "[1 2, 3].min()",
        &[
            ("1:4", "Syntax error: extraneous input '2' expecting {']', ','}"),
            ("1:7", "Syntax error: extraneous input '3' expecting ']'"),
        ],
    );
    check(
        "!(uint([]..sum()) == 1u)",
        &[
            ("1:11", "Syntax error: no viable alternative at input '..'"),
            ("1:17", "Syntax error: mismatched input ')' expecting <EOF>"),
        ],
    );
    check("{1 \"b\"}.x", &[("1:4", "Syntax error: missing ':' at '\"b\"'")]);
    check(
        "{1? 2, 3: 4}",
        &[
            ("1:6", "Syntax error: mismatched input ',' expecting ':'"),
            ("1:8", "Syntax error: mismatched input '3' expecting '}'"),
        ],
    );
}

#[test]
fn what_is_left_of_a_broken_part_is_looked_at() {
    check(
        "a.?",
        &[
            ("1:4", "Syntax error: mismatched input '<EOF>' expecting {IDENTIFIER, ESC_IDENTIFIER}"),
            ("1:4", "unsupported ident kind"),
        ],
    );
    check(
        "has(a.)",
        &[("1:5", "invalid argument to has() macro"), ("1:7", "Syntax error: no viable alternative at input '.)'")],
    );
    check("[1].exists(x., x == 1)", &[("1:14", "Syntax error: no viable alternative at input '.,'")]);
}
