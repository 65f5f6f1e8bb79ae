//! Values as Go's `fmt` prints them, because upstream's error texts hold them.

use serde_json::Value;

/// `%v` of a decoded JSON value: `map[image:x ports:[80 81]]`.
pub(crate) fn print(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(string) => text.push_str(string),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(' ');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push_str("map[");
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    text.push(' ');
                }
                text.push_str(name);
                text.push(':');
                write(member, text);
            }
            text.push(']');
        }
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

/// `%#v` of a decoded JSON value: `map[string]interface {}{"a":1}`.
pub(crate) fn print_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => machinery::field::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(print_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| {
                format!("{}:{}", machinery::field::quote(name), print_syntax(member))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The Go type that `encoding/json` decodes a value into.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
