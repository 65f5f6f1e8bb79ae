//! What is wrong with admission policies.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use super::{FAILURE_POLICIES, conditions, rule};
use crate::builtin::formats::{invalid, one_of, present_one_of};
use crate::builtin::pointer::{has, list, text};
use crate::format::Errors;

/// What the two kinds of policies have in common.
fn policy(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    present_one_of(&mut errors, &path.child("failurePolicy"), policy.pointer("/spec/failurePolicy"), &FAILURE_POLICIES);
    if has(policy, "/spec/paramKind") {
        param_kind(&mut errors, &path.child("paramKind"), policy);
    }
    let constraints = path.child("matchConstraints");
    match policy.pointer("/spec/matchConstraints").filter(|constraints| !constraints.is_null()) {
        None => errors.push(Error::required(&constraints, "")),
        Some(wanted) => {
            if list(wanted, "/resourceRules").is_empty() {
                errors.push(Error::required(&constraints.child("resourceRules"), ""));
            }
            rule::matching(&mut errors, &constraints, wanted);
        }
    }
    conditions(&mut errors, &path.child("matchConditions"), policy.get("spec").unwrap_or(&Value::Null));
    variables(&mut errors, &path.child("variables"), policy);
    errors
}

/// The kind of a policy's parameters: a version of a group, and a name.
fn param_kind(errors: &mut Errors, path: &Path, policy: &Value) {
    let [version, kind] = ["apiVersion", "kind"].map(|member| text(policy, &format!("/spec/paramKind/{member}")));
    let at = path.child("apiVersion");
    let mut refuse = |path: &Path, value: &str, found: Vec<String>, before: &str| {
        if !found.is_empty() {
            errors.push(Error::invalid(path, &value.into(), &format!("{before}{}", found.join(","))));
        }
    };
    match version.matches('/').count() {
        _ if version.is_empty() => errors.push(Error::required(&at, "")),
        0 => refuse(&at, version, names::dns1035_label_errors(version), ""),
        1 => {
            let (group, name) = version.split_once('/').unwrap_or_default();
            refuse(&at, group, names::dns1123_subdomain_errors(group), "");
            refuse(&at, version, names::dns1035_label_errors(name), "");
        }
        _ => refuse(&at, version, vec![format!("unexpected GroupVersion string: {version}")], ""),
    }
    let at = path.child("kind");
    match kind {
        "" => errors.push(Error::required(&at, "")),
        _ => {
            let found = names::dns1035_label_errors(&kind.to_lowercase());
            if !found.is_empty() {
                let detail = format!("may have mixed case, but should otherwise match: {}", found.join(","));
                errors.push(Error::invalid(&at, &kind.into(), &detail));
            }
        }
    }
}

/// Variables have names that expressions can use, and something that they are.
fn variables(errors: &mut Errors, path: &Path, policy: &Value) {
    for (index, variable) in list(policy, "/spec/variables").iter().enumerate() {
        let path = path.index(index);
        let name = text(variable, "/name");
        if name.trim().is_empty() {
            errors.push(Error::required(&path.child("name"), "name is not specified"));
        } else if !is_identifier(name) {
            let detail = "must be a valid CEL identifier";
            errors.push(Error::invalid(&path.child("name"), &name.into(), detail));
        }
        if text(variable, "/expression").trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), "expression is not specified"));
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let starts = |first: char| first.is_ascii_alphabetic() || first == '_';
    name.starts_with(starts) && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

pub(super) fn validating(object: &Value) -> Errors {
    let mut errors = policy(object);
    let path = Path::new("spec");
    let validations = list(object, "/spec/validations");
    if validations.is_empty() && list(object, "/spec/auditAnnotations").is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(Error::required(&path.child("validations"), detail));
        errors.push(Error::required(&path.child("auditAnnotations"), detail));
    }
    for (index, validation) in validations.iter().enumerate() {
        let path = path.child("validations").index(index);
        if text(validation, "/expression").trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), "expression is not specified"));
        }
        messages(&mut errors, &path, validation);
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
        present_one_of(&mut errors, &path.child("reason"), validation.get("reason"), &reasons);
    }
    audit_annotations(&mut errors, &path.child("auditAnnotations"), object);
    errors
}

