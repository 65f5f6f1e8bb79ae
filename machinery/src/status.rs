//! `Status`: how an API server says no, and how it says that a delete is done.
//!
//! The shapes and wordings follow the API conventions ("Response Status Kind") and what kube-apiserver 1.36 answers.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    field,
    names::{GroupResource, GroupVersionKind},
};

/// Why a request failed, as a machine reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason is given; the message is all there is.
    Unknown,
    /// Nobody is logged in.
    Unauthorized,
    /// The user, or a policy, does not allow it.
    Forbidden,
    /// No such object, resource or path.
    NotFound,
    /// An object of that name exists.
    AlreadyExists,
    /// The object changed in between, or a precondition does not hold.
    Conflict,
    /// The requested revision is gone; an alias of `Expired` for old clients.
    Gone,
    /// The object is invalid.
    Invalid,
    /// The server could not finish in time, and may do so on a retry.
    ServerTimeout,
    /// The request ran out of time.
    Timeout,
    /// Too many requests.
    TooManyRequests,
    /// The request makes no sense.
    BadRequest,
    /// The verb does not exist for this resource.
    MethodNotAllowed,
    /// No representation satisfies the Accept header.
    NotAcceptable,
    /// The body is too large.
    RequestEntityTooLarge,
    /// The body has a type that nobody understands here.
    UnsupportedMediaType,
    /// The server is at fault.
    InternalError,
    /// The requested revision or continue token is too old.
    Expired,
    /// Somebody that the server needs is not there.
    ServiceUnavailable,
}

const REASONS: [(Reason, &str, u16); 19] = [
    (Reason::Unknown, "", 500),
    (Reason::Unauthorized, "Unauthorized", 401),
    (Reason::Forbidden, "Forbidden", 403),
    (Reason::NotFound, "NotFound", 404),
    (Reason::AlreadyExists, "AlreadyExists", 409),
    (Reason::Conflict, "Conflict", 409),
    (Reason::Gone, "Gone", 410),
    (Reason::Invalid, "Invalid", 422),
    (Reason::ServerTimeout, "ServerTimeout", 500),
    (Reason::Timeout, "Timeout", 504),
    (Reason::TooManyRequests, "TooManyRequests", 429),
    (Reason::BadRequest, "BadRequest", 400),
    (Reason::MethodNotAllowed, "MethodNotAllowed", 405),
    (Reason::NotAcceptable, "NotAcceptable", 406),
    (Reason::RequestEntityTooLarge, "RequestEntityTooLarge", 413),
    (Reason::UnsupportedMediaType, "UnsupportedMediaType", 415),
    (Reason::InternalError, "InternalError", 500),
    (Reason::Expired, "Expired", 410),
    (Reason::ServiceUnavailable, "ServiceUnavailable", 503),
];

impl Reason {
    /// The word on the wire; empty for `Unknown`.
    pub fn as_str(self) -> &'static str {
        REASONS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The HTTP status that goes with it.
    pub fn code(self) -> u16 {
        REASONS.iter().find(|row| row.0 == self).map_or(500, |row| row.2)
    }

    /// The reason a word on the wire names; `Unknown` for a word nobody knows.
    pub fn parse(word: &str) -> Self {
        REASONS.iter().find(|row| row.1 == word).map_or(Self::Unknown, |row| row.0)
    }
}

/// One cause in the details of a Status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Machine-readable reason, for instance `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What the Status is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its plural resource name, or, for `Invalid`, its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its uid, in the answer to a delete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Every single cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which a retry may succeed; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `metadata` of a Status; only an expired list puts anything there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// A continue token with which an expired list can go on, at the price of consistency.
    #[serde(rename = "continue", default, skip_serializing_if = "String::is_empty")]
    pub continue_: String,
}

/// A `v1 Status`. As an error it travels through the server; serialised it is the wire form, members in upstream's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    /// List metadata; nearly always empty, always present.
    #[serde(default)]
    pub metadata: Metadata,
    /// `Success` or `Failure`.
    #[serde(default)]
    pub status: String,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What a machine reads; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status; 0 is left out (a successful delete carries none).
    #[serde(default, skip_serializing_if = "is_zero_code")]
    pub code: u16,
}

fn is_zero_code(code: &u16) -> bool {
    *code == 0
}

