use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

async fn with_letters() -> Client {
    let client = Client::start().await;
    for name in ["e", "b", "d", "a", "c"] {
        client.post(CONFIG_MAPS, config_map(name, name)).await.ok();
    }
    client
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let client = with_letters().await;
    let first = client.get(&format!("{CONFIG_MAPS}?limit=2")).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4, "the root certificate counts");
    client.post(CONFIG_MAPS, config_map("bb", "late")).await.ok();
    client.delete(&format!("{CONFIG_MAPS}/d")).await.ok();
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = client.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c", "d"], "as it was");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().expect("a token");
    let third = client.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&third), ["e", "kube-root-ca.crt"]);
    assert_eq!(third["metadata"].get("continue"), None);
    for wrong in ["x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTUsInN0YXJ0IjoiIn0"] {
        let refused = client.get(&format!("{CONFIG_MAPS}?continue={wrong}")).await;
        assert_eq!(refused.code, 400, "{wrong}");
        assert!(refused.message().starts_with("invalid continue token: "), "{}", refused.message());
    }
}

#[tokio::test]
async fn a_page_whose_moment_is_forgotten_can_be_continued_inconsistently() {
    let client = with_letters().await;
    let first = client.get(&format!("{CONFIG_MAPS}?limit=2")).await.ok();
    for round in 0..4200 {
        client.merge(&format!("{CONFIG_MAPS}/e"), json!({"data": {"key": round.to_string()}})).await.ok();
    }
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let expired = client.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    assert_eq!((expired.code, &expired.body["reason"]), (410, &json!("Expired")));
    let token = expired.body["metadata"]["continue"].as_str().expect("a fresh token");
    let rest = client.get(&format!("{CONFIG_MAPS}?limit=20&continue={token}")).await.ok();
    assert_eq!(names(&rest), ["c", "d", "e", "kube-root-ca.crt"]);
    client
        .get(&format!("{CONFIG_MAPS}?resourceVersion=3&resourceVersionMatch=Exact"))
        .await
        .fails(410, "The resourceVersion for the provided list is too old.");
}

#[tokio::test]
async fn revisions_ask_for_a_moment() {
    let client = with_letters().await;
    let now = client.get(CONFIG_MAPS).await.ok();
    let revision = now["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
    client.post(CONFIG_MAPS, config_map("z", "late")).await.ok();
    let get = |query: String| client.get(Box::leak(format!("{CONFIG_MAPS}?{query}").into_boxed_str()));
    let exact = get(format!("resourceVersion={revision}&resourceVersionMatch=Exact")).await.ok();
    assert_eq!(exact, now);
    assert_eq!(get(format!("resourceVersion={revision}")).await.ok()["items"].as_array().map(Vec::len), Some(7));
    assert_eq!(
        names(&get(format!("resourceVersion={revision}&limit=100")).await.ok()).len(),
        6,
        "exact, by an old habit"
    );
    let any = get("resourceVersion=0&limit=2".to_owned()).await.ok();
    assert_eq!(names(&any).len(), 7, "a limit does not count for any moment");
    let future = get("resourceVersion=999999".to_owned()).await;
    assert_eq!(future.code, 504);
    assert!(
        future.message().starts_with("Timeout: Too large resource version: 999999, current: "),
        "{}",
        future.message()
    );
    assert_eq!(future.headers["retry-after"], "1");
}

#[tokio::test]
async fn selectors_select() {
    let client = Client::start().await;
    for (name, app) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut pod = pod(name);
        pod["metadata"]["labels"]["app"] = json!(app);
        client.post(PODS, pod).await.ok();
    }
    let cases: [(&str, &[&str]); 7] = [
        ("labelSelector=app%3Dx", &["a", "c"]),
        ("labelSelector=app+in+(y,z)", &["b"]),
        ("labelSelector=!app", &[]),
        ("fieldSelector=metadata.name%3Db", &["b"]),
        ("fieldSelector=metadata.name!%3Db,status.phase%3DPending", &["a", "c"]),
        ("fieldSelector=spec.nodeName%3D", &["a", "b", "c"]),
        ("fieldSelector=metadata.namespace%3Dother", &[]),
    ];
    for (query, expected) in cases {
        for path in [PODS, "/api/v1/pods"] {
            let list = client.get(&format!("{path}?{query}")).await.ok();
            assert_eq!(names(&list), expected, "{path}?{query}");
        }
    }
    client.get(&format!("{PODS}?fieldSelector=spec.foo%3Dx")).await.fails(400, "field label not supported: spec.foo");
    client
        .get(&format!("{CONFIG_MAPS}?fieldSelector=foo%3Dx"))
        .await
        .fails(400, r#""foo" is not a known field selector: only "metadata.name", "metadata.namespace""#);
    assert_eq!(client.get(&format!("{PODS}?labelSelector=a+b")).await.code, 400);
    assert_eq!(client.get("/api/v1/namespaces/nope/pods").await.ok()["items"], json!([]));
}
