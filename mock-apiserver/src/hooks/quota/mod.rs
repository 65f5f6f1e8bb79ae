//! ResourceQuotas: what a namespace uses, and what it may use.
//!
//! Admission charges a quota before the object is stored, as upstream does; what goes away, or does not come about, is found out by
//! counting again.

mod admission;
mod count;
mod limited;
mod upkeep;

pub(crate) use admission::QuotaAdmission;
pub(crate) use limited::LimitedResource;
pub(crate) use upkeep::QuotaUpkeep;

use std::sync::Arc;

use crate::{catalog::Endpoint, registry::Registry, storage::Stored};

/// Where quotas are.
fn endpoint(registry: &Registry) -> Option<Endpoint> {
    registry.catalog.endpoint("", "v1", "resourcequotas")
}

/// The quotas of a namespace.
fn quotas(registry: &Registry, namespace: &str) -> Vec<Arc<Stored>> {
    let Some(endpoint) = endpoint(registry) else { return Vec::new() };
    let snapshot = endpoint.resource.space().snapshot();
    if snapshot.is_empty() || namespace.is_empty() {
        return Vec::new();
    }
    let prefix = format!("{namespace}/");
    snapshot.range(&prefix, None).cloned().collect()
}
