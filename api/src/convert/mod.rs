//! From the wire to the hub, and back.
//!
//! Callers hand in documents and never ask which generation one is of: the table below does, by group, version and kind.
//! A document that cannot be understood is an error that says which member is wrong.

mod claim;
mod classic;
mod evolution;
mod k8srm;
mod node_selector;
mod read;
mod v1;
pub mod version;

#[cfg(test)]
mod tests;

use machinery::{meta, names::split_api_version};
use serde_json::Value;

pub use claim::{Consumer, ReservedPod};
pub use read::Error;

use crate::hub::{Allocation, Claim, DeviceClass, DeviceResult, NodeSelector, Slice, TaintRule};
use claim::ClaimConversion;

type ClassConversion = fn(&Value, &[&Value]) -> Result<DeviceClass, Error>;
type SlicesConversion = fn(&Value) -> Result<Vec<Slice>, Error>;

/// What the documents of a kind are converted to, and how.
enum Conversion {
    Class(ClassConversion),
    Claim(&'static dyn ClaimConversion),
    Slices(SlicesConversion),
    TaintRule,
    Quota,
}

const DRA: &str = "resource.k8s.io";
const K8SRM: &str = "devmgmtproto.k8s.io";
const GA: &[&str] = &["v1", "v1beta2", "v1beta1"];
const PROTOTYPE: &[&str] = &["v1alpha1", "v1alpha2", "v1alpha3"];

/// `(group, versions, kind, conversion)`.
const TABLE: &[(&str, &[&str], &str, Conversion)] = &[
    (DRA, GA, "DeviceClass", Conversion::Class(|class, _| v1::class(class))),
    (DRA, GA, "ResourceClaim", Conversion::Claim(&v1::ResourceClaim)),
    (DRA, GA, "ResourceSlice", Conversion::Slices(v1::slices)),
    (DRA, &["v1", "v1beta2", "v1alpha3"], "DeviceTaintRule", Conversion::TaintRule),
    (DRA, PROTOTYPE, "DeviceClass", Conversion::Class(|class, _| evolution::class(class))),
    (DRA, PROTOTYPE, "ResourceClaim", Conversion::Claim(&evolution::ResourceClaim)),
    (DRA, PROTOTYPE, "ResourceSlice", Conversion::Slices(classic::slices)),
    (DRA, PROTOTYPE, "ResourcePool", Conversion::Slices(evolution::slices)),
    (DRA, PROTOTYPE, "DevicePool", Conversion::Slices(evolution::legacy_slices)),
    (DRA, PROTOTYPE, "Quota", Conversion::Quota),
    (K8SRM, PROTOTYPE, "DeviceClass", Conversion::Class(k8srm::class)),
    (K8SRM, PROTOTYPE, "DeviceClaim", Conversion::Claim(&k8srm::Claims::One)),
    (K8SRM, PROTOTYPE, "DevicePrivilegedClaim", Conversion::Claim(&k8srm::Claims::Privileged)),
    (K8SRM, PROTOTYPE, "DeviceSetClaim", Conversion::Claim(&k8srm::Claims::Set)),
    (K8SRM, PROTOTYPE, "DevicePool", Conversion::Slices(k8srm::slices)),
];

fn conversion(document: &Value) -> Option<&'static Conversion> {
    let (group, version) = split_api_version(meta::api_version(document)).ok()?;
    let kind = meta::kind(document);
    TABLE
        .iter()
        .find(|(of_group, versions, of_kind, _)| *of_group == group && *of_kind == kind && versions.contains(&version))
        .map(|(_, _, _, conversion)| conversion)
}

fn unknown(document: &Value, wanted: &str) -> Error {
    let (version, kind) = (meta::api_version(document), meta::kind(document));
    Error::new(format!("{version:?} {kind:?} is no {wanted} of an API generation that is known here"))
}

/// A device class. `all` are the classes of the same generation, for classes that gather others.
pub fn class(document: &Value, all: &[&Value]) -> Result<DeviceClass, Error> {
    match conversion(document) {
        Some(Conversion::Class(convert)) => convert(document, all),
        _ => Err(unknown(document, "device class")),
    }
}

/// What an object publishes: its devices, and what they share, in one slice or two. The names of the slices are unique
/// among the objects of the kind.
pub fn slices(document: &Value) -> Result<Vec<Slice>, Error> {
    match conversion(document) {
        Some(Conversion::Slices(convert)) => convert(document),
        _ => Err(unknown(document, "pool of devices")),
    }
}

/// What a `DevicePool` of k8srm-prototype publishes for claims of dra-evolution, whose data still has such pools.
pub fn slices_for_evolution(document: &Value) -> Result<Vec<Slice>, Error> {
    match conversion(document) {
        Some(Conversion::Slices(_)) if meta::kind(document) == "DevicePool" => evolution::legacy_slices(document),
        _ => slices(document),
    }
}

