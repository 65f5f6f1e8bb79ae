//! Formats of values that built-in kinds check, with upstream's words (`apimachinery/pkg/util/validation`,
//! `pkg/apis/core/validation`).

use machinery::{
    field::{Error, Path},
    label, names,
    quantity::Quantity,
    selector::label::{Operator, Requirement},
};
use serde_json::Value;

use super::pointer::{list, members, text, texts};
use crate::format::Errors;

/// What to say about a number below zero.
pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Longest key of a ConfigMap or Secret, in bytes.
const CONFIG_KEY_MAX: usize = 253;

/// One `Invalid` for each detail.
pub(super) fn invalid(errors: &mut Errors, path: &Path, value: &Value, details: Vec<String>) {
    errors.extend(details.iter().map(|detail| Error::invalid(path, value, detail)));
}

/// A text that must be there and follow a rule about names.
pub(super) fn required_name(errors: &mut Errors, path: &Path, value: &str, rule: fn(&str) -> Vec<String>) {
    match value {
        "" => errors.push(Error::required(path, "")),
        _ => invalid(errors, path, &value.into(), rule(value)),
    }
}

/// A text that follows a rule about names if it is there.
pub(super) fn optional_name(errors: &mut Errors, path: &Path, value: &str, rule: fn(&str) -> Vec<String>) {
    if !value.is_empty() {
        invalid(errors, path, &value.into(), rule(value));
    }
}

/// A text that must be there and be one of a few.
pub(super) fn one_of(errors: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    match value {
        "" => errors.push(Error::required(path, "")),
        _ => optional_one_of(errors, path, value, supported),
    }
}

/// A text that is one of a few, if it is there.
pub(super) fn optional_one_of(errors: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    if !value.is_empty() && !supported.contains(&value) {
        errors.push(Error::not_supported(path, &value.into(), supported));
    }
}

/// A text that is one of a few, if its member is there at all; the empty text is one of them only if it is listed.
pub(super) fn present_one_of(errors: &mut Errors, path: &Path, value: Option<&Value>, supported: &[&str]) {
    if let Some(Value::String(text)) = value
        && !supported.contains(&text.as_str())
    {
        errors.push(Error::not_supported(path, &text.as_str().into(), supported));
    }
}

/// The integer at a member is not negative.
pub(super) fn not_negative(errors: &mut Errors, path: &Path, object: &Value, member: &str) {
    at_least(errors, path, object, member, 0, NOT_NEGATIVE);
}

/// The integer at a member, if any, is not below a bound.
pub(super) fn at_least(errors: &mut Errors, path: &Path, object: &Value, member: &str, least: i64, detail: &str) {
    let value = object.get(member).unwrap_or(&Value::Null);
    if value.as_i64().is_some_and(|number| number < least) {
        errors.push(Error::invalid(&path.child(member), value, detail));
    }
}

