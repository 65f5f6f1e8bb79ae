//! Measuring and telling.

use std::{
    hint::black_box,
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// How long each figure is measured.
const LONG_ENOUGH: Duration = Duration::from_millis(300);

/// Measures a function and prints how long one call takes: the best of several batches.
pub(crate) fn time<T>(what: &str, mut call: impl FnMut() -> T) {
    let mut calls = 1_u32;
    let mut best = Duration::MAX;
    let start = Instant::now();
    while start.elapsed() < LONG_ENOUGH {
        let batch = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        let took = batch.elapsed();
        best = best.min(took / calls);
        if took < LONG_ENOUGH / 20 {
            calls = calls.saturating_mul(2);
        }
    }
    figure(what, &format!("{} ns", best.as_nanos()));
}

/// Prints how long one call took.
pub(crate) fn once<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    figure(what, &format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3));
    result
}

/// Prints a figure: what it is about, in at most 72 characters, and the number with its unit.
pub(crate) fn figure(what: &str, value: &str) {
    line(&format!("  {what:<72} {value:>14}"));
}

/// Prints a line. That nobody reads any more (`bench | head`) is no reason to stop in the middle, where servers and clients wait
/// for each other.
pub(crate) fn line(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// Prints what columns are about.
pub(crate) fn heading(columns: &[&str]) {
    let columns: Vec<String> = columns.iter().map(|column| format!("{column:>14}")).collect();
    line(&format!("  {:<72} {}", "", columns.join(" ")));
}

/// A figure as it was printed.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What it is about.
    pub(crate) what: String,
    /// The number.
    pub(crate) value: f64,
    /// The number with its unit.
    pub(crate) text: String,
}

impl Figure {
    /// Reads a printed line; `None` when it is no figure.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (what, text) = line.strip_prefix("  ")?.rsplit_once("  ")?;
        let text = text.trim().to_owned();
        let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        Some(Self { what: what.trim().to_owned(), value: text[..digits].parse().ok()?, text })
    }
}

/// Resident memory of this process in mebibytes; 0 where that cannot be read.
pub(crate) fn resident_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
