//! Objects that are looked at seldom, as JSON: as trees they would take ten times as much, for each of many nodes.

use serde_json::Value;

/// Some objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed(Box<str>);

impl Packed {
    /// Packs objects.
    pub(crate) fn of(objects: Vec<Value>) -> Self {
        Self(Value::Array(objects).to_string().into())
    }

    /// The objects.
    pub(crate) fn unpack(&self) -> Vec<Value> {
        // Nothing is packed at first, and everything that is, is an array.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_packed_is_unpacked() {
        let objects = vec![json!({"a": [1, "\u{0}ä"]}), json!({})];
        assert_eq!(Packed::of(objects.clone()).unpack(), objects);
        assert!(Packed::default().unpack().is_empty() && Packed::of(Vec::new()).unpack().is_empty());
    }
}
