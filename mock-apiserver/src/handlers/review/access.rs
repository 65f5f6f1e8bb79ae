//! Whether somebody may do something: the three access reviews.

use std::{borrow::Cow, collections::BTreeMap};

use machinery::{
    field::{Error, Path},
    meta,
    status::Status,
};
use serde_json::{Map, Value};

use super::text;
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
    let errors = errors(review, is_self, is_local);
    if !errors.is_empty() {
        return Err(Status::invalid(&call.endpoint.kind(), meta::name(review), &errors));
    }
    if is_local && text(review, "/spec/resourceAttributes/namespace") != call.info.namespace {
        let why = format!("spec.resourceAttributes.namespace must match namespace: {}", call.info.namespace);
        return Err(Status::bad_request(why));
    }
    let user = if is_self { Cow::Borrowed(call.context.user.as_ref()) } else { Cow::Owned(subject(review)) };
    let decision = server.authorizer.decide_now(&server.registry, &user, &action(review)).await;
    let mut status = Map::from_iter([("allowed".to_owned(), decision.is_allowed().into())]);
    if decision.verdict == Verdict::Denied {
        status.insert("denied".to_owned(), true.into());
    }
    for (member, text) in [("reason", decision.reason), ("evaluationError", decision.error)] {
        if !text.is_empty() {
            status.insert(member.to_owned(), text.into());
        }
    }
    Ok(Value::Object(status))
}

fn has(review: &Value, path: &str) -> bool {
    review.pointer(path).is_some_and(|value| !value.is_null())
}

/// Everything wrong with an access review.
fn errors(review: &Value, is_self: bool, is_local: bool) -> Vec<Error> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let (resource, path_attributes) =
        (has(review, "/spec/resourceAttributes"), has(review, "/spec/nonResourceAttributes"));
    let attributes = path.child("resourceAttributes");
    if resource && path_attributes {
        let detail = "cannot be specified in combination with resourceAttributes";
        errors.push(Error::invalid(
            &path.child("nonResourceAttributes"),
            &spec(review, "nonResourceAttributes"),
            detail,
        ));
    }
    if !resource && !path_attributes {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(Error::invalid(&attributes, &spec(review, "resourceAttributes"), detail));
    }
    let groups = review.pointer("/spec/groups").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
    if !is_self && text(review, "/spec/user").is_empty() && !groups {
        let detail = "at least one of user or group must be specified";
        errors.push(Error::invalid(&path.child("user"), &"".into(), detail));
    }
    if is_local && path_attributes {
        let detail = "disallowed on this kind of request";
        errors.push(Error::invalid(
            &path.child("nonResourceAttributes"),
            &spec(review, "nonResourceAttributes"),
            detail,
        ));
    }
    errors
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
        return Action {
            verb: of("/spec/nonResourceAttributes/verb"),
            on: On::Path(of("/spec/nonResourceAttributes/path")),
        };
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
    Action { verb: of("verb"), on }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reviews_are_checked_in_upstreams_words() {
        let resource = json!({"spec": {"resourceAttributes": {"verb": "get"}}});
        let nothing = json!({"spec": {}});
        let path = json!({"spec": {"user": "u", "nonResourceAttributes": {"path": "/x"}}});
        let said = |review: &Value, is_self, is_local| -> Vec<String> {
            errors(review, is_self, is_local).iter().map(Error::to_string).collect()
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
        assert_eq!(said(&path, false, true).len(), 1);
        assert_eq!(action(&path), Action { verb: "", on: On::Path("/x") });
    }
}
