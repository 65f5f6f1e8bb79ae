//! `AdmissionReview`: what a webhook is asked, and what it answers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What is about to happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// It is connected to, or something newer.
    Other,
}

/// A write that a webhook is asked about.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    uid: String,
    /// What happens.
    pub(crate) operation: Operation,
    /// Who is recorded as the manager of the changed fields. Without authentication it is what tells components of a system
    /// from its users.
    pub(crate) manager: String,
    /// The object as it will be; null when it is deleted.
    pub(crate) object: Value,
    /// The object as it is; null when it is made.
    pub(crate) old: Value,
}

impl Review {
    /// Reads the body of a call.
    pub(crate) fn read(mut body: Value) -> Option<Self> {
        let request = body.get_mut("request").filter(|request| request.is_object())?;
        let text = |request: &Value, member: &str| request[member].as_str().unwrap_or_default().to_owned();
        let operation = match request["operation"].as_str()? {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            _ => Operation::Other,
        };
        Some(Self {
            uid: text(request, "uid"),
            operation,
            manager: text(&request["options"], "fieldManager"),
            object: request["object"].take(),
            old: request["oldObject"].take(),
        })
    }

    /// The body of the answer.
    pub(super) fn answer(&self, verdict: Verdict) -> Value {
        let response = match verdict {
            Verdict::Allowed => json!({"uid": self.uid, "allowed": true}),
            Verdict::Changed(object) => {
                let patch = changes(&self.object, &object);
                let mut response = json!({"uid": self.uid, "allowed": true});
                if !patch.is_empty() {
                    response["patchType"] = json!("JSONPatch");
                    response["patch"] = json!(STANDARD.encode(Value::Array(patch).to_string()));
                }
                response
            }
            Verdict::Refused(refusal) => {
                json!({"uid": self.uid, "allowed": false, "status": refusal.status()})
            }
        };
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    }
}

/// The operations that make one object the other: members at the top are replaced whole.
fn changes(before: &Value, after: &Value) -> Vec<Value> {
    let members = after.as_object().into_iter().flatten();
    let changed = members.filter(|(name, value)| before.get(name) != Some(value));
    // `add` replaces a member that is there.
    changed.map(|(name, value)| json!({"op": "add", "path": format!("/{name}"), "value": value})).collect()
}

/// What a webhook says.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Go on.
    Allowed,
    /// Go on with this object.
    Changed(Value),
    /// No.
    Refused(Refusal),
}

/// Why not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    /// The code; 0 leaves it to the API server.
    pub(crate) code: u16,
    /// The reason of the Status; empty for none.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    /// What is wrong, field by field.
    pub(crate) causes: Vec<Cause>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    /// `FieldValueInvalid` and the like.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) message: String,
    /// Where.
    pub(crate) field: String,
}

impl Refusal {
    /// A no in a sentence.
    pub(crate) fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn status(&self) -> Value {
        let mut status = json!({"metadata": {}, "message": self.message});
        if self.code != 0 {
            status["code"] = json!(self.code);
        }
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.causes.is_empty() {
            let cause = |cause: &Cause| {
                let mut entry = json!({"reason": cause.kind, "message": cause.message});
                if !cause.field.is_empty() {
                    entry["field"] = json!(cause.field);
                }
                entry
            };
            status["details"] = json!({"causes": self.causes.iter().map(cause).collect::<Vec<_>>()});
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_and_answered() {
        let call = json!({"request": {
            "uid": "1", "operation": "CREATE", "kind": {"kind": "Thing"}, "namespace": "n",
            "object": {"metadata": {"name": "t"}, "spec": {"a": 1}}, "oldObject": null,
        }});
        let review = Review::read(call).expect("a review");
        assert_eq!(review.operation, Operation::Create);
        let mut changed = review.object.clone();
        changed["spec"]["b"] = json!(2);
        let answer = review.answer(Verdict::Changed(changed));
        let patch =
            answer["response"]["patch"].as_str().and_then(|patch| STANDARD.decode(patch).ok()).expect("a patch");
        let patch: Value = serde_json::from_slice(&patch).expect("JSON");
        assert_eq!(patch, json!([{"op": "add", "path": "/spec", "value": {"a": 1, "b": 2}}]));
        assert!(review.answer(Verdict::Changed(review.object.clone()))["response"]["patch"].is_null());
        let refused = review.answer(Verdict::Refused(Refusal::because("no")));
        assert_eq!(
            (&refused["response"]["allowed"], &refused["response"]["status"]["message"]),
            (&json!(false), &json!("no"))
        );
        assert!(Review::read(json!({"request": null})).is_none());
    }
}
