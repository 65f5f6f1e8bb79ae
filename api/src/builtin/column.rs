//! Columns of `kubectl get`, and the cells that many kinds share.

use jiff::Timestamp;
use machinery::{duration, meta, time};
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
        Some(then) => duration::human(now.as_second().saturating_sub(then.as_second())),
        None => "<unknown>".to_owned(),
    }
}
