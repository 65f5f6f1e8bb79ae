//! What expressions mean: values, errors and types that the CEL specification and Kubernetes' documentation pin.

use cel::{Activation, Budget, Environment, Shape, Type, Value};

struct Nothing;

impl Activation for Nothing {
    fn variable(&self, _: &str) -> Option<Value<'_>> {
        None
    }
}

fn environment() -> Environment {
    Environment::base().with_variable("missing", Shape::simple(Type::Dyn)).with_binding()
}

fn evaluate(source: &str) -> Result<String, String> {
    let checked = environment()
        .check(source)
        .map_err(|issues| issues.iter().map(|issue| issue.message.clone()).collect::<Vec<_>>().join("; "))?;
    let program = checked.program().map_err(|fault| fault.to_string())?;
    program.eval(&Nothing, &mut Budget::unlimited()).map(|value| value.to_string()).map_err(|fault| fault.to_string())
}

fn all_true(sources: &[&str]) {
    for source in sources {
        assert_eq!(evaluate(source), Ok("true".to_owned()), "{source}");
    }
}

fn fail(cases: &[(&str, &str)]) {
    for (source, message) in cases {
        assert_eq!(evaluate(source), Err((*message).to_owned()), "{source}");
    }
}

#[test]
fn operators() {
    all_true(&[
        "1 + 2 * 3 == 7",
        "7 / 2 == 3 && 7 % 3 == 1 && -7 / 2 == -3",
        "1.0 / 4.0 == 0.25",
        "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab'",
        "[1] + [2] == [1, 2]",
        "dyn(1) == 1u && dyn(1) == 1.0 && 1u < 2.5 && dyn(1) < dyn(2u)",
        "dyn(1) != dyn('1')",
        "2 in [1, 2] && !(3 in [1, 2]) && 'k' in {'k': 1}",
        "{'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {1: 'x'}[dyn(1u)] == 'x'",
        "true || 1/0 == 1",
        "1/0 == 1 || true",
        "!(false && 1/0 == 1)",
        "(true ? 1 : 2) == 1",
        "!!true && - -1 == 1 && --1 == 1",
        "[1, 2, 3][1] == 2",
        "'é'.size() == 1 && size(b'é') == 2",
        "'abc' < 'abd' && false < true",
        "null == null && dyn(null) != dyn(1)",
        "type(1) == int && type('a') == string && type(type(1)) == type && type([]) == list",
        "type(null) == null_type && type(1.0) == double && type(duration('1s')) == google.protobuf.Duration",
    ]);
    fail(&[
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-(-9223372036854775808)", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("[1][1]", "index out of bounds: 1"),
        ("{'a': 1}.b", "no such key: b"),
        ("{'a': 1}['b']", "no such key: b"),
        ("dyn(1) + dyn('a')", "no such overload"),
        ("dyn(true) + dyn(1)", "no such overload: _+_"),
        ("dyn(null) < dyn(1)", "no such overload: _<_"),
        ("dyn('a') && true", "no such overload"),
        ("missing.x", "no such attribute(s): missing"),
    ]);
}

