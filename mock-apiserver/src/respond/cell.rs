//! Cells of columns that a JSONPath describes (`additionalPrinterColumns` of a CRD).

use jiff::Timestamp;
use machinery::{
    duration,
    jsonpath::{self, JsonPath},
    time,
};
use serde_json::Value;

/// The first value at `path` in the form that the column's type asks for; null when there is none, or one of another type.
pub(super) fn at_path(object: &Value, path: &str, type_: &str, now: Timestamp) -> Value {
    let Ok(path) = JsonPath::parse(path) else { return Value::Null };
    let Some(value) = path.first(object) else { return Value::Null };
    match (type_, value.as_ref()) {
        // What Go prints for nothing.
        ("string", Value::Null) => "<no value>".into(),
        ("string", value) => jsonpath::to_text(value).into(),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().map(|float| float as i64).into(),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.into_owned(),
        ("date", Value::String(text)) => ago(text, now).into(),
        _ => Value::Null,
    }
}

/// How long ago a time on the wire was.
fn ago(text: &str, now: Timestamp) -> String {
    match time::parse(text) {
        Some(then) => duration::human(now.as_second().saturating_sub(then.as_second())),
        None if text.is_empty() => "<unknown>".to_owned(),
        None => "<invalid>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_have_the_columns_type() {
        let object = json!({
            "metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"n": 3, "f": 2.5, "on": true, "text": "x", "list": ["a", "b"], "nothing": null, "bad": "soon"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let now = Timestamp::from_second(7200 * 3 / 2 + 300).expect("a time");
        let table = [
            (".spec.text", "string", json!("x")),
            (".spec.n", "string", json!("3")),
            (".spec.list", "string", json!(r#"["a","b"]"#)),
            (".spec.list[*]", "string", json!("a")),
            (".spec.nothing", "string", json!("<no value>")),
            (".spec.missing", "string", Value::Null),
            (".status.conditions[?(@.type==\"Ready\")].status", "string", json!("True")),
            (".spec.n", "integer", json!(3)),
            (".spec.f", "integer", json!(2)),
            (".spec.text", "integer", Value::Null),
            (".spec.f", "number", json!(2.5)),
            (".spec.n", "number", json!(3)),
            (".spec.on", "boolean", json!(true)),
            (".spec.n", "boolean", Value::Null),
            (".metadata.creationTimestamp", "date", json!("3h5m")),
            (".spec.bad", "date", json!("<invalid>")),
            (".spec.n", "date", Value::Null),
            (".spec[", "string", Value::Null),
        ];
        for (path, type_, expected) in table {
            assert_eq!(at_path(&object, path, type_, now), expected, "{path} {type_}");
        }
    }
}
