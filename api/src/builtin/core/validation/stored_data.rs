//! What is wrong with ConfigMaps and Secrets.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::{
    field::{Error, Path},
    json_fault::json_fault,
    limits, meta,
};
use serde_json::Value;

use crate::builtin::formats::{config_key_errors, invalid};
use crate::builtin::pointer::{is_true, members, text};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

/// ConfigMap: keys, and how much they hold together.
pub(in crate::builtin::core) fn config_map(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut total = 0;
    for (key, value) in members(object, "/data") {
        let path = Path::new("data").key(key);
        invalid(&mut errors, &path, &key.into(), config_key_errors(key));
        if object.pointer("/binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            errors.push(Error::invalid(&path, &key.into(), "duplicate of key present in binaryData"));
        }
        total += value.as_str().map_or(0, str::len);
    }
    for (key, value) in members(object, "/binaryData") {
        invalid(&mut errors, &Path::new("binaryData").key(key), &key.into(), config_key_errors(key));
        total += decoded_length(value);
    }
    if total > limits::CONFIG_DATA_BYTES_MAX {
        errors.push(Error::too_long(&Path::new(""), limits::CONFIG_DATA_BYTES_MAX));
    }
    errors
}

/// How many bytes a base64 text stands for.
fn decoded_length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| STANDARD.decode(text).map_or(text.len(), |bytes| bytes.len()))
}

const FROZEN: &str = "field is immutable when `immutable` is set";

/// What of a ConfigMap or Secret that says so never changes.
pub(in crate::builtin::core) fn frozen(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    if !is_true(old, "/immutable") {
        return errors;
    }
    if !is_true(object, "/immutable") {
        errors.push(Error::forbidden(&Path::new("immutable"), FROZEN));
    }
    for member in ["data", "binaryData"] {
        if !same(object.get(member), old.get(member)) {
            errors.push(Error::forbidden(&Path::new(member), FROZEN));
        }
    }
    errors
}

/// Secret: keys, size, and what its type demands.
pub(in crate::builtin::core) fn secret(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let data = Path::new("data");
    let mut total = 0;
    for (key, value) in members(object, "/data") {
        invalid(&mut errors, &data.key(key), &key.into(), config_key_errors(key));
        total += decoded_length(value);
    }
    if total > limits::CONFIG_DATA_BYTES_MAX {
        errors.push(Error::too_long(&data, limits::CONFIG_DATA_BYTES_MAX));
    }
    let has_key = |key: &str| object.pointer("/data").is_some_and(|data| data.get(key).is_some());
    let mut demand = |keys: &[&str]| {
        for key in keys.iter().filter(|key| !has_key(key)) {
            errors.push(Error::required(&data.key(key), ""));
        }
    };
    match text(object, "/type") {
        "kubernetes.io/service-account-token" => {
            let annotation = "kubernetes.io/service-account.name";
            if meta::annotation(object, annotation).unwrap_or_default().is_empty() {
                errors.push(Error::required(&Path::new("metadata").child("annotations").key(annotation), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_configuration(&mut errors, &data, object, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker_configuration(&mut errors, &data, object, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has_key("username") && !has_key("password") => demand(&["username", "password"]),
        "kubernetes.io/ssh-auth" if text(object, "/data/ssh-privatekey").is_empty() => {
            errors.push(Error::required(&data.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => demand(&["tls.crt", "tls.key"]),
        _ => {}
    }
    errors
}

fn docker_configuration(errors: &mut Errors, data: &Path, object: &Value, key: &str) {
    let Some(value) = object.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str) else {
        return errors.push(Error::required(&data.key(key), ""));
    };
    let bytes = STANDARD.decode(value).unwrap_or_default();
    if let Some(detail) = not_an_object(&bytes) {
        errors.push(Error::invalid(&data.key(key), &"<secret contents redacted>".into(), &detail));
    }
}

/// Why bytes are no JSON object, as Go says it.
fn not_an_object(bytes: &[u8]) -> Option<String> {
    if let Some(fault) = json_fault(bytes) {
        return Some(fault);
    }
    let kind = match serde_json::from_slice::<Value>(bytes).ok()? {
        Value::Object(_) | Value::Null => return None,
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Some(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

/// Secret: the type stays.
pub(in crate::builtin::core) fn secret_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    immutable(&mut errors, &Path::new("type"), object.get("type"), old.get("type"));
    errors.extend(frozen(object, old));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn keys_and_sizes_are_bounded() {
        assert_eq!(config_map(&json!({"data": {"a.b": "c"}})), []);
        assert_eq!(
            said(&config_map(&json!({"data": {"..": "c"}}))),
            ["data[..]: Invalid value: \"..\": must not be '..'"]
        );
        let large = "x".repeat(limits::CONFIG_DATA_BYTES_MAX + 1);
        assert_eq!(
            config_map(&json!({"data": {"a": large}}))[0].message,
            "Too long: may not be more than 1048576 bytes"
        );
        assert_eq!(
            said(&config_map(&json!({"data": {"a": "b"}, "binaryData": {"a": "eA=="}}))),
            ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
        );
    }

    #[test]
    fn types_of_secrets_demand_their_keys() {
        let cases = [
            (json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), vec!["data[tls.key]: Required value"]),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            (json!({"type": "kubernetes.io/dockerconfigjson"}), vec!["data[.dockerconfigjson]: Required value"]),
            (json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}), vec![]),
            (json!({"type": "Opaque"}), vec![]),
        ];
        for (object, expected) in cases {
            assert_eq!(said(&secret(&object)), expected, "{object}");
        }
    }

    #[test]
    fn what_is_frozen_stays() {
        let old = json!({"immutable": true, "data": {"a": "b"}, "type": "Opaque"});
        let new = json!({"data": {"a": "c"}, "type": "x"});
        assert_eq!(
            said(&secret_change(&new, &old)),
            [
                "type: Invalid value: \"x\": field is immutable",
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }
}
