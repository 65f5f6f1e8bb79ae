//! What a container that we speak for writes, while it runs.

use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch;

/// Most lines that are kept; older ones are dropped.
const LINES_MAX: usize = 4096;

/// The log of a container.
pub(crate) struct Log {
    lines: Mutex<Lines>,
    /// How many lines were written ever.
    written: watch::Sender<usize>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<(Timestamp, String)>,
    dropped: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: Mutex::default(), written: watch::channel(0).0 }
    }
}

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Good to know.
    Info,
    /// Something failed.
    Error,
}

impl Log {
    /// Adds a line.
    pub(crate) fn line(&self, at: Timestamp, text: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.kept.push_back((at, text + "\n"));
        if lines.kept.len() > LINES_MAX {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        let written = lines.dropped + lines.kept.len();
        drop(lines);
        self.written.send_replace(written);
    }

    /// Adds a line in the format of klog, from a line of a source file.
    pub(crate) fn klog(&self, severity: Severity, source: &str, message: &str) {
        let now = Timestamp::now();
        let letter = if severity == Severity::Info { 'I' } else { 'E' };
        let utc = now.to_zoned(jiff::tz::TimeZone::UTC);
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = write!(
            text,
            "{letter}{:02}{:02} {:02}:{:02}:{:02}.{:06}       1 {source}] {message}",
            utc.month(),
            utc.day(),
            utc.hour(),
            utc.minute(),
            utc.second(),
            utc.subsec_nanosecond() / 1000
        );
        self.line(now, text);
    }

    /// The lines from number `from` on, and the number of the one that comes next.
    pub(crate) fn since(&self, from: usize) -> (Vec<(Timestamp, String)>, usize) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = from.saturating_sub(lines.dropped);
        (lines.kept.iter().skip(skip).cloned().collect(), lines.dropped + lines.kept.len())
    }

    /// Waits until there is a line of this number; false if there never will be.
    pub(crate) async fn wait(&self, number: usize) -> bool {
        self.written.subscribe().wait_for(|written| *written > number).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_go_and_numbers_stay() {
        let log = Log::default();
        for number in 0..LINES_MAX + 10 {
            log.line(Timestamp::UNIX_EPOCH, number.to_string());
        }
        let (lines, next) = log.since(LINES_MAX);
        assert_eq!((lines.len(), next), (10, LINES_MAX + 10));
        assert_eq!(lines[0].1, format!("{LINES_MAX}\n"));
        assert_eq!(log.since(0).0.len(), LINES_MAX);
    }

    #[test]
    fn lines_look_like_those_of_klog() {
        let log = Log::default();
        log.klog(Severity::Info, "driver.go:108", "PrepareResourceClaims is called");
        let text = log.since(0).0[0].1.clone();
        assert!(
            text.starts_with('I') && text.ends_with("       1 driver.go:108] PrepareResourceClaims is called\n"),
            "{text}"
        );
        assert_eq!(text.find("       1 "), Some("I1126 11:26:38.123456".len()));
    }
}
