//! Names of things: groups, versions, kinds, resources, and the name formats of Kubernetes.

use std::fmt;

/// `group/version, Kind`. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, empty for the core group.
    pub group: String,
    /// API version, for instance `v1beta1`.
    pub version: String,
    /// Kind in CamelCase.
    pub kind: String,
}

impl GroupVersionKind {
    /// Makes one from its parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// The `apiVersion` member of an object of this kind: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

/// Go's rendering, which error messages quote: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// `group, resource`: what errors about an object name (`deployments.apps`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource name in lower case.
    pub resource: String,
}

impl GroupResource {
    /// Makes one from its parts.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

/// `pods` for the core group, `deployments.apps` otherwise.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// Joins a group and a version as the `apiVersion` member spells them.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Splits an `apiVersion` into group and version; more than one slash is an error (Go's
/// `unexpected GroupVersion string`).
pub fn split_api_version(api_version: &str) -> Result<(&str, &str), String> {
    match api_version.split_once('/') {
        None => Ok(("", api_version)),
        Some((group, version)) if !version.contains('/') => Ok((group, version)),
        Some(_) => Err(format!("unexpected GroupVersion string: {api_version}")),
    }
}

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035_FORMAT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORMAT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// True for `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, whatever the length.
fn is_label_shape(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match text.as_bytes() {
        [] => false,
        [only] => alphanumeric(*only),
        [first, middle @ .., last] => {
            alphanumeric(*first) && alphanumeric(*last) && middle.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        }
    }
}

/// Why `name` is no RFC 1123 label; empty when it is one.
pub fn dns1123_label_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if name.contains('.') && name.split('.').all(is_label_shape) {
        errors.push("must not contain dots".to_owned());
    } else if !is_label_shape(name) {
        errors.push(format_error(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL_FORMAT,
            &["my-name", "123-abc"],
        ));
    }
    errors
}

/// Why `name` is no RFC 1123 subdomain; empty when it is one.
pub fn dns1123_subdomain_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    if !name.split('.').all(is_label_shape) {
        errors.push(format_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN_FORMAT,
            &["example.com"],
        ));
    }
    errors
}

/// Why `name` is no RFC 1035 label (it must begin with a letter); empty when it is one.
pub fn dns1035_label_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !is_label_shape(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        errors.push(format_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035_FORMAT,
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// Why `name` cannot be one segment of a URL path (the rule for RBAC object names); empty when it can.
pub fn path_segment_errors(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|part| name.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// Upstream's words for a text beyond its length limit, in bytes.
pub fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// Upstream's sentence for a text that does not match its format: message, examples, regular expression.
pub fn format_error(message: &str, format: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{format}')");
    }
    let examples = examples.iter().map(|example| format!("'{example}'")).collect::<Vec<_>>().join(",  or ");
    format!("{message} (e.g. {examples}, regex used for validation is '{format}')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_follow_rfc_1123() {
        for good in ["a", "a.b", "foozer-1000.example.com", "0", "a-b.c-d"] {
            assert!(dns1123_subdomain_errors(good).is_empty(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", ".a", "a_b", "ü"] {
            assert_eq!(dns1123_subdomain_errors(bad).len(), 1, "{bad}");
        }
        assert_eq!(dns1123_subdomain_errors(&"a".repeat(254)), ["must be no more than 253 characters"]);
    }

    #[test]
    fn messages_quote_examples_as_upstream_does() {
        assert_eq!(
            dns1123_label_errors("A.b"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
    }

    #[test]
    fn a_format_may_come_without_examples() {
        assert_eq!(format_error("must be x", "x", &[]), "must be x (regex used for validation is 'x')");
    }

    #[test]
    fn a_label_that_would_be_a_subdomain_has_dots_to_blame() {
        assert_eq!(dns1123_label_errors("a.b"), ["must not contain dots"]);
        assert_eq!(dns1123_label_errors("a..b").len(), 1);
        assert!(dns1123_label_errors("a-b").is_empty());
    }

    #[test]
    fn api_versions_split_and_join() {
        assert_eq!(split_api_version("v1"), Ok(("", "v1")));
        assert_eq!(split_api_version("apps/v1"), Ok(("apps", "v1")));
        assert!(split_api_version("a/b/c").is_err());
        assert_eq!(api_version("apps", "v1"), "apps/v1");
        assert_eq!(GroupVersionKind::new("", "v1", "Pod").to_string(), "/v1, Kind=Pod");
        assert_eq!(GroupResource::new("apps", "deployments").to_string(), "deployments.apps");
    }
}
