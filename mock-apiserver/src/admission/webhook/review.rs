//! `AdmissionReview`: what webhooks are asked, and what they answer.

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use machinery::{
    field::quote,
    json_fault::json_fault,
    json_type::json_type,
    meta,
    status::{Details, Reason, Status},
};
use serde_json::{Value, json};

use super::unregistered;

/// An answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The `result` of a no.
    pub(super) denied: Option<Value>,
    /// The operations of a JSON patch.
    pub(super) patch: Option<Value>,
    pub(super) warnings: Vec<String>,
    /// What is written down about the request, by key.
    pub(super) annotations: Vec<(String, String)>,
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
    let uncalled = |why: String| format!("failed to call webhook: {why}");
    check_kind(version, body).map_err(uncalled)?;
    let response = body.get("response").filter(|response| !response.is_null());
    check_types(response.unwrap_or(&Value::Null)).map_err(uncalled)?;
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let response = response.ok_or_else(|| invalid("webhook response was absent".to_owned()))?;
    let is_strict = version == "v1";
    if is_strict {
        if meta::kind(body).is_empty() {
            let expected = format!("admission.k8s.io/{version}, Kind=AdmissionReview");
            return Err(invalid(format!("expected webhook response of {expected}, got /, Kind=")));
        }
        let given = response.get("uid").and_then(Value::as_str).unwrap_or_default();
        if given != uid {
            return Err(invalid(format!("expected response.uid={}, got {}", quote(uid), quote(given))));
        }
    }
    let warnings = response.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).map(str::to_owned).collect();
    let annotations = response.get("auditAnnotations").and_then(Value::as_object).into_iter().flatten();
    let annotations = annotations.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect();
    let patch = patch(response, is_strict)?;
    if response.get("allowed").and_then(Value::as_bool) != Some(true) {
        let result = response.get("status").or_else(|| response.get("result")).cloned().unwrap_or_default();
        return Ok(Answer { denied: Some(result), patch: None, warnings, annotations });
    }
    Ok(Answer { denied: None, patch, warnings, annotations })
}

/// What Go says of a document that is no review of the version that was sent.
fn check_kind(version: &str, body: &Value) -> Result<(), String> {
    let (group, kind) = ("admission.k8s.io", "AdmissionReview");
    match (meta::api_version(body), meta::kind(body)) {
        ("", "") => Ok(()),
        (found, found_kind) => {
            let known = found.strip_prefix(group).and_then(|rest| known_version(rest.trim_start_matches('/')));
            match known {
                Some(known) if found_kind == kind && known == version => Ok(()),
                Some(known) if found_kind == kind => {
                    Err(format!("converting ({known}.{kind}) to ({version}.{kind}): unknown conversion"))
                }
                _ => Err(unregistered(found_kind, found, "k8s.io/apiserver/pkg/util/webhook/client.go:71")),
            }
        }
    }
}

/// What Go says of members of the wrong type.
fn check_types(response: &Value) -> Result<(), String> {
    let wrong = |value: &Value, path: &str, wanted: &str| {
        let (structure, _) = path.rsplit_once('.').unwrap_or(("AdmissionReview", ""));
        let of = if structure == "AdmissionReview" { "AdmissionReview" } else { "AdmissionResponse" };
        let found = json_type(value);
        Err(format!("json: cannot unmarshal {found} into Go struct field {of}.{path} of type {wanted}"))
    };
    if !response.is_object() && !response.is_null() {
        return wrong(response, "response", "v1.AdmissionResponse");
    }
    let texts = ["uid", "patch", "patchType"];
    for (member, value) in response.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let path = format!("response.{member}");
        match member.as_str() {
            "allowed" if !value.is_boolean() => return wrong(value, &path, "bool"),
            "patch" if !value.is_string() => return wrong(value, &path, "[]uint8"),
            name if texts.contains(&name) && !value.is_string() => return wrong(value, &path, "string"),
            "warnings" if !value.is_array() => return wrong(value, &path, "[]string"),
            _ => {}
        }
    }
    Ok(())
}

/// What is said of a patch that is none.
pub(super) fn undecodable(why: &str) -> String {
    format!("received undecodable patch in webhook response: {why}")
}

fn patch(response: &Value, is_strict: bool) -> Result<Option<Value>, String> {
    let invalid = |why: &str| Err(format!("received invalid webhook response: {why}"));
    let encoded = response.get("patch").and_then(Value::as_str).filter(|patch| !patch.is_empty());
    let kind = response.get("patchType").and_then(Value::as_str);
    match (encoded, kind) {
        (None, None) => return Ok(None),
        (None, Some(_)) if is_strict => {
            return invalid("webhook returned response.patchType but not response.patch");
        }
        (Some(_), None) if is_strict => {
            return invalid("webhook returned response.patch but not response.patchType");
        }
        (_, Some(kind)) if kind != "JSONPatch" => {
            return Err(format!("unsupported patch type {}", quote(kind)));
        }
        _ => {}
    }
    let Some(encoded) = encoded else { return Ok(None) };
    let bytes = STANDARD.decode(encoded).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => encoded.len().saturating_sub(1),
        };
        format!("failed to call webhook: illegal base64 data at input byte {at}")
    })?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| undecodable(&json_fault(&bytes).unwrap_or_else(|| error.to_string())))
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
            (
                json!({"uid": "x", "allowed": true}),
                "received invalid webhook response: expected response.uid=\"u\", got \"x\"",
            ),
            (json!(null), "received invalid webhook response: webhook response was absent"),
            (
                json!({"uid": "u", "allowed": true, "patch": encoded}),
                "received invalid webhook response: webhook returned response.patch but not response.patchType",
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": encoded, "patchType": "Full"}),
                "unsupported patch type \"Full\"",
            ),
            (
                json!({"uid": "u", "allowed": "yes"}),
                "failed to call webhook: json: cannot unmarshal string into Go struct field \
                 AdmissionResponse.response.allowed of type bool",
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": "[", "patchType": "JSONPatch"}),
                "failed to call webhook: illegal base64 data at input byte 0",
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": STANDARD.encode("not"), "patchType": "JSONPatch"}),
                "received undecodable patch in webhook response: invalid character 'o' in literal null (expecting 'u')",
            ),
        ] {
            assert_eq!(read(response), Err(why.to_owned()));
        }
        for (version, kind, why) in [
            (
                "v1",
                "Pod",
                "failed to call webhook: no kind \"Pod\" is registered for version \"v1\" in scheme \
                 \"k8s.io/apiserver/pkg/util/webhook/client.go:71\"",
            ),
            (
                "admission.k8s.io/v1beta1",
                "AdmissionReview",
                "failed to call webhook: converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
            ),
            (
                "",
                "",
                "received invalid webhook response: expected webhook response of admission.k8s.io/v1, \
                 Kind=AdmissionReview, got /, Kind=",
            ),
        ] {
            let wrong = json!({"apiVersion": version, "kind": kind, "response": {"uid": "u"}});
            assert_eq!(super::read("v1", "u", &wrong), Err(why.to_owned()));
        }
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
