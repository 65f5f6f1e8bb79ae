//! Reviews: questions about who somebody is and what they may do. They are answered, and nothing is stored.

mod access;
mod rules;

use axum::body::Body;
use machinery::{meta, status::Status, time};
use serde_json::{Value, json};

use super::{Call, body};
use crate::{respond::Answer, server::ApiServer};

/// Answers a review.
pub(super) async fn answer(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let mut review = body::read_object(server, call, body).await?;
    if !review.get("metadata").is_some_and(Value::is_object) {
        review["metadata"] = json!({});
    }
    let user = &call.context.user;
    let status = match call.info.resource.as_str() {
        "selfsubjectreviews" => {
            meta::set(&mut review, "creationTimestamp", time::format_seconds(server.registry.clock.now()));
            json!({"userInfo": user.info()})
        }
        "tokenreviews" => token(server, &review)?,
        "selfsubjectrulesreviews" => {
            let status = rules::status(server, user, &review)?;
            review["spec"] = json!({});
            status
        }
        _ => access::status(server, call, &review)?,
    };
    review["status"] = status;
    Ok(Answer::Document { code: 201, document: review })
}

/// True for kinds that are reviews.
pub(super) fn is_review(call: &Call) -> bool {
    matches!(call.info.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
}

/// The text at a path of a review; empty if absent.
fn text<'a>(review: &'a Value, path: &str) -> &'a str {
    review.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Whose token it is.
fn token(server: &ApiServer, review: &Value) -> Result<Value, Status> {
    let token = text(review, "/spec/token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    Ok(match server.authenticator.user_of_token(&server.registry, token) {
        Some(user) => json!({"authenticated": true, "user": user.info()}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
