//! Times on the wire. Nothing here reads a clock: the current time is always a parameter.

use jiff::{Timestamp, Unit};

/// `metav1.Time`: RFC 3339 in UTC with whole seconds, the rest cut off.
pub fn format_seconds(time: Timestamp) -> String {
    truncated(time, Unit::Second).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 in UTC with six digits of a second.
pub fn format_micros(time: Timestamp) -> String {
    truncated(time, Unit::Microsecond).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Any RFC 3339 time.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn truncated(time: Timestamp, unit: Unit) -> Timestamp {
    let round = jiff::TimestampRound::new().smallest(unit).mode(jiff::RoundMode::Floor);
    time.round(round).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_not_rounded() {
        let time = parse("2026-01-02T03:04:05.999999999Z").expect("a time");
        assert_eq!(format_seconds(time), "2026-01-02T03:04:05Z");
        assert_eq!(format_micros(time), "2026-01-02T03:04:05.999999Z");
        assert_eq!(format_micros(parse("2026-01-02T03:04:05Z").expect("a time")), "2026-01-02T03:04:05.000000Z");
        assert_eq!(parse("2026-01-02T05:04:05+02:00").map(format_seconds).as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(parse("yesterday"), None);
    }
}
