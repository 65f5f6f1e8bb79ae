//! Which taints a device has, and how long those who use it may stay.

use std::sync::Arc;

use cluster::kind;
use jiff::{SignedDuration, Timestamp};
use machinery::{meta, time};
use serde_json::Value;

use crate::{cache::Cache, node_fit::list};

/// The pool of a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pool {
    pub(super) driver: String,
    pub(super) name: String,
}

/// The pool of a slice.
pub(super) fn pool_of_slice(slice: &Value) -> Pool {
    let text = |pointer: &str| slice.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Pool { driver: text("/spec/driver"), name: text("/spec/pool/name") }
}

/// The devices that a claim got.
pub(super) fn results(claim: &Value) -> impl Iterator<Item = &Value> {
    list(claim, "/status/allocation/devices/results")
}

/// The pool of a device that a claim got.
pub(super) fn pool_of_result(result: &Value) -> Pool {
    let text = |member: &str| result[member].as_str().unwrap_or_default().to_owned();
    Pool { driver: text("driver"), name: text("pool") }
}

/// Whether a rule selects a device. A rule that says nothing selects nothing.
pub(super) fn selects(rule: &Value, driver: &str, pool: &str, device: &str) -> bool {
    let selector = &rule["spec"]["deviceSelector"];
    let same = |member: &str, value: &str| selector[member].is_null() || selector[member] == value;
    selector.is_object() && same("driver", driver) && same("pool", pool) && same("device", device)
}

/// Whether a rule selects a device that a claim got.
pub(super) fn selects_result(rule: &Value, result: &Value) -> bool {
    let text = |member: &str| result[member].as_str().unwrap_or_default();
    selects(rule, text("driver"), text("pool"), text("device"))
}

/// The rule of a taint; `None`: its driver publishes it.
pub(super) type Source<'a> = Option<&'a Arc<Value>>;

/// The taints of a device that a claim got, as slices of the pool publish them and rules say.
pub(super) fn taints<'a>(result: &Value, slices: &[&'a Arc<Value>], cache: &'a Cache) -> Vec<(&'a Value, Source<'a>)> {
    let generation = |slice: &Value| slice.pointer("/spec/pool/generation").and_then(Value::as_i64).unwrap_or(0);
    let newest = slices.iter().map(|slice| generation(slice)).max().unwrap_or(0);
    let current = slices.iter().filter(|slice| generation(slice) == newest);
    let devices = current.flat_map(|slice| list(slice, "/spec/devices"));
    let published = devices.filter(|device| device["name"] == result["device"]);
    let mut all: Vec<(&Value, Source<'a>)> =
        published.flat_map(|device| list(device, "/taints")).map(|taint| (taint, None)).collect();
    let rules = cache.all(kind::DEVICE_TAINT_RULE).filter(|rule| selects_result(rule, result));
    all.extend(rules.map(|rule| (&rule["spec"]["taint"], Some(rule))));
    all.retain(|(taint, _)| taint["effect"] == "NoExecute");
    all
}

/// When who uses a device has to leave because of a taint; `None`: it may stay.
pub(super) fn leaves_at(result: &Value, taint: &Value, now: Timestamp) -> Option<Timestamp> {
    let since = taint["timeAdded"].as_str().and_then(time::parse).unwrap_or(now);
    // A toleration without an effect lets a device be allocated, and does not keep it.
    let mut about = list(result, "/tolerations")
        .filter(|toleration| toleration["effect"] == "NoExecute" && crate::node_fit::tolerates(toleration, taint))
        .peekable();
    if about.peek().is_none() {
        return Some(since);
    }
    let seconds = about.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min()?;
    since.checked_add(SignedDuration::from_secs(seconds.max(0))).ok()
}

/// Whether a claim is reserved for a pod.
pub(super) fn is_reserved(claim: &Value, pod: &Value) -> bool {
    list(claim, "/status/reservedFor").any(|one| one["uid"] == meta::uid(pod))
}
