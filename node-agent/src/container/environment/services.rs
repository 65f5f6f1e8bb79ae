//! The variables that tell containers where services are.

use std::collections::BTreeMap;

use cluster::Writer;
use machinery::meta;
use serde_json::Value;

/// The service of the API server, which every container is told.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// The variables for a namespace; without `links` only those of the API server.
pub(super) async fn variables(writer: &Writer, namespace: &str, links: bool) -> BTreeMap<String, String> {
    let mut services = Vec::new();
    if links && namespace != MASTER.0 {
        services.extend(list(writer, namespace).await);
    }
    let of_default = list(writer, MASTER.0).await;
    services.extend(of_default.into_iter().filter(|one| links && namespace == MASTER.0 || meta::name(one) == MASTER.1));
    services.iter().flat_map(of_service).collect()
}

async fn list(writer: &Writer, namespace: &str) -> Vec<Value> {
    let request = http::Request::get(format!("/api/v1/namespaces/{namespace}/services")).body(Vec::new());
    let Ok(request) = request else { return Vec::new() };
    match writer.client().request::<Value>(request).await {
        Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
        Err(error) => {
            tracing::debug!(namespace, %error, "services are not known");
            Vec::new()
        }
    }
}

fn of_service(service: &Value) -> Vec<(String, String)> {
    let ip = service["spec"]["clusterIP"].as_str().filter(|ip| !ip.is_empty() && *ip != "None");
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (Some(ip), Some(first)) = (ip, ports.first()) else { return Vec::new() };
    let name = variable(meta::name(service));
    let number = |port: &Value| port["port"].as_u64().unwrap_or_default();
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
    let url = |port: &Value| format!("{}://{ip}:{}", protocol(port).to_lowercase(), number(port));
    let mut all = vec![
        (format!("{name}_SERVICE_HOST"), ip.to_owned()),
        (format!("{name}_SERVICE_PORT"), number(first).to_string()),
        (format!("{name}_PORT"), url(first)),
    ];
    for port in ports {
        if let Some(port_name) = port["name"].as_str().filter(|name| !name.is_empty()) {
            all.push((format!("{name}_SERVICE_PORT_{}", variable(port_name)), number(port).to_string()));
        }
        let prefix = format!("{name}_PORT_{}_{}", number(port), protocol(port));
        all.push((prefix.clone(), url(port)));
        all.push((format!("{prefix}_PROTO"), protocol(port).to_lowercase()));
        all.push((format!("{prefix}_PORT"), number(port).to_string()));
        all.push((format!("{prefix}_ADDR"), ip.to_owned()));
    }
    all
}

fn variable(name: &str) -> String {
    name.replace(['-', '.'], "_").to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_has_the_variables_of_its_ports() {
        let service = json!({
            "metadata": {"name": "my-db"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "sql-port", "port": 5432}, {"port": 53, "protocol": "UDP"}]},
        });
        let all: BTreeMap<String, String> = of_service(&service).into_iter().collect();
        for (name, value) in [
            ("MY_DB_SERVICE_HOST", "10.96.0.7"),
            ("MY_DB_SERVICE_PORT", "5432"),
            ("MY_DB_SERVICE_PORT_SQL_PORT", "5432"),
            ("MY_DB_PORT", "tcp://10.96.0.7:5432"),
            ("MY_DB_PORT_5432_TCP_ADDR", "10.96.0.7"),
            ("MY_DB_PORT_53_UDP", "udp://10.96.0.7:53"),
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        let headless = json!({"metadata": {"name": "x"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}});
        assert!(of_service(&headless).is_empty());
    }
}
