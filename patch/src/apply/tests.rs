use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{arbitrary, fixture};

/// A server of one kind: a stored object, and writes to it.
struct World {
    schema: Schema,
    kind: GroupVersionKind,
    second: i64,
    stored: Option<Value>,
}

impl World {
    fn new(schema: Schema, kind: &str) -> Self {
        Self { schema, kind: GroupVersionKind::new("", "v1", kind), second: 0, stored: None }
    }

    fn pods() -> Self {
        Self::new(fixture::pod(), "Pod")
    }

    /// A custom kind with everything that steers merging.
    fn widgets() -> Self {
        let open_api = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "color": {"type": "string"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "list": {"type": "array", "items": {"type": "string"}},
            "items": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}, "w": {"type": "integer"}}},
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}, "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}});
        let meta = fixture::pod();
        let object_meta = meta.rooted_at(meta.root().property("metadata").expect("declared"));
        Self::new(Schema::from_custom(&open_api, &object_meta).expect("loads"), "Widget")
    }

    fn with<T>(&mut self, manager: &str, subresource: &str, run: impl FnOnce(Option<&Value>, &Options<'_>) -> T) -> T {
        self.second += 1;
        let reset = match subresource {
            "" => FieldSet::of_fields(&[&["status"]]),
            _ => FieldSet::of_fields(&[&["spec"], &["metadata"]]),
        };
        let options = Options {
            manager,
            kind: &self.kind,
            schema: &self.schema,
            subresource,
            reset_fields: &reset,
            versions: None,
            now: Timestamp::from_second(1_767_225_600 + self.second).expect("a time"),
        };
        run(self.stored.as_ref(), &options)
    }

    fn try_apply(&mut self, manager: &str, force: bool, spec: Value) -> Result<(), Error> {
        let config = self.object(json!({"spec": spec}));
        let object = self.with(manager, "", |live, options| apply(live.cloned(), &config, force, options))?;
        self.stored = Some(object);
        Ok(())
    }

    /// Applies nothing but the name.
    fn withdraw(&mut self, manager: &str) {
        let config = self.object(json!({}));
        let object = self.with(manager, "", |live, options| apply(live.cloned(), &config, false, options));
        self.stored = Some(object.expect("applies"));
    }

    fn apply(&mut self, manager: &str, spec: Value) {
        self.try_apply(manager, false, spec).expect("applies");
    }

    /// A write of the whole object; `managedFields` are sent along unless `members` has its own metadata.
    fn update(&mut self, manager: &str, members: Value) {
        let mut object = self.object(members);
        self.with(manager, "", |live, options| track_update(live, &mut object, options));
        self.stored = Some(object);
    }

    fn object(&self, members: Value) -> Value {
        let mut object =
            json!({"apiVersion": "v1", "kind": self.kind.kind, "metadata": {"name": "x", "namespace": "n"}});
        if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
            object.extend(members);
        }
        object
    }

    fn spec(&self) -> Value {
        self.stored.as_ref().and_then(|stored| stored.get("spec")).cloned().unwrap_or_default()
    }

    /// `manager/operation@second` → fields.
    fn managers(&self) -> Vec<(String, Value)> {
        let entries = self.stored.as_ref().and_then(|stored| stored.pointer("/metadata/managedFields"));
        let describe = |entry: &Value| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let second = text("time").get(17..19).unwrap_or("-").to_owned();
            (format!("{}/{}@{second}", text("manager"), text("operation")), entry["fieldsV1"].clone())
        };
        entries.and_then(Value::as_array).into_iter().flatten().map(describe).collect()
    }

    fn conflict(&mut self, manager: &str, spec: Value) -> String {
        self.try_apply(manager, false, spec).expect_err("conflicts").to_string()
    }
}

#[test]
fn an_applier_owns_what_it_says_and_gives_up_the_rest() {
    let mut world = World::widgets();
    world.apply("a", json!({"size": 1, "map": {"x": "1", "y": "2"}, "set": ["p"], "atomic": {"q": "r"}}));
    assert_eq!(
        world.managers(),
        [(
            "a/Apply@01".to_owned(),
            json!({"f:spec": {"f:atomic": {}, "f:map": {"f:x": {}, "f:y": {}}, "f:set": {"v:\"p\"": {}}, "f:size": {}}})
        )]
    );
    world.apply("a", json!({"map": {"x": "1"}, "set": ["q"]}));
    assert_eq!(world.spec(), json!({"map": {"x": "1"}, "set": ["q"]}));
    assert_eq!(
        world.managers(),
        [("a/Apply@02".to_owned(), json!({"f:spec": {"f:map": {"f:x": {}}, "f:set": {"v:\"q\"": {}}}}))]
    );
}

