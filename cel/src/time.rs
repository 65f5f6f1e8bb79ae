//! Points in time and spans of time, as Go reads, writes and adds them.

use std::fmt;

use jiff::tz::TimeZone;

use crate::calendar::DateTime;
use crate::fault::Fault;

/// Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;
const NANOS: i64 = 1_000_000_000;

/// A span of time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

impl Duration {
    /// A span of this many nanoseconds.
    #[must_use]
    pub fn from_nanoseconds(nanoseconds: i64) -> Duration {
        Duration(nanoseconds)
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        self.0
    }

    pub(crate) fn seconds(self) -> f64 {
        (self.0 / NANOS) as f64 + (self.0 % NANOS) as f64 / 1e9
    }

    /// Reads Go's notation: `1h30m`, `-1.5s`, `300ms`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Duration> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Duration(0));
        }
        let mut rest = rest;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let (term, after) = parse_term(rest)?;
            total = total.checked_add(term).filter(|total| *total <= 1 << 63)?;
            rest = after;
        }
        let signed = if negative { -i128::from(total) } else { i128::from(total) };
        i64::try_from(signed).ok().map(Duration)
    }

    pub(crate) fn add(self, other: Duration) -> Result<Duration, Fault> {
        self.0.checked_add(other.0).map(Duration).ok_or_else(overflow)
    }

    pub(crate) fn subtract(self, other: Duration) -> Result<Duration, Fault> {
        self.0.checked_sub(other.0).map(Duration).ok_or_else(overflow)
    }

    pub(crate) fn negate(self) -> Result<Duration, Fault> {
        self.0.checked_neg().map(Duration).ok_or_else(overflow)
    }
}

fn overflow() -> Fault {
    Fault::error("integer overflow")
}

/// One number with its unit, in nanoseconds, and the rest of the text.
fn parse_term(text: &str) -> Option<(u64, &str)> {
    let whole_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, mut rest) = text.split_at(whole_end);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        (fraction, rest) = after.split_at(end);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let digits: f64 = format!("0.{fraction}").parse().ok()?;
        nanos = nanos.checked_add((digits * unit as f64) as u64)?;
    }
    Some((nanos, rest))
}

impl fmt::Display for Duration {
    /// Seconds, as CEL writes durations: `90.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.seconds())
    }
}

/// A point in time from year 1 to 9999, and the offset of the clock it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    seconds: i64,
    nanos: i32,
    /// Seconds east of UTC; matters only when the time is written.
    offset: i32,
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Timestamp) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Timestamp) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Timestamp) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Timestamp {
    fn key(self) -> (i64, i32) {
        (self.seconds, self.nanos)
    }

    /// The time so many seconds after 1970 began.
    pub(crate) fn from_seconds(seconds: i64) -> Result<Timestamp, Fault> {
        Timestamp::new(seconds, 0, 0)
    }

    fn new(seconds: i64, nanos: i32, offset: i32) -> Result<Timestamp, Fault> {
        if (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
            Ok(Timestamp { seconds, nanos, offset })
        } else {
            Err(Fault::error("timestamp overflow"))
        }
    }

    /// Reads RFC 3339 as Go does. `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Timestamp> {
        let (local, nanos, offset) = parse_rfc3339(text)?;
        Timestamp::new(local.seconds()? - i64::from(offset), nanos, offset).ok()
    }

    /// The date `YYYY-MM-DD` at midnight UTC.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<Timestamp> {
        (text.len() == 10).then(|| Timestamp::parse(&format!("{text}T00:00:00Z"))).flatten()
    }

    pub(crate) fn seconds(self) -> i64 {
        self.seconds
    }

    pub(crate) fn is_zero(self) -> bool {
        self.key() == (MIN_SECONDS, 0)
    }

    pub(crate) fn add(self, duration: Duration) -> Result<Timestamp, Fault> {
        let total = i128::from(self.seconds) * i128::from(NANOS) + i128::from(self.nanos) + i128::from(duration.0);
        let seconds = i64::try_from(total.div_euclid(i128::from(NANOS))).map_err(|_| overflow())?;
        Timestamp::new(seconds, total.rem_euclid(i128::from(NANOS)) as i32, self.offset)
    }

    pub(crate) fn subtract(self, duration: Duration) -> Result<Timestamp, Fault> {
        self.add(duration.negate()?)
    }

    pub(crate) fn since(self, earlier: Timestamp) -> Result<Duration, Fault> {
        let seconds = self.seconds.checked_sub(earlier.seconds).ok_or_else(overflow)?;
        let nanos = seconds.checked_mul(NANOS).ok_or_else(overflow)?;
        nanos.checked_add(i64::from(self.nanos) - i64::from(earlier.nanos)).map(Duration).ok_or_else(overflow)
    }

    /// Calendar and clock in the given zone: a name of UTC or an offset such as `-08:00`.
    pub(crate) fn in_zone(self, zone: &str) -> Result<DateTime, Fault> {
        Ok(self.local(zone_offset(zone, self.seconds)?))
    }

    fn local(self, offset: i32) -> DateTime {
        DateTime::from_seconds(self.seconds + i64::from(offset))
    }

    pub(crate) fn milliseconds(self) -> i64 {
        i64::from(self.nanos / 1_000_000)
    }
}

