//! `certificates.k8s.io/v1`.

use std::collections::{BTreeSet, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::certificates::v1 as api;
use machinery::{
    duration,
    field::{Error, Path},
    time,
};

use super::cells::{NONE, or};
use super::column::{age, name, text};
use super::pointer::{self, condition, has};
use super::row::{Row, kind};
use super::rules::{self, Rules};
use super::schema_of;
use crate::definition::{Column, Surroundings};
use crate::format::Errors;
use serde_json::{Map, Value};

/// Where the conditions of a request are.
const CONDITIONS: &str = "/status/conditions";

/// Types of conditions that are true, or are not there.
const VERDICTS: [&str; 3] = ["Approved", "Denied", "Failed"];

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests")
            .cluster()
            .short(&["csr"])
            .version("v1", schema_of::<api::CertificateSigningRequest>, columns())
            .selectable(&["spec.signerName"])
            .subresource("approval", None, &["get", "patch", "update"])
            .status()
            .rules(Rules {
                prepare_for_create: |request, surroundings| {
                    // The requestor is whoever asks, whatever the request says.
                    if let Some(spec) = pointer::object_mut(request, "/spec") {
                        for member in ["username", "uid", "groups", "extra"] {
                            spec.remove(member);
                        }
                        spec.insert("username".to_owned(), surroundings.user().into());
                    }
                },
                prepare_for_update: keep_parts,
                validate,
                validate_subresource: validate_parts,
                ..Rules::WITH_STATUS
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        age(),
        text("SignerName", "Who should sign.", |object, _| or(pointer::text(object, "/spec/signerName"), NONE).into()),
        text("Requestor", "Who asked.", |object, _| pointer::text(object, "/spec/username").into()),
        text("RequestedDuration", "How long the certificate should last.", |object, _| {
            match object.pointer("/spec/expirationSeconds").and_then(Value::as_i64) {
                Some(seconds) => duration::human(seconds).into(),
                None => NONE.into(),
            }
        }),
        text("Condition", "How far the request is.", |object, _| progress(object).into()),
    ]
}

fn progress(request: &Value) -> String {
    let verdict = if condition(request, "Denied").is_some() {
        "Denied"
    } else if condition(request, "Approved").is_some() {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if condition(request, "Failed").is_some() { ",Failed" } else { "" };
    let issued = if has(request, "/status/certificate") { ",Issued" } else { "" };
    format!("{verdict}{failed}{issued}")
}

/// Conditions that say yes or no come through `approval` alone, all others through `status` too; the spec never changes.
fn keep_parts(request: &mut Value, old: &Value, subresource: &str, surroundings: &dyn Surroundings) {
    let conditions: Vec<Value> = match subresource {
        "approval" => pointer::list(request, CONDITIONS).to_vec(),
        "status" => {
            let mut conditions = pointer::list(request, CONDITIONS).to_vec();
            for verdict in ["Approved", "Denied"] {
                keep_verdict(&mut conditions, pointer::list(old, CONDITIONS), verdict);
            }
            conditions
        }
        _ => return rules::put(request, "spec", old.get("spec").cloned()),
    };
    let now = time::format_seconds(surroundings.now());
    let conditions: Vec<Value> = conditions.into_iter().map(|condition| dated(condition, old, &now)).collect();
    let source = if subresource == "approval" { old } else { &*request };
    let mut status = source.get("status").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(status) = status.as_object_mut() {
        match conditions.is_empty() {
            true => drop(status.remove("conditions")),
            false => drop(status.insert("conditions".to_owned(), conditions.into())),
        }
    }
    rules::put(request, "spec", old.get("spec").cloned());
    rules::put(request, "status", Some(status));
}

/// A verdict stays as it was where a status has one; that one comes or goes is an error.
fn keep_verdict(conditions: &mut [Value], old: &[Value], verdict: &str) {
    let is_one = |condition: &Value| pointer::text(condition, "/type") == verdict;
    let known: Vec<&Value> = old.iter().filter(|condition| is_one(condition)).collect();
    if conditions.iter().filter(|condition| is_one(condition)).count() == known.len() {
        let kept = conditions.iter_mut().filter(|condition| is_one(condition));
        kept.zip(known).for_each(|(condition, known)| *condition = known.clone());
    }
}

/// A condition with its times: it is new, or as it was.
fn dated(mut condition: Value, old: &Value, now: &str) -> Value {
    let same = |known: &&Value| ["type", "status"].iter().all(|member| known.get(member) == condition.get(member));
    let since = pointer::list(old, CONDITIONS).iter().find(same);
    let since = since.map(|known| pointer::text(known, "/lastTransitionTime")).filter(|since| !since.is_empty());
    let since = since.unwrap_or(now).to_owned();
    for (member, time) in [("lastUpdateTime", now), ("lastTransitionTime", &since)] {
        if let Some(condition) = condition.as_object_mut()
            && condition.get(member).is_none_or(Value::is_null)
        {
            condition.insert(member.to_owned(), time.into());
        }
    }
    condition
}

/// What is wrong with a new verdict or status.
fn validate_parts(request: &Value, old: &Value, subresource: &str) -> Errors {
    let path = Path::new("status").child("conditions");
    let conditions = pointer::list(request, CONDITIONS);
    let mut errors = conditions_errors(conditions, &path);
    for kind in VERDICTS {
        let count = |request| {
            let all = pointer::list(request, CONDITIONS);
            all.iter().filter(|condition| pointer::text(condition, "/type") == kind).count()
        };
        if count(request) < count(old) {
            errors.push(Error::forbidden(&path, &format!("updates may not remove a condition of type {kind:?}")));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| subresource == "status") {
        let has = |request| pointer::list(request, CONDITIONS).iter().any(|one| pointer::text(one, "/type") == kind);
        if has(request) && !has(old) {
            errors.push(Error::forbidden(&path, &format!("updates may not add a condition of type {kind:?}")));
        }
    }
    let certificate = |request| pointer::text(request, "/status/certificate");
    if subresource == "status" && certificate(request) != certificate(old) && !certificate(old).is_empty() {
        let path = Path::new("status").child("certificate");
        errors.push(Error::forbidden(&path, "updates may not modify existing certificate content"));
    }
    let given = certificate(request);
    if given != certificate(old) && !given.is_empty() && !has_block(given, "CERTIFICATE") {
        let detail = "must contain at least one CERTIFICATE PEM block";
        errors.push(Error::invalid(&Path::new("status").child("certificate"), &"<certificate data>".into(), detail));
    }
    errors
}

fn conditions_errors(conditions: &[Value], path: &Path) -> Errors {
    let (mut errors, mut known) = (Vec::new(), HashSet::new());
    for (at, condition) in conditions.iter().enumerate() {
        let (list, path) = (path, path.index(at));
        let (kind, status) = (pointer::text(condition, "/type"), pointer::text(condition, "/status"));
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), ""));
        }
        let allowed: &[&str] = if VERDICTS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(Error::required(&path.child("status"), ""));
        } else if !allowed.contains(&status) {
            errors.push(Error::not_supported(&path.child("status"), &status.into(), allowed));
        }
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !opposite.is_empty() && known.contains(opposite) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(list, &kind.into(), detail));
        }
        if !known.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), &kind.into()));
        }
    }
    errors
}

