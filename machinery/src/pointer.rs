//! JSON pointers (RFC 6901) into documents. `serde_json::Value::pointer` copies every name twice to unescape it; pointers
//! that are written in programs hardly ever have escapes, and there are a hundred of them on the way of a pod.

use serde_json::Value;

/// What is at `pointer`, as [`Value::pointer`] finds it.
pub fn at<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.is_empty() || pointer.contains('~') {
        return document.pointer(pointer);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(document, |value, name| match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(position(name)?),
        _ => None,
    })
}

/// What is at `pointer`, for writing.
pub fn at_mut<'a>(document: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    if pointer.is_empty() || pointer.contains('~') {
        return document.pointer_mut(pointer);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(document, |value, name| match value {
        Value::Object(members) => members.get_mut(name),
        Value::Array(items) => items.get_mut(position(name)?),
        _ => None,
    })
}

/// A position in a list, which has no sign and no leading zeros.
fn position(name: &str) -> Option<usize> {
    if name.starts_with('+') || (name.starts_with('0') && name.len() != 1) {
        return None;
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_lead_where_the_library_says() {
        let mut document = json!({"a": {"b": [{"c": 1}, 2], "": {"": 3}}, "x/y": 4, "~": 5, "0": 6});
        for pointer in [
            "",
            "/",
            "/a",
            "a",
            "/a/b",
            "/a/b/",
            "/a/b/0",
            "/a/b/0/c",
            "/a/b/1",
            "/a/b/2",
            "/a/b/-",
            "/a/b/+1",
            "/a/b/00",
            "/a/b/01",
            "/a//",
            "/a/b/1/c",
            "/x~1y",
            "/~0",
            "/x/y",
            "/0",
            "/nothing/below",
            "//",
        ] {
            let expected = document.pointer(pointer).cloned();
            assert_eq!(at(&document, pointer).cloned(), expected, "{pointer}");
            assert_eq!(at_mut(&mut document, pointer).cloned(), expected, "{pointer}");
        }
    }
}
