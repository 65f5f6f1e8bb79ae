//! Everything that whoever asks may do in a namespace.

use machinery::status::Status;
use serde_json::{Map, Value, json};

use super::text;
use crate::{authentication::User, server::ApiServer};

/// The status of a SelfSubjectRulesReview.
pub(super) fn status(server: &ApiServer, user: &User, review: &Value) -> Result<Value, Status> {
    let namespace = text(review, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let found = server.authorizer.rules(&server.registry, user, namespace);
    let pick = |rule: &Value, members: &[&str]| {
        let picked = members.iter().filter_map(|member| Some(((*member).to_owned(), rule.get(*member)?.clone())));
        Value::Object(Map::from_iter(picked))
    };
    let with = |member: &'static str, members: &'static [&'static str]| -> Vec<Value> {
        let rules = found.rules.iter().filter(|rule| rule.get(member).is_some());
        rules.map(|rule| pick(rule, members)).collect()
    };
    let mut status = json!({
        "resourceRules": with("resources", &["verbs", "apiGroups", "resources", "resourceNames"]),
        "nonResourceRules": with("nonResourceURLs", &["verbs", "nonResourceURLs"]),
        "incomplete": !found.errors.is_empty(),
    });
    if !found.errors.is_empty() {
        status["evaluationError"] = found.errors.join(", ").into();
    }
    Ok(status)
}
