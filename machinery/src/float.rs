//! Floats as Go writes them where it does not write JSON: in YAML, in messages and in what `%v` prints.

use std::fmt::{LowerExp, Write};

/// Go's `strconv.FormatFloat(value, 'g', -1, …)`: the shortest digits, with an exponent below -4 and from 6 on.
pub fn to_text<F: LowerExp>(value: F) -> String {
    let mut scientific = String::new();
    // Writing to a String cannot fail; an empty text would show as one.
    let _ = write!(scientific, "{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits.replace('.', "")),
        None => ("", mantissa.replace('.', "")),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let (mark, size) = if exponent < 0 { ('-', -exponent) } else { ('+', exponent) };
        return format!("{mantissa}e{mark}{size:02}");
    }
    let point = exponent + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else if point >= length {
        format!("{sign}{digits}{}", zeros(point - length))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.5, "-0.5"),
            (100.25, "100.25"),
            (999999.0, "999999"),
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
            (120.0, "120"),
        ];
        for (value, expected) in table {
            assert_eq!(to_text(value), expected);
        }
        assert_eq!(to_text(16777217.5_f32), "1.6777218e+07");
    }
}