#[test]
fn type_errors() {
    fail(&[
        ("1 == 1u", "found no matching overload for '_==_' applied to '(int, uint)'"),
        ("1 + 'a'", "found no matching overload for '_+_' applied to '(int, string)'"),
        ("x", "undeclared reference to 'x' (in container '')"),
        ("f(1)", "undeclared reference to 'f' (in container '')"),
        ("'a'.f()", "undeclared reference to 'f' (in container '')"),
        ("1.size()", "found no matching overload for 'size' applied to 'int.()'"),
        ("1 && true", "expected type 'bool' but found 'int'"),
        ("1.a", "type 'int' does not support field selection"),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        ("{'a': 1, 'b': 'c'}", "expected type 'int' but found 'string'"),
        (
            "1.all(x, true)",
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("quantity(1)", "found no matching overload for 'quantity' applied to '(int)'"),
        ("isSemver([1, 2, 3])", "found no matching overload for 'isSemver' applied to '(list(int))'"),
        ("quantity('1').x", "unexpected failed resolution of 'kubernetes.Quantity'"),
        ("true ? 1 : 'a'", "found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
        ("'a'.matches('[')", "invalid matches argument"),
        ("duration('1')", "invalid duration argument"),
        ("timestamp('x')", "invalid timestamp argument"),
        ("[1].exists(x, 1)", "expected type 'bool' but found 'int'"),
    ]);
}

#[test]
fn macros() {
    all_true(&[
        "[1, 2, 3].all(x, x > 0) && ![1, 2].all(x, x > 1)",
        "[1, 2, 3].exists(x, x == 2) && [1, 2].exists_one(x, x == 2) && [1, 2].existsOne(x, x > 1)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "{'a': 1, 'b': 2}.filter(k, k == 'a') == ['a']",
        "[1, 0].exists(x, 1 / x == 1)",
        "[0, 1].exists(x, 1 / x == 1)",
        "![0, 2].all(x, 4 / x == 1)",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "cel.bind(x, 5, x * x) == 25",
        "cel.bind(x, 1/0, true)",
        "[[1, 2], [3]].map(l, l.map(x, x + 1)) == [[2, 3], [4]]",
        "[1, 2].all(i, v, v == i + 1) && {'a': 1}.exists(k, v, k == 'a' && v == 1)",
        "[3, 4].transformList(i, v, i * v) == [0, 4] && [3, 4].transformList(i, v, i > 0, v) == [4]",
        "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "[3, 1, 2].sortBy(x, -x) == [3, 2, 1]",
        "[1, 2].map(x, [3, 4].map(x, x)) == [[3, 4], [3, 4]]",
    ]);
    fail(&[
        ("{'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k})", "insert failed: key x already exists"),
        ("dyn(1).all(x, true)", "got 'types.Int', expected iterable type"),
        ("[1].all(i, i, true)", "duplicate variable name: i"),
    ]);
}

#[test]
fn optionals() {
    all_true(&[
        "optional.of(1).value() == 1 && optional.of(1).hasValue() && !optional.none().hasValue()",
        "{'a': 1}.?a.orValue(2) == 1 && {'a': 1}.?b.orValue(2) == 2",
        "{'a': {'b': 1}}.?a.?b.value() == 1 && {'a': {'b': 1}}.?x.b.orValue(0) == 0",
        "[1, 2][?0].orValue(0) == 1 && [1, 2][?5].orValue(0) == 0",
        "optional.none().or(optional.of(2)).value() == 2",
        "optional.of(2).optMap(x, x * 2).value() == 4 && !optional.none().optMap(x, x).hasValue()",
        "optional.of({'a': 1}).optFlatMap(m, m.?a).value() == 1",
        "optional.ofNonZeroValue('').hasValue() == false",
        "[?optional.of(1), ?optional.none()] == [1] && {?'a': optional.none()} == {}",
        "[1, 2].first().value() == 1 && [1, 2].last().value() == 2 && ![].first().hasValue()",
        "optional.unwrap([optional.of(1), optional.none()]) == [1]",
        "optional.of(1) == optional.of(1) && optional.none() != optional.of(1)",
        "has(optional.of({'a': 1}).a)",
    ]);
    fail(&[("optional.none().value()", "optional.none() dereference")]);
}

#[test]
fn conversions() {
    all_true(&[
        "int('42') == 42 && int(3.9) == 3 && int(5u) == 5 && uint('7') == 7u && double('1.5') == 1.5",
        "string(1) == '1' && string(1.5) == '1.5' && string(true) == 'true' && string(b'a') == 'a'",
        "string(duration('90s')) == '90s' && duration('1h').getMinutes() == 60",
        "timestamp('2023-01-02T03:04:05Z').getFullYear() == 2023",
        "timestamp('2023-01-02T03:04:05Z').getMonth() == 0 && timestamp('2023-01-02T03:04:05Z').getDayOfWeek() == 1",
        "timestamp('2023-01-02T03:04:05Z').getHours('-02:00') == 1",
        "timestamp('2023-01-01T00:00:00Z') + duration('24h') == timestamp('2023-01-02T00:00:00Z')",
        "timestamp('2023-01-02T00:00:00Z') - timestamp('2023-01-01T00:00:00Z') == duration('24h')",
        "bool('true') && bytes('é') == b'\\303\\251'",
        "int(timestamp('1970-01-01T00:01:00Z')) == 60",
    ]);
    fail(&[
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("int(dyn('x'))", "type conversion error from 'string' to 'int'"),
        ("uint(-1)", "unsigned integer overflow"),
        ("int(1e300)", "integer overflow"),
        ("int(dyn([1])[0] == 1 ? dyn([]) : dyn(1))", "no such overload: int(list)"),
    ]);
}

#[test]
fn strings() {
    all_true(&[
        "'hello'.charAt(1) == 'e' && 'tacocat'.indexOf('ac', 3) == -1 && 'tacocat'.lastIndexOf('ac') == 1",
        "'héllo'.indexOf('l') == 2 && 'héllo'.substring(1, 3) == 'él' && 'hello'.substring(3) == 'lo'",
        "'TaCo'.lowerAscii() == 'taco' && 'TaCo'.upperAscii() == 'TACO' && '  a '.trim() == 'a'",
        "'hello hello'.replace('he', 'we') == 'wello wello' && 'hello hello'.replace('he', 'we', 1) == 'wello hello'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'%s %d %.2f %x %b %o %X %e'.format(['a', 1, 1.5, 255, 5, 8, 'ab', 12.5]) == 'a 1 1.50 ff 101 10 6162 1.250000×10⁰¹'",
        "'%s'.format([[1, 'a', 1.5, null]]) == '[1, \"a\", 1.500000, null]'",
        "'%s'.format([{'b': 1, 'a': true}]) == '{\"a\":true, \"b\":1}'",
        "'100%%'.format([]) == '100%'",
        "'foobar'.matches('^fo+') && 'abc'.find('b.') == 'bc' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        "'a1b2'.findAll('[0-9]', 1) == ['1'] && 'hello'.contains('ell') && 'hello'.startsWith('he')",
    ]);
    fail(&[
        ("'hello'.charAt(9)", "index out of range: 9"),
        ("'hello'.substring(3, 1)", "invalid substring range. start: 3, end: 1"),
        (
            "'%d'.format(dyn(['a']))",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
    ]);
}

#[test]
fn lists_and_sets() {
    all_true(&[
        "[1, 2, 2, 3].isSorted() && ![2, 1].isSorted() && [1, 3].sum() == 4 && [1.5, 2.5].sum() == 4.0",
        "[3, 1, 2].min() == 1 && [3, 1, 2].max() == 3 && [1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2",
        "[1, 2, 3, 4].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3] && [[[1]], [[2]]].flatten(2) == [1, 2]",
        "lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1] && [1, 1, 2].distinct() == [1, 2] && [3, 1].sort() == [1, 3]",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1, 2], [2, 3])",
    ]);
    fail(&[("[].min()", "min called on empty list"), ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1")]);
}

#[test]
fn kubernetes() {
    all_true(&[
        "quantity('1Mi').isGreaterThan(quantity('1Ki')) && quantity('1k') == quantity('1000')",
        "quantity('50k').add(20).isLessThan(quantity('100k')) && sign(quantity('1').sub(quantity('2'))) == -1",
        "isQuantity('1.3Gi') && !isQuantity('200K') && quantity('50000000G').isInteger() && quantity('10').asInteger() == 10",
        "quantity('1.5').asApproximateFloat() == 1.5 && quantity('1').compareTo(quantity('2')) == -1",
        "semver('1.2.3').major() == 1 && semver('1.2.3').isGreaterThan(semver('1.0.0')) && semver('v1.2', true) == semver('1.2.0')",
        "isSemver('1.2.3-beta.1+build.1') && !isSemver('v1.0') && isSemver('v1.0', true)",
        "url('https://example.com:80/a?k=v').getHost() == 'example.com:80' && isURL('/a') && !isURL('../a')",
        "url('https://[::1]:80/').getHostname() == '::1' && url('/p?k=1').getQuery()['k'] == ['1']",
        "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && isIP('1.2.3.4') && !isIP('x')",
        "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD') && string(ip('::1')) == '::1'",
        "cidr('192.168.0.0/24').containsIP('192.168.0.1') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
        "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('10.0.0.0/8').ip() == ip('10.0.0.0')",
        "cidr('10.0.0.0/8').prefixLength() == 8 && isCIDR('::/0')",
        "!format.dns1123Label().validate('my-label').hasValue() && format.dns1123Label().validate('-').hasValue()",
        "format.named('uuid').hasValue() && !format.named('nope').hasValue()",
        "!format.uri().validate('http://example.com').hasValue() && !format.date().validate('2021-01-01').hasValue()",
    ]);
    fail(&[
        ("semver('v1.0')", "No Major.Minor.Patch elements found"),
        ("quantity('1.5').asInteger()", "cannot convert value to integer"),
        ("quantity('1') == dyn(1)", "no such overload"),
    ]);
}

#[test]
fn numbers_are_written_for_people() {
    all_true(&[
        "'%.2f'.format([1234567.678]) == '1,234,567.68' && '%f'.format([-123.5]) == '-123.500000'",
        "'%.0f'.format([-1000.0]) == '-1,000' && '%f'.format([-0.0]) == '0.000000'",
        "'%e'.format([1.5]) == '1.500000×10⁰⁰' && '%.2e'.format([12345.678]) == '1.234568×10⁰⁴'",
        "'%e'.format([-0.0000001]) == '-1.000000×10⁻⁰⁷' && '%e'.format([1e100]) == '1.000000×10¹⁰⁰'",
        "'%.20e'.format([1.0]).size() == 20 && '%e'.format([double('NaN')]) == '   NaN'",
    ]);
    fail(&[("'%'.format([1])", "unexpected end of string"), ("'%x %'.format([1])", "unexpected end of string")]);
    let precision = "could not parse formatting clause: error while parsing precision: ";
    fail(&[
        ("'%.3'.format([1])", &format!("{precision}could not find end of precision specifier")),
        (
            "'%s'.format([b'\\xff'])",
            "error during formatting: could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to \
             string",
        ),
    ]);
}

#[test]
fn addresses_are_refused_with_reasons() {
    for (text, reason) in [
        ("1:2:3:4:5:6:7:8:9", "trailing garbage after address (at \"9\")"),
        ("1::2::3", "multiple :: in address (at \":3\")"),
        ("1:2", "address string too short"),
        ("12345::", "each group must have 4 or less digits (at \"12345::\")"),
        ("::1:", "colon must be followed by more characters (at \":\")"),
        (":1", "each colon-separated field must have at least one digit (at \":1\")"),
        ("::1.2.3.4.5", "IPv4 address too long"),
        (
            "1:2:3:4:5:6:7:1.2.3.4",
            "embedded IPv4 address must replace the final 2 fields of the address (at \"1.2.3.4\")",
        ),
        ("::1x", "unexpected character, want colon (at \"x\")"),
        ("1:2:3:4:5:6:7::8", "the :: must expand to at least one field of zeros"),
    ] {
        let expected =
            format!("IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): {reason}");
        assert_eq!(evaluate(&format!("ip('{text}')")), Err(expected), "{text}");
    }
}

#[test]
fn sums_of_quantities_are_equal_from_one_side_only() {
    let sum = "quantity('1').add(1)";
    assert_eq!(evaluate(&format!("{sum} == quantity('2')")), Ok("true".to_owned()));
    assert_eq!(evaluate(&format!("quantity('2') == {sum}")), Err("no such overload".to_owned()));
    assert_eq!(evaluate(&format!("quantity('2') != {sum}")), Ok("true".to_owned()));
    assert_eq!(evaluate(&format!("quantity('2') in [{sum}]")), Ok("false".to_owned()));
}