/// Date and time of day, nanoseconds, and seconds east of UTC.
fn parse_rfc3339(text: &str) -> Option<(DateTime, i32, i32)> {
    // Go takes an hour of one digit.
    if let Some([b'0'..=b'9', b':']) = text.as_bytes().get(11..13) {
        return parse_rfc3339(&format!("{}0{}", text.get(..11)?, text.get(11..)?));
    }
    let bytes = text.as_bytes();
    let number = |start: usize, end: usize| -> Option<i64> {
        let digits = text.get(start..end)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, separator)| bytes.get(*at) != Some(separator)) {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits = fraction.get(..end).filter(|digits| !digits.is_empty())?;
        nanos = format!("{digits:0<9.9}").parse().ok()?;
        rest = &fraction[end..];
    }
    let offset = match rest {
        "Z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
            let two = |digits: &str, limit: i32| -> Option<i32> {
                let number: i32 = (digits.len() == 2).then(|| digits.parse().ok())??;
                (0..limit).contains(&number).then_some(number)
            };
            sign * (two(hours, 24)? * 3600 + two(minutes, 60)? * 60)
        }
    };
    let part = |start: usize| number(start, start + 2);
    let (year, month, day) = (number(0, 4)?, part(5)?, part(8)?);
    let (hour, minute, second) = (part(11)?, part(14)?, part(17)?);
    Some((DateTime { year, month, day, hour, minute, second }, nanos, offset))
}