/// Why a name is no name of a port; empty when it is one.
pub(super) fn port_name_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut unless = |good: bool, detail: &str| {
        if !good {
            errors.push(detail.to_owned());
        }
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    unless(name.len() <= 15, "must be no more than 15 characters");
    unless(
        !name.is_empty() && name.bytes().all(allowed),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    unless(name.bytes().any(|byte| byte.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    unless(!name.contains("--"), "must not contain consecutive hyphens");
    unless(!name.starts_with('-') && !name.ends_with('-'), "must not begin or end with a hyphen");
    errors
}

/// A port number.
pub(super) fn port_number(errors: &mut Errors, path: &Path, number: i64) {
    if !(1..=65_535).contains(&number) {
        errors.push(Error::invalid(path, &number.into(), "must be between 1 and 65535, inclusive"));
    }
}

/// A port number or the name of a port.
pub(super) fn port(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(name) => invalid(errors, path, value, port_name_errors(name)),
        other => port_number(errors, path, other.as_i64().unwrap_or_default()),
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn count_or_percent(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(text) if percent(text).is_none() => {
            let message = "a valid percent string must be a numeric string followed by an ending '%'";
            let detail = names::format_error(message, "[0-9]+%", &["1%", "93%"]);
            errors.push(Error::invalid(path, value, &detail));
        }
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            errors.push(Error::invalid(path, value, NOT_NEGATIVE));
        }
        _ => {}
    }
}

/// A percentage is a hundred at most.
pub(super) fn at_most_all(errors: &mut Errors, path: &Path, value: &Value) {
    if value.as_str().and_then(percent).is_some_and(|percent| percent > 100) {
        errors.push(Error::invalid(path, value, "must not be greater than 100%"));
    }
}

/// The number before the percent sign.
pub(super) fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty())?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Why a name is no name of an environment variable.
pub(super) fn variable_name_errors(name: &str) -> Vec<String> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    if !name.is_empty() && name.bytes().all(printable) {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// Why a key is no key of a ConfigMap or Secret.
pub(super) fn config_key_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > CONFIG_KEY_MAX {
        errors.push(names::too_long(CONFIG_KEY_MAX));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(allowed) {
        let message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(names::format_error(message, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." | ".." => errors.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// Why a text is no domain to search for names in; other than those of objects, they may have underscores.
pub(super) fn search_domain_errors(domain: &str) -> Vec<String> {
    const BYTES_MAX: usize = 253;
    let mut errors = Vec::new();
    if domain.len() > BYTES_MAX {
        errors.push(names::too_long(BYTES_MAX));
    }
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inside = |byte: u8| ends(Some(byte)) || matches!(byte, b'-' | b'_');
    let is_part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        ends(part.bytes().next()) && ends(part.bytes().next_back()) && part.bytes().all(inside)
    };
    if !domain.split('.').all(is_part) {
        let message = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or \
                       '.', and must start and end with an alphanumeric character";
        let form = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
        errors.push(names::format_error(message, form, &["example.com"]));
    }
    errors
}

/// Why a text is no name of an HTTP header.
pub(super) fn header_name_errors(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let message = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![names::format_error(message, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// The name of a CSI driver.
pub(super) fn csi_driver(errors: &mut Errors, path: &Path, name: &str) {
    const BYTES_MAX: usize = 63;
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if name.len() > BYTES_MAX {
        errors.push(Error::too_long(path, BYTES_MAX));
    }
    optional_name(errors, path, name, |name| names::dns1123_subdomain_errors(&name.to_lowercase()));
}

/// A map of labels.
pub(super) fn labels(errors: &mut Errors, path: &Path, object: &Value, pointer: &str) {
    for (key, value) in members(object, pointer) {
        invalid(errors, path, &key.into(), label::key_errors(key));
        invalid(errors, path, value, label::value_errors(value.as_str().unwrap_or_default()));
    }
}

/// A LabelSelector.
pub(super) fn label_selector(errors: &mut Errors, path: &Path, selector: &Value) {
    labels(errors, &path.child("matchLabels"), selector, "/matchLabels");
    for (index, expression) in list(selector, "/matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let some = texts(expression, "/values").next().is_some();
        match text(expression, "/operator") {
            "In" | "NotIn" if !some => errors
                .push(Error::required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")),
            "Exists" | "DoesNotExist" if some => errors.push(Error::forbidden(
                &path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(Error::invalid(&path.child("operator"), &other.into(), "not a valid selector operator"));
            }
        }
        let key = text(expression, "/key");
        invalid(errors, &path.child("key"), &key.into(), label::key_errors(key));
        for (index, value) in texts(expression, "/values").enumerate() {
            invalid(errors, &path.child("values").index(index), &value.into(), label::value_errors(value));
        }
    }
}

/// A LabelSelector as field errors show it: its members in the order of the Go struct.
pub(super) fn selector_as_shown(selector: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(exact) = selector.get("matchLabels") {
        parts.push(format!("\"matchLabels\":{exact}"));
    }
    if let Some(expressions) = selector.get("matchExpressions") {
        let shown = |expression: &Value| {
            let of = |member: &str| expression.get(member).cloned();
            let key = of("key").unwrap_or_else(|| "".into());
            let operator = of("operator").unwrap_or_else(|| "".into());
            let values = of("values").map(|values| format!(",\"values\":{values}")).unwrap_or_default();
            format!("{{\"key\":{key},\"operator\":{operator}{values}}}")
        };
        let shown: Vec<_> = expressions.as_array().into_iter().flatten().map(shown).collect();
        parts.push(format!("\"matchExpressions\":[{}]", shown.join(",")));
    }
    format!("{{{}}}", parts.join(","))
}

/// True when a LabelSelector asks for nothing.
pub(super) fn selects_everything(selector: &Value) -> bool {
    members(selector, "/matchLabels").next().is_none() && list(selector, "/matchExpressions").is_empty()
}

/// Whether a LabelSelector selects an object with these labels. One that is malformed selects nothing.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let value_of = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = members(selector, "/matchLabels").all(|(key, value)| value_of(key) == value.as_str());
    exact
        && list(selector, "/matchExpressions").iter().all(|expression| {
            let operator = match text(expression, "/operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return false,
            };
            let values = texts(expression, "/values").map(str::to_owned).collect();
            let key = text(expression, "/key");
            Requirement::new(key, operator, values).is_ok_and(|requirement| requirement.matches(value_of(key)))
        })
}

/// A quantity as field errors show it, and its amount. `None`: no quantity, which decoding has refused already.
pub(super) fn quantity(value: &Value) -> Option<(Value, Quantity)> {
    let amount = Quantity::from_json(value).ok()?;
    Some((amount.canonical().into(), amount))
}

/// A quantity is not negative.
pub(super) fn quantity_not_negative(errors: &mut Errors, path: &Path, value: &Value) {
    if let Some((shown, amount)) = quantity(value)
        && amount.sign() < 0
    {
        errors.push(Error::invalid(path, &shown, NOT_NEGATIVE));
    }
}

/// A path without `..` among its parts.
pub(super) fn no_backsteps(errors: &mut Errors, path: &Path, value: &str) {
    if value.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, &value.into(), "must not contain '..'"));
    }
}

/// A path that leads down from where it starts.
pub(super) fn descending_path(errors: &mut Errors, path: &Path, value: &str) {
    if value.starts_with('/') {
        errors.push(Error::invalid(path, &value.into(), "must be a relative path"));
    }
    no_backsteps(errors, path, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_ports_follow_the_service_registry() {
        assert!(port_name_errors("http-1").is_empty());
        for bad in ["", "HTTP", "80", "a--b", "-a", "a-", "abcdefghijklmnop"] {
            assert!(!port_name_errors(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn keys_of_config_maps_are_file_names() {
        assert!(config_key_errors("a.b_C-1").is_empty());
        assert_eq!(config_key_errors(".."), ["must not be '..'"]);
        assert_eq!(config_key_errors("..a"), ["must not start with '..'"]);
        assert_eq!(config_key_errors("a b").len(), 1);
    }

    #[test]
    fn selectors_select() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["x"]}]});
        assert!(selects(&selector, &json!({"a": "b"})));
        assert!(!selects(&selector, &json!({"a": "b", "c": "x"})));
        assert!(!selects(&selector, &json!({})));
        assert!(selects(&json!({}), &json!({})) && selects_everything(&json!({})));
    }

    #[test]
    fn percentages_are_digits_and_a_sign() {
        assert_eq!(percent("25%"), Some(25));
        assert_eq!(percent("%"), None);
        assert_eq!(percent("-1%"), None);
        assert_eq!(percent("99999999999999999999999%"), Some(u64::MAX));
    }
}
