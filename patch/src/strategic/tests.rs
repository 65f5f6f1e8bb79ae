use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{arbitrary, fixture};

fn run(document: Value, patch: Value) -> Result<Value, String> {
    apply(document, patch, fixture::pod().root()).map_err(|error| error.to_string())
}

/// `{"spec": …}` with one container whose ports are these.
fn ports(ports: Value) -> Value {
    json!({"spec": {"containers": [{"name": "c", "ports": ports}]}})
}

#[test]
fn objects_merge_and_scalars_replace() {
    let cases = [
        (
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        ),
        (json!({}), json!({"spec": {"replicas": 1, "nodeSelector": null}}), json!({"spec": {"replicas": 1}})),
        (
            json!({"spec": {"replicas": 1}}),
            json!({"spec": {"$patch": "replace", "nodeSelector": {"a": "b"}}}),
            json!({"spec": {"nodeSelector": {"a": "b"}}}),
        ),
        (json!({"spec": {"replicas": 1}}), json!({"spec": {"$patch": "delete"}}), json!({"spec": {}})),
        (
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"c": "d"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"c": "d"}}}}),
        ),
        (
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        ),
        (
            json!({}),
            json!({"spec": {"strategy": {"$patch": "delete"}, "replicas": 1}}),
            json!({"spec": {"replicas": 1}}),
        ),
        (
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        ),
        (
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
        ),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(run(document, patch.clone()), Ok(expected), "{patch}");
    }
}

#[test]
fn lists_of_objects_merge_by_key() {
    let cases = [
        (
            ports(json!([{"containerPort": 80}])),
            ports(json!([{"containerPort": 81}])),
            ports(json!([{"containerPort": 81}, {"containerPort": 80}])),
        ),
        (
            ports(json!([{"containerPort": 80, "name": "a"}])),
            ports(json!([{"containerPort": 80, "name": "b"}])),
            ports(json!([{"containerPort": 80, "name": "b"}])),
        ),
        (
            ports(json!([{"containerPort": 80}, {"containerPort": 81}])),
            ports(json!([{"$patch": "delete", "containerPort": 80}])),
            ports(json!([{"containerPort": 81}])),
        ),
        (
            ports(json!([{"containerPort": 80}])),
            ports(json!([{"$patch": "replace"}, {"containerPort": 81}])),
            ports(json!([{"containerPort": 81}])),
        ),
        (ports(json!([{"containerPort": 80}])), ports(json!([{"$patch": "replace"}])), ports(json!([]))),
        (ports(json!([])), ports(json!([])), ports(json!([]))),
        (
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": [{"name": "a", "image": "x"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "x"}, {"name": "b"}]}}),
        ),
        (
            json!({"spec": {"containers": [{"name": "a"}, {"name": "s"}, {"name": "b"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "n"}, {"name": "a"}], "containers": [{"name": "n"}]}}),
            json!({"spec": {"containers": [{"name": "s"}, {"name": "b"}, {"name": "n"}, {"name": "a"}]}}),
        ),
        (
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        ),
        (
            json!({"spec": {"containers": [{"name": "1"}, {"name": "2"}, {"name": "4"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "2"}, {"name": "3"}], "containers": [{"name": "3"}, {"name": "1", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "2"}, {"name": "4"}, {"name": "3"}]}}),
        ),
        (
            json!({"spec": {}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        ),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(run(document, patch.clone()), Ok(expected), "{patch}");
    }
}

#[test]
fn lists_of_scalars_merge_as_sets() {
    let finalizers = |items: Value| json!({"metadata": {"finalizers": items}});
    let cases = [
        (finalizers(json!(["a", "b"])), finalizers(json!(["c", "a"])), finalizers(json!(["c", "a", "b"]))),
        (
            finalizers(json!(["a", "b"])),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            finalizers(json!(["b"])),
        ),
        (
            finalizers(json!(["a", "b"])),
            json!({"metadata": {"$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            finalizers(json!(["b", "c"])),
        ),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(run(document, patch.clone()), Ok(expected), "{patch}");
    }
}

#[test]
fn failures_read_as_upstream() {
    let document = json!({
        "metadata": {"finalizers": ["a"]},
        "spec": {"replicas": 1, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}], "strategy": {}},
    });
    let cases = [
        (
            json!({"spec": {"containers": [{"image": "x"}]}}),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (json!({"spec": {"$patch": "nope"}}), "unknown patch type: nope in map: map[$patch:nope]"),
        (
            json!({"spec": {"containers": [{"$patch": "nope", "name": "c"}]}}),
            "unknown patch type: nope in map: map[$patch:nope name:c]",
        ),
        (json!({"spec": {"containers": [{"$patch": "merge"}]}}), "merging lists cannot yet be specified in the patch"),
        (
            json!({"spec": {"containers": ["x"]}}),
            "list element types are not identical: [[map[name:c ports:[map[containerPort:80]]]] [x]]",
        ),
        (
            json!({"spec": {"containers": [["x"]]}}),
            "list element types are not identical: [[map[name:c ports:[map[containerPort:80]]]] [[x]]]",
        ),
        (json!({"metadata": {"finalizers": [1]}}), "list element types are not identical: [[a] [1]]"),
        (json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "y"}}}), "invalid patch format of retainKeys"),
        (json!({"spec": {"strategy": {"$retainKeys": "x"}}}), "invalid patch format of retainKeys"),
        (json!({"metadata": {"$deleteFromPrimitiveList": ["a"]}}), "invalid patch format of primitive list"),
        (json!({"metadata": {"$setElementOrder": ["a"]}}), "invalid patch format of setElementOrder list"),
        (json!({"metadata": {"$setElementOrder/finalizers": 1}}), "expected a []interface {}, but received a int64"),
        (
            json!({"metadata": {"$setElementOrder/finalizers": ["a"], "finalizers": ["b"]}}),
            "The order in patch list:\n[b]\n doesn't match $setElementOrder list:\n[a]\n",
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(run(document.clone(), patch), Err(expected.to_owned()));
    }
    assert_eq!(run(document, json!([])), Err("invalid JSON document".to_owned()));
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(document in arbitrary::object()) {
        prop_assert_eq!(run(document.clone(), json!({})), Ok(document));
    }

    #[test]
    fn no_patch_panics(document in arbitrary::object(), patch in arbitrary::object()) {
        let document = json!({"spec": document, "metadata": {"finalizers": ["a"]}});
        let _ = run(document, json!({"spec": patch}));
    }
}
