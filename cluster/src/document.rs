//! An object as a JSON document.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Any Kubernetes object, kept as the document that came over the wire, without `metadata.managedFields`: they are half
/// of it, and nobody who places or prepares reads them. A server keeps them when a write leaves them out.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The whole document; shared, since state and work queues hold it at the same time.
    pub(crate) value: Arc<Value>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::OfObject.deserialize(deserializer)?;
        Ok(Self { value: Arc::new(Value::Object(members)) })
    }
}

/// Reads the members of an object.
enum Members {
    /// Of a whole object.
    OfObject,
    /// Of `metadata`, without `managedFields`.
    OfMetadata,
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = match (&self, name.as_str()) {
                (Self::OfObject, "metadata") => Value::Object(access.next_value_seed(Self::OfMetadata)?),
                (Self::OfMetadata, "managedFields") => {
                    access.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => access.next_value()?,
            };
            members.insert(name, value);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_every_member_but_managed_fields() {
        let text = |managed: &str| {
            format!(
                r#"{{"apiVersion":"x/v1","kind":"Y","metadata":{{{managed}"name":"a","novel":1}},"spec":{{"managedFields":[1,{{"b":null}}]}}}}"#
            )
        };
        let document: Document =
            serde_json::from_str(&text(r#""managedFields":[{"manager":"m"}],"#)).expect("a document");
        assert_eq!(document.value.to_string(), text(""));
    }

    #[test]
    fn what_is_no_object_is_no_document() {
        for bad in ["[]", "1", r#"{"metadata":[]}"#, r#"{"metadata":"x"}"#] {
            assert!(serde_json::from_str::<Document>(bad).is_err(), "{bad}");
        }
    }
}
