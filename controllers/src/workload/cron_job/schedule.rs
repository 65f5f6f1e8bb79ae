//! When a cron schedule is due, as `robfig/cron` says. The server has checked what is written; what cannot be read here is
//! an error all the same.

use jiff::{SignedDuration, Timestamp, ToSpan, Unit, Zoned, tz::TimeZone};

/// How far ahead a time is looked for.
const YEARS_MAX: i16 = 5;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// At these minutes, hours, days, months and days of the week.
    At(Box<Fields>),
    /// Always after this time.
    Every(SignedDuration),
}

/// A bit for each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both the day of the month and that of the week must match, since one of them is any.
    both_days: bool,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(every) = text.strip_prefix("@every ") {
            let duration = machinery::duration::Duration::parse(every)
                .map_err(|error| format!("failed to parse duration {text}: {error}"))?;
            return Ok(Self::Every(SignedDuration::from_secs(duration.whole_seconds().max(1))));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
        };
        let (days, any_day) = field(day, 1, 31, &[])?;
        let (weekdays, any_weekday) = field(weekday, 0, 6, WEEKDAYS)?;
        Ok(Self::At(Box::new(Fields {
            minutes: field(minute, 0, 59, &[])?.0,
            hours: field(hour, 0, 23, &[])?.0,
            months: field(month, 1, 12, MONTHS)?.0,
            days,
            weekdays,
            both_days: any_day || any_weekday,
        })))
    }

    /// The first time after `after`; `None` when there is none within years.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(period) => {
                let next = after.checked_add(*period).ok()?;
                Timestamp::from_second(next.as_second()).ok()
            }
            Self::At(fields) => fields.next(&after.to_zoned(zone.clone())),
        }
    }
}

impl Fields {
    fn next(&self, after: &Zoned) -> Option<Timestamp> {
        let mut time = floor(&after.checked_add(1.minute()).ok()?, Unit::Minute)?;
        let last = after.year().checked_add(YEARS_MAX)?;
        while time.year() <= last {
            time = if !has(self.months, time.month()) {
                time.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?
            } else if !self.has_day(&time) {
                time.tomorrow().ok()?.start_of_day().ok()?
            } else if !has(self.hours, time.hour()) {
                // By the hour that passes: hours that a day skips or repeats are skipped or repeated.
                floor(&time, Unit::Hour)?.checked_add(1.hour()).ok()?
            } else if !has(self.minutes, time.minute()) {
                time.checked_add(1.minute()).ok()?
            } else {
                return Some(time.timestamp());
            };
        }
        None
    }

    fn has_day(&self, time: &Zoned) -> bool {
        let (day, weekday) = (has(self.days, time.day()), has(self.weekdays, time.weekday().to_sunday_zero_offset()));
        if self.both_days { day && weekday } else { day || weekday }
    }
}

fn floor(time: &Zoned, unit: Unit) -> Option<Zoned> {
    time.round(jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)).ok()
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits & (1 << value) != 0)
}

/// The values of a field, and whether it is any.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Result<(u64, bool), String> {
    let (mut bits, mut any) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
        let step = step.map(|step| step.parse::<u32>().map_err(|_| format!("failed to parse int from {part}")));
        let step = step.transpose()?;
        let star = matches!(span, "*" | "?");
        let (first, last) = match span.split_once('-') {
            _ if star => (least, most),
            Some((first, last)) => (number(first, least, names)?, number(last, least, names)?),
            None => {
                let value = number(span, least, names)?;
                (value, if step.is_some() { most } else { value })
            }
        };
        if first < least || last > most || first > last || step == Some(0) {
            return Err(format!("not between {least} and {most}: {part}"));
        }
        any |= star && step.unwrap_or(1) == 1;
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
        bits = (first..=last).step_by(step).fold(bits, |bits, value| bits | 1 << value);
    }
    Ok((bits, any))
}

fn number(text: &str, least: u32, names: &[&str]) -> Result<u32, String> {
    let name = text.to_ascii_lowercase();
    match (least..).zip(names).find(|(_, known)| **known == name) {
        Some((value, _)) => Ok(value),
        None => text.parse().map_err(|_| format!("failed to parse int from {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_due_when_cron_says() {
        let table = [
            ("*/5 * * * *", "UTC", "2026-01-01T00:02:30Z", "2026-01-01T00:05:00Z"),
            ("* * * * *", "UTC", "2026-01-01T00:05:00Z", "2026-01-01T00:06:00Z"),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            // One of both days, when neither is any; both, when one is.
            ("0 0 13 * fri", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 13 * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("0 0 */2 * mon", "UTC", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("30 9 * JAN-MAR mon-fri", "Europe/Berlin", "2026-01-02T09:00:00Z", "2026-01-05T08:30:00Z"),
            // The night in which 2 o'clock is skipped, and that in which it comes twice.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("@hourly", "UTC", "2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z"),
            ("@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@every 90s", "UTC", "2026-01-01T00:00:00.5Z", "2026-01-01T00:01:30Z"),
        ];
        for (text, zone, after, expected) in table {
            let schedule = Schedule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let zone = TimeZone::get(zone).expect("a zone");
            let next = schedule.next(after.parse().expect("a time"), &zone);
            assert_eq!(next, expected.parse().ok(), "{text} after {after}");
        }
    }

    #[test]
    fn what_never_comes_ends() {
        let schedule = Schedule::parse("0 0 31 2 *").expect("a schedule");
        assert_eq!(schedule.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
        for bad in ["", "* * * *", "60 * * * *", "*/0 * * * *", "a * * * *", "5-1 * * * *", "@never", "@every x"] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}
