//! What is wrong with bindings of admission policies.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use super::rule::{matching, mutable_operations};
use crate::builtin::formats::{invalid, label_selector, one_of, present_one_of, required_name};
use crate::builtin::pointer::{has, text, texts};
use crate::format::Errors;

fn binding(binding: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let policy = text(binding, "/spec/policyName");
    required_name(&mut errors, &path.child("policyName"), policy, names::dns1123_subdomain_errors);
    if let Some(reference) = binding.pointer("/spec/paramRef").filter(|reference| !reference.is_null()) {
        let path = path.child("paramRef");
        let name = text(reference, "/name");
        if !name.is_empty() {
            invalid(&mut errors, &path.child("name"), &name.into(), names::path_segment_errors(name));
        }
        if let Some(selector) = reference.get("selector").filter(|selector| !selector.is_null()) {
            label_selector(&mut errors, &path.child("selector"), selector);
        }
        let (named, selected) = (has(binding, "/spec/paramRef/name"), has(binding, "/spec/paramRef/selector"));
        if named == selected {
            let detail = "one of name or selector must be specified";
            match named {
                true => {
                    errors.extend(["name", "selector"].map(|member| {
                        Error::forbidden(&path.child(member), "name and selector are mutually exclusive")
                    }))
                }
                false => errors.push(Error::required(&path, detail)),
            }
        }
        let action = text(binding, "/spec/paramRef/parameterNotFoundAction");
        one_of(&mut errors, &path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
    }
    if let Some(resources) = binding.pointer("/spec/matchResources").filter(|resources| !resources.is_null()) {
        matching(&mut errors, &path.child("matchResources"), resources);
    }
    errors
}

pub(super) fn mutating(object: &Value) -> Errors {
    let mut errors = binding(object);
    let resources = object.pointer("/spec/matchResources").unwrap_or(&Value::Null);
    mutable_operations(&mut errors, &Path::new("spec").child("matchResources"), resources);
    errors
}

pub(super) fn validating(object: &Value) -> Errors {
    let mut errors = binding(object);
    let path = Path::new("spec").child("validationActions");
    let actions: Vec<_> = texts(object, "/spec/validationActions").collect();
    if actions.is_empty() {
        errors.push(Error::required(&path, "at least one validation action is required"));
    }
    let mut seen = BTreeSet::new();
    for (index, action) in actions.iter().enumerate() {
        let path = path.index(index);
        present_one_of(&mut errors, &path, Some(&(*action).into()), &["Audit", "Deny", "Warn"]);
        if !seen.insert(action) {
            errors.push(Error::duplicate(&path, &(*action).into()));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        let all = object.pointer("/spec/validationActions").unwrap_or(&Value::Null);
        errors.push(Error::invalid(&path, all, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn bindings_act() {
        assert_eq!(
            said(&validating(&json!({"spec": {"policyName": "p"}}))),
            ["spec.validationActions: Required value: at least one validation action is required"]
        );
    }
}