impl Status {
    /// A failure with the reason's own code and no details.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind: "Status".to_owned(),
            api_version: "v1".to_owned(),
            metadata: Metadata::default(),
            status: "Failure".to_owned(),
            message: message.into(),
            reason: reason.as_str().to_owned(),
            details: None,
            code: reason.code(),
        }
    }

    /// A success, as a delete answers it; `code` 0 leaves the member out.
    pub fn success(code: u16, details: Option<Details>) -> Self {
        let mut status = Self::failure(Reason::Unknown, "");
        status.status = "Success".to_owned();
        status.details = details;
        status.code = code;
        status
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// The reason as a closed set.
    pub fn reason(&self) -> Reason {
        Reason::parse(&self.reason)
    }

    /// 404 of an object.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::failure(Reason::NotFound, format!("{resource} {} not found", field::quote(name)))
            .with_details(object_details(resource, name))
    }

    /// 404 of a path below a known API: the words kubectl knows by heart.
    pub fn unknown_resource() -> Self {
        Self::failure(Reason::NotFound, "the server could not find the requested resource")
            .with_details(Details::default())
    }

    /// 405 where the path exists and the method does not.
    pub fn method_not_allowed() -> Self {
        Self::failure(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
            .with_details(Details::default())
    }

    /// 405 of a resource that has no such verb.
    pub fn not_supported(resource: &GroupResource, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind {}", field::quote(&resource.to_string()));
        Self::failure(Reason::MethodNotAllowed, message).with_details(Details {
            group: resource.group.clone(),
            kind: resource.resource.clone(),
            ..Details::default()
        })
    }

    /// 409 of a create.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::failure(Reason::AlreadyExists, format!("{resource} {} already exists", field::quote(name)))
            .with_details(object_details(resource, name))
    }

    /// 409 with a reason of the caller's.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::failure(
            Reason::Conflict,
            format!("Operation cannot be fulfilled on {resource} {}: {why}", field::quote(name)),
        )
        .with_details(object_details(resource, name))
    }

    /// 409 of a write against an object that has changed since it was read.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403 about one object; `why` completes `<resource> "<name>" is forbidden: `.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {} is forbidden: {why}", field::quote(name)),
        };
        Self::failure(Reason::Forbidden, message).with_details(object_details(resource, name))
    }

    /// 422 from field errors: duplicates leave the message and stay among the causes, as upstream has it.
    pub fn invalid(kind: &GroupVersionKind, name: &str, errors: &[field::Error]) -> Self {
        let group_kind =
            if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) };
        let mut seen = HashSet::new();
        let lines: Vec<String> =
            errors.iter().map(field::Error::to_string).filter(|line| seen.insert(line.clone())).collect();
        let tail = match lines.as_slice() {
            [] => "<nil>".to_owned(),
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.kind.reason().to_owned(),
                message: error.message.clone(),
                field: error.path.to_string(),
            })
            .collect();
        Self::failure(Reason::Invalid, format!("{group_kind} {} is invalid: {tail}", field::quote(name))).with_details(
            Details {
                name: name.to_owned(),
                group: kind.group.clone(),
                kind: kind.kind.clone(),
                causes,
                ..Details::default()
            },
        )
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(Reason::BadRequest, message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::failure(Reason::Unauthorized, "Unauthorized")
    }

    /// 410 of a list.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(Reason::Expired, message)
    }

    /// 413; `what` completes `Request entity too large: `.
    pub fn too_large(what: &str) -> Self {
        Self::failure(Reason::RequestEntityTooLarge, format!("Request entity too large: {what}"))
    }

    /// 415 that lists what would be understood.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::failure(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 406 that lists what could be had.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::failure(
            Reason::NotAcceptable,
            format!("only the following media types are accepted: {}", accepted.join(", ")),
        )
    }

    /// 429 with a hint when to come back.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(Reason::TooManyRequests, message)
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    /// 504.
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Self {
        Self::failure(Reason::Timeout, format!("Timeout: {message}"))
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    /// 500 with a cause.
    pub fn internal(error: impl fmt::Display) -> Self {
        let message = error.to_string();
        Self::failure(Reason::InternalError, format!("Internal error occurred: {message}"))
            .with_details(Details { causes: vec![Cause { message, ..Cause::default() }], ..Details::default() })
    }
}

fn object_details(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.clone(),
        kind: resource.resource.clone(),
        ..Details::default()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Error, Path};

    fn json(status: &Status) -> String {
        serde_json::to_string(status).expect("a Status is plain data")
    }

    #[test]
    fn not_found_reads_as_upstream() {
        assert_eq!(
            json(&Status::not_found(&GroupResource::new("apps", "deployments"), "x")),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"x\" not found","reason":"NotFound","details":{"name":"x","group":"apps","kind":"deployments"},"code":404}"#
        );
    }

    #[test]
    fn invalid_lists_each_message_once_and_every_cause() {
        let path = Path::new("metadata").child("uid");
        let error = Error::invalid(&path, &serde_json::json!("a"), "field is immutable");
        let status = Status::invalid(&GroupVersionKind::new("", "v1", "Pod"), "p", &[error.clone(), error]);
        assert_eq!(status.message, r#"Pod "p" is invalid: metadata.uid: Invalid value: "a": field is immutable"#);
        assert_eq!(status.details.expect("details").causes.len(), 2);
    }

    #[test]
    fn a_finished_delete_has_no_code() {
        let status = Status::success(0, Some(Details { name: "a".into(), kind: "pods".into(), ..Details::default() }));
        assert_eq!(
            json(&status),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"a","kind":"pods"}}"#
        );
    }

    #[test]
    fn every_reason_survives_its_word() {
        for (reason, word, code) in REASONS {
            assert_eq!(Reason::parse(word), reason);
            assert_eq!(reason.code(), code);
        }
    }
}
