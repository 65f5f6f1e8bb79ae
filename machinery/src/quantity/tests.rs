//! Values from the documentation of `resource.Quantity` and from Go's answers.

use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn text_becomes_canonical() {
    let table = [
        ("0", "0"),
        ("0Ki", "0"),
        ("-0", "0"),
        ("00", "0"),
        ("1", "1"),
        ("1024Mi", "1Gi"),
        ("1025024Mi", "1001Gi"),
        ("307200Ki", "300Mi"),
        ("1Ki", "1Ki"),
        ("1025Ki", "1025Ki"),
        ("3Ei", "3Ei"),
        ("0.5Gi", "512Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("5000m", "5"),
        ("1.08", "1080m"),
        ("1080000000n", "1080m"),
        ("1000u", "1m"),
        ("1000M", "1G"),
        ("0.001T", "1G"),
        ("100.0350k", "100035"),
        ("100.035Ki", "102435840m"),
        ("9.01", "9010m"),
        ("40.1T", "40100G"),
        (".001e12", "1e9"),
        ("0.001e0", "1e-3"),
        ("1000e-12", "1e-9"),
        ("1e9", "1e9"),
        ("80e-3", "80e-3"),
        ("12345678901234567890", "12345678901234567890"),
        ("10000000000000000000", "10E"),
        ("9999999999999999999000m", "9999999999999999999"),
        ("999999999999999999.1", "999999999999999999100m"),
        ("1.0000000000000000001E", "1000000000000000000100m"),
        ("1000E", "1000E"),
        (".001Ki", "1024m"),
        (".000001Ki", "1024u"),
        (".000000001Ki", "1024n"),
        // Rounded up to a nano, where binary units end.
        (".000000000001Ki", "2n"),
        ("3.001n", "4n"),
        ("0.0000000001", "1n"),
        ("0.00000012345", "124n"),
        ("1.1E-9", "2e-9"),
        ("1e-1000000000", "1e-9"),
        // Saturated, as only binary units are.
        ("9Ei", "9223372036854775807"),
        ("9223372036854775807Ki", "9223372036854775807"),
        ("12E", "12E"),
        // Strange and accepted.
        (".", "0"),
        ("-", "0"),
        ("Mi", "0"),
        ("1.", "1."),
        ("1.G", "1.G"),
        (".0001k", "100m"),
    ];
    for (text, expected) in table {
        assert_eq!(quantity(text).to_string(), expected, "{text}");
        if quantity(text).sign() != 0 && !text.starts_with('-') {
            assert_eq!(quantity(&format!("-{text}")).to_string(), format!("-{expected}"), "-{text}");
        }
        assert_eq!(quantity(&quantity(text).canonical()), quantity(text), "{text}");
    }
}

#[test]
fn upstream_keeps_some_spellings() {
    let table = [
        ("+1", "+1", "1"),
        ("0001", "0001", "1"),
        ("1.500", "1.500", "1500m"),
        ("1E3", "1E3", "1e3"),
        ("1e+3", "1e+3", "1e3"),
        ("0500Ki", "0500Ki", "500Ki"),
        ("+1000", "1k", "1k"),
        ("1.0", "1", "1"),
        ("1.000", "1", "1"),
    ];
    for (text, shown, canonical) in table {
        assert_eq!(quantity(text).to_string(), shown);
        assert_eq!(quantity(text).canonical(), canonical);
    }
    assert_eq!(quantity("+1").add(&quantity("0")).to_string(), "1", "arithmetic forgets the spelling");
}

#[test]
fn formats_are_recognised() {
    for (text, format) in [
        ("1", Format::DecimalSi),
        ("1m", Format::DecimalSi),
        ("1E", Format::DecimalSi),
        ("1Ei", Format::BinarySi),
        ("0Ki", Format::BinarySi),
        ("0.5Mi", Format::BinarySi),
        ("0.0001Ki", Format::DecimalSi),
        ("1E6", Format::DecimalExponent),
        ("0.5e-9", Format::DecimalExponent),
    ] {
        assert_eq!(quantity(text).format(), format, "{text}");
    }
}

#[test]
fn bad_text_has_upstreams_error() {
    for text in ["", "1.1.M", "1+1.0M", "0.1am", "aoeu", " 1", "1 ", "1\u{fc}", "1_000", "0x10", "-3.01i1x"] {
        assert_eq!(
            Quantity::parse(text).map_err(|e| e.to_string()),
            Err("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned()),
            "{text}"
        );
    }
    for text in ["0.1mi", ".5i", "1i", "-3.01i", "-3.01e-", "1e", "1K", "1KiB1", "1e99999999999999999999"] {
        let expected = if text.contains('B') { Error::Format } else { Error::Suffix };
        assert_eq!(Quantity::parse(text).err(), Some(expected), "{text}");
    }
    for text in ["Ei", ".Ei", "-Pi", "1e1025", "1e9999999999"] {
        assert_eq!(Quantity::parse(text).err(), Some(Error::Numeric), "{text}");
    }
    assert_eq!(Quantity::parse(&"9".repeat(5000)).err(), Some(Error::Numeric));
    assert!(Quantity::parse(&"9".repeat(1000)).is_ok());
}

#[test]
fn values_round_away_from_zero_and_saturate() {
    let table = [
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1n", 1, 1),
        ("-1n", -1, -1),
        ("1Gi", 1 << 30, 1000 << 30),
        ("0.5Gi", 1 << 29, 1000 << 29),
        ("9223372036854775807", i64::MAX, i64::MAX),
        ("12E", i64::MAX, i64::MAX),
        ("-12E", i64::MIN, i64::MIN),
        ("9.2233720368547758075E", i64::MAX, i64::MAX),
        ("0", 0, 0),
        ("1e1000", i64::MAX, i64::MAX),
    ];
    for (text, value, milli) in table {
        assert_eq!(quantity(text).value(), value, "{text}");
        assert_eq!(quantity(text).milli_value(), milli, "{text}");
    }
    assert_eq!(quantity("1e1000").scaled_value(i32::MIN), i64::MAX);
    assert_eq!(quantity("-1e1000").scaled_value(i32::MAX), -1);
    assert!(quantity("1500m").is_multiple_of_power(-3));
    assert!(!quantity("1500u").is_multiple_of_power(-3));
    assert!(quantity("1").is_multiple_of_power(i32::MIN));
}

#[test]
fn integers_are_those_go_holds_as_integers() {
    let table = [
        ("50k", Some(50_000)),
        ("50Mi", Some(50 << 20)),
        ("0", Some(0)),
        ("1E", Some(1_000_000_000_000_000_000)),
        ("1.0E", Some(1_000_000_000_000_000_000)),
        ("-999999999999999999", Some(-999_999_999_999_999_999)),
        ("1000000000000000000", None),
        ("9223372036854775806", None),
        ("999999999999999999.0", None),
        ("1000m", None),
        ("1.0", None),
        ("1Pi", None),
        ("0.5Gi", None),
        ("10E", None),
        ("9999999999999999999", None),
    ];
    for (text, expected) in table {
        assert_eq!(quantity(text).as_i64(), expected, "{text}");
        assert_eq!(quantity(text).is_integer(), expected.is_some(), "{text}");
    }
}

#[test]
fn floats_are_gos() {
    let table = [
        ("0", 0.0),
        ("1Ki", 1024.0),
        ("1500m", 1.5),
        ("-12e6", -12e6),
        ("1n", 1e-9),
        ("1.1Ki", 1126.4),
        // The float of its nanos times the float of a nano: one bit above the nearest.
        ("12345678901234567890", 12_345_678_901_234_570_000.0),
        ("1e400", f64::INFINITY),
        ("0.1", 0.1),
    ];
    for (text, expected) in table {
        assert_eq!(quantity(text).as_f64(), expected, "{text}");
    }
}

#[test]
fn arithmetic_keeps_the_format_of_what_is_not_zero() {
    let table = [
        ("100m", "1Gi", "1073741824100m", "-1073741823900m"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("1Gi", "0", "1Gi", "1Gi"),
        ("1Gi", "1G", "2073741824", "73741824"),
        ("1Gi", "1Mi", "1025Mi", "1023Mi"),
        ("9223372036854775807", "1", "9223372036854775808", "9223372036854775806"),
        ("5e3", "500m", "5000500e-3", "4999500e-3"),
    ];
    for (a, b, sum, difference) in table {
        assert_eq!(quantity(a).add(&quantity(b)).to_string(), sum);
        assert_eq!(quantity(a).sub(&quantity(b)).to_string(), difference);
    }
    assert_eq!(quantity("1Gi").mul_i64(3).to_string(), "3Gi");
    assert_eq!(quantity("1.5").mul_i64(-2).to_string(), "-3");
    assert_eq!(quantity("9E").mul_i64(1000).to_string(), "9000E");
    assert_eq!(quantity("9E").mul_i64(0).to_string(), "0");
    assert_eq!(Quantity::from(i64::MIN).neg().to_string(), "9223372036854775808");
}

#[test]
fn arithmetic_saturates_beyond_all_reason() {
    let mut large = quantity("1e1024");
    assert_eq!(large.add(&large), large);
    for _ in 0..100 {
        large = large.mul_i64(i64::MIN);
    }
    assert_eq!(large, quantity("1e1024"));
    assert_eq!(quantity(&large.to_string()), large);
    assert_eq!(large.sub(&large).sign(), 0);
}

#[test]
fn order_is_by_value() {
    let ascending =
        ["-1e30", "-1Gi", "-1n", "0", "1n", "1m", "999m", "1", "1k", "1Ki", "100Gi", "10000T", "12E", "1e30"];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(quantity(a).cmp(&quantity(b)), i.cmp(&j), "{a} {b}");
        }
    }
    assert_eq!(quantity("1024Mi"), quantity("1Gi"));
    assert_eq!(quantity("1000000000000000000"), quantity("1E"));
    assert_ne!(quantity("0.1"), quantity("100n"));
}

#[test]
fn json_may_be_text_or_number() {
    for (json, expected) in [("\"1.5\"", "1500m"), ("\" 2 \"", "2"), ("3", "3"), ("0.25", "250m"), ("null", "0")] {
        let parsed: Quantity = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(parsed.to_string(), expected);
    }
    assert!(serde_json::from_str::<Quantity>("true").is_err());
    assert!(serde_json::from_str::<Quantity>("\"x\"").is_err());
    assert_eq!(serde_json::to_string(&quantity("1024Mi")).ok().as_deref(), Some("\"1Gi\""));
}

fn texts() -> impl Strategy<Value = String> {
    "[-+]?[0-9]{0,22}(\\.[0-9]{0,12})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,2}|E[+]?[0-9]{1,2})?"
}

fn hash(value: &Quantity) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC*") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn text_round_trips(text in texts()) {
        if let Ok(parsed) = Quantity::parse(&text) {
            let shown = parsed.to_string();
            let again = quantity(&shown);
            prop_assert_eq!(&again, &parsed);
            prop_assert_eq!(again.to_string(), shown);
            prop_assert_eq!(&quantity(&parsed.canonical()), &parsed);
            prop_assert_eq!(hash(&again), hash(&parsed));
        }
    }

    #[test]
    fn amounts_are_an_ordered_group(a in texts(), b in texts(), c in texts()) {
        if let (Ok(a), Ok(b), Ok(c)) = (Quantity::parse(&a), Quantity::parse(&b), Quantity::parse(&c)) {
            prop_assert_eq!(a.add(&b), b.add(&a));
            prop_assert_eq!(a.add(&b).add(&c), a.add(&b.add(&c)));
            prop_assert_eq!(a.add(&b).sub(&b), a.clone());
            prop_assert_eq!(a.cmp(&b), a.add(&c).cmp(&b.add(&c)));
            prop_assert_eq!(a.cmp(&b), a.sub(&b).sign().cmp(&0));
            prop_assert_eq!(a.cmp(&b), b.neg().cmp(&a.neg()));
            prop_assert_eq!(a.mul_i64(3), a.add(&a).add(&a));
        }
    }

    #[test]
    fn small_integers_are_exact(value in -1_000_000_000_000_i64..1_000_000_000_000) {
        let parsed = quantity(&value.to_string());
        prop_assert_eq!(parsed.value(), value);
        prop_assert_eq!(parsed.milli_value(), value * 1000);
        prop_assert_eq!(parsed.as_f64(), value as f64);
        prop_assert_eq!(parsed, Quantity::from(value));
    }
}
