//! The string functions of the CEL standard: `contains`, `startsWith`, `endsWith` and `matches`.

use crate::declaration::Library;
use crate::fault::Fault;
use crate::regular;
use crate::types::Type;
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let two = || [Type::String, Type::String];
    library.member("contains", "contains_string", two(), Type::Bool, contains);
    library.member("endsWith", "ends_with_string", two(), Type::Bool, ends_with);
    library.member("startsWith", "starts_with_string", two(), Type::Bool, starts_with);
    library.global("matches", "matches", two(), Type::Bool, matches);
    library.member("matches", "matches_string", two(), Type::Bool, matches);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn two<'v>(args: &'v [Value<'_>]) -> std::result::Result<(&'v str, &'v str), Fault> {
    match args {
        [Value::String(text), Value::String(other)] => Ok((text, other)),
        _ => Err(Fault::no_overload()),
    }
}

fn contains<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(text, part)| Value::Bool(text.contains(part)))
}

fn ends_with<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(text, end)| Value::Bool(text.ends_with(end)))
}

fn starts_with<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(text, start)| Value::Bool(text.starts_with(start)))
}

fn matches<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::String(_), Value::String(_)] => {
            let (text, pattern) = two(args)?;
            Ok(Value::Bool(regular::compile(pattern)?.is_match(text)))
        }
        [Value::String(_), _] | [Value::Duration(_) | Value::Timestamp(_), _] => Err(Fault::no_overload()),
        _ => Err(Fault::error("no such overload: matches")),
    }
}
