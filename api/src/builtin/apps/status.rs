//! What is wrong with the status of a workload: counts that are negative, or parts greater than the whole.

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::builtin::formats::not_negative;
use crate::builtin::pointer::{has, integer};
use crate::format::Errors;

/// The counts of one kind.
pub(in crate::builtin) struct Counts {
    /// None is negative.
    pub(in crate::builtin) all: &'static [&'static str],
    /// None is greater than `replicas`.
    pub(in crate::builtin) parts: &'static [&'static str],
    /// How an error names `readyReplicas`, of which `availableReplicas` are a part; empty if they are not compared.
    pub(in crate::builtin) ready: &'static str,
}

/// DaemonSet.
pub(super) const DAEMON_SET: Counts = Counts {
    all: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    parts: &[],
    ready: "",
};

/// Deployment.
pub(super) const DEPLOYMENT: Counts = Counts {
    all: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    parts: &["updatedReplicas", "readyReplicas", "availableReplicas"],
    ready: "readyReplicas",
};

/// ReplicaSet.
pub(super) const REPLICA_SET: Counts = Counts {
    all: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ],
    parts: &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    ready: "readyReplicas",
};

/// ReplicationController.
const REPLICATION_CONTROLLER: Counts = Counts {
    all: &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"],
    ..REPLICA_SET
};

/// StatefulSet.
pub(super) const STATEFUL_SET: Counts = Counts {
    all: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    parts: &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
    ready: "status.readyReplicas",
};

/// Everything wrong with a write to the status of a ReplicationController.
pub(in crate::builtin) fn replication_controller(object: &Value, old: &Value, subresource: &str) -> Errors {
    if subresource == "status" { counts(&REPLICATION_CONTROLLER, object, old) } else { Vec::new() }
}

/// Everything wrong with a status that becomes another one.
pub(in crate::builtin) fn counts(counts: &Counts, object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    let count = |member: &str| integer(status, &format!("/{member}"));
    for member in counts.all {
        not_negative(&mut errors, &path, status, member);
    }
    for member in counts.parts.iter().filter(|member| count(member) > count("replicas")) {
        let detail = "cannot be greater than status.replicas";
        errors.push(Error::invalid(&path.child(member), &count(member).into(), detail));
    }
    if !counts.ready.is_empty() && count("availableReplicas") > count("readyReplicas") {
        let detail = format!("cannot be greater than {}", counts.ready);
        errors.push(Error::invalid(&path.child("availableReplicas"), &count("availableReplicas").into(), &detail));
    }
    let collisions = "/status/collisionCount";
    let decremented = has(old, collisions) && integer(object, collisions) < integer(old, collisions);
    if counts.all.contains(&"collisionCount") && decremented {
        let detail = "cannot be decremented";
        errors.push(Error::invalid(&path.child("collisionCount"), &count("collisionCount").into(), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_no_greater_than_the_whole() {
        let of = |status: Value| json!({"status": status});
        let old = of(json!({"collisionCount": 2}));
        let new = of(json!({"replicas": 1, "readyReplicas": 2, "availableReplicas": 3, "collisionCount": 1}));
        let found: Vec<_> = counts(&DEPLOYMENT, &new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 1: cannot be decremented",
            ]
        );
        assert_eq!(counts(&REPLICA_SET, &of(json!({"replicas": 3, "readyReplicas": 3})), &old), []);
    }
}
