//! Keeping `status` and the rest of an object apart, as kinds with a `status` subresource do.

use serde_json::{Map, Value};

use crate::members;

/// Metadata that a write to `status` cannot change: upstream's `ResetObjectMetaForStatus`.
pub(crate) const RESET_METADATA: [&str; 6] =
    ["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"];

/// A write to the main resource leaves the status alone, one to `status` leaves everything else alone.
pub(crate) fn separate(object: &mut Value, old: &Value, subresource: &str) {
    if subresource == "status" {
        keep_all_but_status(object, old);
    } else {
        keep(object, "status", old.get("status"));
    }
}

/// A new object has an empty status.
pub(crate) fn reset(object: &mut Value) {
    members::put(object, "status", Some(Value::Object(Map::new())));
}

fn keep_all_but_status(object: &mut Value, old: &Value) {
    const OWN: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];
    if let Some(metadata) = object.get_mut("metadata") {
        for name in RESET_METADATA {
            keep(metadata, name, old.get("metadata").and_then(|metadata| metadata.get(name)));
        }
    }
    let Some(members) = object.as_object_mut() else { return };
    members.retain(|name, _| OWN.contains(&name.as_str()) || old.get(name).is_some());
    for (name, value) in old.as_object().into_iter().flatten().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        keep(object, name, Some(value));
    }
}

/// Makes a member what it was. Most are: that is cheaper to see than to copy them.
fn keep(object: &mut Value, name: &str, old: Option<&Value>) {
    if object.get(name) != old {
        members::put(object, name, old.cloned());
    }
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
