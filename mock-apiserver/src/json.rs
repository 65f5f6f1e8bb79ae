//! JSON as kube-apiserver writes it: compact, with Go's escapes, `kind` and `apiVersion` first.

use std::ops::Range;

use bytes::Bytes;
use serde_json::{Map, Number, Value};

mod member;
mod object;
mod patched;

pub(crate) use member::member;
pub(crate) use object::{encode_document, encode_object, write_metadata};
pub(crate) use patched::encode_patched;

/// In which order an object's members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `kind`, `apiVersion`, then everything in the order of the Go structs; what these always write is there too. Objects of
    /// no known struct have `metadata` and then the rest by name.
    BuiltIn,
    /// `apiVersion`, `kind`, and everything by name, as custom resources are.
    Custom,
}

/// An encoded object whose interesting places are known, so that nobody has to parse it again.
#[derive(Debug)]
pub struct Encoded {
    /// The whole object.
    pub bytes: Vec<u8>,
    /// Length of the part that holds `kind` and `apiVersion`: `{"kind":"Pod","apiVersion":"v1",`.
    pub head: usize,
    /// Where the digits of `metadata.resourceVersion` are; empty at the start when the object has none.
    pub revision: Range<usize>,
    /// Where the value of `metadata.managedFields` is; empty when the object has none.
    pub managed_fields: Range<usize>,
    /// Whether it shows members that the object does not have, which Go always writes.
    pub adds: bool,
}

/// The part of an encoded object that differs between versions with equal contents.
pub fn head(api_version: &str, kind: &str, style: Style) -> Bytes {
    let mut out = Vec::with_capacity(40 + api_version.len() + kind.len());
    let members = match style {
        Style::BuiltIn => [("kind", kind), ("apiVersion", api_version)],
        Style::Custom => [("apiVersion", api_version), ("kind", kind)],
    };
    out.push(b'{');
    for (member, text) in members {
        write_string(&mut out, member);
        out.push(b':');
        write_string(&mut out, text);
        out.push(b',');
    }
    Bytes::from(out)
}

/// Encodes any value.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(&mut out, value);
    out
}

/// Writes any value.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            let mut first = true;
            for item in items {
                separate(out, &mut first);
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let mut first = true;
            by_name(members, |name, value| {
                separate(out, &mut first);
                write_string(out, name);
                out.push(b':');
                write(out, value);
            });
            out.push(b'}');
        }
    }
}

/// Calls `visit` with the members in the order of their names, whatever order the map keeps.
fn by_name<'v>(members: &'v Map<String, Value>, mut visit: impl FnMut(&'v String, &'v Value)) {
    if members.keys().is_sorted() {
        return members.iter().for_each(|(name, value)| visit(name, value));
    }
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    sorted.into_iter().for_each(|(name, value)| visit(name, value));
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

/// Integers as they are; other numbers as Go prints a float64: integral ones without a fraction, very small and very
/// large ones with an exponent.
fn write_number(out: &mut Vec<u8>, number: &Number) {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        out.extend_from_slice(number.to_string().as_bytes());
        return;
    };
    let size = float.abs();
    let text = if float == 0.0 {
        "0".to_owned()
    } else if (1e-6..1e21).contains(&size) {
        float.to_string()
    } else {
        let scientific = format!("{float:e}");
        match scientific.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent:0>2}"),
            Some((digits, exponent)) => {
                format!("{digits}e-{:0>2}", exponent.trim_start_matches('-').trim_start_matches('0'))
            }
            None => scientific,
        }
    };
    out.extend_from_slice(text.as_bytes());
}

/// Writes a string with Go's escapes: besides JSON's own, `<`, `>`, `&` and the two line separators.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let (escape, width): (Option<&[u8]>, usize) = match byte {
            b'"' => (Some(b"\\\""), 1),
            b'\\' => (Some(b"\\\\"), 1),
            b'\n' => (Some(b"\\n"), 1),
            b'\r' => (Some(b"\\r"), 1),
            b'\t' => (Some(b"\\t"), 1),
            0x08 => (Some(b"\\b"), 1),
            0x0c => (Some(b"\\f"), 1),
            0..=0x1f | b'<' | b'>' | b'&' => (None, 1),
            0xe2 if bytes[at..].starts_with(&[0xe2, 0x80, 0xa8]) => (Some(b"\\u2028"), 3),
            0xe2 if bytes[at..].starts_with(&[0xe2, 0x80, 0xa9]) => (Some(b"\\u2029"), 3),
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[start..at]);
        match escape {
            Some(escape) => out.extend_from_slice(escape),
            None => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
        at += width;
        start = at;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_written_in_upstreams_order() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {}, "status": {}, "data": 1,
            "metadata": {"uid": "u", "resourceVersion": "17", "name": "p", "zzz": 1}
        });
        let encoded = encode_object(&object, b"", &head("v1", "Pod", Style::BuiltIn), Style::BuiltIn);
        assert_eq!(
            String::from_utf8_lossy(&encoded.bytes),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","uid":"u","resourceVersion":"17","zzz":1},"spec":{"containers":null},"status":{},"data":1}"#
        );
        assert_eq!(&encoded.bytes[encoded.revision], b"17");
        assert_eq!(&encoded.bytes[..encoded.head], br#"{"kind":"Pod","apiVersion":"v1","#);
        let custom = encode_object(&object, b"", &head("a/v1", "Foo", Style::Custom), Style::Custom);
        assert_eq!(
            String::from_utf8_lossy(&custom.bytes),
            r#"{"apiVersion":"a/v1","kind":"Foo","data":1,"metadata":{"name":"p","resourceVersion":"17","uid":"u","zzz":1},"spec":{},"status":{}}"#
        );
        assert_eq!(&custom.bytes[custom.revision], b"17");
        assert_eq!(
            encode_object(&json!({}), b"", &head("v1", "Pod", Style::BuiltIn), Style::BuiltIn).bytes,
            br#"{"kind":"Pod","apiVersion":"v1"}"#
        );
    }

    #[test]
    fn owners_stand_where_they_would_in_the_document() {
        let bare = json!({"metadata": {"labels": {}, "name": "p", "resourceVersion": "17", "zzz": 1}});
        let mut whole = bare.clone();
        whole["metadata"]["managedFields"] = json!([{"manager": "m"}]);
        for style in [Style::BuiltIn, Style::Custom] {
            let head = head("v1", "Pod", style);
            let expected = encode_object(&whole, b"", &head, style);
            let spliced = encode_object(&bare, br#"[{"manager":"m"}]"#, &head, style);
            assert_eq!(String::from_utf8_lossy(&spliced.bytes), String::from_utf8_lossy(&expected.bytes));
            assert_eq!((spliced.revision, spliced.managed_fields), (expected.revision, expected.managed_fields));
        }
    }

    #[test]
    fn scalars_are_written_as_go_does() {
        let cases = [
            (json!("<a & b>\n\u{2028}\u{1}é"), r#""\u003ca \u0026 b\u003e\n\u2028\u0001é""#),
            (json!(1.0), "1"),
            (json!(1.5), "1.5"),
            (json!(-0.0), "0"),
            (json!(1e21), "1e+21"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(9007199254740993_i64), "9007199254740993"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!([null, true, {"a": []}]), r#"[null,true,{"a":[]}]"#),
        ];
        for (value, expected) in cases {
            assert_eq!(String::from_utf8(encode(&value)).expect("UTF-8"), expected);
        }
    }
}
