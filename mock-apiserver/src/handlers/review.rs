//! Reviews: questions about who somebody is and what they may do. They are answered, and nothing is stored.

use axum::body::Body;
use machinery::status::Status;
use serde_json::{Value, json};

use super::{Call, body};
use crate::{respond::Answer, server::ApiServer};

/// Answers a review. Without authentication everybody is the administrator, who may do
/// everything.
pub(super) async fn answer(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let mut review = body::read_object(server, call, body).await?;
    let status = match call.info.resource.as_str() {
        "selfsubjectreviews" => json!({"userInfo": {
            "username": call.context.user, "groups": ["system:masters", "system:authenticated"],
        }}),
        "tokenreviews" => json!({"user": {}, "error": "invalid bearer token"}),
        "selfsubjectrulesreviews" => {
            review["spec"] = json!({});
            json!({
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": false,
            })
        }
        _ => json!({"allowed": true}),
    };
    review["status"] = status;
    if !review.get("metadata").is_some_and(Value::is_object) {
        review["metadata"] = json!({});
    }
    Ok(Answer::Document { code: 201, document: review })
}

/// True for kinds that are reviews.
pub(super) fn is_review(call: &Call) -> bool {
    matches!(call.info.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
}
