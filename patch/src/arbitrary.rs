//! Values for property tests.

use proptest::{collection, prelude::*};
use serde_json::Value;

/// A scalar; never null.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3i64..100).prop_map(Value::from),
        "[a-c~/]{0,3}".prop_map(Value::from)
    ]
}

/// A small JSON value without nulls, with few different names, so that documents overlap.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(name(), inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A small JSON object without nulls.
pub(crate) fn object() -> impl Strategy<Value = Value> {
    collection::btree_map(name(), value(), 0..5).prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// One of the names that a strategic merge patch and the test schema know, or another.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        1 => Just("name".to_owned()),
        1 => Just("spec".to_owned()),
        1 => Just("containers".to_owned()),
        1 => Just("$patch".to_owned()),
        1 => Just("$retainKeys".to_owned()),
        1 => Just("$setElementOrder/containers".to_owned()),
        1 => Just("$deleteFromPrimitiveList/a".to_owned()),
    ]
}
