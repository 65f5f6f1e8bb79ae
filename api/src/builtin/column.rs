//! Columns of `kubectl get`, and the cells that many kinds share.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::Value;

use crate::definition::{Cell, Column};

/// Computes one cell.
pub(crate) type CellOf = fn(&Value, Timestamp) -> Value;

/// A column of texts.
pub(crate) fn text(name: &'static str, description: &'static str, cell: CellOf) -> Column {
    column(name, "string", description, cell)
}

/// A column of integers.
pub(crate) fn integer(name: &'static str, description: &'static str, cell: CellOf) -> Column {
    column(name, "integer", description, cell)
}

/// A column of booleans.
pub(crate) fn boolean(name: &'static str, description: &'static str, cell: CellOf) -> Column {
    column(name, "boolean", description, cell)
}

/// A column of texts that only `-o wide` shows.
pub(crate) fn wide(name: &'static str, description: &'static str, cell: CellOf) -> Column {
    Column { priority: 1, ..text(name, description, cell) }
}

fn column(name: &'static str, type_: &'static str, description: &'static str, cell: CellOf) -> Column {
    Column {
        name: name.into(),
        type_: type_.into(),
        format: "".into(),
        description: description.into(),
        priority: 0,
        cell: Cell::Computed(cell),
    }
}

/// The column that names the object.
pub(crate) fn name() -> Column {
    Column {
        format: "name".into(),
        ..text("Name", "Name of the object, unique among its kind within a namespace.", |object, _| {
            meta::name(object).into()
        })
    }
}

/// How long ago the object was created.
pub(crate) fn age() -> Column {
    text("Age", "How long ago the object was created.", |object, now| {
        since(meta::creation_timestamp(object), now).into()
    })
}

/// The columns of kinds that show nothing but their age.
pub(crate) fn name_and_age() -> Vec<Column> {
    vec![name(), age()]
}

/// The columns of kinds that have no table of their own.
pub(crate) fn name_and_creation() -> Vec<Column> {
    let created = |object: &Value, _: Timestamp| Value::from(meta::creation_timestamp(object));
    vec![name(), column("Created At", "date", "When the object was created.", created)]
}

/// The short duration since a time on the wire, `<unknown>` if there is none.
pub(crate) fn since(timestamp: &str, now: Timestamp) -> String {
    match time::parse(timestamp) {
        Some(then) => human_duration(now.as_second().saturating_sub(then.as_second())),
        None => "<unknown>".to_owned(),
    }
}

/// A duration in seconds as kubectl prints it: two units at most, and fewer the longer it is.
pub(crate) fn human_duration(seconds: i64) -> String {
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
        ..0 => "0s".to_owned(),
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
