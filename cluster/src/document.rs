//! An object as a JSON document that `kube` can list and watch.

use std::{borrow::Cow, sync::Arc};

use kube::{
    Resource,
    api::ApiResource,
    core::{DynamicResourceScope, ObjectMeta},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Any Kubernetes object, kept as the document that came over the wire.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole document; shared, since state and work queues hold it at the same time.
    pub value: Arc<Value>,
    metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let metadata = match value.get("metadata") {
            Some(metadata) => ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?,
            None => ObjectMeta::default(),
        };
        Ok(Self { value: Arc::new(value), metadata })
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
    fn a_document_keeps_every_member() {
        let text =
            r#"{"apiVersion":"x/v1","kind":"Y","metadata":{"name":"a","novel":1},"spec":{"deep":[1,{"b":null}]}}"#;
        let document: Document = serde_json::from_str(text).expect("a document");
        assert_eq!(document.meta().name.as_deref(), Some("a"));
        assert_eq!(serde_json::to_string(&document).expect("JSON"), text);
    }
}
