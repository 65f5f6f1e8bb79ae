//! Semantic versions as Kubernetes reads them: the `version` attributes of devices and the `semver` type of CEL.
//!
//! Rules are those of semver.org 2.0.0; error texts are those of the Go library that Kubernetes uses (blang/semver).

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use crate::field::quote;

/// A version. Equality, order and hash follow precedence, in which build metadata has no say.
#[derive(Clone, Debug, Default)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    prerelease: Vec<Identifier>,
    build: Vec<Box<str>>,
}

/// One part of a prerelease: numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Identifier {
    Number(u64),
    Word(Box<str>),
}

/// Why a text is no version, in the words of the Go library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Version {
    /// Reads `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`, strictly.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(error("Version string empty"));
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(error("No Major.Minor.Patch elements found"));
        };
        let (major, minor) = (number(major, "major", "Major")?, number(minor, "minor", "Minor")?);
        let (rest, build) = split_tail(rest, '+');
        let (patch, prerelease) = split_tail(rest, '-');
        let patch = number(patch, "patch", "Patch")?;
        let prerelease = prerelease.map(prerelease_part).collect::<Result<_, _>>()?;
        let build = build.map(build_part).collect::<Result<_, _>>()?;
        Ok(Self { major, minor, patch, prerelease, build })
    }

    /// Reads what CEL's `semver(text, true)` reads: a `v` in front is removed, missing minor and patch numbers are 0,
    /// leading zeros of the three numbers are removed. Blanks are not.
    pub fn parse_tolerant(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<Cow<'_, str>> = text.splitn(3, '.').map(without_zeros).collect();
        if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err(error("short version cannot contain PreRelease/Build meta data"));
        }
        parts.resize(3, Cow::Borrowed("0"));
        Self::parse(&parts.join("."))
    }

    /// The first number.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// The second number.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The third number.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// True when there is a prerelease part.
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    fn numbers(&self) -> (u64, u64, u64) {
        (self.major, self.minor, self.patch)
    }
}

fn error(text: impl Into<String>) -> Error {
    Error(text.into())
}

/// The text before `mark`, and the dot-separated parts after it; no parts without a mark.
fn split_tail(text: &str, mark: char) -> (&str, impl Iterator<Item = &str>) {
    let (head, tail) = match text.split_once(mark) {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    };
    (head, tail.into_iter().flat_map(|tail| tail.split('.')))
}

fn number(text: &str, name: &str, title: &str) -> Result<u64, Error> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error(format!("Invalid character(s) found in {name} number {}", quote(text))));
    }
    if has_leading_zeros(text) {
        return Err(error(format!("{title} number must not contain leading zeroes {}", quote(text))));
    }
    unsigned(text)
}

/// A text of digits; the errors are those of Go's `strconv.ParseUint`.
fn unsigned(digits: &str) -> Result<u64, Error> {
    digits.parse().map_err(|_| {
        let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
        error(format!("strconv.ParseUint: parsing {}: {why}", quote(digits)))
    })
}

