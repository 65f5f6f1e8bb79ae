//! Which volume a claim gets, of those that are there.

use std::sync::Arc;

use api::persistent_volume::{is_for, serves, size};
use cluster::kind;
use machinery::meta;
use serde_json::Value;

use crate::cache::Cache;

/// The smallest volume that serves the claim; one that is kept for it goes before all others.
pub(super) fn best<'a>(claim: &Value, cache: &'a Cache) -> Option<&'a Arc<Value>> {
    let volumes = || cache.all(kind::PERSISTENT_VOLUME);
    let kept = volumes().find(|volume| is_for(volume, claim) && meta::deletion_timestamp(volume).is_none());
    kept.or_else(|| volumes().filter(|volume| serves(volume, claim)).min_by_key(|volume| size(volume)))
}
