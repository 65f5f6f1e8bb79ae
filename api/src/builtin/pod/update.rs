//! What may change about a pod once it exists.

use std::collections::BTreeSet;

use machinery::field::{Error, Path};
use serde_json::Value;

use super::validation::{tolerations, validate};
use super::{quality, status};
use crate::builtin::go_form::pod::changes_of_spec;
use crate::builtin::pointer::{has, list, list_mut, members, object_mut, text};
use crate::format::Errors;
use crate::members::same;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Everything wrong with a change of a pod through the main resource, besides what is wrong with the pod.
pub(super) fn validate_change(pod: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    for (containers, singular) in [("containers", "containers"), ("initContainers", "initContainers")] {
        if list(pod, &format!("/spec/{containers}")).len() != list(old, &format!("/spec/{containers}")).len() {
            errors.push(Error::forbidden(&spec.child(singular), "pod updates may not add or remove containers"));
            return errors;
        }
    }
    deadline(&mut errors, &spec.child("activeDeadlineSeconds"), pod, old);
    added_tolerations(&mut errors, &spec.child("tolerations"), pod, old);
    gates(&mut errors, &spec.child("schedulingGates"), pod, old);
    let mut allowed = pod.clone();
    take_what_may_change(&mut allowed, old);
    if !same(allowed.get("spec"), old.get("spec")) {
        let empty = Value::Null;
        let [was, is] = [old, &allowed].map(|pod| pod.get("spec").unwrap_or(&empty));
        let changes = changes_of_spec(was, is);
        errors.push(Error::forbidden(&spec, &format!("{IMMUTABLE}\n{changes}")));
    }
    errors
}

fn deadline(errors: &mut Errors, path: &Path, pod: &Value, old: &Value) {
    let at = |pod: &Value| pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64);
    let new = at(pod);
    let shown = new.map_or(Value::Null, Value::from);
    if new.is_some_and(|new| !(0..=i64::from(i32::MAX)).contains(&new)) {
        errors.push(Error::invalid(path, &shown, "must be between 0 and 2147483647, inclusive"));
        return;
    }
    let Some(was) = at(old) else { return };
    match new {
        Some(new) if new > was => {
            errors.push(Error::invalid(path, &shown, "must be less than or equal to previous value"));
        }
        None => errors.push(Error::invalid(path, &shown, "must not update from a positive integer to nil value")),
        Some(_) => {}
    }
}

/// Tolerations may be added; of those that exist only the seconds may change.
fn added_tolerations(errors: &mut Errors, path: &Path, pod: &Value, old: &Value) {
    let (new, was) = (list(pod, "/spec/tolerations"), list(old, "/spec/tolerations"));
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        object_mut(&mut toleration, "").map(|members| members.remove("tolerationSeconds"));
        toleration
    };
    let kept = |old: &Value| {
        let old = without_seconds(old);
        new.iter().any(|toleration| without_seconds(toleration) == old)
    };
    if !was.iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, detail));
    } else if new != was {
        tolerations(errors, path, pod.get("spec").unwrap_or(&Value::Null));
    }
}

