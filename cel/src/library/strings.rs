//! The strings extension of CEL, version 2. Positions count characters.

use crate::budget::check_text;
use crate::declaration::Library;
use crate::fault::Fault;
use crate::types::Type::{self, Int, String};
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let list = || Type::list(String);
    library.member("charAt", "string_char_at_int", [String, Int], String, char_at);
    library.member("indexOf", "string_index_of_string", [String, String], Int, index_of);
    library.member("indexOf", "string_index_of_string_int", [String, String, Int], Int, index_of);
    library.member("lastIndexOf", "string_last_index_of_string", [String, String], Int, last_index_of);
    library.member("lastIndexOf", "string_last_index_of_string_int", [String, String, Int], Int, last_index_of);
    library.member("lowerAscii", "string_lower_ascii", [String], String, lower_ascii);
    library.member("replace", "string_replace_string_string", [String, String, String], String, replace);
    library.member("replace", "string_replace_string_string_int", [String, String, String, Int], String, replace);
    library.member("split", "string_split_string", [String, String], list(), split);
    library.member("split", "string_split_string_int", [String, String, Int], list(), split);
    library.member("substring", "string_substring_int", [String, Int], String, substring);
    library.member("substring", "string_substring_int_int", [String, Int, Int], String, substring);
    library.member("trim", "string_trim", [String], String, trim);
    library.member("upperAscii", "string_upper_ascii", [String], String, upper_ascii);
    library.global("strings.quote", "strings_quote", [String], String, quote);
    library.member("join", "list_join", [list()], String, join);
    library.member("join", "list_join_string", [list(), String], String, join);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn out_of_range(index: i64) -> Fault {
    Fault::error(format!("index out of range: {index}"))
}

fn char_at<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text), Value::Int(index)] = args else { return Err(Fault::no_overload()) };
    let position = usize::try_from(*index).map_err(|_| out_of_range(*index))?;
    match text.chars().nth(position) {
        Some(c) => Ok(Value::string(c.to_string())),
        None if text.chars().count() == position => Ok(Value::text("")),
        None => Err(out_of_range(*index)),
    }
}

/// Positions of the characters of `text` from which `part` begins.
fn occurrences(text: &str, part: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (position, (byte, _)) in text.char_indices().enumerate() {
        if text[byte..].starts_with(part) {
            found.push(position);
        }
    }
    found
}

fn index_of<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, part, offset) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, *offset),
        _ => return Err(Fault::no_overload()),
    };
    if part.is_empty() {
        return Ok(Value::Int(offset));
    }
    let start = usize::try_from(offset).map_err(|_| out_of_range(offset))?;
    let Some((byte, _)) = text.char_indices().nth(start) else { return Ok(Value::Int(-1)) };
    let found = text[byte..].find(&**part);
    Ok(Value::Int(found.map_or(-1, |length| (start + text[byte..byte + length].chars().count()) as i64)))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, part, offset) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, Some(*offset)),
        _ => return Err(Fault::no_overload()),
    };
    let length = text.chars().count();
    if part.is_empty() {
        return Ok(Value::Int(offset.unwrap_or(length as i64)));
    }
    let last = match offset {
        None => length,
        Some(offset) => usize::try_from(offset).map_err(|_| out_of_range(offset))?,
    };
    if offset.is_some() && last >= length {
        return Ok(Value::Int(-1));
    }
    let found = occurrences(text, part).into_iter().rfind(|position| *position <= last);
    Ok(Value::Int(found.map_or(-1, |position| position as i64)))
}

fn lower_ascii<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(text.to_ascii_lowercase()))
}

fn upper_ascii<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(text.to_ascii_uppercase()))
}

fn trim<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(text.trim()))
}

fn replace<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, from, to, limit) = match args {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, usize::MAX),
        [Value::String(text), Value::String(from), Value::String(to), Value::Int(limit)] => {
            (text, from, to, usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        _ => return Err(Fault::no_overload()),
    };
    let count = text.matches(&**from).count().min(limit);
    check_text(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(Value::string(text.replacen(&**from, to, count)))
}

fn split<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return Err(Fault::no_overload()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<Value<'a>> = if limit == 0 {
        Vec::new()
    } else if separator.is_empty() {
        characters(text, limit).map(Value::string).collect()
    } else {
        text.splitn(limit, &**separator).map(Value::string).collect()
    };
    Ok(Value::list(parts))
}

/// The characters of a text; the last of at most `limit` parts is all that remains.
fn characters(text: &str, limit: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut left = limit;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        left = left.saturating_sub(1);
        let length = if left == 0 { rest.len() } else { first.len_utf8() };
        let (part, after) = rest.split_at(length);
        rest = after;
        Some(part)
    })
}

fn substring<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Fault::no_overload()),
    };
    if let Some(end) = end
        && start > end
    {
        return Err(Fault::error(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = byte_of(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| byte_of(text, end))?;
    Ok(Value::string(text.get(from..to).unwrap_or("")))
}

/// Where the character at a position begins; the end of the text is a position too.
fn byte_of(text: &str, position: i64) -> std::result::Result<usize, Fault> {
    let index = usize::try_from(position).map_err(|_| out_of_range(position))?;
    let starts = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    starts.into_iter().nth(index).ok_or_else(|| out_of_range(position))
}

fn quote<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    check_text(text.len().saturating_mul(2))?;
    let mut quoted = std::string::String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let escaped = match c {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' | '"' => c,
            _ => {
                quoted.push(c);
                continue;
            }
        };
        quoted.push('\\');
        quoted.push(escaped);
    }
    quoted.push('"');
    Ok(Value::string(quoted))
}

fn join<'a>(args: &[Value<'a>]) -> Result<'a> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(Fault::no_overload()),
    };
    let mut joined = std::string::String::new();
    for (index, element) in list.iter().enumerate() {
        let Value::String(text) = &element else {
            return Err(Fault::error(format!("join: invalid input: {element}")));
        };
        check_text(joined.len().saturating_add(separator.len()).saturating_add(text.len()))?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::string(joined))
}