fn prerelease_part(text: &str) -> Result<Identifier, Error> {
    if text.is_empty() {
        return Err(error("Prerelease is empty"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if has_leading_zeros(text) {
            let text = quote(text);
            return Err(error(format!("Numeric PreRelease version must not contain leading zeroes {text}")));
        }
        return unsigned(text).map(Identifier::Number);
    }
    if !is_word(text) {
        return Err(error(format!("Invalid character(s) found in prerelease {}", quote(text))));
    }
    Ok(Identifier::Word(text.into()))
}

fn build_part(text: &str) -> Result<Box<str>, Error> {
    if text.is_empty() {
        return Err(error("Build meta data is empty"));
    }
    if !is_word(text) {
        return Err(error(format!("Invalid character(s) found in build meta data {}", quote(text))));
    }
    Ok(text.into())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn has_leading_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

/// The text without leading zeros; a longer text that has no digit in front then gets one zero, as upstream does.
fn without_zeros(text: &str) -> Cow<'_, str> {
    let significant = text.trim_start_matches('0');
    if text.len() > 1 && !significant.starts_with(|first: char| first.is_ascii_digit()) {
        return Cow::Owned(format!("0{significant}"));
    }
    Cow::Borrowed(if text.len() > 1 { significant } else { text })
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        for (index, part) in self.prerelease.iter().enumerate() {
            let mark = if index == 0 { '-' } else { '.' };
            match part {
                Identifier::Number(number) => write!(f, "{mark}{number}")?,
                Identifier::Word(word) => write!(f, "{mark}{word}")?,
            }
        }
        for (index, part) in self.build.iter().enumerate() {
            let mark = if index == 0 { '+' } else { '.' };
            write!(f, "{mark}{part}")?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.numbers().cmp(&other.numbers());
        // A release comes after its prereleases.
        numbers
            .then_with(|| other.is_prerelease().cmp(&self.is_prerelease()))
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.numbers(), &self.prerelease).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn bad_versions_have_the_go_librarys_words() {
        let table = [
            ("", "Version string empty"),
            ("1", "No Major.Minor.Patch elements found"),
            ("1.2", "No Major.Minor.Patch elements found"),
            ("200K", "No Major.Minor.Patch elements found"),
            ("v1.0.0", "Invalid character(s) found in major number \"v1\""),
            ("a.1.1", "Invalid character(s) found in major number \"a\""),
            ("01.1.1", "Major number must not contain leading zeroes \"01\""),
            ("1.x.1", "Invalid character(s) found in minor number \"x\""),
            ("1.01.1", "Minor number must not contain leading zeroes \"01\""),
            ("1.1.1.1", "Invalid character(s) found in patch number \"1.1\""),
            ("1.1.01", "Patch number must not contain leading zeroes \"01\""),
            ("1.1. 1", "Invalid character(s) found in patch number \" 1\""),
            ("1.1.", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("..", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("99999999999999999999.0.0", "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"),
            ("1.1.1-", "Prerelease is empty"),
            ("1.1.1-a..b", "Prerelease is empty"),
            ("1.1.1-01", "Numeric PreRelease version must not contain leading zeroes \"01\""),
            ("1.1.1-a_b", "Invalid character(s) found in prerelease \"a_b\""),
            ("1.1.1+", "Build meta data is empty"),
            ("1.1.1+a.ü", "Invalid character(s) found in build meta data \"ü\""),
        ];
        for (text, expected) in table {
            assert_eq!(Version::parse(text).map_err(|e| e.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn versions_print_as_they_were_written() {
        for text in ["0.0.0", "1.2.3", "1.2.3-alpha.1", "1.2.3-0a.-", "1.2.3+build.01", "1.2.3--x.1+y-z.-"] {
            assert_eq!(version(text).to_string(), text);
        }
        let parsed = version("10.20.30-rc.1");
        assert_eq!((parsed.major(), parsed.minor(), parsed.patch()), (10, 20, 30));
    }

    #[test]
    fn precedence_follows_the_specification() {
        let ascending = [
            "0.9.0",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.1.0",
            "2.0.0",
            "10.0.0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(version(a).cmp(&version(b)), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(version("1.0.0+a"), version("1.0.0+b"));
        assert_eq!(version("1.0.0-rc+a"), version("1.0.0-rc"));
    }

    #[test]
    fn tolerant_reading_normalises() {
        let table = [
            ("v1.0.0", Ok("1.0.0")),
            ("1.0", Ok("1.0.0")),
            ("1", Ok("1.0.0")),
            ("v01.01.01", Ok("1.1.1")),
            ("00.00.00", Ok("0.0.0")),
            ("1.2.03-rc.1+b", Ok("1.2.3-rc.1+b")),
            ("1.2.00-rc", Ok("1.2.0-rc")),
            ("1.2-rc", Err("short version cannot contain PreRelease/Build meta data")),
            ("1+b", Err("short version cannot contain PreRelease/Build meta data")),
            ("1.2.-rc", Ok("1.2.0-rc")),
            (" 1.0.0", Err("Invalid character(s) found in major number \"0 1\"")),
            ("vv1.0.0", Err("Invalid character(s) found in major number \"0v1\"")),
            ("", Err("strconv.ParseUint: parsing \"\": invalid syntax")),
            ("0x.1.1", Err("Invalid character(s) found in major number \"0x\"")),
        ];
        for (text, expected) in table {
            let parsed = Version::parse_tolerant(text).map(|v| v.to_string()).map_err(|e| e.to_string());
            assert_eq!(parsed, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = Version::parse(&text);
            let _ = Version::parse_tolerant(&text);
        }

        #[test]
        fn text_round_trips(text in "(0|[1-9][0-9]{0,8})\\.[1-9]\\.[1-9](-[a-z1-9-]{1,5}(\\.[a-z]{1,3})?)?(\\+[0-9a-z.-]{1,5}z)?") {
            if let Ok(parsed) = Version::parse(&text) {
                prop_assert_eq!(parsed.to_string(), text.clone());
                prop_assert_eq!(Version::parse_tolerant(&text), Ok(parsed));
            }
        }
    }
}