fn gates(errors: &mut Errors, path: &Path, pod: &Value, old: &Value) {
    let was = list(old, "/spec/schedulingGates");
    for (index, gate) in list(pod, "/spec/schedulingGates").iter().enumerate() {
        let name = text(gate, "/name");
        if !was.iter().any(|gate| text(gate, "/name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(Error::forbidden(&path.index(index).child("name"), &detail));
        }
    }
}

/// Takes from the old pod whatever a client may change, so that what differs then is what it may not.
fn take_what_may_change(pod: &mut Value, old: &Value) {
    for containers in ["/spec/containers", "/spec/initContainers"] {
        let images: Vec<_> = list(old, containers).iter().map(|container| container.get("image").cloned()).collect();
        for (container, image) in list_mut(pod, containers).zip(images) {
            if let (Some(container), Some(image)) = (container.as_object_mut(), image) {
                container.insert("image".to_owned(), image);
            }
        }
    }
    let mut members = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    let grace = |pod: &Value| pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(pod) == Some(1) {
        members.push("terminationGracePeriodSeconds");
    }
    if has(old, "/spec/schedulingGates") && !list(old, "/spec/schedulingGates").is_empty() {
        // Who holds a gate may still narrow down where the pod goes.
        members.extend(["nodeSelector", "affinity"]);
    }
    let Some(spec) = object_mut(pod, "/spec") else { return };
    for member in members {
        match old.pointer("/spec").and_then(|spec| spec.get(member)) {
            Some(value) => drop(spec.insert(member.to_owned(), value.clone())),
            None => drop(spec.remove(member)),
        }
    }
}

/// Everything wrong with a write through a subresource.
pub(super) fn validate_subresource(pod: &Value, old: &Value, subresource: &str) -> Errors {
    match subresource {
        "ephemeralcontainers" => {
            let mut errors = validate(pod);
            let path = Path::new("spec").child("ephemeralContainers");
            let new = list(pod, "/spec/ephemeralContainers");
            for was in list(old, "/spec/ephemeralContainers") {
                let name = text(was, "/name");
                match new.iter().find(|container| text(container, "/name") == name) {
                    None => {
                        let detail = format!("existing ephemeral containers \"{name}\" may not be removed\n");
                        errors.push(Error::forbidden(&path, &detail));
                    }
                    Some(container) if !same(Some(container), Some(was)) => {
                        let detail = format!("existing ephemeral containers \"{name}\" may not be changed\n");
                        errors.push(Error::forbidden(&path, &detail));
                    }
                    Some(_) => {}
                }
            }
            errors
        }
        "resize" => {
            let mut errors = validate(pod);
            resize(&mut errors, &Path::new("spec"), pod, old);
            errors
        }
        "status" => status::validate(pod, old),
        _ => Vec::new(),
    }
}

/// What may change about the resources of a pod while it runs.
fn resize(errors: &mut Errors, spec: &Path, pod: &Value, old: &Value) {
    let class = quality::class(old);
    if quality::class(pod) != class {
        errors.push(Error::invalid(spec, &class.into(), "Pod QOS Class may not change as a result of resizing"));
    }
    for (containers, may_change) in [("initContainers", is_sidecar as fn(&Value) -> bool), ("containers", |_| true)] {
        let at = format!("/spec/{containers}");
        for (index, (new, was)) in list(pod, &at).iter().zip(list(old, &at)).enumerate() {
            let path = spec.child(containers).index(index).child("resources");
            for (member, detail) in
                [("requests", "resource requests cannot be removed"), ("limits", "resource limits cannot be removed")]
            {
                let names = |container: &Value| {
                    let pointer = format!("/resources/{member}");
                    let all = members(container, &pointer);
                    all.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>()
                };
                if may_change(was) && !names(was).is_subset(&names(new)) {
                    errors.push(Error::forbidden(&path.child(member), detail));
                }
            }
        }
    }
    for (new, was) in list(pod, "/spec/containers").iter().zip(list(old, "/spec/containers")) {
        if without_cpu_and_memory(new) != without_cpu_and_memory(was) {
            errors.push(Error::forbidden(spec, "only cpu and memory resources are mutable"));
        }
    }
    let init = list(pod, "/spec/initContainers").iter().zip(list(old, "/spec/initContainers"));
    for (index, (new, was)) in init.enumerate() {
        if is_sidecar(was) && without_cpu_and_memory(new) != without_cpu_and_memory(was) {
            let detail = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(Error::forbidden(&spec.child("initContainers").index(index), detail));
        } else if !is_sidecar(was) && new != was {
            errors.push(Error::forbidden(spec, "resources for non-sidecar init containers are immutable"));
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

/// A container without what a resize may change about it.
fn without_cpu_and_memory(container: &Value) -> Value {
    let mut container = container.clone();
    for member in ["requests", "limits"] {
        let amounts = object_mut(&mut container, &format!("/resources/{member}"));
        let left = amounts.is_some_and(|amounts| {
            amounts.retain(|name, _| !matches!(name.as_str(), "cpu" | "memory"));
            !amounts.is_empty()
        });
        if !left {
            object_mut(&mut container, "/resources").map(|resources| resources.remove(member));
        }
    }
    container
}
