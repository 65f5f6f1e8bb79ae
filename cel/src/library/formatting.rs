//! `"…".format([…])`.

use crate::budget::check_text;
use crate::collection::{List, Map};
use crate::declaration::Library;
use crate::fault::Fault;
use crate::number::special;
use crate::types::Type;
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let params = [Type::String, Type::list(Type::Dyn)];
    library.member("format", "string_format", params, Type::String, format);
}

/// Digits after the point unless the clause says otherwise.
const PRECISION: usize = 6;
/// Digits that a clause may ask for.
const MAX_PRECISION: usize = 1_000;

fn format<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::String(text), Value::List(values)] = args else { return Err(Fault::no_overload()) };
    interpolate(text, values).map(Value::string)
}

fn interpolate(text: &str, values: &List<'_>) -> Result<String, Fault> {
    let mut result = String::with_capacity(text.len());
    let mut next = 0;
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let clause = &rest[at + 1..];
        if let Some(after) = clause.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        if clause.is_empty() {
            return Err(Fault::error(UNENDED));
        }
        let missing = || Fault::error(format!("index {next} out of range"));
        let value = values.get(next).ok_or_else(missing)?;
        next += 1;
        let (verb, precision, after) = parse_clause(clause).map_err(Fault::error)?;
        let written = write(verb, precision, &value)
            .map_err(|reason| Fault::error(format!("error during formatting: {reason}")))?;
        check_text(result.len().saturating_add(written.len()))?;
        result.push_str(&written);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// Nothing stands behind a percent sign.
pub(crate) const UNENDED: &str = "unexpected end of string";

/// What stands behind a percent sign: the verb, its precision, and what follows it.
pub(crate) fn parse_clause(clause: &str) -> Result<(char, Option<usize>, &str), String> {
    let wrong = |why: String| format!("could not parse formatting clause: {why}");
    let (precision, after) = precision(clause).map_err(wrong)?;
    match after.chars().next() {
        None => Err(wrong(UNENDED.to_owned())),
        Some(verb) if VERBS.contains(verb) => Ok((verb, precision, &after[1..])),
        Some(verb) => Err(wrong(unknown_verb(verb))),
    }
}

/// How values can be written; each is one byte.
const VERBS: &str = "sdfebxXo";

fn unknown_verb(verb: char) -> String {
    format!("unrecognized formatting clause \"{verb}\"")
}

/// `.3` and what follows it.
fn precision(clause: &str) -> Result<(Option<usize>, &str), String> {
    let Some(digits) = clause.strip_prefix('.') else { return Ok((None, clause)) };
    let wrong = |why: &str| format!("error while parsing precision: {why}");
    let Some(end) = digits.find(|c: char| !c.is_ascii_digit()) else {
        return Err(wrong("could not find end of precision specifier"));
    };
    let number: usize = digits[..end].parse().map_err(|_| {
        let number = &digits[..end];
        wrong(&format!("error while converting precision to integer: strconv.Atoi: parsing {number:?}: invalid syntax"))
    })?;
    if number > MAX_PRECISION {
        return Err("precision too large".to_owned());
    }
    Ok((Some(number), &digits[end..]))
}

fn write(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, String> {
    match verb {
        's' => text(value),
        'd' => match value {
            Value::Int(value) => Ok(value.to_string()),
            Value::Uint(value) => Ok(value.to_string()),
            _ => Err(refuse("decimal clause can only be used on integers", value)),
        },
        'f' => {
            let value = double(value, "fixed-point clause can only be used on doubles")?;
            Ok(special_text(value).unwrap_or_else(|| fixed(value, precision.unwrap_or(PRECISION))))
        }
        'e' => {
            let value = double(value, "scientific clause can only be used on doubles")?;
            let written = special_text(value).unwrap_or_else(|| scientific(value));
            // Upstream takes the precision for the width.
            Ok(format!("{written:>width$}", width = precision.unwrap_or(PRECISION)))
        }
        'b' => match value {
            Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:b}"))),
            Value::Uint(value) => Ok(format!("{value:b}")),
            Value::Bool(value) => Ok(u8::from(*value).to_string()),
            _ => Err(refuse("only integers and bools can be formatted as binary", value)),
        },
        'o' => match value {
            Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:o}"))),
            Value::Uint(value) => Ok(format!("{value:o}")),
            _ => Err(refuse("octal clause can only be used on integers", value)),
        },
        'x' => hexadecimal(value),
        'X' => hexadecimal(value).map(|digits| digits.to_uppercase()),
        _ => Err(unknown_verb(verb)),
    }
}