/// What a key may be used for, as the API knows it.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Whether base64 text is PEM with a block of that kind.
fn has_block(given: &str, kind: &str) -> bool {
    let pem = STANDARD.decode(given).unwrap_or_default();
    let begin = format!("-----BEGIN {kind}-----");
    String::from_utf8_lossy(&pem).lines().any(|line| line.trim() == begin)
}

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let given = request.pointer("/spec/request").unwrap_or(&Value::Null);
    if !has_block(given.as_str().unwrap_or_default(), "CERTIFICATE REQUEST") {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(Error::invalid(&path.child("request"), given, detail));
    }
    let mut seen = BTreeSet::new();
    let usages = pointer::list(request, "/spec/usages");
    if usages.is_empty() {
        errors.push(Error::required(&path.child("usages"), ""));
    }
    for (index, usage) in usages.iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("usages").index(index);
        if !USAGES.contains(&usage) {
            errors.push(Error::not_supported(&path, &usage.into(), &USAGES));
        }
        if !seen.insert(usage) {
            errors.push(Error::duplicate(&path, &usage.into()));
        }
    }
    let signer = pointer::text(request, "/spec/signerName");
    if signer.is_empty() {
        errors.push(Error::required(&path.child("signerName"), ""));
    } else if signer.split('/').filter(|part| !part.is_empty()).count() != 2 || signer.matches('/').count() != 1 {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(&path.child("signerName"), &signer.into(), detail));
    }
    let seconds =
        request.pointer("/spec/expirationSeconds").filter(|seconds| seconds.as_i64().is_some_and(|s| s < 600));
    if let Some(seconds) = seconds {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_checked_in_upstreams_words() {
        let of = |conditions: Value| json!({"status": {"conditions": conditions}});
        let said = |new: Value, old: Value| -> Vec<String> {
            validate_parts(&of(new), &of(old), "approval").iter().map(Error::to_string).collect()
        };
        let approved = json!({"type": "Approved", "status": "True"});
        let denied = json!({"type": "Denied", "status": "True"});
        for (new, old, expected) in [
            (json!([approved]), json!([]), vec![]),
            (json!([{"type": "Mine", "status": "Unknown"}]), json!([]), vec![]),
            (json!([{"type": "", "status": "True"}]), json!([]), vec!["status.conditions[0].type: Required value"]),
            (json!([{"type": "Mine"}]), json!([]), vec!["status.conditions[0].status: Required value"]),
            (
                json!([{"type": "Approved", "status": "False"}]),
                json!([]),
                vec!["status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\""],
            ),
            (
                json!([approved, denied]),
                json!([]),
                vec![
                    "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
                ],
            ),
            (json!([approved, approved]), json!([]), vec!["status.conditions[1].type: Duplicate value: \"Approved\""]),
            (
                json!([]),
                json!([denied]),
                vec!["status.conditions: Forbidden: updates may not remove a condition of type \"Denied\""],
            ),
        ] {
            assert_eq!(said(new.clone(), old), expected, "{new}");
        }
    }

    #[test]
    fn conditions_have_times() {
        let old = json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "then"}]}});
        let kept = dated(json!({"type": "A", "status": "True", "lastTransitionTime": null}), &old, "now");
        assert_eq!(kept, json!({"type": "A", "status": "True", "lastTransitionTime": "then", "lastUpdateTime": "now"}));
        let changed = dated(json!({"type": "A", "status": "False"}), &old, "now");
        assert_eq!(changed["lastTransitionTime"], "now");
    }
}
