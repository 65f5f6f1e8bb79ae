//! The difference of two documents, as a merge patch.

use serde_json::{Map, Value};

/// The merge patch that turns `before` into `after`; `None` when they are equal. A null in `after` cannot be expressed by a
/// merge patch: it is left out.
pub fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return Some(after.clone()) };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            None => {
                patch.insert(name.clone(), value.clone());
            }
            Some(known) => {
                if let Some(change) = merge_patch(known, value) {
                    patch.insert(name.clone(), change);
                }
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arbitrary, merge};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_in_the_patch() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1}), None),
            (
                json!({"a": 1, "b": {"c": 1, "d": 2}}),
                json!({"b": {"c": 1, "d": 3}}),
                Some(json!({"a": null, "b": {"d": 3}})),
            ),
            (json!({"a": [1, 2]}), json!({"a": [1]}), Some(json!({"a": [1]}))),
            (json!({"a": {}}), json!({"a": 1}), Some(json!({"a": 1}))),
            (json!({"a": 1}), json!({"a": {}}), Some(json!({"a": {}}))),
        ];
        for (before, after, expected) in cases {
            assert_eq!(merge_patch(&before, &after), expected);
        }
    }

    proptest! {
        #[test]
        fn merging_the_difference_gives_the_other(before in arbitrary::object(), after in arbitrary::object()) {
            let mut merged = before.clone();
            if let Some(patch) = merge_patch(&before, &after) {
                merge::apply(&mut merged, patch);
            }
            prop_assert_eq!(merged, after);
        }

        #[test]
        fn merging_agrees_with_the_rfc(before in arbitrary::object(), patch in arbitrary::object()) {
            let mut ours = before.clone();
            let mut theirs = before;
            merge::apply(&mut ours, patch.clone());
            json_patch::merge(&mut theirs, &patch);
            prop_assert_eq!(ours, theirs);
        }
    }
}
