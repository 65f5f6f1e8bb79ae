//! What is wrong with a pod's affinity to nodes and to other pods.

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, label_selector};
use crate::builtin::pointer::{integer, list, text, texts};
use crate::format::Errors;

const OPERATOR: &str = "not a valid selector operator";

/// The affinity of a pod spec.
pub(super) fn validate(errors: &mut Errors, path: &Path, spec: &Value) {
    let part = |pointer: &str| spec.pointer(pointer).filter(|part| !part.is_null());
    if let Some(affinity) = part("/affinity/nodeAffinity") {
        node_affinity(errors, &path.child("nodeAffinity"), affinity);
    }
    for member in ["podAffinity", "podAntiAffinity"] {
        if let Some(affinity) = part(&format!("/affinity/{member}")) {
            pod_affinity(errors, &path.child(member), affinity);
        }
    }
}

fn node_affinity(errors: &mut Errors, path: &Path, affinity: &Value) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    if let Some(selector) = affinity.get(required).filter(|selector| !selector.is_null()) {
        node_selector(errors, &path.child(required), selector);
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, &format!("/{preferred}")).iter().enumerate() {
        let path = path.child(preferred).index(index);
        weight(errors, &path, term);
        let preference = term.get("preference").unwrap_or(&Value::Null);
        node_selector_term(errors, &path.child("preference"), preference, Values::Any);
    }
}

fn weight(errors: &mut Errors, path: &Path, term: &Value) {
    let weight = integer(term, "/weight");
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(&path.child("weight"), &weight.into(), "must be in the range 1-100"));
    }
}

/// A NodeSelector: at least one term.
pub(in crate::builtin) fn node_selector(errors: &mut Errors, path: &Path, selector: &Value) {
    let path = path.child("nodeSelectorTerms");
    let terms = list(selector, "/nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        node_selector_term(errors, &path.index(index), term, Values::Labels);
    }
}

/// What the values of a requirement may be. A preference for what no label can be is merely never met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Labels,
    Any,
}

fn node_selector_term(errors: &mut Errors, path: &Path, term: &Value, values: Values) {
    for (index, requirement) in list(term, "/matchExpressions").iter().enumerate() {
        node_requirement(errors, &path.child("matchExpressions").index(index), requirement, values);
    }
    for (index, requirement) in list(term, "/matchFields").iter().enumerate() {
        let path = path.child("matchFields").index(index);
        let operator = text(requirement, "/operator");
        if !matches!(operator, "In" | "NotIn") {
            errors.push(Error::invalid(&path.child("operator"), &operator.into(), OPERATOR));
        } else if texts(requirement, "/values").count() != 1 {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), detail));
        }
        let key = text(requirement, "/key");
        if key != "metadata.name" {
            errors.push(Error::invalid(&path.child("key"), &key.into(), "not a valid field selector key"));
            continue;
        }
        for (index, value) in texts(requirement, "/values").enumerate() {
            let path = path.child("values").index(index);
            invalid(errors, &path, &value.into(), names::dns1123_subdomain_errors(value));
        }
    }
}

fn node_requirement(errors: &mut Errors, path: &Path, requirement: &Value, allowed: Values) {
    let count = texts(requirement, "/values").count();
    let values = path.child("values");
    match text(requirement, "/operator") {
        "In" | "NotIn" if count == 0 => {
            errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            errors.push(Error::forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        }
        "Gt" | "Lt" if count != 1 => {
            errors.push(Error::required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(Error::invalid(&path.child("operator"), &other.into(), OPERATOR)),
    }
    let key = text(requirement, "/key");
    invalid(errors, &path.child("key"), &key.into(), label::key_errors(key));
    for (index, value) in texts(requirement, "/values").enumerate().filter(|_| allowed == Values::Labels) {
        invalid(errors, &values.index(index), &value.into(), label::value_errors(value));
    }
}

fn pod_affinity(errors: &mut Errors, path: &Path, affinity: &Value) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, &format!("/{required}")).iter().enumerate() {
        pod_term(errors, &path.child(required).index(index), term);
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in list(affinity, &format!("/{preferred}")).iter().enumerate() {
        let path = path.child(preferred).index(index);
        weight(errors, &path, term);
        pod_term(errors, &path.child("podAffinityTerm"), term.get("podAffinityTerm").unwrap_or(&Value::Null));
    }
}

fn pod_term(errors: &mut Errors, path: &Path, term: &Value) {
    for member in ["labelSelector", "namespaceSelector"] {
        if let Some(selector) = term.get(member).filter(|selector| !selector.is_null()) {
            label_selector(errors, &path.child(member), selector);
        }
    }
    for namespace in texts(term, "/namespaces") {
        let path = path.child("namespace");
        invalid(errors, &path, &namespace.into(), names::dns1123_label_errors(namespace));
    }
    let key = text(term, "/topologyKey");
    if key.is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    }
    invalid(errors, &path.child("topologyKey"), &key.into(), label::key_errors(key));
}
