//! Kubernetes' semantic version library, with normalisation.

use std::cmp::Ordering;
use std::sync::Arc;

use machinery::semver::Version;

use crate::declaration::Library;
use crate::fault::Fault;
use crate::types::Type::{self, Bool, Int, String};
use crate::value::{SEMVER, Shared, Value};

pub(crate) fn declare(library: &mut Library) {
    declare_first(library);
    let version = || Type::object(SEMVER);
    library.global("semver", "string_bool_to_semver", [String, Bool], version(), parse);
    library.global("isSemver", "is_semver_string_bool", [String, Bool], Bool, is_semver);
}

/// The first form, without normalisation.
pub(crate) fn declare_first(library: &mut Library) {
    let version = || Type::object(SEMVER);
    let two = || [version(), version()];
    library.global("semver", "string_to_semver", [String], version(), parse);
    library.global("isSemver", "is_semver_string", [String], Bool, is_semver);
    library.member("isGreaterThan", "semver_is_greater_than", two(), Bool, is_greater);
    library.member("isLessThan", "semver_is_less_than", two(), Bool, is_less);
    library.member("compareTo", "semver_compare_to", two(), Int, compare);
    library.member("major", "semver_major", [version()], Int, major);
    library.member("minor", "semver_minor", [version()], Int, minor);
    library.member("patch", "semver_patch", [version()], Int, patch);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

/// Reads the version; with `true` after it, `v1.02` counts as `1.2.0`.
fn read(args: &[Value<'_>]) -> std::result::Result<std::result::Result<Version, std::string::String>, Fault> {
    let (text, normalize) = match args {
        [Value::String(text)] => (text, false),
        [Value::String(text), Value::Bool(normalize)] => (text, *normalize),
        _ => return Err(Fault::no_overload()),
    };
    let text = if normalize { normal(text) } else { Ok(text.to_string()) };
    Ok(text.and_then(|text| Version::parse(&text).map_err(|error| error.to_string())))
}

/// Without a leading `v` and superfluous zeros, and with all three numbers.
fn normal(text: &str) -> std::result::Result<std::string::String, std::string::String> {
    let mut parts: Vec<_> = text.strip_prefix('v').unwrap_or(text).splitn(3, '.').map(trim_zeros).collect();
    let last = parts.last().map_or("", |part| part.as_str());
    if parts.len() < 3 && last.contains(['+', '-']) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    Ok(parts.join("."))
}

fn trim_zeros(part: &str) -> std::string::String {
    if part.len() < 2 {
        return part.to_owned();
    }
    let trimmed = part.trim_start_matches('0');
    let zero = if trimmed.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
    format!("{zero}{trimmed}")
}

fn parse<'a>(args: &[Value<'a>]) -> Result<'a> {
    let version = read(args)?.map_err(Fault::error)?;
    Ok(Value::Semver(Shared::Owned(Arc::new(version))))
}

fn is_semver<'a>(args: &[Value<'a>]) -> Result<'a> {
    read(args).map(|version| Value::Bool(version.is_ok()))
}

fn order(args: &[Value<'_>]) -> std::result::Result<Ordering, Fault> {
    match args {
        [Value::Semver(left), Value::Semver(right)] => Ok((**left).cmp(&**right)),
        _ => Err(Fault::no_overload()),
    }
}

fn is_greater<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Bool(order.is_gt()))
}

fn is_less<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Bool(order.is_lt()))
}

fn compare<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Int(order as i64))
}

fn number<'a>(args: &[Value<'a>], part: fn(&Version) -> u64) -> Result<'a> {
    let [Value::Semver(version)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::Int(part(version).cast_signed()))
}

fn major<'a>(args: &[Value<'a>]) -> Result<'a> {
    number(args, Version::major)
}

fn minor<'a>(args: &[Value<'a>]) -> Result<'a> {
    number(args, Version::minor)
}

fn patch<'a>(args: &[Value<'a>]) -> Result<'a> {
    number(args, Version::patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_upstream_does() {
        let cases =
            [("v1.0", "1.0.0"), ("1", "1.0.0"), ("01.02.03", "1.2.3"), ("1.2.00-a", "1.2.0-a"), ("v1.2.3", "1.2.3")];
        for (text, expected) in cases {
            assert_eq!(normal(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(normal("1.2-a").is_err());
    }
}
