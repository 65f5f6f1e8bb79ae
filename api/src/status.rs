//! Keeping `status` and the rest of an object apart, as kinds with a `status` subresource do.

use machinery::meta;
use serde_json::{Map, Value};

use crate::members;

/// Metadata that a write to `status` cannot change: upstream's `ResetObjectMetaForStatus`.
const RESET_METADATA: [&str; 6] =
    ["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"];

/// A write to the main resource leaves the status alone, one to `status` leaves everything else alone.
pub(crate) fn separate(object: &mut Value, old: &Value, subresource: &str) {
    if subresource == "status" {
        keep_all_but_status(object, old);
    } else {
        members::put(object, "status", old.get("status").cloned());
    }
}

/// A new object has an empty status.
pub(crate) fn reset(object: &mut Value) {
    members::put(object, "status", Some(Value::Object(Map::new())));
}

fn keep_all_but_status(object: &mut Value, old: &Value) {
    let status = object.get_mut("status").map(Value::take);
    let mut metadata = object.get_mut("metadata").map(Value::take).unwrap_or_default();
    for name in RESET_METADATA {
        let kept = old.get("metadata").and_then(|metadata| metadata.get(name)).cloned();
        members::put(&mut metadata, name, kept);
    }
    let (api_version, kind) = (meta::api_version(object).to_owned(), meta::kind(object).to_owned());
    *object = old.clone();
    members::put(object, "apiVersion", Some(api_version.into()));
    members::put(object, "kind", Some(kind.into()));
    members::put(object, "metadata", Some(metadata));
    members::put(object, "status", status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_stay_on_their_side() {
        let old = json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": {"name": "a", "resourceVersion": "1", "labels": {"a": "b"}},
            "spec": {"x": 1}, "status": {"y": 1},
        });
        let new = json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": {"name": "a", "resourceVersion": "1", "finalizers": ["f"]},
            "spec": {"x": 2}, "status": {"y": 2},
        });
        let mut main = new.clone();
        separate(&mut main, &old, "");
        assert_eq!((&main["spec"]["x"], &main["status"]["y"]), (&json!(2), &json!(1)));
        assert_eq!(main["metadata"]["finalizers"], json!(["f"]));
        let mut status = new;
        separate(&mut status, &old, "status");
        assert_eq!((&status["spec"]["x"], &status["status"]["y"]), (&json!(1), &json!(2)));
        assert_eq!(status["metadata"], json!({"name": "a", "resourceVersion": "1", "labels": {"a": "b"}}));
    }
}
