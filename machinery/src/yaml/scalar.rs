//! What a scalar without quotes means, by the rules of YAML 1.1 as go-yaml v2 has them.

use std::sync::LazyLock;

use regex::Regex;

/// The meaning of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond `Int`.
    Uint(u64),
    Float(f64),
    /// A date, with or without a time. JSON keeps its text.
    Timestamp,
    /// Everything else.
    Text,
}

/// The meaning of a plain text.
pub(super) fn resolve(text: &str) -> Scalar {
    match text.as_bytes().first() {
        None => Scalar::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => word(text),
        Some(b'.') => dotted(text),
        Some(b'+' | b'-' | b'0'..=b'9') if is_timestamp(text) => Scalar::Timestamp,
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(_) => Scalar::Text,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

fn dotted(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
        // Here, and only here, underscores must stand between digits.
        _ if text.ends_with('_') || text.contains("__") || text.contains("._") => Scalar::Text,
        _ => float(&text.replace('_', "")),
    }
}

fn number(text: &str) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = text.replace('_', "");
    let (negative, magnitude) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let signed = plain.len() != magnitude.len();
    match integer(magnitude) {
        // Beyond 63 bits a number may have no sign.
        Some(value) if negative => match 0_i64.checked_sub_unsigned(value) {
            Some(value) => Scalar::Int(value),
            None => float(&plain),
        },
        Some(value) => match i64::try_from(value) {
            Ok(value) => Scalar::Int(value),
            Err(_) if !signed => Scalar::Uint(value),
            Err(_) => float(&plain),
        },
        None => float(&plain),
    }
}

/// Go's integer literals: decimal, `0x`, `0b`, `0o`, and octal with a plain zero in front.
fn integer(digits: &str) -> Option<u64> {
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, base).ok() }
}

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").expect("a constant expression that tests run")
});

/// A decimal float; what a float cannot hold stays text.
fn float(text: &str) -> Scalar {
    if !FLOAT.is_match(text) {
        return Scalar::Text;
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Scalar::Float(value),
        _ => Scalar::Text,
    }
}

static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[+-](\d{2}):(\d{2}))| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?$",
    )
    .expect("a constant expression that tests run")
});

/// True for `2006-1-2`, and that with a time of day after a blank, or after a `T` with a zone.
fn is_timestamp(text: &str) -> bool {
    if text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    let Some(parts) = TIMESTAMP.captures(text) else { return false };
    let part = |index: usize| parts.get(index).and_then(|digits| digits.as_str().parse::<i8>().ok());
    let time = [(4, 23), (5, 59), (6, 59), (7, 24), (8, 59), (9, 23), (10, 59), (11, 59)];
    let year = parts.get(1).and_then(|digits| digits.as_str().parse::<i16>().ok());
    let (Some(year), Some(month), Some(day)) = (year, part(2), part(3)) else { return false };
    jiff::civil::Date::new(year, month, day).is_ok()
        && time.iter().all(|(index, max)| part(*index).is_none_or(|number| number <= *max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        let table = [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("null", Scalar::Null),
            ("nULL", Scalar::Text),
            ("y", Scalar::Bool(true)),
            ("Off", Scalar::Bool(false)),
            ("t", Scalar::Text),
            ("oN", Scalar::Text),
            ("0", Scalar::Int(0)),
            ("-0", Scalar::Int(0)),
            ("+12", Scalar::Int(12)),
            ("0644", Scalar::Int(420)),
            ("-010", Scalar::Int(-8)),
            ("0o17", Scalar::Int(15)),
            ("0b11", Scalar::Int(3)),
            ("-0b11", Scalar::Int(-3)),
            ("0xFF", Scalar::Int(255)),
            ("1_000", Scalar::Int(1000)),
            ("_1", Scalar::Text),
            ("08", Scalar::Float(8.0)),
            ("9223372036854775807", Scalar::Int(i64::MAX)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("+18446744073709551615", Scalar::Float(18446744073709551615.0)),
            ("18446744073709551616", Scalar::Float(18446744073709551616.0)),
            ("1e3", Scalar::Float(1000.0)),
            ("1.", Scalar::Float(1.0)),
            (".5", Scalar::Float(0.5)),
            (".5_0", Scalar::Float(0.5)),
            ("._5", Scalar::Text),
            ("+.5e1", Scalar::Float(5.0)),
            (".inf", Scalar::Float(f64::INFINITY)),
            ("-.INF", Scalar::Float(f64::NEG_INFINITY)),
            ("1E400", Scalar::Text),
            ("0x", Scalar::Text),
            ("--1", Scalar::Text),
            ("0x+1", Scalar::Text),
            ("1e", Scalar::Text),
            ("12:30:45", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("10Gi", Scalar::Text),
            ("2024-01-02", Scalar::Timestamp),
            ("2024-1-2", Scalar::Timestamp),
            ("2024-02-30", Scalar::Text),
            ("2024-13-01", Scalar::Text),
            ("2024-01-02T03:04:05Z", Scalar::Timestamp),
            ("2024-01-02t3:4:5.123+02:00", Scalar::Timestamp),
            ("2024-01-02 03:04:05", Scalar::Timestamp),
            ("2024-01-02 03:04:05Z", Scalar::Text),
            ("2024-01-02T25:04:05Z", Scalar::Text),
            ("2024-01-02T03:04:05", Scalar::Text),
            ("<<", Scalar::Text),
            ("ä", Scalar::Text),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), expected, "{text}");
        }
        assert!(matches!(resolve(".nan"), Scalar::Float(value) if value.is_nan()));
    }
}
