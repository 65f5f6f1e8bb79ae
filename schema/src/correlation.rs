//! Which part of an old value a part of the new one comes from.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::tree::{ListType, Node};

/// The members that tell an item of a list-map apart; absent ones are left out.
pub(crate) fn key_of(item: &Value, keys: &[Box<str>]) -> Value {
    let present = keys.iter().filter_map(|key| item.get(key.as_ref()).map(|value| (key.to_string(), value.clone())));
    Value::Object(present.collect::<Map<_, _>>())
}

/// Finds the old item that an item of a list-map comes from.
pub(crate) struct Correlation<'a> {
    keys: &'a [Box<str>],
    old: HashMap<String, &'a Value>,
}

impl<'a> Correlation<'a> {
    /// `None` for lists whose items have no identity.
    pub(crate) fn new(old: Option<&'a Value>, node: Node<'a>) -> Option<Self> {
        let (Some(Value::Array(items)), ListType::Map(keys)) = (old, node.list_type()) else { return None };
        let old = items.iter().map(|item| (key_of(item, keys).to_string(), item)).collect();
        Some(Self { keys, old })
    }

    pub(crate) fn find(&self, item: &Value) -> Option<&'a Value> {
        self.old.get(&key_of(item, self.keys).to_string()).copied()
    }
}
