//! `int(…)`, `string(…)` and the other conversions, and `size`.

use crate::declaration::{Body, Library};
use crate::fault::Fault;
use crate::number;
use crate::time::{Duration, Timestamp};
use crate::types::{A, B, Type};
use crate::value::{Shared, Value};
use machinery::boolean;

pub(crate) fn declare(library: &mut Library) {
    use Type::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    let mut convert = |name, id, from: Type, to: Type, body: Body| library.global(name, id, [from], to, body);
    convert("type", "type", A, Type::type_of(A), type_of);
    convert("bool", "bool_to_bool", Bool, Bool, same);
    convert("bool", "string_to_bool", String, Bool, to_bool);
    convert("bytes", "bytes_to_bytes", Bytes, Bytes, same);
    convert("bytes", "string_to_bytes", String, Bytes, to_bytes);
    convert("double", "double_to_double", Double, Double, same);
    convert("double", "int64_to_double", Int, Double, to_double);
    convert("double", "string_to_double", String, Double, to_double);
    convert("double", "uint64_to_double", Uint, Double, to_double);
    convert("duration", "duration_to_duration", Duration, Duration, same);
    convert("duration", "string_to_duration", String, Duration, to_duration);
    convert("dyn", "to_dyn", A, Type::Dyn, same);
    convert("int", "int64_to_int64", Int, Int, same);
    convert("int", "double_to_int64", Double, Int, to_int);
    convert("int", "duration_to_int64", Duration, Int, to_int);
    convert("int", "string_to_int64", String, Int, to_int);
    convert("int", "timestamp_to_int64", Timestamp, Int, to_int);
    convert("int", "uint64_to_int64", Uint, Int, to_int);
    convert("string", "string_to_string", String, String, same);
    convert("string", "bool_to_string", Bool, String, to_string);
    convert("string", "bytes_to_string", Bytes, String, to_string);
    convert("string", "double_to_string", Double, String, to_string);
    convert("string", "duration_to_string", Duration, String, to_string);
    convert("string", "int64_to_string", Int, String, to_string);
    convert("string", "timestamp_to_string", Timestamp, String, to_string);
    convert("string", "uint64_to_string", Uint, String, to_string);
    convert("timestamp", "timestamp_to_timestamp", Timestamp, Timestamp, same);
    convert("timestamp", "int64_to_timestamp", Int, Timestamp, to_timestamp);
    convert("timestamp", "string_to_timestamp", String, Timestamp, to_timestamp);
    convert("uint", "uint64_to_uint64", Uint, Uint, same);
    convert("uint", "double_to_uint64", Double, Uint, to_uint);
    convert("uint", "int64_to_uint64", Int, Uint, to_uint);
    convert("uint", "string_to_uint64", String, Uint, to_uint);
    let (list, map) = (Type::list(A), Type::map(A, B));
    library.global("size", "size_bytes", [Bytes], Int, size);
    library.member("size", "bytes_size", [Bytes], Int, size);
    library.global("size", "size_list", [list.clone()], Int, size);
    library.member("size", "list_size", [list], Int, size);
    library.global("size", "size_map", [map.clone()], Int, size);
    library.member("size", "map_size", [map], Int, size);
    library.global("size", "size_string", [String], Int, size);
    library.member("size", "string_size", [String], Int, size);
}

/// Functions whose calls on constants are carried out when the program is made.
pub(crate) const CONVERSIONS: [&str; 10] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn same<'a>(args: &[Value<'a>]) -> Result<'a> {
    args.first().cloned().ok_or_else(Fault::no_overload)
}

fn type_of<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [value] => Ok(Value::Type(Shared::Owned(value.type_name().into()))),
        _ => Err(Fault::no_overload()),
    }
}

fn size<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Duration(_) | Value::Timestamp(_)] => Err(Fault::no_overload()),
        [value] => {
            let size = value.size().ok_or_else(|| Fault::error("no such overload: size"))?;
            Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
        }
        _ => Err(Fault::no_overload()),
    }
}

fn failed(from: &Value<'_>, to: &str) -> Fault {
    Fault::error(format!("type conversion error from '{}' to '{to}'", from.type_name()))
}

fn to_bool<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [value @ Value::String(text)] => boolean::parse(text).map(Value::Bool).ok_or_else(|| failed(value, "bool")),
        _ => Err(Fault::no_overload()),
    }
}

fn to_bytes<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::String(Shared::Borrowed(text))] => Ok(Value::Bytes(Shared::Borrowed(text.as_bytes()))),
        [Value::String(text)] => Ok(Value::bytes(text.as_bytes())),
        _ => Err(Fault::no_overload()),
    }
}

fn to_double<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [value @ Value::String(text)] => {
            number::parse_double(text).map(Value::Double).ok_or_else(|| failed(value, "double"))
        }
        _ => Err(Fault::no_overload()),
    }
}

fn to_duration<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [value @ Value::String(text)] => {
            Duration::parse(text).map(Value::Duration).ok_or_else(|| failed(value, "google.protobuf.Duration"))
        }
        _ => Err(Fault::no_overload()),
    }
}

fn to_timestamp<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Int(seconds)] => Timestamp::from_seconds(*seconds).map(Value::Timestamp),
        [value @ Value::String(text)] => {
            Timestamp::parse(text).map(Value::Timestamp).ok_or_else(|| failed(value, "google.protobuf.Timestamp"))
        }
        _ => Err(Fault::no_overload()),
    }
}

const INT_OVERFLOW: &str = "integer overflow";
const UINT_OVERFLOW: &str = "unsigned integer overflow";

fn to_int<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        // The bounds themselves are refused, as doubles near them cannot be told apart.
        [Value::Double(value)] if *value > i64::MIN as f64 && *value < i64::MAX as f64 => Ok(Value::Int(*value as i64)),
        [Value::Double(_)] => Err(Fault::error(INT_OVERFLOW)),
        [Value::Duration(duration)] => Ok(Value::Int(duration.nanoseconds())),
        [Value::Timestamp(time)] => Ok(Value::Int(time.seconds())),
        [Value::Uint(value)] => i64::try_from(*value).map(Value::Int).map_err(|_| Fault::error(INT_OVERFLOW)),
        [value @ Value::String(text)] => number::parse_int(text).map(Value::Int).ok_or_else(|| failed(value, "int")),
        _ => Err(Fault::no_overload()),
    }
}

fn to_uint<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Double(value)] if *value >= 0.0 && *value < 18_446_744_073_709_551_616.0 => {
            Ok(Value::Uint(*value as u64))
        }
        [Value::Double(_)] => Err(Fault::error(UINT_OVERFLOW)),
        [Value::Int(value)] => u64::try_from(*value).map(Value::Uint).map_err(|_| Fault::error(UINT_OVERFLOW)),
        [value @ Value::String(text)] => number::parse_uint(text).map(Value::Uint).ok_or_else(|| failed(value, "uint")),
        _ => Err(Fault::no_overload()),
    }
}

fn to_string<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::string(text)),
            Err(_) => Err(Fault::error("invalid UTF-8 in bytes, cannot convert to string")),
        },
        [value] => Ok(Value::string(value.to_string())),
        _ => Err(Fault::no_overload()),
    }
}
