//! Named formats of strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use machinery::{label, names};

use crate::time::Timestamp;
use crate::url::Url;

/// A format that has a name.
#[derive(Debug)]
pub struct NamedFormat {
    /// How expressions call it.
    key: &'static str,
    name: &'static str,
    validate: fn(&str) -> Vec<String>,
    regex_size: u64,
}

impl NamedFormat {
    /// The name that upstream gives it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Size of the regular expression that stands for the cost of a check.
    pub(crate) fn regex_size(&self) -> u64 {
        self.regex_size
    }

    /// What is wrong with a text; nothing if it has this format.
    #[must_use]
    pub fn validate(&self, text: &str) -> Vec<String> {
        (self.validate)(text)
    }

    /// The format that expressions call `key`.
    pub(crate) fn find(key: &str) -> Option<&'static NamedFormat> {
        ALL.iter().find(|format| format.key == key)
    }
}

/// All named formats, with the function of each.
pub(crate) static ALL: [NamedFormat; 13] = [
    format("dns1123Label", "DNS1123Label", names::dns1123_label_errors, 30),
    format("dns1123Subdomain", "DNS1123Subdomain", names::dns1123_subdomain_errors, 60),
    format("dns1035Label", "DNS1035Label", names::dns1035_label_errors, 30),
    format("qualifiedName", "QualifiedName", label::key_errors, 60),
    format("dns1123LabelPrefix", "DNS1123LabelPrefix", label_prefix, 30),
    format("dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", subdomain_prefix, 60),
    format("dns1035LabelPrefix", "DNS1035LabelPrefix", dns1035_prefix, 30),
    format("labelValue", "LabelValue", label::value_errors, 40),
    format("uri", "URI", uri, 1103),
    format("uuid", "uuid", uuid, 70),
    format("byte", "byte", byte, 84),
    format("date", "date", date, 71),
    format("datetime", "datetime", datetime, 71),
];

const fn format(
    key: &'static str,
    name: &'static str,
    validate: fn(&str) -> Vec<String>,
    regex_size: u64,
) -> NamedFormat {
    NamedFormat { key, name, validate, regex_size }
}

/// A prefix may end in a dash, as something follows it.
fn without_trailing_dash(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            format!("{}a", &rest[..rest.char_indices().next_back().map_or(0, |(at, _)| at)])
        }
        _ => text.to_owned(),
    }
}

fn label_prefix(text: &str) -> Vec<String> {
    names::dns1123_label_errors(&without_trailing_dash(text))
}

fn subdomain_prefix(text: &str) -> Vec<String> {
    names::dns1123_subdomain_errors(&without_trailing_dash(text))
}

fn dns1035_prefix(text: &str) -> Vec<String> {
    names::dns1035_label_errors(&without_trailing_dash(text))
}

fn unless(valid: bool, complaint: &str) -> Vec<String> {
    if valid { Vec::new() } else { vec![complaint.to_owned()] }
}

fn uri(text: &str) -> Vec<String> {
    Url::parse(text).err().into_iter().collect()
}

fn uuid(text: &str) -> Vec<String> {
    let digits = text.chars().filter(|c| *c != '-').count();
    let hex = text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    // Dashes may be left out, but not put elsewhere.
    let grouped = text.len() == 32 || groups == [8, 4, 4, 4, 12];
    unless(hex && digits == 32 && grouped, "does not match the UUID format")
}

fn byte(text: &str) -> Vec<String> {
    unless(!text.is_empty() && STANDARD.decode(text).is_ok(), "invalid base64")
}

fn date(text: &str) -> Vec<String> {
    unless(Timestamp::parse_date(text).is_some(), "invalid date")
}

fn datetime(text: &str) -> Vec<String> {
    unless(Timestamp::parse(text).is_some(), "invalid datetime")
}
