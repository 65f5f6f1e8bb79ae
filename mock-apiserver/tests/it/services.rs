use serde_json::json;

use crate::client::Client;

const SERVICES: &str = "/api/v1/namespaces/default/services";

#[test]
fn the_server_has_a_service_that_names_its_port() {
    let server = testkit::TestServer::start().expect("a server");
    let Some(kubectl) = testkit::Kubectl::of(&server) else { return };
    let port = server.address().port();
    let get = |what: &str, path: &str| kubectl.run(&format!("get {what} kubernetes -o jsonpath={{{path}}}")).stdout;
    assert_eq!(get("service", ".spec.ports[*].targetPort"), port.to_string());
    for (what, path) in [("endpoints", ".subsets[*].ports[*].port"), ("endpointslice", ".ports[*].port")] {
        let told = get(what, path);
        // A host that knows no way out has no address to tell.
        assert!(told.is_empty() || told == port.to_string(), "{what}: {told}");
    }
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let client = Client::start().await;
    let own = client.get(&format!("{SERVICES}/kubernetes")).await.ok();
    assert_eq!(own["spec"]["clusterIP"], "10.96.0.1");
    let service = |name: &str, spec: serde_json::Value| json!({"metadata": {"name": name}, "spec": spec});
    let plain = json!({"ports": [{"port": 80}]});
    let first = client.post(SERVICES, service("a", plain.clone())).await.ok();
    let second = client.post(SERVICES, service("b", plain)).await.ok();
    let ip = first["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    assert_ne!(second["spec"]["clusterIP"], ip.as_str());
    assert_eq!(first["spec"]["clusterIPs"], json!([ip]));
    let taken = json!({"ports": [{"port": 80}], "clusterIP": ip});
    client.post(SERVICES, service("c", taken.clone())).await.fails(
        422,
        &format!(r#"Service "c" is invalid: spec.clusterIPs: Invalid value: ["{ip}"]: failed to allocate IP {ip}: provided IP is already allocated"#),
    );
    client.delete(&format!("{SERVICES}/a")).await.ok();
    client.post(SERVICES, service("c", taken)).await.ok();
    let ports = json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 443, "name": "s"}]});
    let mut named = ports.clone();
    named["ports"][0]["name"] = json!("h");
    let node_ports = client.post(SERVICES, service("d", named)).await.ok();
    let of = |index: usize| node_ports["spec"]["ports"][index]["nodePort"].as_i64().unwrap_or(0);
    assert!(of(0) >= 30_000 && of(1) <= 32_767 && of(0) != of(1), "{node_ports}");
    let headless =
        client.post(SERVICES, service("e", json!({"clusterIP": "None", "ports": [{"port": 80}]}))).await.ok();
    assert_eq!(headless["spec"]["clusterIP"], "None");
}
