//! A Scale as the row that `kubectl get --subresource=scale` prints.

use std::sync::LazyLock;

use api::definition::{Cell, Column};
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;

use super::{
    list::ListMeta,
    representation::MetaVersion,
    shown::Shown,
    table::{IncludeObject, TableWriter},
};
use crate::json::Style;

const API_VERSION: &str = "autoscaling/v1";
const KIND: &str = "Scale";

/// Upstream's columns (`pkg/printers/internalversion`).
static COLUMNS: LazyLock<[Column; 4]> = LazyLock::new(|| {
    let column = |name: &'static str, type_: &'static str, format: &'static str, cell: Cell| Column {
        name: name.into(),
        type_: type_.into(),
        format: format.into(),
        description: "".into(),
        priority: 0,
        cell,
    };
    [
        column("Name", "string", "name", Cell::JsonPath(".metadata.name".to_owned())),
        column("Desired", "integer", "", Cell::Computed(|scale, _| replicas(scale, "/spec/replicas"))),
        column("Available", "integer", "", Cell::Computed(|scale, _| replicas(scale, "/status/replicas"))),
        column("Age", "date", "", Cell::JsonPath(".metadata.creationTimestamp".to_owned())),
    ]
});

/// None are left out.
fn replicas(scale: &Value, path: &str) -> Value {
    scale.pointer(path).and_then(Value::as_i64).unwrap_or(0).into()
}

/// True for a Scale.
pub(super) fn is_one(document: &Value) -> bool {
    document["apiVersion"] == API_VERSION && document["kind"] == KIND
}

/// The Table of one Scale.
pub(super) fn table(scale: &Value, version: MetaVersion, include: IncludeObject, now: Timestamp) -> Vec<u8> {
    let list = ListMeta::at(meta::resource_version(scale));
    let mut writer = TableWriter::new(COLUMNS.iter().collect(), true, include, version, now, &list);
    writer.row(&Shown::of_document(scale, API_VERSION, KIND, Style::BuiltIn), None);
    writer.finish()
}
