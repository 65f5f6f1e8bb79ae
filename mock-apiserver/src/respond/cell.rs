//! Cells of columns that a JSONPath describes.

use jiff::Timestamp;
use serde_json::Value;

/// The cell at `path`, which has the form that the column's type asks for.
pub(super) fn at_path(_object: &Value, _path: &str, _type: &str, _now: Timestamp) -> Value {
    Value::Null
}
