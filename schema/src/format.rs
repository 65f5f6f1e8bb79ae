//! Formats of strings and numbers, and which strings match them.
//!
//! The set is what CRD validation checks (apiextensions `supportedVersionedFormats`); an unknown format checks nothing.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use regex::Regex;

/// The `format` of a schema, kept as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    name: Box<str>,
    check: Option<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Byte,
    BsonObjectId,
    Cidr,
    CreditCard,
    Date,
    DateTime,
    Duration,
    Email,
    HexColor,
    Hostname,
    Ipv4,
    Ipv6,
    Isbn,
    Isbn10,
    Isbn13,
    LongName,
    Mac,
    Password,
    RgbColor,
    ShortName,
    Ssn,
    Uri,
    Uuid,
    Uuid3,
    Uuid4,
    Uuid5,
}

impl Format {
    /// Reads a format name.
    pub fn new(name: &str) -> Self {
        let check = match name.replace('-', "").as_str() {
            "byte" => Some(Check::Byte),
            "bsonobjectid" => Some(Check::BsonObjectId),
            "cidr" => Some(Check::Cidr),
            "creditcard" => Some(Check::CreditCard),
            "date" => Some(Check::Date),
            "datetime" => Some(Check::DateTime),
            "duration" => Some(Check::Duration),
            "email" => Some(Check::Email),
            "hexcolor" => Some(Check::HexColor),
            "hostname" => Some(Check::Hostname),
            "ipv4" => Some(Check::Ipv4),
            "ipv6" => Some(Check::Ipv6),
            "isbn" => Some(Check::Isbn),
            "isbn10" => Some(Check::Isbn10),
            "isbn13" => Some(Check::Isbn13),
            "k8slongname" => Some(Check::LongName),
            "k8sshortname" => Some(Check::ShortName),
            "mac" => Some(Check::Mac),
            "password" => Some(Check::Password),
            "rgbcolor" => Some(Check::RgbColor),
            "ssn" => Some(Check::Ssn),
            "uri" => Some(Check::Uri),
            "uuid" => Some(Check::Uuid),
            "uuid3" => Some(Check::Uuid3),
            "uuid4" => Some(Check::Uuid4),
            "uuid5" => Some(Check::Uuid5),
            _ => None,
        };
        Self { name: name.into(), check }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// True when strings of this format are checked.
    pub fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// True when `text` has this format, or the format is not a checked one.
    pub fn matches(&self, text: &str) -> bool {
        self.check.is_none_or(|check| check.matches(text))
    }
}

macro_rules! pattern {
    ($pattern:expr) => {{
        static REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a literal pattern"));
        &REGEX
    }};
}

impl Check {
    fn matches(self, text: &str) -> bool {
        match self {
            Self::Byte => pattern!("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$")
                .is_match(text),
            Self::BsonObjectId => pattern!("^[0-9a-fA-F]{24}$").is_match(text),
            Self::Cidr => is_cidr(text),
            Self::CreditCard => is_credit_card(text),
            Self::Date => is_date(text),
            Self::DateTime => is_date_time(text),
            Self::Duration => is_duration(text),
            Self::Email => is_email(text),
            Self::HexColor => pattern!("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").is_match(text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => parse_ipv4(text).is_some(),
            Self::Ipv6 => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
            Self::Isbn => is_isbn10(text) || is_isbn13(text),
            Self::Isbn10 => is_isbn10(text),
            Self::Isbn13 => is_isbn13(text),
            Self::LongName => machinery::names::dns1123_subdomain_errors(text).is_empty(),
            Self::Mac => is_mac(text),
            Self::Password => true,
            Self::RgbColor => is_rgb_color(text),
            Self::ShortName => machinery::names::dns1123_label_errors(text).is_empty(),
            Self::Ssn => text.len() == 11 && pattern!("^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$").is_match(text),
            Self::Uri => is_request_uri(text),
            Self::Uuid => is_uuid(text, None),
            Self::Uuid3 => is_uuid(text, Some('3')),
            Self::Uuid4 => is_uuid(text, Some('4')),
            Self::Uuid5 => is_uuid(text, Some('5')),
        }
    }
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let shape = pattern!("^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$");
    if !shape.is_match(text) {
        return false;
    }
    let digits: Vec<char> = text.chars().filter(|character| *character != '-').collect();
    let variant_fits = |digit: char| matches!(digit.to_ascii_lowercase(), '8' | '9' | 'a' | 'b');
    match version {
        None => true,
        Some('3') => digits.get(12) == Some(&'3'),
        Some(version) => digits.get(12) == Some(&version) && digits.get(16).copied().is_some_and(variant_fits),
    }
}

/// Dotted decimal; leading zeros are tolerated, as upstream does for old clients.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| octets.into())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let digits = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let Some(prefix) = prefix.parse::<u32>().ok().filter(|_| digits) else { return false };
    if parse_ipv4(address).is_some() { prefix <= 32 } else { address.parse::<Ipv6Addr>().is_ok() && prefix <= 128 }
}

fn is_mac(text: &str) -> bool {
    let bytes_of = |separator: char, width: usize| -> Option<usize> {
        let parts: Vec<&str> = text.split(separator).collect();
        let fits = parts.iter().all(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
        fits.then_some(parts.len() * width / 2)
    };
    [bytes_of(':', 2), bytes_of('-', 2), bytes_of('.', 4)]
        .into_iter()
        .flatten()
        .any(|bytes| matches!(bytes, 6 | 8 | 20))
}

fn is_date(text: &str) -> bool {
    pattern!("^[0-9]{4}-[0-9]{2}-[0-9]{2}$").is_match(text)
        && machinery::time::parse(&format!("{text}T00:00:00Z")).is_some()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let shape = pattern!(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$");
    is_date(date)
        && shape.captures(time).is_some_and(|found| &found[1] <= "23" && &found[2] <= "59" && &found[3] <= "59")
}

/// Go's `time.ParseDuration`, or the Scala-like spelling `3 days`.
fn is_duration(text: &str) -> bool {
    let go = pattern!(r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$");
    if go.is_match(text) {
        return true;
    }
    const UNITS: [(&[&str], &str); 8] = [
        (&["ns"], "nano"),
        (&["us", "µs"], "micro"),
        (&["ms"], "milli"),
        (&["s"], "sec"),
        (&["m"], "min"),
        (&["h", "hr"], "hour"),
        (&["d"], "day"),
        (&["w", "wk"], "week"),
    ];
    let known = |unit: &str| UNITS.iter().any(|(exact, prefix)| exact.contains(&unit) || unit.starts_with(prefix));
    let mut found = false;
    for part in pattern!(r"([0-9]+)\s*([A-Za-zµ]+)").captures_iter(text) {
        if part[1].parse::<i64>().is_err() {
            return false;
        }
        found |= known(&part[2].to_lowercase());
    }
    found
}

/// `local@domain`, with or without a display name in front (`Bob <bob@example.com>`).
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    let atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|character| {
                character.is_alphanumeric() || !character.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(character)
            })
    };
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || local.split('.').all(atom)) && (literal || domain.split('.').all(atom))
}

