//! `AdmissionReview`: what webhooks are asked, and what they answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::{
    field::quote,
    meta,
    status::{Details, Reason, Status},
};
use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The `result` of a no.
    pub(super) denied: Option<Value>,
    /// The operations of a JSON patch.
    pub(super) patch: Option<Value>,
    pub(super) warnings: Vec<String>,
}

/// The versions that are spoken.
pub(super) fn known_version(version: &str) -> Option<&'static str> {
    ["v1", "v1beta1"].into_iter().find(|known| *known == version)
}

/// The body of a question.
pub(super) fn question(version: &str, request: Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request})
}

/// Reads the body of an answer; the error is why it is none.
pub(super) fn read(version: &str, uid: &str, body: &Value) -> Result<Answer, String> {
    let response = body.get("response").filter(|response| response.is_object()).ok_or("webhook response was absent")?;
    let is_strict = version == "v1";
    if is_strict {
        let expected = format!("admission.k8s.io/{version}, Kind=AdmissionReview");
        let got = format!("{}, Kind={}", meta::api_version(body), meta::kind(body));
        if got != expected {
            return Err(format!("expected webhook response of {expected}, got {got}"));
        }
        let given = response.get("uid").and_then(Value::as_str).unwrap_or_default();
        if given != uid {
            return Err(format!("expected response.uid={}, got {}", quote(uid), quote(given)));
        }
    }
    let warnings = response.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).map(str::to_owned).collect();
    let patch = patch(response, is_strict)?;
    if response.get("allowed").and_then(Value::as_bool) != Some(true) {
        let result = response.get("status").or_else(|| response.get("result")).cloned().unwrap_or_default();
        return Ok(Answer { denied: Some(result), patch: None, warnings });
    }
    Ok(Answer { denied: None, patch, warnings })
}

fn patch(response: &Value, is_strict: bool) -> Result<Option<Value>, String> {
    let encoded = response.get("patch").and_then(Value::as_str).filter(|patch| !patch.is_empty());
    let kind = response.get("patchType").and_then(Value::as_str);
    match (encoded, kind) {
        (None, None) => return Ok(None),
        (None, Some(_)) if is_strict => {
            return Err("webhook returned response.patchType but not response.patch".to_owned());
        }
        (Some(_), None) if is_strict => {
            return Err("webhook returned response.patch but not response.patchType".to_owned());
        }
        (_, Some(kind)) if kind != "JSONPatch" => {
            return Err(format!("webhook returned invalid response.patchType of {}", quote(kind)));
        }
        _ => {}
    }
    let Some(encoded) = encoded else { return Ok(None) };
    let bytes = STANDARD.decode(encoded).map_err(|error| format!("response.patch is no base64: {error}"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("response.patch is no JSON: {error}"))
}

/// What the client is told that a webhook refuses.
pub(super) fn denied(webhook: &str, result: &Value) -> Status {
    let text = |member: &str| result.get(member).and_then(Value::as_str).unwrap_or_default();
    let by = format!("admission webhook {} denied the request", quote(webhook));
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{by} without explanation"),
        ("", why) | (why, _) => format!("{by}: {why}"),
    };
    let code = result.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let mut status = Status::failure(Reason::Unknown, message);
    status.code = if (400..600).contains(&code) { code } else { 400 };
    status.reason = text("reason").to_owned();
    status.details = result.get("details").and_then(|details| serde_json::from_value::<Details>(details.clone()).ok());
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn answers_are_checked() {
        let read = |response: Value| read("v1", "u", &answer(response));
        assert_eq!(read(json!({"uid": "u", "allowed": true})), Ok(Answer::default()));
        let encoded = STANDARD.encode(r#"[{"op":"remove","path":"/a"}]"#);
        let patched = read(json!({"uid": "u", "allowed": true, "patch": encoded, "patchType": "JSONPatch"}));
        assert_eq!(patched.expect("an answer").patch, Some(json!([{"op": "remove", "path": "/a"}])));
        for (response, why) in [
            (json!({"uid": "x", "allowed": true}), "expected response.uid=\"u\", got \"x\""),
            (json!(null), "webhook response was absent"),
            (
                json!({"uid": "u", "allowed": true, "patch": encoded}),
                "webhook returned response.patch but not response.patchType",
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": encoded, "patchType": "Full"}),
                "webhook returned invalid response.patchType of \"Full\"",
            ),
        ] {
            assert_eq!(read(response), Err(why.to_owned()));
        }
        let wrong = json!({"apiVersion": "v1", "kind": "Pod", "response": {"uid": "u"}});
        let why = "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got v1, Kind=Pod";
        assert_eq!(super::read("v1", "u", &wrong), Err(why.to_owned()));
    }

    #[test]
    fn refusals_keep_what_the_webhook_says() {
        let status = denied("a.b.c", &json!({"code": 403, "message": "no", "reason": "Forbidden"}));
        assert_eq!((status.code, status.message.as_str()), (403, "admission webhook \"a.b.c\" denied the request: no"));
        assert_eq!(status.reason, "Forbidden");
        let silent = denied("a.b.c", &Value::Null);
        let why = "admission webhook \"a.b.c\" denied the request without explanation";
        assert_eq!((silent.code, silent.message.as_str()), (400, why));
    }
}
