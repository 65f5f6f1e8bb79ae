//! Formats of names and values that device APIs use. Every check appends what is wrong to a list, with upstream's words
//! (`k8s.io/apimachinery/pkg/api/validate/content`, `pkg/apis/resource/validation`).

use machinery::{
    field::{Error, Path},
    names::{dns1123_label_errors, dns1123_subdomain_errors, format_error},
};
use serde_json::Value;

use crate::release::Release;

/// Longest driver name, in bytes.
pub(crate) const DRIVER_NAME_MAX: usize = 63;
/// Longest pool name, in bytes.
const POOL_NAME_MAX: usize = 253;
/// Longest C identifier, in bytes.
pub(crate) const IDENTIFIER_MAX: usize = 32;
/// Longest text or version of an attribute, in bytes.
pub(crate) const ATTRIBUTE_VALUE_MAX: usize = 64;
const LABEL_MAX: usize = 63;

/// What is wrong with a document, in the order in which it was found.
pub(crate) type Errors = Vec<Error>;

/// What errors say, for tests.
#[cfg(test)]
pub(crate) fn said(errors: &Errors) -> Vec<String> {
    errors.iter().map(Error::to_string).collect()
}

fn invalid(errors: &mut Errors, path: &Path, value: &str, details: impl IntoIterator<Item = String>) {
    errors.extend(details.into_iter().map(|detail| Error::invalid(path, &Value::from(value), &detail)));
}

/// A DNS label.
pub(crate) fn dns_label(errors: &mut Errors, path: &Path, value: &str) {
    invalid(errors, path, value, dns1123_label_errors(value));
}

/// A DNS subdomain.
pub(crate) fn dns_subdomain(errors: &mut Errors, path: &Path, value: &str) {
    invalid(errors, path, value, dns1123_subdomain_errors(value));
}

/// A DNS subdomain that must be there.
pub(crate) fn required_subdomain(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        dns_subdomain(errors, path, value);
    }
}

/// A DNS label that must be there.
pub(crate) fn required_label(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        dns_label(errors, path, value);
    }
}

/// Name of a driver: a DNS subdomain of at most 63 bytes, in which case does not matter.
pub(crate) fn driver_name(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    if value.len() > DRIVER_NAME_MAX {
        errors.push(Error::too_long(path, DRIVER_NAME_MAX));
    }
    invalid(errors, path, value, dns1123_subdomain_errors(&value.to_lowercase()));
}

/// Name of a pool: DNS subdomains with slashes between them.
pub(crate) fn pool_name(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    if value.len() > POOL_NAME_MAX {
        errors.push(Error::too_long(path, POOL_NAME_MAX));
    }
    for part in value.split('/') {
        dns_subdomain(errors, path, part);
    }
}

/// A DNS subdomain, as declared rules word it.
pub(crate) fn long_name(errors: &mut Errors, path: &Path, value: &str) {
    invalid(errors, path, value, long_name_errors(value));
}

fn long_name_errors(value: &str) -> Vec<String> {
    let too_long = (value.len() > POOL_NAME_MAX).then(|| format!("must be no more than {POOL_NAME_MAX} bytes"));
    let shape = dns1123_subdomain_errors(value).into_iter().filter(|detail| !detail.starts_with("must be no more"));
    too_long.into_iter().chain(shape).collect()
}

/// A DNS subdomain that must be there and in which case does not matter, as declared rules word it.
pub(crate) fn required_long_name_of_any_case(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let wording = |detail: String| {
        let any_case = detail.replace("a lowercase RFC", "an RFC").replace("of lower case", "of");
        any_case.replace("'example.com'", "'Example.com'")
    };
    invalid(errors, path, value, long_name_errors(&value.to_lowercase()).into_iter().map(wording));
}

