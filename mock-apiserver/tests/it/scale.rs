use serde_json::json;

use crate::client::Client;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

#[tokio::test]
async fn replicas_are_scaled() {
    let client = Client::start().await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    });
    client.post(DEPLOYMENTS, deployment).await.ok();
    let path = format!("{DEPLOYMENTS}/d/scale");
    let scale = client.get(&path).await.ok();
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["spec"], json!({"replicas": 2}));
    assert_eq!(scale["status"], json!({"replicas": 0, "selector": "a=b"}));
    let printer = client.with(&[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")]);
    let table = printer.get(&path).await.ok();
    let headings: Vec<_> =
        table["columnDefinitions"].as_array().expect("columns").iter().map(|column| column["name"].clone()).collect();
    assert_eq!(json!(headings), json!(["Name", "Desired", "Available", "Age"]));
    let cells = table["rows"][0]["cells"].as_array().expect("cells");
    assert_eq!(cells[..3], [json!("d"), json!(2), json!(0)]);
    let scaled = client.merge(&path, json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!(scaled["spec"], json!({"replicas": 3}));
    let mut put = scaled;
    put["spec"]["replicas"] = json!(0);
    assert_eq!(client.put(&path, put.clone()).await.ok()["spec"], json!({}));
    assert_eq!(client.put(&path, put).await.code, 409, "its revision is a lock");
    client.merge(&path, json!({"spec": {"replicas": -1}})).await.fails(
        422,
        r#"Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"#,
    );
    let parent = client.get(&format!("{DEPLOYMENTS}/d")).await.ok();
    assert_eq!((&parent["spec"]["replicas"], &parent["metadata"]["generation"]), (&json!(0), &json!(3)));
    let managers = parent["metadata"]["managedFields"].as_array().expect("managers");
    assert!(
        managers
            .iter()
            .any(|entry| entry["subresource"] == "scale" && entry["fieldsV1"] == json!({"f:spec": {"f:replicas": {}}}))
    );
    client.get(&format!("{DEPLOYMENTS}/nope/scale")).await.fails(404, r#"deployments.apps "nope" not found"#);
}