/// As kube-apiserver 1.36 answers.
#[test]
fn what_is_applied_empty_stays_where_it_is_a_map() {
    for (full, empty, left) in [
        (json!({"map": {"g": "1"}}), json!({"map": {}}), json!({"map": {}, "size": 1})),
        (json!({"free": {"g": {"h": 1}}}), json!({"free": {}}), json!({"free": {}, "size": 1})),
        (json!({"atomic": {"g": "1"}}), json!({"atomic": {}}), json!({"atomic": {}, "size": 1})),
        (json!({"items": [{"k": "a"}]}), json!({"items": []}), json!({"size": 1})),
        (json!({"set": ["a"]}), json!({"set": []}), json!({"size": 1})),
        (json!({"list": ["a"]}), json!({"list": []}), json!({"list": [], "size": 1})),
    ] {
        let with_size = |spec: &Value| {
            let mut spec = spec.clone();
            spec["size"] = json!(1);
            spec
        };
        let mut world = World::widgets();
        world.apply("a", with_size(&full));
        world.apply("a", with_size(&empty));
        assert_eq!(world.spec(), left, "{full}");
        world.apply("a", json!({"size": 1}));
        assert_eq!(world.spec(), json!({"size": 1}), "{full}");
    }
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let mut world = World::widgets();
    world.apply("a", json!({"size": 1, "items": [{"k": "a", "v": 1}]}));
    let before = world.stored.clone();
    world.apply("a", json!({"size": 1, "items": [{"k": "a", "v": 1}]}));
    assert_eq!(world.stored, before);
    world.apply("b", json!({"size": 1}));
    assert_eq!(world.managers()[0], ("b/Apply@-".to_owned(), json!({"f:spec": {"f:size": {}}})));
    assert_eq!(world.managers()[1].0, "a/Apply@01");
}

#[test]
fn fields_of_others_stay() {
    let mut world = World::widgets();
    world.apply("a", json!({"size": 1, "color": "red"}));
    world.apply("b", json!({"color": "red", "map": {"k": "v"}}));
    world.apply("a", json!({"size": 1}));
    assert_eq!(world.spec(), json!({"size": 1, "color": "red", "map": {"k": "v"}}));
    world.withdraw("b");
    assert_eq!(world.spec(), json!({"size": 1}));
    assert_eq!(world.managers().len(), 1);
}

#[test]
fn conflicts_read_as_upstream() {
    let mut world = World::widgets();
    world.apply("m1", json!({"size": 1, "color": "red"}));
    assert_eq!(
        world.conflict("m2", json!({"size": 2})),
        "Apply failed with 1 conflict: conflict with \"m1\": .spec.size"
    );
    assert_eq!(
        world.conflict("m2", json!({"size": 2, "color": "blue"})),
        "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .spec.color\n- .spec.size"
    );
    world.update("cr", json!({"spec": {"size": 3, "color": "red"}}));
    match world.try_apply("m2", false, json!({"size": 2, "color": "blue"})) {
        Err(Error::Conflicts(conflicts)) => {
            let causes: Vec<_> =
                conflicts.iter().map(|conflict| (conflict.message(), conflict.field.clone())).collect();
            assert_eq!(
                causes,
                [
                    ("conflict with \"cr\" using v1".to_owned(), ".spec.size".to_owned()),
                    ("conflict with \"m1\"".to_owned(), ".spec.color".to_owned()),
                ]
            );
            let message = Error::Conflicts(conflicts).to_string();
            assert_eq!(
                message,
                "Apply failed with 2 conflicts: conflicts with \"cr\" using v1:\n- .spec.size\nconflicts with \"m1\":\n- .spec.color"
            );
        }
        other => panic!("{other:?}"),
    }
    world.try_apply("m2", true, json!({"size": 2, "color": "blue"})).expect("forced");
    assert_eq!(world.spec(), json!({"size": 2, "color": "blue"}));
    assert_eq!(world.managers(), [("m2/Apply@06".to_owned(), json!({"f:spec": {"f:color": {}, "f:size": {}}}))]);
    let mut world = World::pods();
    world.apply(
        "m1",
        json!({"containers": [{"name": "c", "image": "a", "ports": [{"containerPort": 80, "name": "x"}]}]}),
    );
    assert_eq!(
        world.conflict(
            "m2",
            json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "y"}]}]})
        ),
        "Apply failed with 1 conflict: conflict with \"m1\": .spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"].name"
    );
}

