//! What is wrong with webhook configurations.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use super::{FAILURE_POLICIES, MATCH_POLICIES, conditions, rule, selectors};
use crate::builtin::formats::{invalid, present_one_of, required_name};
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::format::Errors;

/// Longest time a webhook may take, in seconds.
const TIMEOUT_MAX: i64 = 30;

pub(super) fn validating(configuration: &Value) -> Errors {
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

pub(super) fn mutating(configuration: &Value) -> Errors {
    let mut errors = validating(configuration);
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
        rule::rule_errors(errors, &path.child("rules").index(index), rule);
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
    let client = webhook.get("clientConfig").unwrap_or(&Value::Null);
    errors.extend(client_errors(&path.child("clientConfig"), client));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn webhooks_say_where_they_are_and_what_they_do() {
        let good = json!({"webhooks": [{
            "name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
            "clientConfig": {"url": "https://x/y"},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }]});
        assert_eq!(validating(&good), []);
        let mut bad = good;
        bad["webhooks"][0]["name"] = "a".into();
        bad["webhooks"][0]["clientConfig"] = json!({});
        bad["webhooks"][0]["rules"][0]["operations"] = json!(["READ"]);
        assert_eq!(
            said(&validating(&bad)),
            [
                "webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
                "webhooks[0].rules[0].operations[0]: Unsupported value: \"READ\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            ]
        );
    }
}
