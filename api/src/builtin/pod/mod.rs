//! Pod, and the pod templates inside other kinds.

mod admission;
mod affinity;
mod amounts;
mod app_armor;
mod columns;
mod containers;
mod defaults;
mod quality;
mod resources;
mod security;
mod security_context;
mod status;
mod update;
mod validation;
mod volumes;
mod warnings;

pub use admission::{DEFAULT_SERVICE_ACCOUNT, set_priority, tolerate_short_failures, use_service_account};
pub(super) use affinity::node_selector;
pub use amounts::{Amounts, add_all, amounts, pod_amounts};
pub use app_armor::profiles_from_annotations;
pub(super) use defaults::{default_claim_spec, default_template};
pub(super) use quality::class as quality_class;
pub(super) use resources::resource_name as container_resource_name;
pub use security::{SecurityLevel, Violation, security_violations};
pub(super) use validation::{TAINT_EFFECTS, template as validate_template, tolerations};
pub(super) use volumes::HOST_PATH_TYPES;
pub(super) use warnings::{
    of_claim_spec as claim_warnings, of_template as template_warnings, of_workload as workload_warnings,
};

use k8s_openapi::api::core::v1 as api;
use machinery::meta;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::pointer::{self, list};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::SchemaDocument;
use crate::k8srm;

const OBJECT_VERBS: &[&str] = &["get", "patch", "update"];
const CONNECT_VERBS: &[&str] = &["create", "get"];

/// The row of Pod.
pub(super) fn row() -> Row {
    kind("", "Pod", "pods")
        .short(&["po"])
        .category("all")
        .version("v1", schema_with_pods::<api::Pod>, columns::columns())
        .selectable(&["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"])
        .selectable_by("spec.hostNetwork", |pod| pointer::is_true(pod, "/spec/hostNetwork").to_string())
        .selectable(&["status.phase", "status.podIP"])
        .selectable_by("status.podIPs", |pod| {
            let ips = list(pod, "/status/podIPs").iter().map(|ip| pointer::text(ip, "/ip"));
            ips.collect::<Vec<_>>().join(",")
        })
        .selectable(&["status.nominatedNodeName"])
        .subresource("attach", Some(("", "v1", "PodAttachOptions")), CONNECT_VERBS)
        .subresource("binding", Some(("", "v1", "Binding")), &["create"])
        .subresource("ephemeralcontainers", None, OBJECT_VERBS)
        .subresource("eviction", Some(("policy", "v1", "Eviction")), &["create"])
        .subresource("exec", Some(("", "v1", "PodExecOptions")), CONNECT_VERBS)
        .subresource("log", None, &["get"])
        .subresource("portforward", Some(("", "v1", "PodPortForwardOptions")), CONNECT_VERBS)
        .subresource("proxy", Some(("", "v1", "PodProxyOptions")), &["create", "delete", "get", "patch", "update"])
        .subresource("resize", None, OBJECT_VERBS)
        .status()
        .delete_returns_object()
        .graceful_delete()
        .rules(Rules {
            initial_status,
            default: defaults::default_pod,
            prepare_for_update: |pod, old, subresource, _| prepare_for_update(pod, old, subresource),
            validate: validation::validate_new,
            validate_update: Some(|pod, old| [validation::validate(pod), update::validate_change(pod, old)].concat()),
            validate_subresource: update::validate_subresource,
            warnings: warnings::of_pod,
            ..Rules::WITH_GENERATION
        })
}

/// The schema of a type that holds pod specs, with what prototypes add to them.
pub(super) fn schema_with_pods<T: JsonSchema>() -> SchemaDocument {
    k8srm::extend_pod(schema_of::<T>())
}

fn initial_status(pod: &Value) -> Value {
    let mut status = json!({"phase": "Pending", "qosClass": quality::class(pod)});
    if !list(pod, "/spec/schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": null,
            "observedGeneration": 1,
        }]);
    }
    status
}

fn prepare_for_update(pod: &mut Value, old: &Value, subresource: &str) {
    match subresource {
        "ephemeralcontainers" => keep_only(pod, old, &["ephemeralContainers"]),
        "resize" => keep_only_resources(pod, old),
        "status" => {
            status::keep_what_is_not_told(pod, old);
            if meta::deletion_timestamp(old).is_none() {
                meta::remove(pod, "deletionTimestamp");
            }
            match old.pointer("/metadata/ownerReferences") {
                Some(owners) => meta::set(pod, "ownerReferences", owners.clone()),
                None => drop(meta::remove(pod, "ownerReferences")),
            }
        }
        _ => {}
    }
}

/// Takes everything but these members of `spec` from the old pod.
fn keep_only(pod: &mut Value, old: &Value, members: &[&str]) {
    let mut kept = old.clone();
    for member in members {
        let new = pod.pointer("/spec").and_then(|spec| spec.get(*member)).cloned();
        if let Some(spec) = pointer::object_mut(&mut kept, "/spec") {
            match new {
                Some(new) => drop(spec.insert((*member).to_owned(), new)),
                None => drop(spec.remove(*member)),
            }
        }
    }
    carry_metadata(&mut kept, pod);
    *pod = kept;
}

/// A resize changes the resources of containers, and nothing else.
fn keep_only_resources(pod: &mut Value, old: &Value) {
    let mut kept = old.clone();
    for containers in ["containers", "initContainers"] {
        let new = list(pod, &format!("/spec/{containers}")).to_vec();
        for container in pointer::list_mut(&mut kept, &format!("/spec/{containers}")) {
            let name = pointer::text(container, "/name").to_owned();
            let Some(new) = new.iter().find(|new| pointer::text(new, "/name") == name) else { continue };
            for member in ["resources", "resizePolicy"] {
                if let (Some(container), Some(value)) = (container.as_object_mut(), new.get(member)) {
                    container.insert(member.to_owned(), value.clone());
                }
            }
        }
    }
    carry_metadata(&mut kept, pod);
    *pod = kept;
}

/// What the registry reads from the metadata of a write stays as it was sent.
fn carry_metadata(kept: &mut Value, pod: &Value) {
    for member in ["resourceVersion", "managedFields", "generation"] {
        if let Some(value) = pod.get("metadata").and_then(|metadata| metadata.get(member)) {
            meta::set(kept, member, value.clone());
        }
    }
}
