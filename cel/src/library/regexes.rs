//! Kubernetes' regular expression functions: `find` and `findAll`.

use crate::declaration::Library;
use crate::fault::Fault;
use crate::regular;
use crate::types::Type::{self, Int, String};
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let list = || Type::list(String);
    library.member("find", "string_find_string", [String, String], String, find);
    library.member("findAll", "string_find_all_string", [String, String], list(), find_all);
    library.member("findAll", "string_find_all_string_int", [String, String, Int], list(), find_all);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn compile(pattern: &str) -> std::result::Result<regex::Regex, Fault> {
    regular::compile(pattern).map_err(|fault| Fault::error(format!("Illegal regex: {}", fault.message())))
}

fn find<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text), Value::String(pattern)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(compile(pattern)?.find(text).map_or("", |found| found.as_str())))
}

fn find_all<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, pattern, limit) = match args {
        [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text, pattern, *limit),
        _ => return Err(Fault::no_overload()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = compile(pattern)?;
    Ok(Value::list(regex.find_iter(text).take(limit).map(|found| Value::string(found.as_str())).collect()))
}
