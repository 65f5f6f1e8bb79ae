//! A view over `metadata` of an object held as a JSON document. Nothing here parses whole objects; a member that is
//! missing or of another type reads as absent.

use serde_json::{Map, Value};

/// `apiVersion` of the object; empty if absent.
pub fn api_version(object: &Value) -> &str {
    text(object.get("apiVersion"))
}

/// `kind` of the object; empty if absent.
pub fn kind(object: &Value) -> &str {
    text(object.get("kind"))
}

/// `metadata.name`; empty if absent.
pub fn name(object: &Value) -> &str {
    member(object, "name")
}

/// `metadata.generateName`; empty if absent.
pub fn generate_name(object: &Value) -> &str {
    member(object, "generateName")
}

/// `metadata.namespace`; empty if absent.
pub fn namespace(object: &Value) -> &str {
    member(object, "namespace")
}

/// `metadata.uid`; empty if absent.
pub fn uid(object: &Value) -> &str {
    member(object, "uid")
}

/// `metadata.resourceVersion`; empty if absent.
pub fn resource_version(object: &Value) -> &str {
    member(object, "resourceVersion")
}

/// `metadata.creationTimestamp`; empty if absent.
pub fn creation_timestamp(object: &Value) -> &str {
    member(object, "creationTimestamp")
}

/// `metadata.deletionTimestamp`, when the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("deletionTimestamp")?.as_str()
}

/// `metadata.generation`; 0 if absent.
pub fn generation(object: &Value) -> i64 {
    object.get("metadata").and_then(|metadata| metadata.get("generation")).and_then(Value::as_i64).unwrap_or(0)
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    string_map(object, "labels")
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    string_map(object, "annotations")
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "finalizers").iter().filter_map(Value::as_str)
}

/// `metadata.ownerReferences`.
pub fn owner_references(object: &Value) -> &[Value] {
    list(object, "ownerReferences")
}

/// The owner that controls the object, if any.
pub fn controller(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

/// `metadata` for writing; made when absent. `None` when the object, or its metadata, is no JSON object.
pub fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// A copy of an object without one member of its metadata.
pub fn without(object: &Value, member: &str) -> Value {
    let Value::Object(members) = object else { return object.clone() };
    let copy = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Object(metadata) if name == "metadata" => {
                let kept = metadata.iter().filter(|(name, _)| *name != member);
                Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            other => other.clone(),
        };
        (name.clone(), value)
    };
    Value::Object(members.iter().map(copy).collect())
}

/// Sets one member of `metadata`; does nothing to a document that cannot hold one.
pub fn set(object: &mut Value, member: &str, value: impl Into<Value>) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert(member.to_owned(), value.into());
    }
}

/// Removes one member of `metadata`.
pub fn remove(object: &mut Value, member: &str) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove(member)
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn member<'a>(object: &'a Value, name: &str) -> &'a str {
    text(object.get("metadata").and_then(|metadata| metadata.get(name)))
}

fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(name))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn string_map<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(name))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn copies_may_lack_a_member() {
        let object = json!({"metadata": {"name": "a", "managedFields": [1]}, "managedFields": 2, "spec": {"metadata": {"managedFields": 3}}});
        let mut expected = object.clone();
        remove(&mut expected, "managedFields");
        assert_eq!(without(&object, "managedFields"), expected);
        assert_eq!(without(&json!([1]), "a"), json!([1]));
        assert_eq!(without(&json!({"metadata": 1}), "a"), json!({"metadata": 1}));
    }

    #[test]
    fn absent_and_mistyped_members_read_as_absent() {
        for object in
            [json!({}), json!({"metadata": null}), json!({"metadata": {"name": 3, "labels": "x"}}), json!([1])]
        {
            assert_eq!(name(&object), "");
            assert_eq!(labels(&object).count(), 0);
            assert_eq!(deletion_timestamp(&object), None);
        }
    }

    #[test]
    fn metadata_is_made_when_absent() {
        let mut object = json!({"metadata": null});
        set(&mut object, "name", "a");
        assert_eq!(object, json!({"metadata": {"name": "a"}}));
        let mut list = json!([]);
        set(&mut list, "name", "a");
        assert_eq!(list, json!([]));
    }
}
