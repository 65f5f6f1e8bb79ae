//! JSON merge patch (RFC 7386).

use serde_json::Value;

/// Applies a merge patch: null removes a member, objects merge, everything else replaces.
///
/// As in Kubernetes, nulls inside of new objects vanish even below a list, where the RFC would keep them.
pub fn apply(document: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *document = patch;
        drop_nulls(document);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = document else { return };
    for (name, change) in changes {
        match (members.get_mut(&name), change) {
            (_, Value::Null) => {
                members.remove(&name);
            }
            (Some(member @ Value::Object(_)), change @ Value::Object(_)) => apply(member, change),
            (_, mut change) => {
                drop_nulls(&mut change);
                members.insert(name, change);
            }
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => members.retain(|_, member| {
            drop_nulls(member);
            !member.is_null()
        }),
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            // Beyond the RFC:
            (json!({}), json!({"a": [{"b": null, "c": 1}, null]}), json!({"a": [{"c": 1}, null]})),
        ];
        for (mut document, patch, expected) in cases {
            let shown = format!("{document} + {patch}");
            apply(&mut document, patch);
            assert_eq!(document, expected, "{shown}");
        }
    }
}
