//! The names of JSON's types in Go's `encoding/json`, as its errors tell them.

use serde_json::Value;

/// What Go calls the type of a value: `cannot unmarshal string into …`.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
