//! Reviews: questions about who somebody is and what they may do. They are answered, and nothing is stored.

mod access;
mod rules;
mod selectors;

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
    own(server, call, &mut review)?;
    let user = &call.context.user;
    let status = match call.info.resource.as_str() {
        "selfsubjectreviews" => {
            review["metadata"] = json!({});
            meta::set(&mut review, "creationTimestamp", time::format_seconds(server.registry.clock.now()));
            json!({"userInfo": user.info()})
        }
        "tokenreviews" => token(server, &review).await?,
        "selfsubjectrulesreviews" => {
            let status = rules::status(server, user, &review)?;
            review["metadata"] = json!({});
            review["spec"] = json!({});
            status
        }
        plural => {
            let status = access::status(server, call, &review).await?;
            if plural == "localsubjectaccessreviews" {
                meta::set(&mut review, "namespace", call.info.namespace.as_str());
            }
            status
        }
    };
    review["status"] = status;
    Ok(Answer::Document { code: 201, document: review })
}

/// Records who asks, as for every create: reviews come back with what upstream's handler wrote into them before it asked the
/// storage, which is none. The status is the server's alone.
fn own(server: &ApiServer, call: &Call, review: &mut Value) -> Result<(), Status> {
    if let Some(members) = review.as_object_mut() {
        members.remove("status");
    }
    server.registry.own(call.target(), None, review, &call.context)
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
async fn token(server: &ApiServer, review: &Value) -> Result<Value, Status> {
    let token = text(review, "/spec/token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let wanted = review.pointer("/spec/audiences").and_then(Value::as_array).filter(|wanted| !wanted.is_empty());
    let texts = wanted.into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned));
    let audiences = if wanted.is_some() { texts.collect() } else { server.authenticator.issuer().audiences().to_vec() };
    Ok(match server.authenticator.holder(&server.registry, token, &audiences).await {
        Ok(holder) => json!({"authenticated": true, "user": holder.user.info(), "audiences": holder.audiences}),
        Err(why) => json!({"user": {}, "error": why}),
    })
}
