//! What is wrong with webhook configurations, admission policies and their bindings. Expressions are checked by whoever
//! compiles them.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, label_selector, one_of, optional_one_of, present_one_of, required_name};
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::format::Errors;

/// What checks a kind of the group.
pub(super) fn of(kind: &str) -> fn(&Value) -> Errors {
    match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => webhooks,
        "ValidatingAdmissionPolicy" => validating_policy,
        "MutatingAdmissionPolicy" => mutating_policy,
        "ValidatingAdmissionPolicyBinding" => validating_binding,
        _ => binding,
    }
}

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];

/// Longest time a webhook may take, in seconds.
const TIMEOUT_MAX: i64 = 30;

fn webhooks(configuration: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, webhook) in list(configuration, "/webhooks").iter().enumerate() {
        let path = Path::new("webhooks").index(index);
        let name = text(webhook, "/name");
        required_name(&mut errors, &path.child("name"), name, qualified_errors);
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        one_webhook(&mut errors, &path, webhook);
    }
    errors
}

/// Why a name is no domain of three parts.
fn qualified_errors(name: &str) -> Vec<String> {
    let mut errors = names::dns1123_subdomain_errors(name);
    if errors.is_empty() && name.split('.').count() < 3 {
        errors.push("should be a domain with at least three segments separated by dots".to_owned());
    }
    errors
}

fn one_webhook(errors: &mut Errors, path: &Path, webhook: &Value) {
    for (index, rule) in list(webhook, "/rules").iter().enumerate() {
        rule_errors(errors, &path.child("rules").index(index), rule);
    }
    present_one_of(errors, &path.child("failurePolicy"), webhook.get("failurePolicy"), &FAILURE_POLICIES);
    present_one_of(errors, &path.child("matchPolicy"), webhook.get("matchPolicy"), &MATCH_POLICIES);
    let effects = ["None", "NoneOnDryRun"];
    match webhook.get("sideEffects").filter(|effects| !effects.is_null()) {
        None => errors.push(Error::required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun")),
        found => present_one_of(errors, &path.child("sideEffects"), found, &effects),
    }
    let timeout = integer(webhook, "/timeoutSeconds");
    if has(webhook, "/timeoutSeconds") && !(1..=TIMEOUT_MAX).contains(&timeout) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(Error::invalid(&path.child("timeoutSeconds"), &timeout.into(), detail));
    }
    selectors(errors, path, webhook);
    client(errors, &path.child("clientConfig"), webhook);
    conditions(errors, &path.child("matchConditions"), webhook);
    review_versions(errors, &path.child("admissionReviewVersions"), webhook);
}

fn review_versions(errors: &mut Errors, path: &Path, webhook: &Value) {
    let versions: Vec<_> = texts(webhook, "/admissionReviewVersions").collect();
    if versions.is_empty() {
        return errors.push(Error::required(path, "must specify one of v1, v1beta1"));
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        if !seen.insert(version) {
            errors.push(Error::invalid(&path, &(*version).into(), "duplicate version"));
            continue;
        }
        invalid(errors, &path, &(*version).into(), names::dns1035_label_errors(version));
    }
    if !versions.iter().any(|version| ["v1", "v1beta1"].contains(version)) {
        let all = webhook.get("admissionReviewVersions").unwrap_or(&Value::Null);
        errors.push(Error::invalid(path, all, "must include at least one of v1, v1beta1"));
    }
}

fn selectors(errors: &mut Errors, path: &Path, object: &Value) {
    for member in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = object.get(member).filter(|selector| !selector.is_null()) {
            label_selector(errors, &path.child(member), selector);
        }
    }
}

