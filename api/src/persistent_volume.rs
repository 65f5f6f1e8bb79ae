//! Which PersistentVolumes serve a PersistentVolumeClaim, as binders and schedulers ask.

use machinery::{meta, quantity::Quantity, selector::label::Selector};
use serde_json::Value;

/// Whether a volume is meant for a claim; one that names it without a uid is kept for it.
pub fn is_for(volume: &Value, claim: &Value) -> bool {
    let reference = &volume["spec"]["claimRef"];
    reference["namespace"] == meta::namespace(claim)
        && reference["name"] == meta::name(claim)
        && reference["uid"].as_str().is_none_or(|uid| uid.is_empty() || uid == meta::uid(claim))
}

/// Whether a volume is nobody's and has what the claim asks for.
pub fn serves(volume: &Value, claim: &Value) -> bool {
    let (offered, wanted) = (&volume["spec"], &claim["spec"]);
    let text = |value: &Value, otherwise: &str| value.as_str().unwrap_or(otherwise).to_owned();
    let modes = |of: &Value| -> Vec<Value> { of["accessModes"].as_array().cloned().unwrap_or_default() };
    let (has, asks) = (modes(offered), modes(wanted));
    let selects = match &wanted["selector"] {
        Value::Null => true,
        selector => Selector::from_json(Some(selector)).is_ok_and(|selector| selector.matches_object(volume)),
    };
    selects
        && offered["claimRef"].is_null()
        && meta::deletion_timestamp(volume).is_none()
        && text(&volume["status"]["phase"], "Available") == "Available"
        && text(&offered["storageClassName"], "") == text(&wanted["storageClassName"], "")
        && text(&offered["volumeMode"], "Filesystem") == text(&wanted["volumeMode"], "Filesystem")
        && asks.iter().all(|mode| has.contains(mode))
        && size(volume).0 >= amount(&wanted["resources"]["requests"]["storage"])
}

/// How large a volume is, and its name: of those that serve, the least is taken.
pub fn size(volume: &Value) -> (i64, &str) {
    (amount(&volume["spec"]["capacity"]["storage"]), meta::name(volume))
}

fn amount(value: &Value) -> i64 {
    value.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(0, |quantity| quantity.value())
}

/// Whether a claim has its volume.
pub fn is_bound(claim: &Value) -> bool {
    claim["status"]["phase"] == "Bound" && claim["spec"]["volumeName"].as_str().is_some_and(|name| !name.is_empty())
}
