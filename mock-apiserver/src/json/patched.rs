//! A patched document as upstream's JSON patches leave it: what the patch touched by name, everything else as it was.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::{separate, write, write_string};

/// Encodes `patched`, which a patch made of the document `before`. The patch library of upstream reads a document only where a
/// patch leads, so that the rest keeps the order in which the server had written it. `leads` is a merge patch: it leads also to
/// what it does not change.
pub(crate) fn encode_patched(patched: &Value, before: &[u8], leads: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(before.len());
    match serde_json::from_slice::<&RawValue>(before) {
        Ok(before) => write_patched(&mut out, patched, before, leads),
        Err(_) => write(&mut out, patched),
    }
    out
}

fn write_patched(out: &mut Vec<u8>, patched: &Value, before: &RawValue, leads: &Value) {
    let before = before.get();
    if !leads.is_object() && serde_json::from_str::<Value>(before).is_ok_and(|before| before == *patched) {
        return out.extend_from_slice(before.as_bytes());
    }
    let known: BTreeMap<String, &RawValue> = serde_json::from_str(before).unwrap_or_default();
    let Value::Object(members) = patched else { return write(out, patched) };
    out.push(b'{');
    let mut first = true;
    super::by_name(members, |name, member| {
        separate(out, &mut first);
        write_string(out, name);
        out.push(b':');
        match known.get(name) {
            Some(before) => write_patched(out, member, before, leads.get(name).unwrap_or(&Value::Null)),
            None => write(out, member),
        }
    });
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_in_the_order_of_names() {
        let before =
            r#"{"kind":"A","metadata":{"name":"n","annotations":{"z":"1","b":"2"}},"spec":{"z":1,"a":{"y":1,"x":2}}}"#;
        let mut patched: Value = serde_json::from_str(before).expect("JSON");
        patched["spec"]["m"] = json!(3);
        assert_eq!(
            String::from_utf8(encode_patched(&patched, before.as_bytes(), &Value::Null)).expect("UTF-8"),
            r#"{"kind":"A","metadata":{"name":"n","annotations":{"z":"1","b":"2"}},"spec":{"a":{"y":1,"x":2},"m":3,"z":1}}"#
        );
        let leads = json!({"metadata": {"name": "n"}, "spec": {"m": 3}});
        assert_eq!(
            String::from_utf8(encode_patched(&patched, before.as_bytes(), &leads)).expect("UTF-8"),
            r#"{"kind":"A","metadata":{"annotations":{"z":"1","b":"2"},"name":"n"},"spec":{"a":{"y":1,"x":2},"m":3,"z":1}}"#
        );
        let replaced = json!({"kind": "A", "metadata": 5});
        assert_eq!(encode_patched(&replaced, before.as_bytes(), &Value::Null), br#"{"kind":"A","metadata":5}"#);
        assert_eq!(encode_patched(&replaced, b"not JSON", &Value::Null), br#"{"kind":"A","metadata":5}"#);
    }
}
