//! An object as a JSON document that `kube` can list and watch.

use std::{borrow::Cow, fmt, sync::Arc};

use kube::{
    Resource,
    api::ApiResource,
    core::{DynamicResourceScope, ObjectMeta},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Any Kubernetes object, kept as the document that came over the wire, without `metadata.managedFields`: they are half
/// of it, and nobody who places or prepares reads them. A server keeps them when a write leaves them out.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole document; shared, since state and work queues hold it at the same time.
    pub value: Arc<Value>,
    metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::OfObject.deserialize(deserializer)?;
        let metadata = members.get("metadata").map(read_metadata).unwrap_or_default();
        Ok(Self { value: Arc::new(Value::Object(members)), metadata })
    }
}

/// What `kube` asks of an object while it lists and watches.
fn read_metadata(metadata: &Value) -> ObjectMeta {
    let text = |member: &str| metadata.get(member).and_then(Value::as_str).map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        // With it a bookmark says that the objects of the start have been told (KEP-3157).
        annotations: metadata.get("annotations").and_then(|annotations| Deserialize::deserialize(annotations).ok()),
        ..ObjectMeta::default()
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

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl Resource for Document {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
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
        assert_eq!(document.meta().name.as_deref(), Some("a"));
        assert_eq!(serde_json::to_string(&document).expect("JSON"), text(""));
    }

    #[test]
    fn what_is_no_object_is_no_document() {
        for bad in ["[]", "1", r#"{"metadata":[]}"#, r#"{"metadata":"x"}"#] {
            assert!(serde_json::from_str::<Document>(bad).is_err(), "{bad}");
        }
    }
}
