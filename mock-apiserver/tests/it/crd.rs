use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/ex.io/v1/namespaces/default/widgets";

fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.ex.io"},
        "spec": {
            "group": "ex.io", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "properties": {
                            "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                            "size": {"type": "integer", "minimum": 1},
                        }},
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                }},
            }, {
                "name": "v1alpha1", "served": true, "storage": false, "deprecated": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "ex.io/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn with_widgets() -> Client {
    let client = Client::start().await;
    client.post(CRDS, crd()).await.ok();
    client
}

#[tokio::test]
async fn a_definition_is_served_at_once() {
    let client = Client::start().await;
    assert_eq!(client.get(WIDGETS).await.code, 404);
    let created = client.post(CRDS, crd()).await.ok();
    assert_eq!(created["spec"]["names"]["singular"], "widget");
    assert_eq!(created["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(created["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(created["status"]["storedVersions"], json!(["v1"]));
    let established = created["status"]["conditions"].as_array().expect("conditions");
    assert!(established.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True"));
    let list = client.get(WIDGETS).await.ok();
    assert_eq!(list["kind"], "WidgetList");
    assert_eq!(list["metadata"]["continue"], "", "lists of custom resources always have one");
    let made = client.post(WIDGETS, widget("w", json!({"size": 1, "bogus": 1}))).await;
    assert_eq!(made.warnings(), [r#"299 - "unknown field \"spec.bogus\"""#]);
    let made = made.ok();
    assert_eq!(made["spec"], json!({"color": "red", "size": 1}));
    assert_eq!(made["metadata"]["generation"], 1);
    let list = client.get(WIDGETS).await.ok();
    assert_eq!(list["items"][0]["kind"], "Widget", "items of custom lists say what they are");
}

#[tokio::test]
async fn what_serves_custom_resources_goes_by_verbs_and_knows_only_its_versions() {
    let client = with_widgets().await;
    let not_found = |answer: &Answer| (answer.code, answer.body.clone()) == (404, json!("404 page not found\n"));
    assert!(not_found(&client.get("/apis/ex.io/v9").await));
    assert!(not_found(&client.get("/apis/ex.io/v9/widgets").await));
    let of_built_in = client.get("/apis/apps/v9").await;
    assert_eq!((of_built_in.code, &of_built_in.body["kind"]), (404, &json!("Status")));
    for (path, code) in
        [(WIDGETS.to_owned(), 200), (format!("{WIDGETS}/none"), 404), ("/api/v1/namespaces/default".to_owned(), 405)]
    {
        let answer = client.request(Method::HEAD, &path, "application/json", "").await;
        assert_eq!(answer.code, code, "{path}");
    }
}

#[tokio::test]
async fn custom_resources_are_checked() {
    let client = with_widgets().await;
    client.post(WIDGETS, widget("w", json!({"size": "x"}))).await.fails(
        422,
        r#"Widget.ex.io "w" is invalid: [spec.size: Invalid value: "string": spec.size in body must be of type integer: "string", .spec.size: Invalid value: 0: .spec.size accessor error: x is of the type string, expected int64]"#,
    );
    let mut other = widget("w", json!({}));
    other["apiVersion"] = json!("ex.io/v2");
    client
        .post(WIDGETS, other)
        .await
        .fails(400, "the API version in the data (ex.io/v2) does not match the expected API version (ex.io/v1)");
    let strict = client.post(&format!("{WIDGETS}?fieldValidation=Strict"), widget("w", json!({"bogus": 1}))).await;
    assert!(strict.message().ends_with(r#"strict decoding error: unknown field "spec.bogus""#), "{}", strict.message());
    client.post(WIDGETS, widget("w", json!({}))).await.ok();
    client.put(&format!("{WIDGETS}/w"), widget("w", json!({"size": 3}))).await.fails(
        422,
        r#"widgets.ex.io "w" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#,
    );
    let path = format!("{WIDGETS}/w");
    let strategic = client.request(Method::PATCH, &path, "application/strategic-merge-patch+json", "{}").await;
    strategic.fails(
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    );
    client.request(Method::POST, WIDGETS, "application/vnd.kubernetes.protobuf", "k8s\0").await.fails(
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
    );
}

#[tokio::test]
async fn status_scale_versions_and_fields_work() {
    let client = with_widgets().await;
    let mut made = widget("w", json!({"size": 2}));
    made["status"] = json!({"size": 9});
    assert_eq!(client.post(WIDGETS, made).await.ok().get("status"), None);
    let path = format!("{WIDGETS}/w");
    let status =
        client.merge(&format!("{path}/status"), json!({"status": {"size": 9}, "spec": {"size": 5}})).await.ok();
    assert_eq!((&status["spec"]["size"], &status["status"]["size"]), (&json!(2), &json!(9)));
    assert_eq!(status["metadata"]["generation"], 1);
    let scale = client.get(&format!("{path}/scale")).await.ok();
    assert_eq!((&scale["spec"], &scale["status"]), (&json!({"replicas": 2}), &json!({"replicas": 9})));
    client.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 4}})).await.ok();
    let old = client.get("/apis/ex.io/v1alpha1/namespaces/default/widgets/w").await;
    assert_eq!(old.warnings(), [r#"299 - "ex.io/v1alpha1 Widget is deprecated; use ex.io/v1 Widget""#]);
    let old = old.ok();
    assert_eq!((&old["apiVersion"], &old["spec"]["size"]), (&json!("ex.io/v1alpha1"), &json!(4)));
    client.post(WIDGETS, widget("g", json!({"color": "green"}))).await.ok();
    let green = client.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dgreen")).await.ok();
    assert_eq!(green["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_changed_definition_counts_at_once() {
    let client = with_widgets().await;
    client.post(WIDGETS, widget("w", json!({}))).await.ok();
    let path = format!("{CRDS}/widgets.ex.io");
    let patch = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/weight", "value": {"type": "integer", "default": 7}}]);
    client.request(Method::PATCH, &path, "application/json-patch+json", patch.to_string()).await.ok();
    assert_eq!(client.post(WIDGETS, widget("x", json!({}))).await.ok()["spec"]["weight"], 7);
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let client = with_widgets().await;
    let mut held = widget("w", json!({}));
    held["metadata"]["finalizers"] = json!(["x.io/y"]);
    client.post(WIDGETS, held).await.ok();
    client.post(WIDGETS, widget("free", json!({}))).await.ok();
    let path = format!("{CRDS}/widgets.ex.io");
    let marked = client.delete(&path).await.ok();
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(marked["metadata"]["generation"], 1);
    assert_eq!(marked["metadata"].get("deletionGracePeriodSeconds"), None);
    assert_eq!(marked["status"]["conditions"][2]["reason"], "InstanceDeletionPending");
    client
        .post(WIDGETS, widget("new", json!({})))
        .await
        .fails(405, "create not allowed while custom resource definition is terminating");
    client.until(&format!("{WIDGETS}/free"), 404).await;
    client.merge(&format!("{WIDGETS}/w"), json!({"metadata": {"finalizers": null}})).await.ok();
    client.until(&path, 404).await;
    assert_eq!(client.get(WIDGETS).await.code, 404);
    client.post(CRDS, crd()).await.ok();
    assert_eq!(client.get(WIDGETS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn names_are_accepted_once() {
    let client = with_widgets().await;
    let mut other = crd();
    other["metadata"]["name"] = json!("gadgets.ex.io");
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget"});
    let created = client.post(CRDS, other).await.ok();
    assert_eq!(created["status"]["acceptedNames"], json!({"plural": "gadgets", "kind": ""}));
    let accepted = &created["status"]["conditions"][0];
    assert_eq!(
        (&accepted["type"], &accepted["status"], &accepted["reason"], &accepted["message"]),
        (
            &json!("NamesAccepted"),
            &json!("False"),
            &json!("ListKindConflict"),
            &json!(r#""WidgetList" is already in use"#)
        )
    );
    assert_eq!(client.get("/apis/ex.io/v1/namespaces/default/gadgets").await.code, 404);
    client.delete(&format!("{CRDS}/widgets.ex.io")).await.ok();
    client.until("/apis/ex.io/v1/namespaces/default/gadgets", 200).await;
}

#[tokio::test]
async fn definitions_are_checked() {
    let client = Client::start().await;
    let cases: [(&str, Value, &str); 7] = [
        (
            "/metadata/name",
            json!("foo.ex.io"),
            r#"metadata.name: Invalid value: "foo.ex.io": must be spec.names.plural+"."+spec.group"#,
        ),
        (
            "/spec/scope",
            json!("World"),
            r#"spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced""#,
        ),
        ("/spec/versions/1/storage", json!(true), "must have exactly one version marked as storage version"),
        (
            "/spec/versions/0/schema/openAPIV3Schema/type",
            json!(""),
            "spec.versions[0].schema.openAPIV3Schema.type: Required value: must not be empty at the root",
        ),
        ("/spec/versions/1/name", json!("V1"), r#"spec.versions[1].name: Invalid value: "V1": a DNS-1035 label must"#),
        (
            "/spec/names/kind",
            json!("-"),
            r#"spec.names.kind: Invalid value: "-": may have mixed case, but should otherwise match: "#,
        ),
        (
            "/spec/conversion",
            json!({"strategy": "Magic"}),
            r#"spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook""#,
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut wrong = crd();
        match wrong.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => wrong["spec"]["conversion"] = value,
        }
        let refused = client.post(CRDS, wrong).await;
        assert_eq!(refused.code, 422, "{pointer}: {}", refused.body);
        assert!(refused.message().contains(expected), "{pointer}: {}", refused.message());
    }
}

/// The widgets with rules on their `spec`.
fn crd_with_rules(rules: Value) -> Value {
    let mut crd = crd();
    let versions = crd["spec"]["versions"].as_array_mut().expect("versions");
    versions.truncate(1);
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = rules;
    crd
}

#[tokio::test]
async fn rules_are_compiled_with_their_definition_and_run_on_its_objects() {
    let client = Client::start().await;
    let broken = client.post(CRDS, crd_with_rules(json!([{"rule": "self.sizes <= 10"}]))).await;
    assert_eq!(broken.code, 422);
    let cause = &broken.body["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule");
    let message = cause["message"].as_str().expect("a message");
    assert!(message.starts_with(r#"Invalid value: {"Rule":"self.sizes \u003c= 10","Message":"""#), "{message}");
    assert!(message.contains("compilation failed: ERROR: <input>:1:5: undefined field 'sizes'"), "{message}");

    let rules = json!([
        {"rule": "!has(self.size) || self.size <= 10", "message": "size too big", "fieldPath": ".size"},
        {"rule": "self.color == oldSelf.color", "message": "color is immutable", "reason": "FieldValueForbidden"},
    ]);
    client.post(CRDS, crd_with_rules(rules)).await.ok();
    client
        .post(WIDGETS, widget("w", json!({"size": 11})))
        .await
        .fails(422, r#"Widget.ex.io "w" is invalid: spec.size: Invalid value: size too big"#);
    let untyped = client.post(WIDGETS, widget("w", json!({"size": "x"}))).await;
    let causes = untyped.body["details"]["causes"].clone();
    assert_eq!(causes[2]["field"], "<nil>", "{causes}");
    client.post(WIDGETS, widget("w", json!({"size": 10}))).await.ok();
    let path = format!("{WIDGETS}/w");
    client
        .merge(&path, json!({"spec": {"color": "green"}}))
        .await
        .fails(422, r#"Widget.ex.io "w" is invalid: spec: Forbidden: color is immutable"#);
    client.merge(&path, json!({"spec": {"size": 9}})).await.ok();

    // The next edition of the definition rules at once; what an update leaves as it was is only warned of.
    let stricter = json!({"spec": crd_with_rules(json!([{"rule": "self.size < 5"}]))["spec"]});
    client.merge(&format!("{CRDS}/widgets.ex.io"), stricter).await.ok();
    let labelled = client.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled.warnings(), [r#"299 - "spec: Invalid value: failed rule: self.size < 5""#]);
    labelled.ok();
    let grown = client.merge(&path, json!({"spec": {"size": 8}})).await;
    grown.fails(422, r#"Widget.ex.io "w" is invalid: spec: Invalid value: failed rule: self.size < 5"#);
}

#[tokio::test]
async fn a_new_default_shows_on_objects_that_are_there() {
    let client = with_widgets().await;
    client.post(WIDGETS, widget("a", json!({"size": 1}))).await.ok();
    let before = client.get(&format!("{WIDGETS}/a")).await.ok();
    let path = format!("{CRDS}/widgets.ex.io");
    let mut changed = client.get(&path).await.ok();
    let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    changed.pointer_mut(properties).expect("properties")["shape"] = json!({"type": "string", "default": "round"});
    changed.pointer_mut(properties).expect("properties").as_object_mut().expect("an object").remove("size");
    client.put(&path, changed).await.ok();
    let after = client.get(&format!("{WIDGETS}/a")).await.ok();
    assert_eq!(after["spec"], json!({"color": "red", "shape": "round"}));
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(client.get(WIDGETS).await.ok()["items"][0]["spec"], after["spec"]);
    let patched = client.merge(&format!("{WIDGETS}/a"), json!({"spec": {"color": "green"}})).await.ok();
    assert_eq!(patched["spec"], json!({"color": "green", "shape": "round"}));
}

#[tokio::test]
async fn what_stands_beside_the_schema_is_checked() {
    let client = Client::start().await;
    let mut bad = crd();
    bad["spec"]["versions"].as_array_mut().expect("versions").truncate(1);
    bad["spec"]["versions"][0]["additionalPrinterColumns"] =
        json!([{"name": "A", "type": "text", "jsonPath": "spec.a", "format": "hex"}]);
    bad["spec"]["versions"][0]["selectableFields"] = json!([
        {"jsonPath": ".spec.missing"}, {"jsonPath": ".spec"}, {"jsonPath": ".spec.color"}, {"jsonPath": ".spec.color"},
    ]);
    bad["spec"]["versions"][0]["subresources"] =
        json!({"scale": {"specReplicasPath": ".status.size", "statusReplicasPath": "x"}});
    let refused = client.post(CRDS, bad).await;
    let causes = refused.body["details"]["causes"].as_array().expect("causes");
    let found: Vec<String> = causes
        .iter()
        .map(|cause| {
            format!(
                "{}: {}",
                cause["field"].as_str().unwrap_or_default(),
                cause["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "spec.subresources.scale.specReplicasPath: Invalid value: \".status.size\": should be a json path under .spec",
            "spec.subresources.scale.statusReplicasPath: Invalid value: \"x\": must be a simple json path starting with .",
            "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].format: Invalid value: \"hex\": must be one of byte,date,date-time,double,float,int32,int64,password",
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.a\": must be a simple json path starting with .",
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec.missing\": is an invalid path: does not refer to a valid field",
            "spec.selectableFields[1].jsonPath: Invalid value: \".spec\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "spec.selectableFields[3].jsonPath: Duplicate value: \".spec.color\"",
        ]
    );
}

/// Two versions that nothing converts between: the client's is what counts, the one in storage is what remains.
#[tokio::test]
async fn each_version_has_its_own_schema() {
    let client = Client::start().await;
    let version = |name: &str, storage: bool, properties: Value, required: Value| {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": properties, "required": required}},
        }}})
    };
    let limited = |most: i64| json!({"type": "integer", "maximum": most});
    let versions = json!([
        version(
            "v1",
            true,
            json!({"name": {"type": "string"}, "old": {"type": "integer"}, "size": limited(10), "one": {"type": "integer", "default": 1}}),
            json!(["old"])
        ),
        version(
            "v2",
            false,
            json!({"name": {"type": "string"}, "new": {"type": "string"}, "size": limited(100), "two": {"type": "integer", "default": 2}}),
            json!(["new"])
        ),
    ]);
    let crd = json!({
        "metadata": {"name": "gears.ex.io"},
        "spec": {"group": "ex.io", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"}, "versions": versions},
    });
    client.post(CRDS, crd).await.ok();
    let path = |version: &str| format!("/apis/ex.io/{version}/namespaces/default/gears");
    let gear = |version: &str, name: &str, spec: Value| json!({"apiVersion": format!("ex.io/{version}"), "kind": "Gear", "metadata": {"name": name}, "spec": spec});
    let made = client.post(&path("v2"), gear("v2", "a", json!({"name": "n", "new": "x", "size": 50}))).await.ok();
    assert_eq!(made["spec"], json!({"name": "n", "size": 50}));
    let old = client.get(&format!("{}/a", path("v1"))).await.ok();
    assert_eq!((&old["apiVersion"], &old["spec"]), (&json!("ex.io/v1"), &json!({"name": "n", "one": 1, "size": 50})));
    client
        .post(&path("v2"), gear("v2", "b", json!({"size": 101})))
        .await
        .fails(422, r#"Gear.ex.io "b" is invalid: [spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100, spec.new: Required value]"#);
    client
        .post(&path("v1"), gear("v1", "b", json!({})))
        .await
        .fails(422, r#"Gear.ex.io "b" is invalid: spec.old: Required value"#);
    client.post(&path("v1"), gear("v1", "b", json!({"old": 1, "name": "n"}))).await.ok();
    let listed = client.get(&path("v2")).await.ok();
    assert_eq!(listed["items"][1]["spec"], json!({"name": "n"}));
    // What the newer version does not know is gone with its first write.
    client.merge(&format!("{}/b", path("v2")), json!({"spec": {"new": "y"}})).await.ok();
    let after = client.get(&format!("{}/b", path("v1"))).await.ok();
    assert_eq!(after["spec"], json!({"name": "n", "one": 1}));
}
