//! Objects with configuration that a claim's status refers to, and copies of them.

use machinery::meta;
use serde_json::Value;

use crate::members::{at, list, put, text};

/// Where a status has copies of objects with configuration, or references to them.
const CONFIGS: [&str; 2] = ["classConfigs", "claimConfigs"];

/// A reference as it is looked up: one of a claim is about an object of the claim's namespace. A copy has metadata, a
/// reference has not.
fn reference(claim: &Value, name: &str, entry: &Value) -> Option<Value> {
    if entry.get("metadata").is_some() {
        return None;
    }
    let mut reference = entry.clone();
    if name == "claimConfigs" && text(&reference, "namespace").is_empty() {
        put(&mut reference, "namespace", Some(meta::namespace(claim).into()));
    }
    Some(reference)
}

/// The objects with configuration that a claim's status refers to.
pub(in crate::convert) fn config_references(claim: &Value) -> Vec<Value> {
    let status = at(claim, &["status"]);
    CONFIGS
        .into_iter()
        .flat_map(|name| list(status, name).iter().filter_map(move |entry| reference(claim, name, entry)))
        .collect()
}

/// Replaces references to objects with configuration in a claim's status by copies of the objects. `find` looks a
/// reference up; one that it does not find stays.
pub(in crate::convert) fn copy_configs(claim: &mut Value, find: &dyn Fn(&Value) -> Option<Value>) {
    for name in CONFIGS {
        let entries = list(at(claim, &["status"]), name);
        let copy = |entry: &Value| {
            reference(claim, name, entry).and_then(|reference| find(&reference)).unwrap_or_else(|| entry.clone())
        };
        let copies: Vec<Value> = entries.iter().map(copy).collect();
        if !copies.is_empty()
            && let Some(status) = claim.get_mut("status")
        {
            put(status, name, Some(copies.into()));
        }
    }
}