/// Seconds east of UTC that the text of a time zone stands for at a point in time.
fn zone_offset(zone: &str, seconds: i64) -> Result<i32, Fault> {
    let Some((hours, minutes)) = zone.split_once(':') else { return named_offset(zone, seconds) };
    let number = |digits: &str| -> Result<i32, Fault> {
        digits.parse().map_err(|_| Fault::error(format!("strconv.Atoi: parsing {digits:?}: invalid syntax")))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if !(0..=59).contains(&minutes) {
        return Err(Fault::error(format!("timezone offset minutes out of range [0, 59]: {zone}")));
    }
    let total =
        hours.checked_mul(60).map(|total| if zone.starts_with('-') { total - minutes } else { total + minutes });
    total.and_then(|minutes| minutes.checked_mul(60)).ok_or_else(overflow)
}

/// The same for a zone of the IANA time zone database, which comes with this program: the answer is the same everywhere.
fn named_offset(zone: &str, seconds: i64) -> Result<i32, Fault> {
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(0);
    }
    if zone.contains("..") || zone.starts_with(['/', '\\']) {
        return Err(Fault::error("time: invalid location name"));
    }
    // The database does not mind capitals, Go does.
    let found = TimeZone::get(zone).ok().filter(|found| found.iana_name() == Some(zone));
    let rules = found.ok_or_else(|| Fault::error(format!("unknown time zone {zone}")))?;
    let latest = jiff::Timestamp::MAX.as_second();
    let time = jiff::Timestamp::from_second(seconds.min(latest)).unwrap_or(jiff::Timestamp::MIN);
    Ok(rules.to_offset(time).seconds())
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with as many digits of a second as it has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.local(self.offset);
        write!(f, "{:04}-{:02}-{:02}", local.year, local.month, local.day)?;
        write!(f, "T{:02}:{:02}:{:02}", local.hour, local.minute, local.second)?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs() / 60);
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_durations() {
        let cases = [
            ("1h30m", Some("5400s")),
            ("-1.5s", Some("-1.5s")),
            ("300ms", Some("0.3s")),
            ("0", Some("0s")),
            ("1d", None),
            ("", None),
            ("10", None),
            ("9223372036854775807ns", Some("9223372036.854776s")),
            ("9223372036854775808ns", None),
        ];
        for (text, expected) in cases {
            let written = Duration::parse(text).map(|duration| duration.to_string());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn reads_and_writes_times() {
        let cases = [
            ("2023-12-25T12:00:00Z", Some("2023-12-25T12:00:00Z")),
            ("2023-12-25T12:00:00.250+02:00", Some("2023-12-25T12:00:00.25+02:00")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("1960-01-01T00:00:00.5Z", Some("1960-01-01T00:00:00.5Z")),
            ("2023-12-25T7:00:00Z", Some("2023-12-25T07:00:00Z")),
            ("2023-12-25T:00:00Z", None),
            ("2023-12-25T7::00:00Z", None),
            ("2023-02-30T00:00:00Z", None),
            ("2023-12-25 12:00:00Z", None),
            ("2023-12-25", None),
        ];
        for (text, expected) in cases {
            let written = Timestamp::parse(text).map(|time| time.to_string());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn arithmetic_stays_within_the_calendar() {
        let end = Timestamp::parse("9999-12-31T23:59:59Z").expect("a time");
        assert!(end.add(Duration::from_nanoseconds(NANOS)).is_err());
        let start = Timestamp::parse("1970-01-01T00:00:00Z").expect("a time");
        let later = start.add(Duration::from_nanoseconds(1)).expect("in range");
        assert_eq!(later.since(start).map(Duration::nanoseconds), Ok(1));
        assert!(end.since(Timestamp::parse("0001-01-01T00:00:00Z").expect("a time")).is_err());
    }

    #[test]
    fn knows_offsets_of_zones() {
        let time = Timestamp::parse("2023-12-25T12:00:00Z").expect("a time");
        assert_eq!(time.in_zone("-08:30").map(|local| (local.hour, local.minute)), Ok((3, 30)));
        let summer = Timestamp::parse("2023-07-01T12:00:00Z").expect("a time");
        let hour = |time: Timestamp, zone: &str| time.in_zone(zone).map(|local| local.hour);
        for (zone, in_winter, in_summer) in
            [("UTC", 12, 12), ("US/Central", 6, 7), ("Europe/Berlin", 13, 14), ("Australia/Sydney", 23, 22)]
        {
            assert_eq!((hour(time, zone), hour(summer, zone)), (Ok(in_winter), Ok(in_summer)), "{zone}");
        }
        let last = Timestamp::parse("9999-12-31T23:59:59Z").expect("a time");
        assert_eq!(hour(last, "Asia/Tokyo"), Ok(8));
        for zone in ["Nowhere/Land", "europe/berlin", "../UTC", "/etc/localtime", "\u{0}"] {
            assert!(time.in_zone(zone).is_err(), "{zone:?}");
        }
    }
}
