use serde_json::json;

use crate::client::{CONFIG_MAPS, Client, config_map};

#[tokio::test]
async fn an_apply_creates_changes_and_removes() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let created = client.apply(&path, "m", config_map("a", "1")).await;
    assert_eq!(created.code, 201);
    assert_eq!(created.body["metadata"]["managedFields"][0]["operation"], "Apply");
    let again = client.apply(&path, "m", config_map("a", "1")).await;
    assert_eq!((again.code, &again.body), (200, &created.body));
    let mut other = config_map("a", "2");
    other["data"] = json!({"other": "x"});
    let changed = client.apply(&path, "m", other).await.ok();
    assert_eq!(changed["data"], json!({"other": "x"}), "what is no longer applied goes");
}

#[tokio::test]
async fn conflicts_are_told_and_can_be_forced() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    client.apply(&path, "m1", config_map("a", "1")).await.ok();
    let conflict = client.apply(&path, "m2", config_map("a", "2")).await;
    conflict.fails(409, r#"Apply failed with 1 conflict: conflict with "m1": .data.key"#);
    assert_eq!(
        conflict.body["details"],
        json!({"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"m1\"", "field": ".data.key"}]})
    );
    let forced = client.apply(&path, "m2&force=true", config_map("a", "2")).await.ok();
    assert_eq!(forced["data"], json!({"key": "2"}));
    let managers: Vec<_> = forced["metadata"]["managedFields"]
        .as_array()
        .expect("managers")
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(managers, ["m2"]);
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused() {
    let client = Client::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    client.apply(&path, "", config_map("a", "1")).await.fails(
        422,
        r#"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#,
    );
    client
        .apply(&path, "m", config_map("b", "1"))
        .await
        .fails(400, "the name of the object (b) does not match the name on the URL (a)");
    let mut unknown = config_map("a", "1");
    unknown["bogus"] = json!(1);
    let refused = client.apply(&path, "m", unknown).await;
    assert_eq!(refused.code, 500);
    assert!(refused.message().ends_with(".bogus: field not declared in schema"), "{}", refused.message());
    assert_eq!(refused.body.get("reason"), None);
    let mut uid = config_map("a", "1");
    uid["metadata"]["uid"] = json!("x");
    assert!(
        client
            .apply(&path, "m", uid)
            .await
            .message()
            .ends_with("uid mismatch: the provided object specified uid x, and no existing object was found")
    );
    client
        .apply(&format!("{path}/status"), "m", config_map("a", "1"))
        .await
        .fails(404, "the server could not find the requested resource");
}