/// What a validation says when it does not hold: a line that says something.
fn messages(errors: &mut Errors, path: &Path, validation: &Value) {
    for member in ["messageExpression", "message"] {
        let said = text(validation, &format!("/{member}"));
        let detail = if !said.is_empty() && said.trim().is_empty() {
            "must be non-empty if specified"
        } else if member == "message" && said.trim().contains(['\n', '\r']) {
            "must not contain line breaks"
        } else {
            continue;
        };
        errors.push(Error::invalid(&path.child(member), &said.into(), detail));
    }
}

/// Annotations of audit events: their keys are below the policy's name, each once.
fn audit_annotations(errors: &mut Errors, path: &Path, policy: &Value) {
    const ANNOTATIONS_MAX: usize = 20;
    let annotations = list(policy, "/spec/auditAnnotations");
    if annotations.len() > ANNOTATIONS_MAX {
        let detail = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        errors.push(Error::invalid(path, &annotations.len().into(), &detail));
    }
    let mut seen = BTreeSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let path = path.index(index);
        let key = text(annotation, "/key");
        let whole = format!("{}/{key}", machinery::meta::name(policy));
        invalid(errors, &path.child("key"), &whole.as_str().into(), machinery::label::key_errors(&whole));
        if text(annotation, "/valueExpression").trim().is_empty() {
            let detail = "valueExpression is not specified";
            errors.push(Error::required(&path.child("valueExpression"), detail));
        }
        if !seen.insert(key) {
            errors.push(Error::duplicate(&path.child("key"), &key.into()));
        }
    }
}

pub(super) fn mutating(object: &Value) -> Errors {
    let mut errors = policy(object);
    let path = Path::new("spec");
    let constraints = object.pointer("/spec/matchConstraints").unwrap_or(&Value::Null);
    rule::mutable_operations(&mut errors, &path.child("matchConstraints"), constraints);
    let mutations = list(object, "/spec/mutations");
    if mutations.is_empty() {
        errors.push(Error::required(&path.child("mutations"), "mutations must contain at least one item"));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        let path = path.child("mutations").index(index);
        one_of(
            &mut errors,
            &path.child("patchType"),
            text(mutation, "/patchType"),
            &["ApplyConfiguration", "JSONPatch"],
        );
        patch(&mut errors, &path, mutation);
    }
    reinvocation(&mut errors, &path.child("reinvocationPolicy"), object.pointer("/spec/reinvocationPolicy"));
    errors
}

/// What the type of a mutation says is there, and nothing else.
fn patch(errors: &mut Errors, path: &Path, mutation: &Value) {
    const TYPES: [(&str, &str); 2] = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];
    let type_ = text(mutation, "/patchType");
    if TYPES.iter().all(|(known, _)| *known != type_) {
        return;
    }
    let mut members = TYPES;
    // The one that must be there is looked at first.
    members.sort_by_key(|(wanted, _)| type_ != *wanted);
    for (wanted, member) in members {
        let path = path.child(member);
        match mutation.get(member).filter(|patch| !patch.is_null()) {
            None if type_ == wanted => {
                errors.push(Error::required(&path, &format!("must be specified when patchType is {wanted}")));
            }
            Some(patch) if type_ == wanted && text(patch, "/expression").trim().is_empty() => {
                errors.push(Error::required(&path.child("expression"), ""));
            }
            Some(_) if type_ != wanted => {
                let shown = format!("{{{member}}}");
                let detail = format!("must not be specified when patchType is {type_}");
                errors.push(Error::invalid(&path, &shown.into(), &detail));
            }
            _ => {}
        }
    }
}

/// Whether a mutation is made again after others.
fn reinvocation(errors: &mut Errors, path: &Path, policy: Option<&Value>) {
    match policy.filter(|policy| !policy.is_null()) {
        None => errors.push(Error::required(path, "")),
        policy => present_one_of(errors, path, policy, &["IfNeeded", "Never"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn policies_are_about_something() {
        let policy = json!({"spec": {
            "matchConstraints": {"resourceRules": [
                {"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]},
            ]},
            "validations": [{"expression": "true"}],
        }});
        assert_eq!(validating(&policy), []);
        assert_eq!(
            said(&validating(&json!({"spec": {"validations": [{"expression": "true"}]}}))),
            ["spec.matchConstraints: Required value"]
        );
    }
}
