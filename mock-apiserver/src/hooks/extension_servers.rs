//! What extension servers are told: whose client certificates count, and where a proxy says who asks.

use machinery::status::Status;
use serde_json::{Map, Value, json};

use crate::{
    config::Access,
    registry::{Context, Registry, Source, Target},
    storage::Stored,
};

/// The ConfigMap in which they look.
const NAME: &str = "extension-apiserver-authentication";

/// Creates the ConfigMap, where there is something to tell.
pub(crate) async fn create_extension_authentication(registry: &Registry, access: &Access) -> Result<(), Status> {
    let data = data(access);
    let Some(endpoint) = registry.catalog.endpoint("", "v1", "configmaps").filter(|_| !data.is_empty()) else {
        return Ok(());
    };
    if registry.get(&endpoint, "kube-system", NAME).is_ok() {
        return Ok(());
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "kube-system"}, "data": data,
    });
    registry.create(&endpoint, "kube-system", map, &Context::server("kube-apiserver")).await.map(drop)
}

/// Tells extension servers which authorities count now, besides those that they were told of before: other servers may go by
/// those still.
pub(crate) async fn tell_extension_servers(registry: &Registry, access: &Access) {
    let Some(endpoint) = registry.catalog.endpoint("", "v1", "configmaps") else { return };
    let data = data(access);
    let transform = |current: &Stored| {
        let mut map = current.value().clone();
        for (member, value) in &data {
            let known = current.value().pointer(&format!("/data/{member}")).and_then(Value::as_str);
            map["data"][member] = match value {
                Value::String(pem) if member.ends_with("client-ca-file") => {
                    united(known.unwrap_or_default(), pem).into()
                }
                other => other.clone(),
            };
        }
        Ok(map)
    };
    let target = Target { endpoint: &endpoint, namespace: "kube-system", name: NAME, subresource: "" };
    let context = Context::server("kube-apiserver");
    if let Err(status) = registry.update(target, Source::Patch, &transform, &context).await {
        tracing::warn!("extension servers were not told of new authorities: {}", status.message);
    }
}

/// Certificates in PEM, and those of others that are not among them.
fn united(known: &str, others: &str) -> String {
    let mut united = known.to_owned();
    let end = "-----END CERTIFICATE-----";
    for certificate in others.split_inclusive(end).map(str::trim).filter(|text| text.ends_with(end)) {
        if !united.contains(certificate) {
            united.push_str(certificate);
            united.push('\n');
        }
    }
    united
}

fn data(access: &Access) -> Map<String, Value> {
    let mut data = Map::new();
    let authorities = access.clients.pem();
    if !authorities.is_empty() {
        data.insert("client-ca-file".to_owned(), authorities.into());
    }
    let Some(proxy) = &access.front_proxy else { return data };
    let headers = |names: &[http::HeaderName]| names.iter().map(|name| canonical(name.as_str())).collect::<Vec<_>>();
    let prefixes: Vec<String> = proxy.extra.iter().map(|prefix| canonical(prefix)).collect();
    data.insert("requestheader-client-ca-file".to_owned(), proxy.authorities().given_pem().into());
    for (member, list) in [
        ("allowed-names", proxy.names.clone()),
        ("username-headers", headers(&proxy.user)),
        ("uid-headers", headers(&proxy.uid)),
        ("group-headers", headers(&proxy.groups)),
        ("extra-headers-prefix", prefixes),
    ] {
        data.insert(format!("requestheader-{member}"), json!(list).to_string().into());
    }
    data
}

/// A header as Go writes it: `X-Remote-User`.
fn canonical(name: &str) -> String {
    let mut start = true;
    let letters = name.chars().map(|letter| {
        let shown = if start { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        start = letter == '-';
        shown
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_as_go_writes_them() {
        assert_eq!(canonical("x-remote-user"), "X-Remote-User");
        assert_eq!(canonical("x-remote-extra-"), "X-Remote-Extra-");
        assert!(data(&Access::default()).is_empty());
    }

    #[test]
    fn authorities_that_were_told_of_stay() {
        let one = |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        assert_eq!(united(&one("a"), &format!("{}{}", one("b"), one("a"))), format!("{}{}", one("a"), one("b")));
        assert_eq!(united("", &one("a")), one("a"));
        assert_eq!(united(&one("a"), "nothing"), one("a"));
    }
}
