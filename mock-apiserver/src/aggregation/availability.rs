//! Whether the server of an APIService answers: the `Available` condition, and what it has for discovery.

use std::{sync::Arc, time::Duration};

use machinery::{status::Reason, time};
use serde_json::{Value, json};

use super::{Aggregation, RemoteVersion, Remotes, endpoint, remote, service_of};
use crate::{
    outbound::{self, Identity, Unreachable},
    registry::{Context, Registry, Source, Target},
    storage::Stored,
};

/// How often servers are asked again: kube-aggregator's resync of its availability controller.
const AGAIN: Duration = Duration::from_secs(30);

/// Whether a server can be asked, in the words of the condition.
struct Availability {
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Availability {
    fn yes() -> Self {
        Self { status: "True", reason: "Passed", message: "all checks passed".to_owned() }
    }

    fn local() -> Self {
        let message = "Local APIServices are always available".to_owned();
        Self { status: "True", reason: "Local", message }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self { status: "False", reason, message }
    }
}

impl Aggregation {
    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        super::names(&registry).into_iter().for_each(|name| self.queue.push(name));
        loop {
            match tokio::time::timeout(AGAIN, self.queue.pop()).await {
                Ok(name) => self.look(&registry, &name).await,
                Err(_) => super::names(&registry).into_iter().for_each(|name| self.queue.push(name)),
            }
        }
    }

    async fn look(&self, registry: &Registry, name: &str) {
        let Some((version, group)) = name.split_once('.') else { return };
        let (availability, resources) = match service_of(registry, group, version) {
            Some(service) => ask(registry, self.identity.as_ref(), &service, group, version).await,
            None => (Availability::local(), None),
        };
        self.learn(group, version, resources);
        if is_known(registry, name, &availability) {
            return;
        }
        if let Err(status) = write(registry, name, &availability).await
            && !matches!(status.reason(), Reason::NotFound | Reason::Conflict)
        {
            tracing::debug!(name, error = %status, "the status of an APIService was not written");
        }
    }

    fn learn(&self, group: &str, version: &str, resources: Option<Vec<Value>>) {
        let known = self.remotes();
        let mut versions: Vec<RemoteVersion> =
            known.versions.iter().filter(|one| one.group != group || one.version != version).cloned().collect();
        if let Some(resources) = resources {
            versions.push(RemoteVersion { group: group.to_owned(), version: version.to_owned(), resources });
            versions.sort_by(|a, b| (&a.group, &a.version).cmp(&(&b.group, &b.version)));
        }
        if versions != known.versions {
            self.remotes.store(Arc::new(Remotes { generation: known.generation + 1, versions }));
        }
    }
}

/// Asks a server for what it has.
async fn ask(
    registry: &Registry,
    identity: Option<&Identity>,
    service: &Value,
    group: &str,
    version: &str,
) -> (Availability, Option<Vec<Value>>) {
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/spec/service/namespace"), text("/spec/service/name"));
    let port = service.pointer("/spec/service/port").and_then(Value::as_u64).unwrap_or(443);
    if let Err(why) = outbound::resolve(registry, namespace, name, port) {
        return (unavailable(&why, namespace, name), None);
    }
    let path = format!("/apis/{group}/{version}");
    let url = format!("https://{name}.{namespace}.svc:{port}{path}");
    let failed = |why: String| {
        let message = format!("failing or missing response from {url}: {why}");
        (Availability::no("FailedDiscoveryCheck", message), None)
    };
    match remote::get(registry, identity, service, &path).await {
        Ok((status, body)) if status.is_success() => {
            let list: Value = serde_json::from_slice(&body).unwrap_or_default();
            let resources = list["resources"].as_array().cloned().unwrap_or_default();
            (Availability::yes(), Some(resources))
        }
        Ok((status, _)) => failed(format!("bad status from {url}: {}", status.as_u16())),
        Err(why) => failed(format!("Get {}: {why}", machinery::field::quote(&url))),
    }
}

/// What is said of a server whose service leads nowhere.
fn unavailable(why: &Unreachable, namespace: &str, name: &str) -> Availability {
    let quoted = machinery::field::quote(namespace);
    match why {
        Unreachable::NoService(_) => {
            Availability::no("ServiceNotFound", format!("service/{name} in {quoted} is not present"))
        }
        Unreachable::NoPort { port, .. } | Unreachable::BadPort(port) => {
            Availability::no("ServicePortError", format!("service/{name} in {quoted} is not listening on port {port}"))
        }
        Unreachable::NoSlices(_) => {
            Availability::no("EndpointsNotFound", format!("cannot find endpointslices for service/{name} in {quoted}"))
        }
        Unreachable::NoAddress { port_name, .. } => {
            let port_name = machinery::field::quote(port_name);
            let message =
                format!("endpointslices for service/{name} in {quoted} have no addresses with port name {port_name}");
            Availability::no("MissingEndpoints", message)
        }
    }
}

/// Whether the condition says so already, or there is nothing that it could be said of.
fn is_known(registry: &Registry, name: &str, availability: &Availability) -> bool {
    let stored = endpoint(registry).and_then(|endpoint| endpoint.resource.space().get(name));
    stored.is_none_or(|stored| {
        let condition = stored.member(&["status", "conditions"]).and_then(|list| list.get(0).cloned());
        condition.is_some_and(|condition| {
            let says = |member: &str, text: &str| condition[member] == text;
            says("status", availability.status)
                && says("reason", availability.reason)
                && says("message", &availability.message)
        })
    })
}

async fn write(registry: &Registry, name: &str, availability: &Availability) -> Result<(), machinery::status::Status> {
    let Some(endpoint) = endpoint(registry) else { return Ok(()) };
    let now = time::format_seconds(registry.clock.now());
    let transform = |current: &Stored| {
        let mut service = current.value().clone();
        let before = service.pointer("/status/conditions/0").cloned().unwrap_or_default();
        let since = match before["status"] == availability.status {
            true => before["lastTransitionTime"].clone(),
            false => json!(now),
        };
        service["status"] = json!({"conditions": [{
            "type": "Available", "status": availability.status, "reason": availability.reason,
            "message": availability.message, "lastTransitionTime": since,
        }]});
        Ok(service)
    };
    let target = Target { endpoint: &endpoint, namespace: "", name, subresource: "status" };
    registry.update(target, Source::Patch, &transform, &Context::server("kube-apiserver")).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_have_is_kept_by_group_and_version() {
        let aggregation = Aggregation::new(None);
        let one = || Some(vec![json!({"name": "things"})]);
        aggregation.learn("b.example", "v1", one());
        aggregation.learn("a.example", "v1", one());
        let remotes = aggregation.remotes();
        assert_eq!(
            remotes.versions.iter().map(|one| one.group.as_str()).collect::<Vec<_>>(),
            ["a.example", "b.example"]
        );
        aggregation.learn("a.example", "v1", one());
        assert_eq!(aggregation.remotes().generation, remotes.generation, "nothing is new");
        aggregation.learn("a.example", "v1", None);
        assert_eq!(aggregation.remotes().versions.len(), 1);
    }
}
