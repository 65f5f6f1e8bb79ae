//! What is wrong with what a webhook or a policy is about.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use super::{MATCH_POLICIES, selectors};
use crate::builtin::formats::{invalid, present_one_of};
use crate::builtin::pointer::{list, texts};
use crate::format::Errors;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// Which requests a rule is about.
pub(super) fn rule_errors(errors: &mut Errors, path: &Path, rule: &Value) {
    for member in ["operations", "apiGroups", "apiVersions", "resources"] {
        let values: Vec<_> = texts(rule, &format!("/{member}")).collect();
        let path = path.child(member);
        if values.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        if member == "resources" {
            rule_resources(errors, &path, &values);
            continue;
        }
        if values.len() > 1 && values.contains(&"*") {
            let others = match member {
                "operations" => "operations",
                "apiGroups" => "API groups",
                _ => "API versions",
            };
            let detail = format!("if '*' is present, must not specify other {others}");
            errors.push(Error::invalid(&path, &values.as_slice().into(), &detail));
        }
        if member == "operations" {
            for (index, operation) in values.iter().enumerate() {
                present_one_of(errors, &path.index(index), Some(&(*operation).into()), &OPERATIONS);
            }
        } else if member == "apiVersions" {
            for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
                errors.push(Error::required(&path.index(index), ""));
            }
        }
    }
    present_one_of(errors, &path.child("scope"), rule.get("scope"), &["*", "Cluster", "Namespaced"]);
}

/// Resources and subresources of a rule: nothing is named that a `*` before it covers. Like upstream this looks at the last
/// resource alone to tell whether any stands beside `*`.
fn rule_resources(errors: &mut Errors, path: &Path, resources: &[&str]) {
    let (mut of_resource, mut of_subresource) = (BTreeSet::new(), BTreeSet::new());
    let mut last_is_named = false;
    for (index, both) in resources.iter().enumerate() {
        let path = path.index(index);
        if both.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        let Some((resource, subresource)) = both.split_once('/') else {
            last_is_named = *both != "*";
            continue;
        };
        if of_resource.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {both}");
            errors.push(Error::invalid(&path, &(*both).into(), &detail));
        }
        if of_subresource.contains(subresource) {
            let detail = format!("if '*/{subresource}' is present, must not specify {both}");
            errors.push(Error::invalid(&path, &(*both).into(), &detail));
        }
        if subresource == "*" {
            of_resource.insert(resource);
        }
        if resource == "*" {
            of_subresource.insert(subresource);
        }
    }
    if resources.len() > 1 && resources.contains(&"*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, &resources.into(), detail));
    }
    if resources.contains(&"*") && last_is_named {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, &resources.into(), detail));
    }
}

/// Names of objects that a rule is about, each once.
fn resource_names(errors: &mut Errors, path: &Path, rule: &Value) {
    let mut seen = BTreeSet::new();
    for (index, name) in texts(rule, "/resourceNames").enumerate() {
        let path = path.index(index);
        invalid(errors, &path, &name.into(), names::path_segment_errors(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path, &name.into()));
        }
    }
}

/// A policy that changes objects has nothing to change in a deletion.
pub(super) fn mutable_operations(errors: &mut Errors, path: &Path, constraints: &Value) {
    for rule in list(constraints, "/resourceRules") {
        for operation in list(rule, "/operations") {
            let operations = ["*", "CONNECT", "CREATE", "UPDATE"];
            let path = path.child("resourceRules").child("operations");
            present_one_of(errors, &path, Some(operation), &operations);
        }
    }
}

pub(super) fn matching(errors: &mut Errors, path: &Path, constraints: &Value) {
    for member in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in list(constraints, &format!("/{member}")).iter().enumerate() {
            let path = path.child(member).index(index);
            resource_names(errors, &path.child("resourceNames"), rule);
            rule_errors(errors, &path, rule);
        }
    }
    present_one_of(errors, &path.child("matchPolicy"), constraints.get("matchPolicy"), &MATCH_POLICIES);
    selectors(errors, path, constraints);
}
