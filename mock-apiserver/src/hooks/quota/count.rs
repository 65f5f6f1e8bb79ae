//! Counts what a namespace uses.

use api::builtin::{self, Amounts};
use machinery::quantity::{Format, Quantity};
use serde_json::Value;

use crate::{catalog::Endpoint, registry::Registry};

/// What an object uses.
pub(super) fn usage(registry: &Registry, resource: &str, object: &Value) -> Amounts {
    builtin::usage(resource, object, &|class| {
        let classes = registry.catalog.endpoint("resource.k8s.io", "v1", "deviceclasses")?;
        let class = classes.resource.space().get(class)?;
        class.value().pointer("/spec/extendedResourceName").and_then(Value::as_str).map(str::to_owned)
    })
}

/// Some of the amounts.
pub(super) fn within(amounts: &Amounts, is_wanted: impl Fn(&str) -> bool) -> Amounts {
    amounts.iter().filter(|(name, _)| is_wanted(name)).map(|(name, amount)| (name.clone(), amount.clone())).collect()
}

/// What a namespace uses of everything that a quota bounds.
pub(super) fn used(registry: &Registry, namespace: &str, quota: &Value) -> Amounts {
    let hard = builtin::amounts(quota, "/spec/hard");
    let zero = || Quantity::new(0, Format::DecimalSi);
    let mut used: Amounts = hard.keys().map(|name| (name.clone(), zero())).collect();
    let mut resources: Vec<&str> = hard
        .keys()
        .map(|name| builtin::counted_resource(name).unwrap_or_else(|| builtin::measured_resource(name)))
        .collect();
    resources
        .extend(hard.keys().filter(|name| name.starts_with("requests.")).map(|_| "resourceclaims.resource.k8s.io"));
    resources.sort_unstable();
    resources.dedup();
    let scoped = ["/spec/scopes", "/spec/scopeSelector/matchExpressions"]
        .iter()
        .any(|pointer| quota.pointer(pointer).and_then(Value::as_array).is_some_and(|list| !list.is_empty()));
    for resource in resources {
        let Some(endpoint) = endpoint(registry, resource) else { continue };
        let snapshot = endpoint.resource.space().snapshot();
        let prefix = format!("{namespace}/");
        for object in snapshot.range(&prefix, None) {
            let object = object.value();
            if scoped && !builtin::quota_is_about(quota, resource, object) {
                continue;
            }
            builtin::add_all(&mut used, &within(&usage(registry, resource, object), |name| hard.contains_key(name)));
        }
    }
    used
}

/// Where objects of `plural.group` are.
fn endpoint(registry: &Registry, resource: &str) -> Option<Endpoint> {
    let served = registry.catalog.served();
    let found = served.resources.iter().find(|known| {
        let definition = &known.definition;
        let is_same = match resource.split_once('.') {
            None => definition.plural == resource && definition.group.is_empty(),
            Some((plural, group)) => definition.plural == plural && definition.group == group,
        };
        is_same && known.is_namespaced()
    })?;
    Some(found.storage_endpoint())
}
