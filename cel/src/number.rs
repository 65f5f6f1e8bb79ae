//! How Go writes and reads numbers.

/// Go's `%g` of a double: the shortest text that reads back, with an exponent when it is below -4 or at least 21.
pub(crate) fn general(value: f64) -> String {
    shortest(value, 21)
}

fn shortest(value: f64, large: i32) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..large).contains(&exponent) {
        return format!("{value}");
    }
    with_exponent(digits, exponent)
}

/// Go writes at least two digits of an exponent, always with its sign.
pub(crate) fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// How Go writes what is not finite.
pub(crate) fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        return Some("NaN");
    }
    match value {
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// `strconv.ParseInt(text, 10, 64)`.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// `strconv.ParseUint(text, 10, 64)`: no sign.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// `strconv.ParseFloat`: decimal, hexadecimal, with underscores nowhere; values too large are no numbers.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" | "nan" => return text.parse().ok(),
        _ => {}
    }
    let looks_decimal = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = if looks_decimal { text.parse().ok()? } else { return None };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_doubles_as_go_does() {
        let cases = [
            (1.0, "1"),
            (1.5, "1.5"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-5, "1.5e-05"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn reads_numbers_as_go_does() {
        assert_eq!(parse_int("-5"), Some(-5));
        assert_eq!(parse_int("+5"), Some(5));
        assert_eq!(parse_uint("+5"), None);
        assert_eq!(parse_double("1e400"), None);
        assert_eq!(parse_double("-inf"), Some(f64::NEG_INFINITY));
    }
}