#[test]
fn writers_own_what_they_change() {
    let mut world = World::widgets();
    world.update("curl", json!({"spec": {"map": {"k": "v"}, "size": 1}}));
    let created = json!({"f:spec": {".": {}, "f:map": {".": {}, "f:k": {}}, "f:size": {}}});
    assert_eq!(world.managers(), [("curl/Update@01".to_owned(), created.clone())]);
    world.update("curl", json!({"spec": {"map": {"k": "v"}, "size": 1}}));
    assert_eq!(world.managers(), [("curl/Update@01".to_owned(), created)]);
    world.update("other", json!({"spec": {"map": {"k": "w", "l": "x"}}}));
    assert_eq!(
        world.managers(),
        [
            ("curl/Update@01".to_owned(), json!({"f:spec": {".": {}, "f:map": {}}})),
            ("other/Update@03".to_owned(), json!({"f:spec": {"f:map": {"f:k": {}, "f:l": {}}}})),
        ]
    );
    world.update("third", json!({}));
    assert_eq!(world.managers(), []);
}

#[test]
fn a_writer_steals_from_appliers() {
    let mut world = World::widgets();
    world.apply("a", json!({"size": 1, "color": "red"}));
    world.update("w", json!({"spec": {"size": 2, "color": "red"}}));
    assert_eq!(
        world.managers(),
        [
            ("a/Apply@01".to_owned(), json!({"f:spec": {"f:color": {}}})),
            ("w/Update@02".to_owned(), json!({"f:spec": {"f:size": {}}})),
        ]
    );
}

