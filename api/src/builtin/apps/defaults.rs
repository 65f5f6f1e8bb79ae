//! What the controllers of `apps` read as where their author said nothing.

use machinery::meta;
use serde_json::{Value, json};

use crate::builtin::pod::{default_claim_spec, default_template};
use crate::builtin::pointer::{default_text, default_to, list_mut, object_mut, text};

const TEMPLATE: &str = "/spec/template";

/// Deployment.
pub(super) fn deployment(object: &mut Value) {
    default_template(object, TEMPLATE);
    default_to(object, "/spec", "replicas", 1);
    default_to(object, "/spec", "strategy", json!({}));
    default_to(object, "/spec/strategy", "type", "RollingUpdate");
    if text(object, "/spec/strategy/type") == "RollingUpdate" {
        default_to(object, "/spec/strategy", "rollingUpdate", json!({}));
        default_to(object, "/spec/strategy/rollingUpdate", "maxUnavailable", "25%");
        default_to(object, "/spec/strategy/rollingUpdate", "maxSurge", "25%");
    }
    default_to(object, "/spec", "revisionHistoryLimit", 10);
    default_to(object, "/spec", "progressDeadlineSeconds", 600);
}

/// ReplicaSet.
pub(super) fn replica_set(object: &mut Value) {
    default_template(object, TEMPLATE);
    default_to(object, "/spec", "replicas", 1);
}

/// DaemonSet. How often its template was changed is a number in Go, which shows as 0 until it is counted.
pub(super) fn daemon_set(object: &mut Value) {
    default_to(object, "/metadata", "annotations", json!({}));
    default_to(object, "/metadata/annotations", TEMPLATE_GENERATION, "0");
    default_template(object, TEMPLATE);
    default_to(object, "/spec", "updateStrategy", json!({}));
    default_to(object, "/spec/updateStrategy", "type", "RollingUpdate");
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        default_to(object, "/spec/updateStrategy", "rollingUpdate", json!({}));
        default_to(object, "/spec/updateStrategy/rollingUpdate", "maxUnavailable", 1);
        default_to(object, "/spec/updateStrategy/rollingUpdate", "maxSurge", 0);
    }
    default_to(object, "/spec", "revisionHistoryLimit", 10);
}

/// The annotation under which a DaemonSet shows how often its template was changed.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Counts the templates that a DaemonSet has had, as `apps/v1` still shows it.
pub(super) fn count_templates(object: &mut Value, old: Option<&Value>) {
    let before = old.and_then(|old| meta::annotation(old, TEMPLATE_GENERATION)?.parse::<i64>().ok()).unwrap_or(0);
    let changed = old.is_none_or(|old| old.pointer(TEMPLATE) != object.pointer(TEMPLATE));
    let count = before.saturating_add(i64::from(changed));
    default_to(object, "/metadata", "annotations", json!({}));
    if let Some(annotations) = object_mut(object, "/metadata/annotations") {
        annotations.insert(TEMPLATE_GENERATION.to_owned(), count.to_string().into());
    }
}

/// StatefulSet.
pub(super) fn stateful_set(object: &mut Value) {
    default_template(object, TEMPLATE);
    default_to(object, "/spec", "podManagementPolicy", "OrderedReady");
    default_to(object, "/spec", "updateStrategy", json!({}));
    if text(object, "/spec/updateStrategy/type").is_empty() {
        // Whoever names the type says what it does, too: nothing is filled in then.
        default_to(object, "/spec/updateStrategy", "rollingUpdate", json!({}));
    }
    default_text(object, "/spec/updateStrategy", "type", "RollingUpdate");
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        default_to(object, "/spec/updateStrategy/rollingUpdate", "partition", 0);
    }
    default_to(object, "/spec", "persistentVolumeClaimRetentionPolicy", json!({}));
    default_to(object, "/spec/persistentVolumeClaimRetentionPolicy", "whenDeleted", "Retain");
    default_to(object, "/spec/persistentVolumeClaimRetentionPolicy", "whenScaled", "Retain");
    default_to(object, "/spec", "replicas", 1);
    default_to(object, "/spec", "revisionHistoryLimit", 10);
    for claim in list_mut(object, "/spec/volumeClaimTemplates") {
        if let Some(members) = object_mut(claim, "") {
            members.insert("apiVersion".to_owned(), "v1".into());
            members.insert("kind".to_owned(), "PersistentVolumeClaim".into());
        }
        default_claim_spec(claim, "/spec");
        default_to(claim, "", "status", json!({}));
        default_to(claim, "/status", "phase", "Pending");
    }
}