/// A taint for all devices that match.
pub fn taint_rule(document: &Value) -> Result<TaintRule, Error> {
    match conversion(document) {
        Some(Conversion::TaintRule) => v1::taint_rule(document),
        _ => Err(unknown(document, "taint rule")),
    }
}

/// What a claim asks for.
pub fn claim(document: &Value) -> Result<Claim, Error> {
    claim_conversion(document).ok_or_else(|| unknown(document, "claim"))?.claim(document)
}

/// Why requests of the claim for admin access are not granted, where quotas decide that (dra-evolution). `quotas` may
/// be those of all namespaces.
pub fn admin_access_denied(document: &Value, quotas: &[&Value]) -> Option<String> {
    let decides = meta::kind(document) == "ResourceClaim" && meta::api_version(document).contains("/v1alpha");
    let quotas: Vec<&Value> =
        quotas.iter().copied().filter(|quota| matches!(conversion(quota), Some(Conversion::Quota))).collect();
    if decides { evolution::admin_access_denied(document, &quotas) } else { None }
}

/// What a claim got; `None` before it is allocated.
pub fn allocation(document: &Value) -> Result<Option<Allocation>, Error> {
    claim_conversion(document).ok_or_else(|| unknown(document, "claim"))?.allocation(document)
}

/// The devices that a claim holds.
pub fn allocated_devices(document: &Value) -> Result<Vec<DeviceResult>, Error> {
    Ok(allocation(document)?.map(|allocation| allocation.results).unwrap_or_default())
}

/// Where an allocated claim can be used: `Some(None)` is everywhere, `None` means that the claim is not allocated.
pub fn allocated_nodes(document: &Value) -> Option<Option<NodeSelector>> {
    allocation(document).ok().flatten().map(|allocation| allocation.node_selector)
}

/// A `core/v1 NodeSelector`; `None` when it is absent, or not understood.
pub fn node_selector(document: &Value) -> Option<NodeSelector> {
    if document.is_null() { None } else { node_selector::read(document).ok() }
}

/// An allocation as `status.allocation` of `resource.k8s.io/v1` spells it.
pub fn allocation_json(allocation: &Allocation) -> serde_json::Value {
    v1::allocation_json(allocation)
}

/// Whether the claim is reserved for the pod.
pub fn is_reserved(document: &Value, pod: &Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.is_reserved(document, pod))
}

/// Whether one more pod may use the claim. True for a pod that may already.
pub fn can_reserve(document: &Value, pod: &Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.can_reserve(document, pod))
}

/// Writes an allocation, when there is one, and a reservation for the consumer into the claim's status. False: nothing
/// changed.
pub fn reserve(document: &mut Value, allocation: Option<&Allocation>, consumer: &Consumer<'_>) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.reserve(document, allocation, consumer))
}

/// Takes the reservation for a pod out of the claim's status. False: there was none.
pub fn unreserve(document: &mut Value, pod: &Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.unreserve(document, pod))
}

/// The pods for which the claim is reserved. Consumers that are no pods are not among them.
pub fn reserved_pods(document: &Value) -> Vec<ReservedPod> {
    claim_conversion(document).map(|kind| kind.reserved_pods(document)).unwrap_or_default()
}

/// Whether the claim is reserved for anything.
pub fn has_consumers(document: &Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.has_consumers(document))
}

/// Takes the reservations for pods that are gone out of the claim's status. False: there were none.
pub fn release(document: &mut Value, gone: &dyn Fn(&ReservedPod) -> bool) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.release(document, gone))
}

/// Whether the claim's status holds an allocation, readable or not.
pub fn is_allocated(document: &Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.is_allocated(document))
}

/// Takes the allocation out of the claim's status. False: there was none.
pub fn deallocate(document: &mut Value) -> bool {
    claim_conversion(document).is_some_and(|kind| kind.deallocate(document))
}

/// The configuration objects that an allocated claim refers to and has no copies of yet: `apiVersion`, `kind`,
/// `namespace`, `name` of each.
pub fn config_references(document: &Value) -> Vec<Value> {
    if meta::api_version(document).starts_with(K8SRM) { k8srm::config_references(document) } else { Vec::new() }
}

/// Puts copies of the configuration objects that an allocated claim refers to into its status, where the generation
/// keeps copies (k8srm-prototype). `find` looks up a reference: `apiVersion`, `kind`, `namespace`, `name`.
pub fn copy_configs(document: &mut Value, find: &dyn Fn(&Value) -> Option<Value>) {
    if meta::api_version(document).starts_with(K8SRM) {
        k8srm::copy_configs(document, find);
    }
}

fn claim_conversion(document: &Value) -> Option<&'static dyn ClaimConversion> {
    match conversion(document) {
        // Both share group, versions and name.
        Some(Conversion::Claim(_)) if crate::classic::is_classic(document) => Some(&classic::ResourceClaim),
        Some(Conversion::Claim(kind)) => Some(*kind),
        _ => None,
    }
}
