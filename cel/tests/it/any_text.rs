//! Nothing that a text says makes the engine panic, hang or overflow its stack.

use cel::device::{Device, Features, SelectorCompiler};
use cel::{Activation, Budget, Environment, Shape, Type, Value};
use proptest::prelude::*;

struct Nothing;

impl Activation for Nothing {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "x" => Some(Value::Int(3)),
            "s" => Some(Value::text("héllo")),
            "l" => Some(Value::list(vec![Value::Int(1), Value::text("a"), Value::Null])),
            _ => None,
        }
    }
}

fn environment() -> Environment {
    Environment::base()
        .with_variable("x", Shape::simple(Type::Int))
        .with_variable("s", Shape::simple(Type::String))
        .with_variable("l", Shape::list(Shape::simple(Type::Dyn), 10))
        .with_variable("d", Shape::simple(Type::Dyn))
        .with_binding()
}

/// Does everything that can be done with an expression.
fn exercise(source: &str) {
    match environment().check(source) {
        Err(issues) => assert!(!issues.to_string().is_empty()),
        Ok(checked) => {
            let _ = checked.max_cost();
            if let Ok(program) = checked.program() {
                let mut budget = Budget::new(100_000);
                if let Ok(value) = program.eval(&Nothing, &mut budget) {
                    let _ = value.to_string();
                }
            }
        }
    }
    let compiler = SelectorCompiler::for_new(Features {
        consumable_capacity: true,
        list_type_attributes: true,
        ..Features::default()
    });
    if let Ok(selector) = compiler.compile(source) {
        let _ = selector.max_cost();
        let _ = selector.matches(&Device::new("d", false), &mut Budget::new(100_000));
    }
}

/// Words that make an expression likely to get far.
const WORDS: [&str; 96] = [
    "x",
    "s",
    "l",
    "d",
    "device",
    "1",
    "-1",
    "2u",
    "0x7fffffffffffffff",
    "9223372036854775807",
    "1.5",
    "1e308",
    "'a'",
    "\"b\"",
    "b'c'",
    "r'\\d'",
    "true",
    "false",
    "null",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    ".",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    " in ",
    ".?a",
    "[?0]",
    ".size()",
    ".all(i, ",
    ".exists(i, ",
    ".exists_one(i, ",
    ".map(i, ",
    ".filter(i, ",
    ".all(i, v, ",
    ".transformList(i, v, ",
    ".transformMap(i, v, ",
    ".sortBy(i, ",
    "has(",
    "i",
    "v",
    "int(",
    "uint(",
    "double(",
    "string(",
    "bytes(",
    "duration(",
    "timestamp(",
    "type(",
    "dyn(",
    "quantity(",
    "semver(",
    "url(",
    "ip(",
    "cidr(",
    ".substring(",
    ".charAt(",
    ".replace(",
    ".split(",
    ".indexOf(",
    ".lastIndexOf(",
    ".format(",
    ".matches(",
    ".find(",
    ".findAll(",
    ".join(",
    ".slice(",
    ".flatten(",
    ".orValue(",
    ".optMap(i, ",
    "optional.of(",
    "cel.bind(i, ",
    "sets.contains(",
    "lists.range(",
    "@",
    "`a-b`",
    "é",
    "\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_texts(source in "\\PC{0,80}") {
        exercise(&source);
    }

    #[test]
    fn arbitrary_bytes_of_code(source in "[ -~\\n\\t]{0,80}") {
        exercise(&source);
    }

    #[test]
    fn arbitrary_words(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..24)) {
        exercise(&words.concat());
    }

    #[test]
    fn balanced_calls(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..16)) {
        let source = words.concat();
        let open = source.matches('(').count().saturating_sub(source.matches(')').count());
        exercise(&format!("{source}x{}", ")".repeat(open)));
    }
}

#[test]
fn deep_nesting_is_refused_or_works() {
    for depth in [10, 60, 100, 240, 260, 2_000, 20_000] {
        let nested =
            |open: &str, core: &str, close: &str| format!("{}{core}{}", open.repeat(depth), close.repeat(depth));
        for source in [
            nested("(", "1", ")"),
            nested("[", "1", "]"),
            nested("{1:", "1", "}"),
            nested("!", "true", ""),
            nested("-", "x", ""),
            nested("x+", "1", ""),
            nested("x<", "1", ""),
            nested("x*", "1", ""),
            nested("true&&", "true", ""),
            nested("true?1:", "1", ""),
            nested("d", ".a", ""),
            format!("d{}", ".a".repeat(depth)),
            format!("d{}", "[0]".repeat(depth)),
            format!("d{}", ".a()".repeat(depth)),
            nested("size(", "l", ")"),
            nested("[1].all(i,", "true", ")"),
            nested("[1].map(i,", "1", ")"),
            nested("cel.bind(i,1,", "i", ")"),
            nested("cel.bind(i,{i:i},", "i", ")"),
            format!("optional.of(1){}", ".optMap(i, i)".repeat(depth)),
            nested("(", "", ""),
            nested("[", "", ""),
            nested("x[", "", ""),
            nested("f(", "", ""),
            nested("a{b:", "", ""),
        ] {
            exercise(&source);
        }
    }
}

#[test]
fn growth_is_bounded() {
    for source in [
        "lists.range(9223372036854775807).size() > 0",
        "cel.bind(a,[1,1],cel.bind(b,a+a,cel.bind(c,b+b,cel.bind(e,c+c,cel.bind(f,e+e,f+f))))).size() > 0",
        "'a'.replace('', 'aaaaaaaaaaaaaaaa').replace('', 'aaaaaaaaaaaaaaaa').replace('', 'aaaaaaaaaaaaaaaaaaaaaaaa')\
         .replace('', 'aaaaaaaaaaaaaaaaaaaa').replace('', 'aaaaaaaaaaaaaaaaaaaaa').replace('', 'aaaaaaaaaaaaaa').size() > 0",
        "'%.999999999f'.format([1.0])",
        "'a'.matches('((((((((((a{100}){100}){100}){100}){100}){100}){100}){100}){100}){100})')",
    ] {
        exercise(source);
    }
}
