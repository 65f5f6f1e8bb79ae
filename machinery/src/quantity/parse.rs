//! From text to quantity.

use num_bigint::BigInt;

use super::{
    BINARY_SUFFIXES, DECIMAL_SUFFIXES, Error, Format, INTEGER_DIGITS_MAX, Quantity,
    amount::{Amount, NANO},
};

/// Most bytes of text: a number of `INTEGER_DIGITS_MAX` digits with a fraction, and room for idle zeros.
const TEXT_BYTES_MAX: usize = 4 * INTEGER_DIGITS_MAX as usize;

/// Digits that always fit an `i64`.
const FAST_DIGITS: i64 = 18;

/// A text taken apart, without judgement of the suffix.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, leading zeros removed; `0` if none are left.
    integer: &'a str,
    /// Digits after the point.
    fraction: &'a str,
    suffix: &'a str,
    /// False when there is not a single digit before the suffix.
    has_digits: bool,
}

/// What a suffix means.
enum Unit {
    Ten { exponent: i64, format: Format },
    Two { exponent: u32 },
}

pub(super) fn parse(text: &str) -> Result<Quantity, Error> {
    if text.is_empty() {
        return Err(Error::Format);
    }
    let parts = split(text)?;
    let unit = interpret(parts.suffix).ok_or(Error::Suffix)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::Numeric);
    }
    match fast(text, &parts, &unit) {
        Some(quantity) => Ok(quantity),
        None => exact(&parts, &unit),
    }
}

/// Scans the text the way Go does. A number without digits counts as zero wherever Go lets it pass.
fn split(text: &str) -> Result<Parts<'_>, Error> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (integer, mut rest) = leading(rest, |byte| byte.is_ascii_digit());
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = leading(after, |byte| byte.is_ascii_digit());
    }
    let suffix = rest;
    let (_, rest) = leading(rest, |byte| b"eEinumkKMGTP".contains(&byte));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let (_, rest) = leading(rest, |byte| byte.is_ascii_digit());
    if !rest.is_empty() {
        return Err(Error::Format);
    }
    let significant = integer.trim_start_matches('0');
    Ok(Parts {
        negative,
        integer: if significant.is_empty() { "0" } else { significant },
        fraction,
        suffix,
        has_digits: !integer.is_empty() || !fraction.is_empty(),
    })
}

/// The longest prefix of ASCII bytes that `belongs` accepts, and what follows it.
fn leading(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}

fn interpret(suffix: &str) -> Option<Unit> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|row| row.0 == suffix) {
        return Some(Unit::Ten { exponent: i64::from(*exponent), format: Format::DecimalSi });
    }
    if let Some(power) = BINARY_SUFFIXES.iter().position(|one| *one == suffix) {
        return Some(Unit::Two { exponent: 10 * u32::try_from(power).ok()? });
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(Unit::Ten { exponent, format: Format::DecimalExponent })
}

/// Go's quick way, taken for what surely fits 64 bits. It matters which way is taken: only this one gives integers
/// that CEL calls integers, and only this one keeps the spelling.
fn fast(text: &str, parts: &Parts<'_>, unit: &Unit) -> Option<Quantity> {
    let digits = i64::try_from(parts.integer.len() + parts.fraction.len()).ok()?;
    let (factor, exponent, format, precision) = match *unit {
        Unit::Ten { exponent, format } => (1, exponent, format, FAST_DIGITS - digits),
        Unit::Two { exponent } if parts.fraction.is_empty() => {
            (1_i64.checked_shl(exponent)?, 0, Format::BinarySi, 15 - digits - i64::from(exponent) * 3 / 10 - 1)
        }
        Unit::Two { .. } => return None,
    };
    let exponent = exponent.checked_sub(i64::try_from(parts.fraction.len()).ok()?)?;
    if precision < 0 || exponent < i64::from(NANO) {
        return None;
    }
    let shifted = format!("{}{}", parts.integer, parts.fraction);
    let value: i64 = shifted.parse().ok()?;
    let result = value.checked_mul(factor)?;
    let mantissa = if parts.negative { result.checked_neg()? } else { result };
    let amount = Amount::small_bounded(mantissa, i32::try_from(exponent).ok()?)?;
    let mut quantity = Quantity { amount, format, spelling: None };
    let keeps_text = match format {
        Format::BinarySi => value & 7 != 0,
        _ => exponent % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0'),
    };
    if keeps_text && may_be_unusual(text, format) && quantity.canonical() != text {
        quantity.spelling = Some(text.into());
    }
    Some(quantity)
}

/// False when a text that keeps its spelling surely is canonical already.
fn may_be_unusual(text: &str, format: Format) -> bool {
    format == Format::DecimalExponent
        || text.contains(['+', '.'])
        || text.strip_prefix('-').unwrap_or(text).starts_with('0')
}

/// The way for everything else: any number of digits, held in nanos.
fn exact(parts: &Parts<'_>, unit: &Unit) -> Result<Quantity, Error> {
    if !parts.has_digits {
        return Err(Error::Numeric);
    }
    let digits = format!("{}{}", parts.integer, parts.fraction);
    let mut mantissa: BigInt = digits.parse().map_err(|_| Error::Numeric)?;
    let fraction = i64::try_from(parts.fraction.len()).map_err(|_| Error::Numeric)?;
    let (exponent, mut format) = match *unit {
        Unit::Ten { exponent, format } => (exponent, format),
        Unit::Two { exponent } => {
            mantissa <<= exponent;
            (0, Format::BinarySi)
        }
    };
    let mut amount = Amount::in_nanos(mantissa, exponent.saturating_sub(fraction)).ok_or(Error::Numeric)?;
    if format == Format::BinarySi {
        amount = amount.at_most_i64_max();
        if amount.is_below_one() {
            format = Format::DecimalSi;
        }
    }
    if parts.negative {
        amount = amount.neg();
    }
    Ok(Quantity { amount, format, spelling: None })
}
