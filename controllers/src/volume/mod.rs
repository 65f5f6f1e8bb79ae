//! PersistentVolumes and the claims to them: which belong together, what is made for a claim, and what protects both.

pub(crate) mod binder;
pub(crate) mod ephemeral;
mod matching;
pub(crate) mod protection;
pub(crate) mod provisioner;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use cluster::{Key, kind};
use machinery::meta;
use serde_json::Value;

use crate::cache::Cache;

/// On a claim: the node of its first consumer, by the scheduler.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: who is asked to make a volume. The second is the older name, which provisioners read too.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/// On a claim: it is bound for good.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or a volume: the controller bound it, nobody else.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// What a class names that makes no volumes.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The class of a claim, if it names one that there is.
fn class<'a>(claim: &Value, cache: &'a Cache) -> Option<&'a Arc<Value>> {
    let name = claim["spec"]["storageClassName"].as_str().filter(|name| !name.is_empty())?;
    cache.get(kind::STORAGE_CLASS, &Key::new("", name))
}

/// Whether a class waits for a pod that uses the claim.
fn waits(class: &Value) -> bool {
    class["volumeBindingMode"] == "WaitForFirstConsumer"
}

/// The names of the claims that a pod uses, its own ones for ephemeral volumes included.
fn claims_of(pod: &Value) -> impl Iterator<Item = Key> + '_ {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| {
        let named = volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned);
        let own = || volume["ephemeral"].is_object().then(|| own_claim(pod, volume));
        Some(Key::new(meta::namespace(pod), named.or_else(own)?))
    })
}

/// The name of the claim for an ephemeral volume of a pod.
fn own_claim(pod: &Value, volume: &Value) -> String {
    format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or_default())
}