fn is_hostname(text: &str) -> bool {
    let shape = pattern!(
        r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
    );
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && shape.is_match(text)
}

/// Go's `url.ParseRequestURI`: an absolute URI, or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return false;
    }
    let escapes_fit = text.match_indices('%').all(|(at, _)| {
        text.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    if text.starts_with('/') || text == "*" {
        return escapes_fit;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_fits = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let Some(authority) = rest.strip_prefix("//") else {
        return scheme_fits && (!rest.starts_with('/') || escapes_fit);
    };
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = if host.starts_with('[') {
        host.rsplit_once("]").map(|(_, port)| port)
    } else {
        host.find(':').and_then(|at| host.get(at..))
    };
    let port_fits = port.is_none_or(|port| {
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    scheme_fits && escapes_fit && port_fits && !host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}'])
}

fn is_rgb_color(text: &str) -> bool {
    let Some(found) = pattern!(r"^rgb\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)$").captures(text)
    else {
        return false;
    };
    (1..=3).all(|at| {
        let part = &found[at];
        (part == "0" || !part.starts_with('0')) && part.parse::<u8>().is_ok()
    })
}

fn digits_of(text: &str) -> Vec<u32> {
    text.chars().filter_map(|character| character.to_digit(10)).collect()
}

fn is_credit_card(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).collect::<String>();
    let shape = pattern!(
        "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$"
    );
    let luhn = digits_of(&digits).iter().rev().enumerate().fold(0, |sum, (at, digit)| {
        let doubled = if at % 2 == 1 { digit * 2 } else { *digit };
        sum + if doubled >= 10 { doubled % 10 + 1 } else { doubled }
    });
    shape.is_match(&digits) && luhn % 10 == 0
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_whitespace() && *character != '-').collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = without_separators(text);
    if !pattern!("^(?:[0-9]{9}X|[0-9]{10})$").is_match(&text) {
        return false;
    }
    let sum: u32 = (1..).zip(text.chars()).map(|(at, digit)| at * digit.to_digit(10).unwrap_or(10)).sum();
    sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let text = without_separators(text);
    if !pattern!("^[0-9]{13}$").is_match(&text) {
        return false;
    }
    let sum: u32 =
        digits_of(&text).iter().enumerate().map(|(at, digit)| if at % 2 == 1 { digit * 3 } else { *digit }).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_and_refuse() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "date-time",
                &["2014-12-15T19:30:20.000Z", "2011-11-18t23:59:59+01:00"],
                &["2014-12-15", "x", "2014-12-15T24:30:20Z"],
            ),
            ("date", &["2014-12-15"], &["2014-13-15", "2014-1-1"]),
            ("duration", &["22 ns", "1h30m", "3 days", "0", "-1.5s"], &["", "abc", "zzz 5", "5"]),
            ("byte", &["aGVsbG8=", "QUJD"], &["a", "ä", ""]),
            ("ipv4", &["1.2.3.4", "01.2.3.4"], &["1.2.3", "1.2.3.256", "::1"]),
            ("ipv6", &["::1", "2001:db8::1"], &["1.2.3.4", "g::"]),
            ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33", "::/129"]),
            ("mac", &["00:00:5e:00:53:01", "0000.5e00.5301"], &["00:00", "0000:5e00:5301"]),
            ("email", &["a@b.c", "Bob <bob@example.com>"], &["a", "@b", "a@", "a b@c"]),
            ("hostname", &["example.com", "localhost", "a-b.example.org"], &["exa_mple", "-a.com", ""]),
            ("uri", &["https://a.b/c?d#e", "/abs", "mailto:x@y"], &["relative", "", "http://a:b/", "//%zz"]),
            ("uuid", &["DE305D54-75B4-431B-ADB2-EB6B9E546014", "de305d5475b4431badb2eb6b9e546014"], &["xyz"]),
            ("uuid4", &["de305d54-75b4-431b-adb2-eb6b9e546014"], &["de305d54-75b4-331b-adb2-eb6b9e546014"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044", "9780321751042"]),
            ("creditcard", &["4111-1111-1111-1111"], &["4111-1111-1111-1112"]),
            ("ssn", &["111-11-1111"], &["111111111"]),
            ("hexcolor", &["#FFFFFF", "fff"], &["#ff"]),
            ("rgbcolor", &["rgb(255,255,255)"], &["rgb(300,0,0)", "rgb(01,0,0)"]),
            ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f"]),
            ("password", &["", "x"], &[]),
            ("k8s-short-name", &["a-b"], &["A", "a.b"]),
            ("k8s-long-name", &["a-b.c"], &["A"]),
            ("never-heard-of", &["anything"], &[]),
        ];
        for (name, good, bad) in cases {
            let format = Format::new(name);
            good.iter().for_each(|text| assert!(format.matches(text), "{name} should match {text:?}"));
            bad.iter().for_each(|text| assert!(!format.matches(text), "{name} should not match {text:?}"));
        }
    }
}
