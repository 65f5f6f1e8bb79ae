//! One member of a document, read without the rest.

use std::fmt;

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// What stands in a JSON document where these names lead, one inside of the other. No more is read than comes before it.
pub(crate) fn member(json: &[u8], path: &[&str]) -> Option<Value> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Who leaves a document before its end is told that it is broken there.
    let _left = Seek { path, found: &mut found }.deserialize(&mut deserializer);
    found
}

struct Seek<'s> {
    path: &'s [&'s str],
    found: &'s mut Option<Value>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return deserializer.deserialize_map(self);
        }
        *self.found = Some(Value::deserialize(deserializer)?);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((name, path)) = self.path.split_first() else { return Ok(()) };
        while let Some(is_it) = access.next_key_seed(Is(name))? {
            if is_it {
                return access.next_value_seed(Seek { path, found: self.found });
            }
            access.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a name is this one.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_found_where_the_names_lead() {
        let document = json!({
            "a": {"b": [1, {"c": 2}], "d": null}, "metadata": {"labels": {"x/y": "1"}, "z": {"labels": 0}}, "e\n": "f",
        });
        let text = document.to_string();
        for path in
            [&["a"][..], &["a", "b"], &["a", "d"], &["metadata", "labels"], &["metadata", "z", "labels"], &["e\n"]]
        {
            let expected = path.iter().try_fold(&document, |value, name| value.get(name));
            assert_eq!(member(text.as_bytes(), path), expected.cloned(), "{path:?}");
        }
        for path in [&["b"][..], &["a", "c"], &["a", "b", "c"], &["e\n", "f"], &["a", "d", "x"]] {
            assert_eq!(member(text.as_bytes(), path), None, "{path:?}");
        }
        assert_eq!(member(b"[", &["a"]), None);
        assert_eq!(member(br#"{"a":1"#, &["a"]), Some(json!(1)));
    }
}
