//! JSON as Go's `encoding/json` writes it, safe to stand in a web page, and as it reads it: of strings that are no text.

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

/// JSON whose strings are text: bytes that are no UTF-8, and halves of surrogate pairs, read as U+FFFD. `None` for one whose
/// strings were so before.
pub fn with_text(json: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(json.len());
    let mut repaired = false;
    for chunk in json.utf8_chunks() {
        repaired |= push_escaped(&mut text, chunk.valid());
        for _ in chunk.invalid() {
            text.extend_from_slice(char::REPLACEMENT_CHARACTER.to_string().as_bytes());
            repaired = true;
        }
    }
    repaired.then_some(text)
}

/// Adds JSON, with whole surrogate pairs only. Returns whether there were others.
fn push_escaped(out: &mut Vec<u8>, mut json: &str) -> bool {
    let mut repaired = false;
    while let Some((plain, rest)) = json.split_at_checked(json.find('\\').unwrap_or(json.len())) {
        out.extend_from_slice(plain.as_bytes());
        let escape = match (unit(rest), unit(rest.get(ESCAPE..).unwrap_or_default())) {
            _ if rest.is_empty() => break,
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 2 * ESCAPE,
            (Some(0xd800..0xe000), _) => {
                out.extend_from_slice(b"\\ufffd");
                repaired = true;
                json = &rest[ESCAPE..];
                continue;
            }
            // What follows the backslash need not be of one byte in a text that is no JSON.
            _ => rest.chars().take(2).map(char::len_utf8).sum(),
        };
        let (escape, rest) = rest.split_at(escape);
        out.extend_from_slice(escape.as_bytes());
        json = rest;
    }
    repaired
}

/// The length of `\u0000`.
const ESCAPE: usize = 6;

/// The number of an escape `\u0000` that a text begins with.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_text_reads_as_go_reads_it() {
        let read = |json: &[u8]| with_text(json).map(|text| serde_json::from_slice::<Value>(&text).expect("JSON"));
        assert_eq!(read(b"[\"a\xff\xe2\x82b\"]"), Some(json!(["a\u{fffd}\u{fffd}\u{fffd}b"])));
        assert_eq!(
            read(br#"["\ud800","\ud83d\ude00 \ude00x","\ud83d\u0041"]"#),
            Some(json!(["\u{fffd}", "\u{1f600} \u{fffd}x", "\u{fffd}A"]))
        );
        assert_eq!(read(br#"["\ud83d\ude00 \\ud800 \n"]"#), None);
        for no_json in ["\\", "\\u", "\\ud8", "\\ud800", "\\u\u{e9}00", "\\\u{e9}"] {
            let _ = with_text(no_json.as_bytes());
        }
    }

    #[test]
    fn json_is_safe_in_a_web_page() {
        assert_eq!(to_string(&json!({"a&": ["<b>", "\u{2028}"]})), r#"{"a\u0026":["\u003cb\u003e","\u2028"]}"#);
    }
}
