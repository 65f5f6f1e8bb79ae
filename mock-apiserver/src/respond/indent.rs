//! Indented JSON, for people.

/// Lays compact JSON out for people, two spaces a level; empty objects and arrays stay on one line. Text that is no JSON comes
/// back as something equally wrong, never as a panic.
pub(crate) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth: usize = 0;
    let mut bytes = json.iter().copied().filter(|byte| !byte.is_ascii_control()).peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                out.push(byte);
                while let Some(inner) = bytes.next() {
                    out.push(inner);
                    match inner {
                        b'\\' => out.extend(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if_eq(&b' ').is_some() {}
                if let Some(close) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' => {}
            other => out.push(other),
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn indented_json_reads_as_go_writes_it() {
        let value = json!({"a": [], "b": {}, "c": [1, {"d": "x, {y}: \\\""}]});
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, {y}: \\\\\\\"\"\n    }\n  ]\n}";
        assert_eq!(String::from_utf8(indent(&crate::json::encode(&value))).expect("text"), expected);
    }

    #[test]
    fn indenting_twice_changes_nothing_and_broken_text_does_not_panic() {
        let value = json!({"a": [[], [1.5, null, true]], "é": {"b": "ü"}});
        let once = indent(&crate::json::encode(&value));
        assert_eq!(indent(&once), once);
        assert_eq!(serde_json::from_slice::<Value>(&once).expect("JSON"), value);
        for broken in ["]]]", "{\"a", "\"\\", "}{"] {
            indent(broken.as_bytes());
        }
    }
}
