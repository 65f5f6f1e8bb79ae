//! Label keys and values: what may stand in `metadata.labels` and in label selectors.

use crate::names::{dns1123_subdomain_errors, format_error};

/// Most bytes of the name part of a key, and of a value.
const PART_MAX: usize = 63;
const PREFIX_MAX: usize = 253;

const KEY_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_RULE: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const KEY_EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
const VALUE_FORMAT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Why `key` is no label key, which is also what Kubernetes calls a qualified name (`[prefix/]name`, used for
/// annotations, finalizers, device attributes and more); empty when it is one.
pub fn key_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            let rule = format_error(&format!("a valid label key {KEY_RULE}"), KEY_FORMAT, &KEY_EXAMPLES);
            return vec![format!("{rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            errors.extend(prefix_errors(prefix));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > PART_MAX {
        errors.push(format!("name part {}", too_many_bytes(PART_MAX)));
    }
    if !is_name(name) {
        errors.push(format!("name part {}", format_error(KEY_RULE, KEY_FORMAT, &KEY_EXAMPLES)));
    }
    errors
}

/// Why `value` is no label value; empty when it is one.
pub fn value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > PART_MAX {
        errors.push(too_many_bytes(PART_MAX));
    }
    if !value.is_empty() && !is_name(value) {
        errors.push(format_error(VALUE_RULE, VALUE_FORMAT, &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A prefix is a subdomain, whose length error counts bytes here and characters in a name.
fn prefix_errors(prefix: &str) -> impl Iterator<Item = String> {
    let length = (prefix.len() > PREFIX_MAX).then(|| too_many_bytes(PREFIX_MAX));
    let shape = dns1123_subdomain_errors(prefix).into_iter().skip(usize::from(length.is_some()));
    length.into_iter().chain(shape).map(|error| format!("prefix part {error}"))
}

fn too_many_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// True for `KEY_FORMAT`.
fn is_name(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_alphanumeric(),
        [first, middle @ .., last] => {
            first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && middle.iter().all(inner)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_SENTENCE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

    #[test]
    fn keys_are_qualified_names() {
        for good in [
            "a",
            "A",
            "1.2",
            "simple",
            "now-with-dashes",
            "1-num.2-num/3-num",
            "example.com/Some_Name",
            "x".repeat(63).as_str(),
        ] {
            assert!(key_errors(good).is_empty(), "{good}");
        }
        let name_part = format!("name part {KEY_SENTENCE}");
        let table = [
            ("", vec!["name part must be non-empty".to_owned(), name_part.clone()]),
            ("-a", vec![name_part.clone()]),
            ("a b", vec![name_part.clone()]),
            ("ä", vec![name_part.clone()]),
            ("/a", vec!["prefix part must be non-empty".to_owned()]),
            ("a/", vec!["name part must be non-empty".to_owned(), name_part.clone()]),
            (
                "a/b/c",
                vec![format!("a valid label key {KEY_SENTENCE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")],
            ),
            (
                "Ex.com/a",
                vec!["prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".to_owned()],
            ),
        ];
        for (key, expected) in table {
            assert_eq!(key_errors(key), expected, "{key}");
        }
        assert_eq!(key_errors(&"x".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert_eq!(key_errors(&format!("{}/x", "x".repeat(254))), ["prefix part must be no more than 253 bytes"]);
    }

    #[test]
    fn values_may_be_empty() {
        for good in ["", "a", "A_b.c-1", "x".repeat(63).as_str()] {
            assert!(value_errors(good).is_empty(), "{good}");
        }
        assert_eq!(value_errors(&"x".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(
            value_errors("a/b"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
    }
}
