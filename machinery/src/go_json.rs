//! JSON as Go's `encoding/json` writes it: safe to stand in a web page.

use serde_json::Value;

/// A value in one line, its members in order of their names.
pub fn to_string(value: &Value) -> String {
    // What is escaped has no meaning in JSON, so that it only occurs inside of strings.
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_safe_in_a_web_page() {
        assert_eq!(to_string(&json!({"a&": ["<b>", "\u{2028}"]})), r#"{"a\u0026":["\u003cb\u003e","\u2028"]}"#);
    }
}
