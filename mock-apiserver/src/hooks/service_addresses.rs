//! The addresses of services as objects: the ServiceCIDR that they come from, and an IPAddress for each that is held.

use std::{net::IpAddr, sync::Arc};

use api::builtin;
use futures::future::BoxFuture;
use machinery::{meta, time};
use serde_json::{Value, json};

use super::is;
use crate::{
    catalog::Endpoint,
    registry::{Change, Reaction, Registry},
    service_range::ServiceRange,
    storage::{ChangeKind, Stored},
};

const GROUP: &str = "networking.k8s.io";

/// Says that an IPAddress is the server's own affair.
const MANAGED_BY: (&str, &str) = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");

/// Keeps an IPAddress for each address that a service holds.
pub(crate) struct IpAddresses;

impl Reaction for IpAddresses {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        if !is(change.endpoint, "", "services") {
            return None;
        }
        let endpoint = registry.catalog.endpoint(GROUP, "v1", "ipaddresses")?;
        let before = change.old.and_then(address);
        let after = Some(change.object.value()).filter(|_| change.kind != ChangeKind::Deleted).and_then(address);
        if before == after {
            return None;
        }
        let service = change.object.value();
        let taken = after.map(|address| document(service, address));
        let spent = before.and_then(|address| held(&endpoint, service, address));
        Some(Box::pin(async move {
            if let Some(address) = taken {
                registry.install(&endpoint, address).await;
            }
            if let Some(address) = spent {
                registry.uninstall(&endpoint, &address).await;
            }
        }))
    }
}

fn address(service: &Value) -> Option<IpAddr> {
    builtin::cluster_ip(service)?.parse().ok()
}

/// The IPAddress of a service, if it is the server's and still that of this service.
fn held(endpoint: &Endpoint, service: &Value, address: IpAddr) -> Option<Arc<Stored>> {
    let found = endpoint.resource.space().get(&address.to_string())?;
    let is_its_own = meta::label(found.value(), MANAGED_BY.0) == Some(MANAGED_BY.1)
        && found.value().pointer("/spec/parentRef") == Some(&parent(service));
    is_its_own.then_some(found)
}

fn parent(service: &Value) -> Value {
    json!({"resource": "services", "namespace": meta::namespace(service), "name": meta::name(service)})
}

fn document(service: &Value, address: IpAddr) -> Value {
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {
            "name": address.to_string(),
            "labels": {"ipaddress.kubernetes.io/ip-family": family, MANAGED_BY.0: MANAGED_BY.1},
        },
        "spec": {"parentRef": parent(service)},
    })
}

/// Makes the ServiceCIDR of the range that services get their addresses from.
pub(crate) async fn create_service_cidr(registry: &Registry, range: ServiceRange) {
    let Some(endpoint) = registry.catalog.endpoint(GROUP, "v1", "servicecidrs") else { return };
    let condition = json!({
        "type": "Ready", "status": "True", "lastTransitionTime": time::format_seconds(registry.clock.now()),
        "reason": "", "message": "Kubernetes default Service CIDR is ready",
    });
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [range.to_string()]},
        "status": {"conditions": [condition]},
    });
    registry.install(&endpoint, object).await;
}
