//! Whether somebody may do something: the three access reviews.

use std::{borrow::Cow, collections::BTreeMap};

use machinery::{
    field::{Error, Path},
    names::GroupVersionKind,
    status::Status,
};
use serde_json::{Map, Value, json};

use super::{
    selectors::{self, Selected},
    text,
};
use crate::{
    authentication::User,
    authorization::{Action, On, Verdict},
    handlers::Call,
    server::ApiServer,
};

/// The status of an access review.
pub(super) async fn status(server: &ApiServer, call: &Call, review: &Value) -> Result<Value, Status> {
    let is_self = call.info.resource == "selfsubjectaccessreviews";
    let is_local = call.info.resource == "localsubjectaccessreviews";
    let errors = errors(review, is_self, is_local.then_some(&call.info.namespace));
    if !errors.is_empty() {
        // Upstream does not say of which kind.
        return Err(Status::invalid(&GroupVersionKind::new(&call.info.group, "", ""), "", &errors));
    }
    let user = if is_self { Cow::Borrowed(call.context.user.as_ref()) } else { Cow::Owned(subject(review)) };
    let selected = Selected::of(review);
    let decision = server.authorizer.decide_now(&server.registry, &user, &selected.restrict(action(review))).await;
    let mut status = Map::from_iter([("allowed".to_owned(), decision.is_allowed().into())]);
    if decision.verdict == Verdict::Denied {
        status.insert("denied".to_owned(), true.into());
    }
    let said = [Some(decision.error).filter(|error| !error.is_empty()), selected.error];
    let errors: Vec<String> = said.into_iter().flatten().collect();
    for (member, text) in [("reason", decision.reason), ("evaluationError", errors.join("\n"))] {
        if !text.is_empty() {
            status.insert(member.to_owned(), text.into());
        }
    }
    Ok(Value::Object(status))
}

fn has(review: &Value, path: &str) -> bool {
    review.pointer(path).is_some_and(|value| !value.is_null())
}

/// Everything wrong with an access review; a local one is for a namespace.
fn errors(review: &Value, is_self: bool, namespace: Option<&String>) -> Vec<Error> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let (resource, path_attributes) =
        (has(review, "/spec/resourceAttributes"), has(review, "/spec/nonResourceAttributes"));
    let attributes = path.child("resourceAttributes");
    // As Go's struct without tags is written.
    let of = |member| text(review, member);
    let shown = json!({"Path": of("/spec/nonResourceAttributes/path"), "Verb": of("/spec/nonResourceAttributes/verb")});
    if resource && path_attributes {
        let detail = "cannot be specified in combination with resourceAttributes";
        errors.push(Error::invalid(&path.child("nonResourceAttributes"), &shown, detail));
    }
    if !resource && !path_attributes {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(Error::invalid(&attributes, &Value::Null, detail));
    }
    let groups = review.pointer("/spec/groups").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
    if !is_self && of("/spec/user").is_empty() && !groups {
        let detail = "at least one of user or group must be specified";
        errors.push(Error::invalid(&path.child("user"), &"".into(), detail));
    }
    if resource {
        errors.extend(selectors::errors(review, &attributes));
    }
    errors.extend(metadata_error(review, namespace.is_some()));
    if let Some(namespace) = namespace {
        let asked = of("/spec/resourceAttributes/namespace");
        if resource && asked != namespace {
            errors.push(Error::invalid(&attributes.child("namespace"), &asked.into(), "must match metadata.namespace"));
        }
        if path_attributes {
            let detail = "disallowed on this kind of request";
            errors.push(Error::invalid(&path.child("nonResourceAttributes"), &shown, detail));
        }
    }
    errors
}

/// Reviews have no metadata, but local ones have a namespace.
fn metadata_error(review: &Value, is_local: bool) -> Option<Error> {
    let metadata = review.get("metadata")?;
    let mut members = metadata.as_object()?.iter();
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if members.all(|(name, value)| is_empty(value) || name == "managedFields" || (is_local && name == "namespace")) {
        return None;
    }
    let detail = if is_local { "must be empty except for namespace" } else { "must be empty" };
    Some(Error::invalid(&Path::new("metadata"), metadata, detail))
}

fn spec(review: &Value, member: &str) -> Value {
    review.pointer(&format!("/spec/{member}")).cloned().unwrap_or(Value::Null)
}

/// Who is asked about.
fn subject(review: &Value) -> User {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let extra = review.pointer("/spec/extra").and_then(Value::as_object).into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra.map(|(key, values)| (key.to_lowercase(), texts(values))).collect();
    User {
        name: text(review, "/spec/user").to_owned(),
        uid: text(review, "/spec/uid").to_owned(),
        groups: texts(&spec(review, "groups")),
        extra,
    }
}

/// What is asked about.
fn action(review: &Value) -> Action<'_> {
    if has(review, "/spec/nonResourceAttributes") {
        let of = |member| text(review, member);
        let path = On::Path(of("/spec/nonResourceAttributes/path"));
        return Action::to(of("/spec/nonResourceAttributes/verb"), path);
    }
    let attributes = review.pointer("/spec/resourceAttributes").unwrap_or(&Value::Null);
    let of = |member| attributes.get(member).and_then(Value::as_str).unwrap_or_default();
    let on = On::Resource {
        group: of("group"),
        resource: of("resource"),
        subresource: of("subresource"),
        namespace: of("namespace"),
        name: of("name"),
    };
    Action::to(of("verb"), on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_are_checked_in_upstreams_words() {
        let resource = json!({"spec": {"resourceAttributes": {"verb": "get"}}});
        let nothing = json!({"spec": {}});
        let path = json!({"spec": {"user": "u", "nonResourceAttributes": {"path": "/x"}}});
        let namespace = "a".to_owned();
        let said = |review: &Value, is_self, is_local: bool| -> Vec<String> {
            errors(review, is_self, is_local.then_some(&namespace)).iter().map(Error::to_string).collect()
        };
        assert!(said(&resource, true, false).is_empty());
        assert_eq!(
            said(&nothing, true, false),
            [
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes \
                 must be specified"
            ]
        );
        assert_eq!(
            said(&resource, false, false),
            ["spec.user: Invalid value: \"\": at least one of user or group must be specified"]
        );
        assert_eq!(
            said(&path, false, true),
            [
                "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"\"}: disallowed on this kind of request"
            ]
        );
        let elsewhere = json!({"spec": {"user": "u", "resourceAttributes": {"namespace": "b"}}});
        assert_eq!(
            said(&elsewhere, false, true),
            ["spec.resourceAttributes.namespace: Invalid value: \"b\": must match metadata.namespace"]
        );
        let named = json!({"metadata": {"name": "x"}, "spec": {"user": "u", "resourceAttributes": {"verb": "get"}}});
        assert_eq!(said(&named, false, false), ["metadata: Invalid value: {\"name\":\"x\"}: must be empty"]);
        assert_eq!(action(&path), Action::to("", On::Path("/x")));
    }
}
