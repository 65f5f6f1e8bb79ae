//! The calendar: days since 1970 to dates and back (proleptic Gregorian, UTC).

const DAY: i64 = 86_400;

/// A date and the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateTime {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl DateTime {
    /// The date and time so many seconds after 1970 began.
    pub(crate) fn from_seconds(seconds: i64) -> DateTime {
        let (days, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = date_of(days);
        DateTime { year, month, day, hour: clock / 3600, minute: clock / 60 % 60, second: clock % 60 }
    }

    /// Seconds since 1970 began. `None` if there is no such date or time.
    pub(crate) fn seconds(&self) -> Option<i64> {
        let date = (1..=12).contains(&self.month) && (1..=days_in(self.year, self.month)).contains(&self.day);
        let clock = self.hour < 24 && self.minute < 60 && self.second < 60;
        if !date || !clock {
            return None;
        }
        let days = days_before(self.year, self.month, self.day);
        Some(days * DAY + self.hour * 3600 + self.minute * 60 + self.second)
    }

    /// Days since the year began.
    pub(crate) fn day_of_year(&self) -> i64 {
        days_before(self.year, self.month, self.day) - days_before(self.year, 1, 1)
    }

    /// Days since Sunday.
    pub(crate) fn day_of_week(&self) -> i64 {
        (days_before(self.year, self.month, self.day) + 4).rem_euclid(7)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the date. Years are counted from March, so that the leap day is the last.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (year_of_era + era * 400, if month < 10 { month + 3 } else { month - 9 });
    (year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds_agree() {
        for seconds in [-62_135_596_800, -1, 0, 951_782_400, 1_709_164_799, 253_402_300_799] {
            let date = DateTime::from_seconds(seconds);
            assert_eq!(date.seconds(), Some(seconds), "{date:?}");
        }
        let leap = DateTime { year: 2024, month: 2, day: 29, hour: 0, minute: 0, second: 0 };
        assert_eq!((leap.day_of_year(), leap.day_of_week()), (59, 4));
        assert_eq!(DateTime { year: 2023, ..leap }.seconds(), None);
        assert_eq!(DateTime::from_seconds(0).day_of_week(), 4);
    }
}