fn refuse(rule: &str, value: &Value<'_>) -> String {
    format!("{rule}, was given {}", value.type_name())
}

fn signed(value: i64, digits: fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", digits(value.unsigned_abs()))
}

fn hexadecimal(value: &Value<'_>) -> Result<String, String> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match value {
        Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:x}"))),
        Value::Uint(value) => Ok(format!("{value:x}")),
        Value::String(text) => Ok(bytes(text.as_bytes())),
        Value::Bytes(found) => Ok(bytes(found)),
        _ => Err(refuse("only integers, byte buffers, and strings can be formatted as hex", value)),
    }
}

fn double(value: &Value<'_>, rule: &str) -> Result<f64, String> {
    match value {
        Value::Double(value) => Ok(*value),
        Value::String(text) => match &**text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(refuse(rule, value)),
        },
        _ => Err(refuse(rule, value)),
    }
}

/// Upstream prints through a library for human languages, which writes infinity as a symbol.
fn special_text(value: f64) -> Option<String> {
    match special(value)? {
        "+Inf" => Some("∞".to_owned()),
        "-Inf" => Some("-∞".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// A double without exponent, its thousands apart as the English write them.
fn fixed(value: f64, precision: usize) -> String {
    // A zero has no sign.
    let text = format!("{:.precision$}", if value == 0.0 { 0.0 } else { value });
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// `1.500000×10⁰²`: upstream prints through a library for human languages, with six digits whatever is asked for.
fn scientific(value: f64) -> String {
    let text = format!("{:.PRECISION$e}", if value == 0.0 { 0.0 } else { value });
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
    let raised: String = format!("{exponent:0>2}").chars().map(superscript).collect();
    format!("{digits}×10{sign}{raised}")
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        other => other.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(other),
    }
}

/// `%s`.
fn text(value: &Value<'_>) -> Result<String, String> {
    match value {
        Value::List(list) => list_text(list),
        Value::Map(map) if map.type_name().is_none() => map_text(map),
        Value::Null => Ok("null".to_owned()),
        Value::Bytes(bytes) => {
            let wrong = "could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to string";
            String::from_utf8(bytes.to_vec()).map_err(|_| wrong.to_owned())
        }
        Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Bool(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Type(_) => Ok(value.to_string()),
        _ => Err(refuse(
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, \
             and timestamps",
            value,
        )),
    }
}

fn list_text(list: &List<'_>) -> Result<String, String> {
    let elements: Result<Vec<_>, _> = list.iter().map(|element| nested(&element)).collect();
    Ok(format!("[{}]", elements?.join(", ")))
}

fn map_text(map: &Map<'_>) -> Result<String, String> {
    let mut pairs = Vec::with_capacity(map.len());
    for (key, value) in map.entries() {
        match key {
            Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => {}
            _ => return Err(format!("no formatting function for map key of type {}", key.type_name())),
        }
        pairs.push((nested(&key)?, nested(&value)?));
    }
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", pairs.join(", ")))
}

/// An element of a list or map: texts are quoted, doubles have all their digits.
fn nested(value: &Value<'_>) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(format!("{:?}", &**text)),
        Value::Bytes(_) => Ok(format!("b{:?}", text(value)?)),
        Value::Duration(duration) => Ok(format!("duration({:?})", duration.to_string())),
        Value::Timestamp(time) => Ok(format!("timestamp({:?})", time.to_string())),
        Value::Double(number) => Ok(match special(*number) {
            Some(special) => format!("{special:?}"),
            None => format!("{number:.PRECISION$}"),
        }),
        Value::List(_) | Value::Map(_) | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => text(value),
        Value::Type(_) => text(value),
        _ => Err(format!("no formatting function for {}", value.type_name())),
    }
}
