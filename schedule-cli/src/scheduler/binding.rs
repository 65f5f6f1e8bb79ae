//! Binding conditions (KEP-5007): devices that must be made ready before a pod is bound to its node.

use std::time::Duration;

use api::convert;
use jiff::Timestamp;
use machinery::{field::quote, meta, time};
use serde_json::Value;

use super::filter::list;

/// Where the devices of an allocated claim stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Nothing is waited for.
    Ready,
    /// Conditions are not yet true.
    Waiting,
    /// They will not become true; why.
    Failed(String),
}

/// Where the devices of a claim stand at `now`, when they may take `patience` from their allocation on.
pub(super) fn readiness(claim: &Value, now: Timestamp, patience: Duration) -> Readiness {
    let results = convert::allocated_devices(claim).unwrap_or_default();
    let mut waiting = false;
    for result in &results {
        let Some(wanted) = result.binding_conditions.as_ref().filter(|conditions| !conditions.is_empty()) else {
            continue;
        };
        let told = list(&claim["status"], "devices").find(|told| {
            told["driver"] == result.id.driver
                && told["pool"] == result.id.pool
                && told["device"] == result.id.device
                && told["shareID"].as_str() == result.share_id.as_deref()
        });
        let held = |name: &String| {
            let conditions = told.into_iter().flat_map(|told| list(told, "conditions"));
            conditions.into_iter().find(|condition| condition["type"] == **name && condition["status"] == "True")
        };
        let mut failures = result.binding_failure_conditions.iter().flatten();
        if let Some(failure) = failures.find_map(held) {
            let text = |member: &str| failure[member].as_str().unwrap_or_default();
            let (reason, message) = (text("reason"), quote(text("message")));
            let claim = meta::name(claim);
            return Readiness::Failed(format!(
                "device binding failed: claim={claim}, reason={reason}, message={message}"
            ));
        }
        waiting |= !wanted.iter().all(|name| held(name).is_some());
    }
    if !waiting {
        return Readiness::Ready;
    }
    match since(claim) {
        Some(since) if waited(now, since) >= patience => {
            Readiness::Failed("device binding timeout: context deadline exceeded".to_owned())
        }
        _ => Readiness::Waiting,
    }
}

/// How long ago it was; a clock that is ahead makes it no time.
fn waited(now: Timestamp, since: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// When the claim was allocated, where that is told.
fn since(claim: &Value) -> Option<Timestamp> {
    time::parse(claim["status"]["allocation"]["allocationTimestamp"].as_str()?)
}

/// Whether binding has to wait for the claim's devices at all.
pub(super) fn has_conditions(claim: &Value) -> bool {
    let results = convert::allocated_devices(claim).unwrap_or_default();
    results.iter().any(|result| result.binding_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim(conditions: Value) -> Value {
        json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {"namespace": "d", "name": "c"},
            "status": {
                "allocation": {
                    "allocationTimestamp": "2026-01-01T00:00:00Z",
                    "devices": {"results": [{
                        "request": "r", "driver": "d", "pool": "p", "device": "x",
                        "bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"],
                    }]},
                },
                "devices": [{"driver": "d", "pool": "p", "device": "x", "conditions": conditions}],
            },
        })
    }

    #[test]
    fn conditions_decide_until_time_is_up() {
        let at = |text: &str| time::parse(text).expect("a time");
        let (early, soon) = (at("2025-12-31T00:00:00Z"), at("2026-01-01T00:00:01Z"));
        let late = at("2026-01-01T00:11:00Z");
        let patience = Duration::from_secs(600);
        let condition =
            |name: &str, status: &str| json!([{"type": name, "status": status, "reason": "Why", "message": "because"}]);
        let cases = [
            (json!([]), soon, Readiness::Waiting),
            (json!([]), early, Readiness::Waiting),
            (condition("Ready", "False"), soon, Readiness::Waiting),
            (condition("Ready", "True"), late, Readiness::Ready),
            (json!([]), late, Readiness::Failed("device binding timeout: context deadline exceeded".into())),
            (
                condition("Broken", "True"),
                soon,
                Readiness::Failed("device binding failed: claim=c, reason=Why, message=\"because\"".into()),
            ),
        ];
        for (conditions, now, expected) in cases {
            assert_eq!(readiness(&claim(conditions.clone()), now, patience), expected, "{conditions}");
        }
        assert!(has_conditions(&claim(json!([]))) && !has_conditions(&json!({})));
    }
}
