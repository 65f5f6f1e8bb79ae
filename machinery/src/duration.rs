//! Durations: Go's `time.Duration` in text (`1h2m3.5s`), and the short form of table cells (`5d20h`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::field::quote;

/// A length of time in nanoseconds, negative or not; in JSON it is Go's text (`metav1.Duration`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Nanoseconds.
    pub nanoseconds: i64,
}

/// Why a text is no duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text has another form, or is out of range.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Units by their length in nanoseconds; the micro sign exists twice.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

const SECOND: u64 = 1_000_000_000;

impl Duration {
    /// A number of whole seconds, saturating.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000) }
    }

    /// Whole seconds, cut towards zero.
    pub fn whole_seconds(self) -> i64 {
        self.nanoseconds / 1_000_000_000
    }

    /// The same for timers; none of a negative one.
    pub fn to_std(self) -> Option<std::time::Duration> {
        u64::try_from(self.nanoseconds).ok().map(std::time::Duration::from_nanos)
    }

    /// Reads what Go's `time.ParseDuration` reads: an optional sign and numbers with units, or just `0`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (part, tail) = part(rest, text)?;
            // One more than the largest is the smallest.
            total = total.checked_add(part).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
            rest = tail;
        }
        let nanoseconds = if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() };
        nanoseconds.map(|nanoseconds| Self { nanoseconds }).ok_or_else(invalid)
    }
}

/// One number with its unit, in nanoseconds, and what follows.
fn part<'a>(text: &'a str, whole: &str) -> Result<(u64, &'a str), Error> {
    let invalid = || Error::Invalid(whole.to_owned());
    let (integer, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let unit_end = rest.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    if unit.is_empty() {
        return Err(Error::MissingUnit(whole.to_owned()));
    }
    let Some((_, length)) = UNITS.iter().find(|row| row.0 == unit) else {
        return Err(Error::UnknownUnit { unit: unit.to_owned(), text: whole.to_owned() });
    };
    let integer: u64 = if integer.is_empty() { 0 } else { integer.parse().map_err(|_| invalid())? };
    let value = integer.checked_mul(*length).filter(|value| *value <= 1 << 63).ok_or_else(invalid)?;
    Ok((value.checked_add(share(fraction, *length)).ok_or_else(invalid)?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

/// A decimal fraction of `length`, computed as Go does: `0.3333333333333333333h` is twenty minutes. Digits that no
/// longer fit 63 bits make no difference.
fn share(fraction: &str, length: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1.0);
    for digit in fraction.bytes().map(|digit| u64::from(digit - b'0')) {
        if number > i64::MAX as u64 / 10 || number * 10 + digit > 1 << 63 {
            break;
        }
        number = number * 10 + digit;
        scale *= 10.0;
    }
    (number as f64 * (length as f64 / scale)) as u64
}

/// Go's text: `1h2m3.5s`, `1.5ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanoseconds.unsigned_abs();
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        match magnitude {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{magnitude}ns"),
            1_000..1_000_000 => write!(f, "{}\u{b5}s", decimal(magnitude, 1_000)),
            1_000_000..SECOND => write!(f, "{}ms", decimal(magnitude, 1_000_000)),
            _ => {
                let minutes = magnitude / (60 * SECOND);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", decimal(magnitude % (60 * SECOND), SECOND))
            }
        }
    }
}

/// `value / unit` as a decimal without idle zeros; the unit is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (value / unit).to_string() } else { format!("{}.{fraction}", value / unit) }
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A duration in seconds as kubectl prints it: two units at most, and fewer the longer it is. Up to two seconds of
/// the future, which clocks that differ produce, read as now.
pub fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, "m", s % MINUTE, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, "d", s % DAY / HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, "y", s % YEAR / DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_gos() {
        let table = [
            ("0", "0s"),
            ("+0", "0s"),
            ("0s", "0s"),
            ("5s", "5s"),
            ("30m", "30m0s"),
            ("1h", "1h0m0s"),
            ("1h2m3.5s", "1h2m3.5s"),
            ("90s", "1m30s"),
            ("1.5h", "1h30m0s"),
            ("-1.5h", "-1h30m0s"),
            (".5s", "500ms"),
            ("1.s", "1s"),
            ("1500us", "1.5ms"),
            ("1500ns", "1.5\u{b5}s"),
            ("12\u{b5}s", "12\u{b5}s"),
            ("12\u{3bc}s", "12\u{b5}s"),
            ("7ns", "7ns"),
            ("1s1s", "2s"),
            ("0.3333333333333333333h", "20m0s"),
            ("9223372036854775807ns", "2562047h47m16.854775807s"),
            ("-9223372036854775808ns", "-2562047h47m16.854775808s"),
        ];
        for (text, expected) in table {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn bad_texts_have_gos_errors() {
        let table = [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            (".s", "time: invalid duration \".s\""),
            ("abc", "time: invalid duration \"abc\""),
            ("3", "time: missing unit in duration \"3\""),
            ("1h3", "time: missing unit in duration \"1h3\""),
            ("3d", "time: unknown unit \"d\" in duration \"3d\""),
            ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("3000000h", "time: invalid duration \"3000000h\""),
            ("99999999999999999999s", "time: invalid duration \"99999999999999999999s\""),
        ];
        for (text, expected) in table {
            assert_eq!(Duration::parse(text).map_err(|e| e.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn people_read_two_units_at_most() {
        const DAY: i64 = 86_400;
        let table = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (5, "5s"),
            (119, "119s"),
            (120, "2m"),
            (123, "2m3s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (8 * 3600, "8h"),
            (45 * 3600, "45h"),
            (2 * DAY, "2d"),
            (5 * DAY + 20 * 3600, "5d20h"),
            (47 * DAY, "47d"),
            (729 * DAY, "729d"),
            (2 * 365 * DAY, "2y"),
            (2 * 365 * DAY + 112 * DAY, "2y112d"),
            (9 * 365 * DAY, "9y"),
        ];
        for (seconds, expected) in table {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(nanoseconds: i64) {
            let duration = Duration { nanoseconds };
            prop_assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn nothing_panics(text in "\\PC*", durations in "[-+]?([0-9.]{0,20}(h|m|s|ms|us|ns)?){0,3}") {
            let _ = Duration::parse(&text);
            let _ = Duration::parse(&durations);
        }
    }
}