fn client(errors: &mut Errors, path: &Path, webhook: &Value) {
    match (has(webhook, "/clientConfig/url"), has(webhook, "/clientConfig/service")) {
        (true, false) => {
            url_errors(errors, &path.child("url"), text(webhook, "/clientConfig/url"));
        }
        (false, true) => {
            service(errors, &path.child("service"), &webhook["clientConfig"]["service"]);
        }
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
}

/// `https://host[/path]` and nothing else.
fn url_errors(errors: &mut Errors, path: &Path, url: &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let mut refuse = |value: &str, detail: &str| {
        errors.push(Error::invalid(path, &value.into(), &format!("{detail}; desired format: https://host[/path]")));
    };
    if scheme != "https" {
        refuse(scheme, "'https' is the only allowed URL scheme");
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        refuse(host, "host must be specified");
    }
    for (value, what) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !value.is_empty() {
            errors.push(Error::invalid(path, &value.into(), what));
        }
    }
}

/// The service of a webhook. Upstream takes its name for its namespace and the other way around, when one is missing.
fn service(errors: &mut Errors, path: &Path, service: &Value) {
    for (member, named) in [("namespace", "name"), ("name", "namespace")] {
        if text(service, &format!("/{member}")).is_empty() {
            errors.push(Error::required(&path.child(named), ""));
        }
    }
    if let Some(port) = service.get("port").filter(|port| !port.is_null())
        && !(1..=65_535).contains(&port.as_i64().unwrap_or_default())
    {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(Error::invalid(&path.child("port"), port, detail));
    }
    let place = text(service, "/path");
    let path = path.child("path");
    let mut refuse = |detail: &str| errors.push(Error::invalid(&path, &place.into(), detail));
    match place {
        "" | "/" => return,
        "//" => return refuse("segment[0] may not be empty"),
        _ if !place.starts_with('/') => refuse("must start with a '/'"),
        _ => {}
    }
    let Some(checked) = place.char_indices().nth(1).map_or(Some(""), |(at, _)| place.get(at..)) else { return };
    for (index, step) in checked.strip_suffix('/').unwrap_or(checked).split('/').enumerate() {
        if step.is_empty() {
            refuse(&format!("segment[{index}] may not be empty"));
        } else {
            for detail in names::dns1123_subdomain_errors(step) {
                refuse(&format!("segment[{index}]: {detail}"));
            }
        }
    }
}

fn conditions(errors: &mut Errors, path: &Path, object: &Value) {
    const CONDITIONS_MAX: usize = 64;
    let conditions = list(object, "/matchConditions");
    if conditions.len() > CONDITIONS_MAX {
        return errors.push(Error::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let name = text(condition, "/name");
        if text(condition, "/expression").trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), ""));
        }
        required_name(errors, &path.child("name"), name, machinery::label::key_errors);
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
    }
}

/// Which requests a rule is about.
fn rule_errors(errors: &mut Errors, path: &Path, rule: &Value) {
    for member in ["operations", "apiGroups", "apiVersions", "resources"] {
        let values: Vec<_> = texts(rule, &format!("/{member}")).collect();
        let path = path.child(member);
        if values.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        if values.len() > 1 && values.contains(&"*") {
            let all = rule.get(member).unwrap_or(&Value::Null);
            let detail = match member {
                "operations" => "if '*' is present, must not specify other operations",
                "apiGroups" => "if '*' is present, must not specify other API groups",
                "apiVersions" => "if '*' is present, must not specify other API versions",
                _ => "if '*' is present, must not specify other resources without subresources",
            };
            errors.push(Error::invalid(&path, all, detail));
        }
        if member == "operations" {
            for (index, operation) in values.iter().enumerate() {
                present_one_of(errors, &path.index(index), Some(&(*operation).into()), &OPERATIONS);
            }
        } else if member != "apiGroups" {
            for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
                errors.push(Error::required(&path.index(index), ""));
            }
        }
    }
    present_one_of(errors, &path.child("scope"), rule.get("scope"), &["*", "Cluster", "Namespaced"]);
}