/// Name of a pool, as declared rules word what is wrong with it, part by part.
pub(crate) fn pool_name_by_segment(errors: &mut Errors, path: &Path, value: &str) {
    if value.len() > POOL_NAME_MAX {
        errors.push(Error::too_long(path, POOL_NAME_MAX));
    }
    for (index, part) in value.split('/').enumerate() {
        let prefixed = |detail: String| format!("segment {index}: {detail}");
        if part.is_empty() {
            invalid(errors, path, value, [prefixed("must not be empty".into())]);
        } else {
            invalid(errors, path, part, long_name_errors(part).into_iter().map(prefixed));
        }
    }
}

/// True for `[A-Za-z_][A-Za-z0-9_]*`, whatever the length.
pub(crate) fn is_identifier(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A C identifier of at most 32 bytes.
pub(crate) fn identifier(errors: &mut Errors, path: &Path, value: &str) {
    if value.len() > IDENTIFIER_MAX {
        errors.push(Error::too_long(path, IDENTIFIER_MAX));
    }
    if !is_identifier(value) {
        let message = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
        let detail = format_error(message, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"]);
        invalid(errors, path, value, [detail]);
    }
}

/// Identifiers with dots between them, of the length of a DNS subdomain.
pub(crate) fn dotted_identifiers(errors: &mut Errors, path: &Path, value: &str) {
    const LENGTH_MAX: usize = 253;
    if value.len() > LENGTH_MAX {
        errors.push(Error::too_long(path, LENGTH_MAX));
    }
    if !value.split('.').all(is_identifier) {
        let message = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
        let detail = format_error(message, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"]);
        invalid(errors, path, value, [detail]);
    }
}

/// Name of an attribute or a capacity: an identifier, or a domain, a slash and an identifier.
pub(crate) fn qualified_name(errors: &mut Errors, path: &Path, value: &str) {
    match *value.split('/').collect::<Vec<_>>() {
        [name] => identifier(errors, path, name),
        [domain, name] => {
            if domain.is_empty() {
                errors.push(Error::invalid(path, &Value::from(""), "the domain must not be empty"));
            } else {
                driver_name(errors, path, domain);
            }
            if name.is_empty() {
                errors.push(Error::invalid(path, &Value::from(""), "the name must not be empty"));
            } else {
                identifier(errors, path, name);
            }
        }
        _ => errors.push(Error::invalid(path, &Value::from(value), "must not contain more than one slash")),
    }
}

/// A qualified name with a domain.
pub(crate) fn fully_qualified_name(errors: &mut Errors, path: &Path, value: &str) {
    qualified_name(errors, path, value);
    if !value.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(Error::invalid(path, &Value::from(value), detail));
    }
}

fn is_label_text(value: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match value.as_bytes() {
        [] => false,
        [only] => alphanumeric(*only),
        [first, middle @ .., last] => alphanumeric(*first) && alphanumeric(*last) && middle.iter().all(inner),
    }
}

const LABEL_KEY_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_CHARACTERS: &str =
    "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Why `value` is no label key; empty when it is one.
pub(crate) fn label_key_errors(value: &str) -> Vec<String> {
    let format = || {
        let message = format!("must consist of {LABEL_CHARACTERS}");
        format_error(&message, LABEL_KEY_FORMAT, &["MyName", "my.name", "123-abc"])
    };
    let mut errors = Vec::new();
    let name = match *value.split('/').collect::<Vec<_>>() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns1123_subdomain_errors(prefix).into_iter().map(|error| format!("prefix part {error}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                format()
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_label_text(name) {
        errors.push(format!("name part {}", format()));
    }
    errors
}

/// A label key, which upstream also calls a qualified name or a label name.
pub(crate) fn label_key(errors: &mut Errors, path: &Path, value: &str) {
    invalid(errors, path, value, label_key_errors(value));
}

/// A label value, which may be empty.
pub(crate) fn label_value(errors: &mut Errors, path: &Path, value: &str) {
    if value.len() > LABEL_MAX {
        invalid(errors, path, value, [format!("must be no more than {LABEL_MAX} bytes")]);
    }
    if !value.is_empty() && !is_label_text(value) {
        let message = format!("a valid label must be an empty string or consist of {LABEL_CHARACTERS}");
        let format = format!("({LABEL_KEY_FORMAT})?");
        invalid(errors, path, value, [format_error(&message, &format, &["MyValue", "my_value", "12345"])]);
    }
}

/// True for a version as semver.org 2.0.0 defines it: three numbers, no leading `v`, no leading zeros.
pub(crate) fn is_semantic_version(value: &str) -> bool {
    let (rest, build) = match value.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (value, None),
    };
    let (core, pre_release) = match rest.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| digits(text) && (text == "0" || !text.starts_with('0'));
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre_release.is_none_or(|text| text.split('.').all(|part| number(part) || word(part) && !digits(part)))
        && build.is_none_or(|text| text.split('.').all(word))
}

/// A version of an attribute.
pub(crate) fn semantic_version(errors: &mut Errors, path: &Path, value: &str) {
    if !is_semantic_version(value) {
        let detail = "must be a string compatible with semver.org spec 2.0.0";
        errors.push(Error::invalid(path, &Value::from(value), detail));
    }
    attribute_text(errors, path, value);
}

/// A text of an attribute.
pub(crate) fn attribute_text(errors: &mut Errors, path: &Path, value: &str) {
    if value.len() > ATTRIBUTE_VALUE_MAX {
        errors.push(Error::too_long(path, ATTRIBUTE_VALUE_MAX));
    }
}

/// A DNS label that must be there; before 1.37 an absent one is a bad one.
pub(crate) fn own_label(errors: &mut Errors, path: &Path, value: &str, release: Release) {
    if release < Release::V1_37 { dns_label(errors, path, value) } else { required_label(errors, path, value) }
}

/// Why upstream's library of UUIDs cannot read a text. It reads four spellings.
fn uuid_error(value: &str) -> Option<String> {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let dashed = |text: &str| {
        let dashes = [8, 13, 18, 23];
        let fits = |(index, byte): (usize, u8)| {
            if dashes.contains(&index) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        text.bytes().enumerate().all(fits)
    };
    let well_formed = match value.len() {
        32 => hex(value),
        36 => dashed(value),
        38 => value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(dashed),
        45 => {
            let Some((prefix, rest)) = value.split_at_checked(9) else { return Some("invalid UUID format".into()) };
            if !prefix.eq_ignore_ascii_case("urn:uuid:") {
                return Some(format!("invalid urn prefix: {}", machinery::field::quote(prefix)));
            }
            dashed(rest)
        }
        length => return Some(format!("invalid UUID length: {length}")),
    };
    (!well_formed).then(|| "invalid UUID format".to_owned())
}

/// An RFC 4122 UUID in normal form.
pub(crate) fn uuid(errors: &mut Errors, path: &Path, value: &str, release: Release) {
    if release < Release::V1_37
        && let Some(error) = uuid_error(value)
    {
        errors.push(Error::invalid(path, &Value::from(value), &format!("error validating uid: {error}")));
        return;
    }
    let dashes = [8, 13, 18, 23];
    let normal = value.len() == 36
        && value.bytes().enumerate().all(|(index, byte)| {
            if dashes.contains(&index) { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') }
        });
    if !normal {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.push(Error::invalid(path, &Value::from(value), detail));
    }
}

/// Whether `name` is a name that extended resources may have (upstream's `helper.IsExtendedResourceName`).
pub fn is_extended_resource_name(name: &str) -> bool {
    name.contains('/')
        && !name.contains("kubernetes.io/")
        && !name.starts_with("requests.")
        && label_key_errors(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(check: fn(&mut Errors, &Path, &str), value: &str) -> usize {
        let mut errors = Vec::new();
        check(&mut errors, &Path::new("x"), value);
        errors.len()
    }

    #[test]
    fn names_follow_their_formats() {
        let long = |length: usize| "a".repeat(length);
        type Check = fn(&mut Errors, &Path, &str);
        let cases: Vec<(Check, String, usize)> = vec![
            (driver_name, "gpu.example.com".into(), 0),
            (driver_name, "GPU.example.com".into(), 0),
            (driver_name, String::new(), 1),
            (driver_name, long(63), 0),
            (driver_name, long(64), 1),
            (driver_name, "gpu.nvidia.com/dra".into(), 1),
            (pool_name, "node-1".into(), 0),
            (pool_name, "a/b/c".into(), 0),
            (pool_name, "a//c".into(), 1),
            (pool_name, long(254), 2),
            (identifier, "_a1".into(), 0),
            (identifier, "1a".into(), 1),
            (identifier, String::new(), 1),
            (identifier, long(33), 1),
            (qualified_name, "a".into(), 0),
            (qualified_name, "example.com/a".into(), 0),
            (qualified_name, "/a".into(), 1),
            (qualified_name, "example.com/".into(), 1),
            (qualified_name, "a/b/c".into(), 1),
            (fully_qualified_name, "a".into(), 1),
            (fully_qualified_name, "example.com/a".into(), 0),
            (label_key, "example.com/a_b.c".into(), 0),
            (label_key, "a/b/c".into(), 1),
            (label_key, "/b".into(), 1),
            (label_key, String::new(), 2),
            (label_value, String::new(), 0),
            (label_value, "a b".into(), 1),
            (label_value, long(64), 1),
        ];
        for (check, value, expected) in cases {
            assert_eq!(count(check, &value), expected, "{value}");
        }
    }

    #[test]
    fn uuids_are_explained_as_each_release_does() {
        let normal = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        for (value, earlier) in [
            ("123e4567-e89b-12d3-a456-426614174000", None),
            ("123E4567-e89b-12d3-a456-426614174000", Some(normal)),
            ("123e4567e89b12d3a456426614174000", Some(normal)),
            ("ü23e4567-e89b-12d3-a456-42661417400", Some("error validating uid: invalid UUID format")),
            ("", Some("error validating uid: invalid UUID length: 0")),
        ] {
            for (release, expected) in [(Release::V1_36, earlier), (Release::V1_37, earlier.map(|_| normal))] {
                let mut errors = Vec::new();
                uuid(&mut errors, &Path::new("x"), value, release);
                let expected = expected.map(|detail| format!("x: Invalid value: {}: {detail}", Value::from(value)));
                assert_eq!(errors.first().map(ToString::to_string), expected, "{value}");
            }
        }
    }

    #[test]
    fn versions_are_semantic() {
        for good in
            ["0.0.0", "1.2.3", "8.0.0", "550.54.15", "4.2.1-gen3", "1.2.3-beta.1+build.01", "1.0.0-a-b", "1.0.0+a-b"]
        {
            assert!(is_semantic_version(good), "{good}");
        }
        for bad in ["", "v1.2.3", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3-a..b", "1.2.x"] {
            assert!(!is_semantic_version(bad), "{bad}");
        }
    }

    #[test]
    fn extended_resources_have_a_domain() {
        for good in ["example.com/gpu", "a.b/c"] {
            assert!(is_extended_resource_name(good), "{good}");
        }
        for bad in ["gpu", "kubernetes.io/gpu", "foo.kubernetes.io/gpu", "requests.example.com/gpu", "example.com/", ""]
        {
            assert!(!is_extended_resource_name(bad), "{bad}");
        }
    }

    #[test]
    fn label_values_are_explained_as_upstream_does() {
        let mut errors = Vec::new();
        label_value(&mut errors, &Path::new("value"), "a b");
        assert_eq!(
            errors[0].message,
            r#"Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#
        );
    }
}