#[test]
fn built_in_structs_are_no_news() {
    let mut world = World::pods();
    world.update("curl", json!({"spec": {"replicas": 1, "nodeSelector": {"a": "b"}, "strategy": {"type": "x"}}}));
    let fields = json!({"f:spec": {"f:nodeSelector": {}, "f:replicas": {}, "f:strategy": {"f:type": {}}}});
    assert_eq!(world.managers(), [("curl/Update@01".to_owned(), fields)]);
    let mut world = World::pods();
    let object = json!({"metadata": {"name": "x", "labels": {"a": "b"}, "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    world.update("curl", object);
    assert_eq!(
        world.managers(),
        [("curl/Update@01".to_owned(), json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}))]
    );
}

#[test]
fn only_a_name_is_owned_by_nobody() {
    let mut world = World::pods();
    world.update("curl", json!({}));
    assert_eq!(world.managers(), []);
    assert_eq!(world.stored.as_ref().and_then(|stored| stored.pointer("/metadata/managedFields")), None);
}

#[test]
fn items_keep_their_order() {
    let item = |k: &str| json!({"k": k});
    let list = |keys: &str| json!({"items": keys.chars().map(|k| item(&k.to_string())).collect::<Vec<_>>()});
    let cases = [
        ("abc", "xa", "xabc"),
        ("abc", "cba", "cba"),
        ("abc", "d", "abcd"),
        ("abc", "bd", "abcd"),
        ("abc", "acb", "acb"),
        ("abcd", "dxb", "acdxb"),
    ];
    for (live, config, expected) in cases {
        let mut world = World::widgets();
        world.update("w", json!({"spec": list(live)}));
        world.apply("a", list(config));
        assert_eq!(world.spec(), list(expected), "{live} + {config}");
    }
    let mut world = World::widgets();
    world.update("w", json!({"spec": {"set": ["a", "a", "b", "c"]}}));
    world.try_apply("a", true, json!({"set": ["a"]})).expect("forced");
    assert_eq!(world.spec(), json!({"set": ["a", "b", "c"]}));
    let mut world = World::widgets();
    world.apply("a", json!({"items": [{"k": "a", "v": 1}, {"k": "b"}]}));
    world.apply("b", json!({"items": [{"k": "a", "w": 2}]}));
    world.apply("a", json!({"items": [{"k": "b"}]}));
    assert_eq!(world.spec(), json!({"items": [{"k": "a", "w": 2}, {"k": "b"}]}));
    world.withdraw("b");
    assert_eq!(world.spec(), json!({"items": [{"k": "b"}]}));
}

#[test]
fn before_the_first_apply_there_was_somebody() {
    let mut world = World::widgets();
    world.update("w", json!({"spec": {"size": 1, "color": "red"}}));
    world.update("w", json!({"metadata": {"name": "x", "managedFields": []}, "spec": {"size": 1, "color": "red"}}));
    assert_eq!(world.managers(), []);
    world.update("w", json!({"spec": {"size": 1, "color": "blue"}}));
    assert_eq!(world.managers(), []);
    world.apply("a", json!({"size": 1}));
    assert_eq!(
        world.managers(),
        [
            ("a/Apply@-".to_owned(), json!({"f:spec": {"f:size": {}}})),
            ("before-first-apply/Update@04".to_owned(), json!({"f:spec": {".": {}, "f:color": {}, "f:size": {}}})),
        ]
    );
    assert_eq!(
        world.conflict("a", json!({"size": 2})),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.size"
    );
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let failed = |text: &str| format!("failed to create typed patch object (n/x; /v1, Kind=Pod): {text}");
    let container = |members: Value| json!({"containers": [members]});
    let cases = [
        (json!({"bogus": 1}), failed(".spec.bogus: field not declared in schema")),
        (json!({"containers": {}}), failed(".spec.containers: expected list, got &{map[]}")),
        (json!({"nodeSelector": []}), failed(".spec.nodeSelector: expected map, got &{[]}")),
        (json!({"replicas": "x"}), failed(".spec.replicas: expected numeric (int or float), got string")),
        (
            container(json!({"name": 1})),
            failed(".spec.containers[name=1].name: expected string, got &value.valueUnstructured{Value:1}"),
        ),
        (
            container(json!({"image": "x"})),
            failed(
                ".spec.containers: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)",
            ),
        ),
        (
            container(json!({"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]})),
            failed(".spec.containers[name=\"c\"].ports: duplicate entries for key [containerPort=80,protocol=\"TCP\"]"),
        ),
        (json!({"tolerations": [{"bogus": 1}]}), failed(".spec.tolerations[0].bogus: field not declared in schema")),
        (
            json!({"replicas": "x", "containers": 1}),
            failed(
                "errors:\n  .spec.containers: expected list, got &{1}\n  .spec.replicas: expected numeric (int or float), got string",
            ),
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(World::pods().try_apply("m", false, spec), Err(Error::Failed(expected)));
    }
    let mut world = World::pods();
    let other = json!({"apiVersion": "v2", "kind": "Pod"});
    let error = world.with("m", "", |live, options| apply(live.cloned(), &other, false, options));
    assert_eq!(error, Err(Error::BadRequest("invalid object type: /v2, Kind=Pod".to_owned())));
    let managed = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"managedFields": [{}]}});
    let error = world.with("m", "", |live, options| apply(live.cloned(), &managed, false, options));
    assert_eq!(error, Err(Error::BadRequest("metadata.managedFields must be nil".to_owned())));
}

#[test]
fn endpoints_own_only_what_they_write() {
    let mut world = World::widgets();
    world.update("w", json!({"spec": {"size": 1}, "status": {"phase": "x"}}));
    assert_eq!(world.managers(), [("w/Update@01".to_owned(), json!({"f:spec": {".": {}, "f:size": {}}}))]);
    let mut object = world.stored.clone().expect("stored");
    object["status"] = json!({"phase": "y"});
    world.with("c", "status", |live, options| track_update(live, &mut object, options));
    world.stored = Some(object);
    assert_eq!(world.managers()[1], ("c/Update@02".to_owned(), json!({"f:status": {"f:phase": {}}})));
    let entries = world.stored.as_ref().map(|stored| stored["metadata"]["managedFields"].clone()).expect("stored");
    assert_eq!(entries[1]["subresource"], "status");
}

#[test]
fn client_side_apply_hands_over_to_kubectl() {
    let mut world = World::widgets();
    let applied =
        json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": {"size": 1, "color": "red"}});
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let metadata = json!({"name": "x", "namespace": "n", "annotations": {annotation: applied.to_string()}});
    world.update("kubectl-client-side-apply", json!({"metadata": metadata, "spec": {"size": 1, "color": "red"}}));
    world.apply("kubectl", json!({"size": 2}));
    assert_eq!(world.spec(), json!({"size": 2, "color": "red"}));
    let stored = world.stored.clone().expect("stored");
    let rewritten = stored["metadata"]["annotations"][annotation].as_str().expect("a text");
    assert_eq!(
        rewritten,
        "{\"apiVersion\":\"v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"},\"spec\":{\"size\":2}}\n"
    );
    assert_eq!(
        world.conflict("other", json!({"color": "blue"})),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.color"
    );
}

#[test]
fn times_alone_are_no_change() {
    let entry =
        |time: &str, field: &str| json!({"manager": "m", "operation": "Update", "time": time, "fieldsV1": {field: {}}});
    let object = |entry: Value, value: i64| json!({"metadata": {"name": "a", "managedFields": [entry]}, "spec": value});
    let base = object(entry("1", "f:a"), 1);
    assert!(equal_but_for_times(&base, &object(entry("2", "f:a"), 1)));
    assert!(!equal_but_for_times(&base, &object(entry("2", "f:b"), 1)));
    assert!(!equal_but_for_times(&base, &object(entry("1", "f:a"), 2)));
    assert!(!equal_but_for_times(&base, &json!({"metadata": {"name": "a"}, "spec": 1})));
}

/// A spec that fits the widgets' schema. Without empty lists: those are owned by nobody.
fn widget_spec() -> impl Strategy<Value = Value> {
    let text = "[a-c]{1,2}";
    let map = || proptest::collection::btree_map("[a-c]", text, 0..3).prop_map(|map| json!(map));
    let set = proptest::collection::btree_set("[a-c]", 1..3).prop_map(|set| json!(set));
    let item = ("[a-d]", proptest::option::of(0..3i64), proptest::option::of(0..3i64));
    let items = proptest::collection::vec(item, 1..4).prop_map(|items| {
        let mut seen = std::collections::BTreeSet::new();
        let item = |(k, v, w): (String, Option<i64>, Option<i64>)| {
            let mut item = json!({"k": k});
            v.into_iter().for_each(|v| item["v"] = json!(v));
            w.into_iter().for_each(|w| item["w"] = json!(w));
            item
        };
        json!(items.into_iter().filter(|(k, ..)| seen.insert(k.clone())).map(item).collect::<Vec<_>>())
    });
    let members = (
        proptest::option::of((0..3i64).prop_map(Value::from)),
        proptest::option::of(map()),
        proptest::option::of(map()),
        proptest::option::of(set),
        proptest::option::of(items),
        proptest::option::of(arbitrary::object()),
    );
    members.prop_map(|(size, map, atomic, set, items, free)| {
        let named = [("size", size), ("map", map), ("atomic", atomic), ("set", set), ("items", items), ("free", free)];
        Value::Object(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn apply_twice_is_apply_once(first in widget_spec(), written in widget_spec(), config in widget_spec()) {
        let mut world = World::widgets();
        world.apply("other", first);
        world.update("writer", json!({"spec": written}));
        world.try_apply("me", true, config.clone()).expect("forced");
        let once = world.stored.clone();
        world.try_apply("me", false, config).expect("no conflict with what is mine");
        prop_assert_eq!(world.stored, once);
    }

    #[test]
    fn what_one_applies_and_withdraws_leaves_nothing(config in widget_spec()) {
        let mut world = World::widgets();
        world.apply("base", json!({"size": 1}));
        let without_free = |mut spec: Value| { spec.as_object_mut().map(|spec| (spec.remove("free"), spec.remove("size"))); spec };
        world.apply("me", without_free(config));
        world.withdraw("me");
        prop_assert_eq!(world.spec(), json!({"size": 1}));
        prop_assert_eq!(world.managers().len(), 1);
    }

    #[test]
    fn no_document_panics(live in arbitrary::object(), config in arbitrary::object()) {
        let mut world = World::pods();
        world.update("w", json!({"spec": live}));
        let _ = world.try_apply("m", true, config.clone());
        world.update("w", json!({"spec": config}));
    }
}