/// What the two kinds of policies have in common.
fn policy(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    present_one_of(&mut errors, &path.child("failurePolicy"), policy.pointer("/spec/failurePolicy"), &FAILURE_POLICIES);
    if has(policy, "/spec/paramKind") {
        for member in ["apiVersion", "kind"] {
            if text(policy, &format!("/spec/paramKind/{member}")).is_empty() {
                errors.push(Error::required(&path.child("paramKind").child(member), ""));
            }
        }
    }
    let constraints = path.child("matchConstraints");
    match policy.pointer("/spec/matchConstraints").filter(|constraints| !constraints.is_null()) {
        None => errors.push(Error::required(&constraints, "")),
        Some(wanted) => {
            if list(wanted, "/resourceRules").is_empty() {
                errors.push(Error::required(&constraints.child("resourceRules"), ""));
            }
            matching(&mut errors, &constraints, wanted);
        }
    }
    conditions(&mut errors, &path.child("matchConditions"), policy.get("spec").unwrap_or(&Value::Null));
    errors
}

fn matching(errors: &mut Errors, path: &Path, constraints: &Value) {
    for member in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in list(constraints, &format!("/{member}")).iter().enumerate() {
            rule_errors(errors, &path.child(member).index(index), rule);
        }
    }
    present_one_of(errors, &path.child("matchPolicy"), constraints.get("matchPolicy"), &MATCH_POLICIES);
    selectors(errors, path, constraints);
}

fn validating_policy(object: &Value) -> Errors {
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
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
        optional_one_of(&mut errors, &path.child("reason"), text(validation, "/reason"), &reasons);
    }
    errors
}

fn mutating_policy(object: &Value) -> Errors {
    let mut errors = policy(object);
    let path = Path::new("spec").child("mutations");
    let mutations = list(object, "/spec/mutations");
    if mutations.is_empty() {
        errors.push(Error::required(&path, "mutations must contain at least one item"));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        let path = path.index(index);
        one_of(
            &mut errors,
            &path.child("patchType"),
            text(mutation, "/patchType"),
            &["ApplyConfiguration", "JSONPatch"],
        );
    }
    errors
}

fn binding(binding: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let policy = text(binding, "/spec/policyName");
    required_name(&mut errors, &path.child("policyName"), policy, names::dns1123_subdomain_errors);
    if has(binding, "/spec/paramRef") {
        let path = path.child("paramRef");
        let (named, selected) = (has(binding, "/spec/paramRef/name"), has(binding, "/spec/paramRef/selector"));
        if named == selected {
            let detail = "one of name or selector must be specified";
            match named {
                true => errors.push(Error::forbidden(&path.child("name"), "name and selector are mutually exclusive")),
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

fn validating_binding(object: &Value) -> Errors {
    let mut errors = binding(object);
    let path = Path::new("spec").child("validationActions");
    let actions: Vec<_> = texts(object, "/spec/validationActions").collect();
    if actions.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    for action in &actions {
        one_of(&mut errors, &path, action, &["Audit", "Deny", "Warn"]);
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
    use serde_json::json;

    fn said(errors: &Errors) -> Vec<String> {
        errors.iter().map(Error::to_string).collect()
    }

    #[test]
    fn webhooks_say_where_they_are_and_what_they_do() {
        let good = json!({"webhooks": [{
            "name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
            "clientConfig": {"url": "https://x/y"},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }]});
        assert_eq!(webhooks(&good), []);
        let mut bad = good;
        bad["webhooks"][0]["name"] = "a".into();
        bad["webhooks"][0]["clientConfig"] = json!({});
        bad["webhooks"][0]["rules"][0]["operations"] = json!(["READ"]);
        assert_eq!(
            said(&webhooks(&bad)),
            [
                "webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
                "webhooks[0].rules[0].operations[0]: Unsupported value: \"READ\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            ]
        );
    }

    #[test]
    fn policies_are_about_something_and_bindings_act() {
        let policy = json!({"spec": {
            "matchConstraints": {"resourceRules": [
                {"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]},
            ]},
            "validations": [{"expression": "true"}],
        }});
        assert_eq!(validating_policy(&policy), []);
        assert_eq!(
            said(&validating_policy(&json!({"spec": {"validations": [{"expression": "true"}]}}))),
            ["spec.matchConstraints: Required value"]
        );
        assert_eq!(
            said(&validating_binding(&json!({"spec": {"policyName": "p"}}))),
            ["spec.validationActions: Required value"]
        );
    }
}
