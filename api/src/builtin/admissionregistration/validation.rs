//! What is wrong with webhook configurations, admission policies and their bindings. Expressions are checked by whoever
//! compiles them.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, label_selector, one_of, present_one_of, required_name};
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::format::Errors;

/// What checks a kind of the group.
pub(super) fn of(kind: &str) -> fn(&Value) -> Errors {
    match kind {
        "MutatingWebhookConfiguration" => mutating_webhooks,
        "ValidatingWebhookConfiguration" => webhooks,
        "ValidatingAdmissionPolicy" => validating_policy,
        "MutatingAdmissionPolicy" => mutating_policy,
        "ValidatingAdmissionPolicyBinding" => validating_binding,
        _ => mutating_binding,
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

fn mutating_webhooks(configuration: &Value) -> Errors {
    let mut errors = webhooks(configuration);
    for (index, webhook) in list(configuration, "/webhooks").iter().enumerate() {
        let path = Path::new("webhooks").index(index).child("reinvocationPolicy");
        present_one_of(&mut errors, &path, webhook.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
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
    errors.extend(client_errors(path, webhook.get("clientConfig").unwrap_or(&Value::Null)));
}

/// Everything wrong with how a webhook is reached: by a URL, or as a service.
pub fn client_errors(path: &Path, client: &Value) -> Errors {
    let mut errors = Vec::new();
    match (has(client, "/url"), client.get("service").filter(|service| !service.is_null())) {
        (true, None) => url_errors(&mut errors, &path.child("url"), text(client, "/url")),
        (false, Some(reached)) => service(&mut errors, &path.child("service"), reached),
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
    errors
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
            matching(&mut errors, &constraints, wanted);
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
fn mutable_operations(errors: &mut Errors, path: &Path, constraints: &Value) {
    for rule in list(constraints, "/resourceRules") {
        for operation in list(rule, "/operations") {
            let operations = ["*", "CONNECT", "CREATE", "UPDATE"];
            let path = path.child("resourceRules").child("operations");
            present_one_of(errors, &path, Some(operation), &operations);
        }
    }
}

fn matching(errors: &mut Errors, path: &Path, constraints: &Value) {
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

fn mutating_policy(object: &Value) -> Errors {
    let mut errors = policy(object);
    let path = Path::new("spec");
    let constraints = object.pointer("/spec/matchConstraints").unwrap_or(&Value::Null);
    mutable_operations(&mut errors, &path.child("matchConstraints"), constraints);
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

fn mutating_binding(object: &Value) -> Errors {
    let mut errors = binding(object);
    let resources = object.pointer("/spec/matchResources").unwrap_or(&Value::Null);
    mutable_operations(&mut errors, &Path::new("spec").child("matchResources"), resources);
    errors
}

fn validating_binding(object: &Value) -> Errors {
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
            ["spec.validationActions: Required value: at least one validation action is required"]
        );
    }
}
