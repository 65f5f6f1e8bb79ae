use http::Method;
use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, config_map};

#[tokio::test]
async fn the_server_sets_what_only_it_knows() {
    let client = Client::start().await;
    let mut wanted = config_map("a", "1");
    wanted["metadata"]["uid"] = json!("mine");
    wanted["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    wanted["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
    wanted["metadata"]["generation"] = json!(7);
    wanted["metadata"]["selfLink"] = json!("/x");
    let created = client.post(CONFIG_MAPS, wanted).await;
    assert_eq!(created.code, 201);
    let metadata = &created.body["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["generation"], 7, "a kind that does not manage it keeps it");
    assert_ne!(metadata["uid"], "mine");
    assert_ne!(metadata["creationTimestamp"], "2020-01-01T00:00:00Z");
    assert_eq!(metadata["deletionTimestamp"], json!(null));
    assert_eq!(metadata["selfLink"], json!(null));
    assert_eq!(metadata["managedFields"][0]["manager"], "tests");
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/a")).await.body, created.body);
}

#[tokio::test]
async fn refusals_read_as_upstream() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    let same = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    same.fails(409, r#"configmaps "a" already exists"#);
    assert_eq!(same.body["details"], json!({"name": "a", "kind": "configmaps"}));
    let missing = client.post("/api/v1/namespaces/nope/configmaps", config_map("a", "1")).await;
    missing.fails(404, r#"namespaces "nope" not found"#);
    assert_eq!(missing.body["details"], json!({"name": "nope", "kind": "namespaces"}));
    let mut elsewhere = config_map("b", "1");
    elsewhere["metadata"]["namespace"] = json!("other");
    client
        .post(CONFIG_MAPS, elsewhere)
        .await
        .fails(400, "the namespace of the provided object does not match the namespace sent on the request");
    let nameless = client.post(CONFIG_MAPS, json!({"metadata": {}})).await;
    nameless.fails(422, r#"ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#);
    assert_eq!(
        nameless.body["details"]["causes"],
        json!([{"reason": "FieldValueRequired", "message": "Required value: name or generateName is required", "field": "metadata.name"}])
    );
    let mut revised = config_map("c", "1");
    revised["metadata"]["resourceVersion"] = json!("5");
    let revised = client.post(CONFIG_MAPS, revised).await;
    revised.fails(500, "resourceVersion should not be set on objects to be created");
    assert_eq!(revised.body.get("reason"), None);
    let bad = client.post(CONFIG_MAPS, config_map("A_b", "1")).await;
    assert_eq!(bad.code, 422);
    assert!(bad.message().starts_with(r#"ConfigMap "A_b" is invalid: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist"#), "{}", bad.message());
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let client = Client::start().await;
    let post =
        |media_type: &'static str, body: &'static str| client.request(Method::POST, CONFIG_MAPS, media_type, body);
    let broken = post("application/json", "{\"a\":").await;
    assert_eq!(broken.code, 400);
    assert!(broken.message().starts_with("the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: "), "{}", broken.message());
    assert!(post("application/json", "").await.message().ends_with("(<empty>)"));
    assert!(post("application/json", "xyz").await.message().ends_with("(78797a)"));
    post("application/json", r#"{"apiVersion":"v1","kind":"Secret"}"#)
        .await
        .fails(400, r#"Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion"#);
    post("application/json", r#"{"metadata":{"name":"a"},"data":3}"#).await.fails(
        400,
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string"#,
    );
    post("text/plain", "a: b").await.fails(
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    );
    let list = post("application/json", r#"{"apiVersion":"v1","kind":"List","items":[]}"#).await;
    assert_eq!(list.code, 400);
    let huge = client.request(Method::POST, CONFIG_MAPS, "application/json", vec![b' '; 3_145_729]).await;
    huge.fails(413, "Request entity too large: limit is 3145728");
    let deep = "[".repeat(100_000);
    assert_eq!(client.request(Method::POST, CONFIG_MAPS, "application/json", deep).await.code, 400);
}

#[tokio::test]
async fn yaml_is_read_too() {
    let client = Client::start().await;
    let yaml = "metadata:\n  name: yaml\ndata:\n  a: \"1\"\n  a: \"2\"\n";
    let path = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    let refused = client.request(Method::POST, &path, "application/yaml", yaml).await;
    refused.fails(
        400,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 5: key \"a\" already set in map",
    );
    let created = client.request(Method::POST, CONFIG_MAPS, "application/yaml", yaml).await;
    assert_eq!(created.warnings(), [r#"299 - "line 5: key \"a\" already set in map""#]);
    assert_eq!(created.ok()["data"], json!({"a": "2"}));
}

#[tokio::test]
async fn unknown_and_double_fields_are_refused_warned_of_or_dropped() {
    let client = Client::start().await;
    let body = r#"{"metadata":{"name":"NAME","foo":1},"data":{"a":"1","a":"2"},"datum":{}}"#;
    let post = |validation: &'static str, name: &'static str| {
        let path = format!("{CONFIG_MAPS}?fieldValidation={validation}");
        let body = body.replace("NAME", name);
        let client = &client;
        async move { client.request(Method::POST, &path, "application/json", body).await }
    };
    post("Strict", "s").await.fails(
        400,
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.foo", duplicate field "data.a", unknown field "datum""#,
    );
    let warned = post("Warn", "w").await;
    assert_eq!(
        warned.warnings(),
        [
            r#"299 - "unknown field \"metadata.foo\"""#,
            r#"299 - "duplicate field \"data.a\"""#,
            r#"299 - "unknown field \"datum\"""#
        ]
    );
    assert_eq!(warned.body["metadata"].get("foo"), None);
    assert!(post("Ignore", "i").await.warnings().is_empty());
    assert_eq!(post("Never", "n").await.code, 422);
}

#[tokio::test]
async fn names_are_generated() {
    let client = Client::start().await;
    let created = client.post(CONFIG_MAPS, json!({"metadata": {"generateName": "web-"}})).await.ok();
    let name = created["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!(created["metadata"]["generateName"], "web-");
    let long = "x".repeat(100);
    let created = client.post(CONFIG_MAPS, json!({"metadata": {"generateName": long}})).await.ok();
    assert_eq!(created["metadata"]["name"].as_str().map(str::len), Some(63));
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let client = Client::start().await;
    let created = client.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("a", "1")).await;
    assert_eq!(created.code, 201);
    assert!(created.body["metadata"]["uid"].is_string());
    assert_eq!(created.body["metadata"].get("resourceVersion"), None);
    client.get(&format!("{CONFIG_MAPS}/a")).await.fails(404, r#"configmaps "a" not found"#);
}

#[tokio::test]
async fn metadata_is_validated() {
    let client = Client::start().await;
    let with = |member: &str, value: serde_json::Value| {
        let mut object = config_map("m", "1");
        object["metadata"][member] = value;
        object
    };
    let cases = [
        (with("labels", json!({"a b": "x"})), "metadata.labels: Invalid value: \"a b\": name part must consist of"),
        (
            with("labels", json!({"a": "x y"})),
            "metadata.labels: Invalid value: \"x y\": a valid label must be an empty string",
        ),
        (
            with("annotations", json!({"A b": "x"})),
            "metadata.annotations: Invalid value: \"A b\": name part must consist of",
        ),
        (
            with("annotations", json!({"a": "x".repeat(300_000)})),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            with("finalizers", json!(["nope"])),
            "metadata.finalizers[0]: Invalid value: \"nope\": name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            with("ownerReferences", json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}])),
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ),
        (with("generation", json!(-1)), "metadata.generation: Invalid value: -1: must be greater than or equal to 0"),
    ];
    for (object, expected) in cases {
        let refused = client.post(CONFIG_MAPS, object).await;
        let message = refused.message();
        assert_eq!(refused.code, 422, "{message}");
        assert!(message.starts_with(&format!("ConfigMap \"m\" is invalid: {expected}")), "{message}");
    }
    let owner =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name, "controller": true});
    let two = client.post(CONFIG_MAPS, with("ownerReferences", json!([owner("a"), owner("b")]))).await;
    assert!(two.message().ends_with(r#"Only one reference can have Controller set to true. Found "true" in references for ConfigMap/a and ConfigMap/b"#), "{}", two.message());
}

#[tokio::test]
async fn paths_that_lead_nowhere_say_so() {
    let client = Client::start().await;
    let unknown = "the server could not find the requested resource";
    for path in [
        "/apis/apps/v9/x/y",
        "/api/v1/nope/x",
        "/api/v1/namespaces/default/pods/p/nope",
        "/api/v1/pods/p",
        "/api/v1/namespaces/default/nodes",
    ] {
        let answer = client.get(path).await;
        answer.fails(404, unknown);
        assert_eq!(answer.body["details"], json!({}), "{path}");
    }
    for path in ["/nope", "/apis/nope/v1/x"] {
        let answer = client.get(path).await;
        assert_eq!((answer.code, answer.body), (404, json!("404 page not found\n")), "{path}");
    }
    let refused = "the server does not allow this method on the requested resource";
    let object = format!("{CONFIG_MAPS}/a");
    for (method, path) in [
        (Method::POST, object.as_str()),
        (Method::PUT, CONFIG_MAPS),
        (Method::PATCH, CONFIG_MAPS),
        (Method::DELETE, "/api/v1/namespaces"),
        (Method::POST, "/api/v1/configmaps"),
        (Method::DELETE, "/api/v1/configmaps"),
        (Method::OPTIONS, CONFIG_MAPS),
    ] {
        client.request(method, path, "application/json", "{}").await.fails(405, refused);
    }
}

/// As upstream: the object is what counts, and who owns its fields is given up for it. An apply says just that.
#[tokio::test]
async fn owners_make_room_for_an_object_that_is_almost_too_large() {
    let client = Client::start().await;
    let long = "x".repeat(75);
    let data: serde_json::Map<_, _> = (0..9999).map(|number| (format!("{long}-{number}"), json!("A"))).collect();
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": data});
    let created = client.post(CONFIG_MAPS, large).await;
    assert_eq!((created.code, &created.body["metadata"]["managedFields"]), (201, &json!(null)));
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}});
    client
        .apply(&format!("{CONFIG_MAPS}/large"), "tests", applied)
        .await
        .fails(500, "etcdserver: request is too large");
}
