//! Messages whose JSON is not an object of their fields: times, quantities, raw JSON, unions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use machinery::{quantity::Quantity, time};
use serde_json::{Map, Value};

use super::{
    Error,
    decode::Decoder,
    encode::Encoder,
    messages::MessageId,
    wire::{Reader, Writer},
};

/// Bytes as JSON has them.
pub(super) fn base64(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

/// Bytes from JSON; line breaks are passed over, as Go does.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
    STANDARD.decode(text).ok()
}

/// `Time` and `MicroTime`: seconds and nanoseconds since 1970. The empty message is no time.
pub(super) fn decode_time(bytes: &[u8], micros: bool) -> Result<Value, Error> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => seconds = field.varint()? as i64,
            2 => nanos = field.varint()? as i32 as i64,
            _ => {}
        }
    }
    // Go's zero time, year 1.
    if seconds == GO_ZERO_SECONDS && nanos == 0 {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let Ok(instant) = Timestamp::new(seconds, nanos) else { return Err(Error::Malformed(0)) };
    Ok(Value::String(if micros { time::format_micros(instant) } else { time::format_seconds(instant) }))
}

/// Seconds of 0001-01-01T00:00:00Z.
const GO_ZERO_SECONDS: i64 = -62_135_596_800;

/// The message of a time; `MicroTime` keeps what is beyond seconds down to microseconds.
pub(super) fn time(text: &str, micros: bool) -> Option<Vec<u8>> {
    let instant = time::parse(text)?;
    let nanos = if micros { instant.subsec_nanosecond() / 1000 * 1000 } else { 0 };
    let mut out = Writer::default();
    out.varint(1, instant.as_second() as u64);
    out.varint(2, i64::from(nanos) as u64);
    Some(out.finish())
}

/// `Quantity`: its text.
pub(super) fn decode_quantity(bytes: &[u8]) -> Result<Value, Error> {
    Ok(Value::String(first_text(bytes)?))
}

/// The message of a quantity, in canonical form.
pub(super) fn quantity(text: &str) -> Vec<u8> {
    let canonical = Quantity::parse(text).map(|quantity| quantity.to_string());
    let mut out = Writer::default();
    out.bytes(1, canonical.as_deref().unwrap_or(text).as_bytes());
    out.finish()
}

/// `IntOrString`: a kind, an integer, a string.
pub(super) fn decode_int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_string, mut integer, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => is_string = field.varint()? == 1,
            2 => integer = field.varint()? as i32,
            3 => text = field.text()?,
            _ => {}
        }
    }
    Ok(if is_string { Value::String(text) } else { Value::from(integer) })
}

/// The message of an `IntOrString`: of the integer, else of the text.
pub(super) fn int_or_string(integer: Option<i32>, text: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(1, u64::from(integer.is_none()));
    out.varint(2, i64::from(integer.unwrap_or_default()) as u64);
    out.bytes(3, text.as_bytes());
    out.finish()
}

/// `RawExtension`, `FieldsV1`, `JSON`: JSON text.
pub(super) fn decode_raw(bytes: &[u8]) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    let mut value = Value::Null;
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            let text = field.bytes()?;
            value = if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(text).map_err(|_| Error::Malformed(0))?
            };
        }
    }
    Ok(value)
}

/// The message of raw JSON.
pub(super) fn raw(value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(1, &crate::json::encode(value));
    out.finish()
}

/// A list of strings in a message.
pub(super) fn decode_strings(bytes: &[u8]) -> Result<Value, Error> {
    let mut items = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            items.push(Value::String(field.text()?));
        }
    }
    Ok(Value::Array(items))
}

/// The message of a list of strings.
pub(super) fn strings(value: &Value) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    for item in value.as_array()? {
        out.bytes(1, item.as_str()?.as_bytes());
    }
    Some(out.finish())
}

/// `JSONSchemaPropsOrBool`: `allows` in field 1, a schema in field 2.
pub(super) fn decode_schema_or_bool(decoder: &mut Decoder<'_>, id: MessageId, bytes: &[u8]) -> Result<Value, Error> {
    let (mut allows, mut schema) = (false, None);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => allows = field.varint()? != 0,
            2 => schema = Some(object(decoder, id, field.bytes()?)?),
            _ => {}
        }
    }
    Ok(schema.unwrap_or(Value::Bool(allows)))
}

/// The message of a schema or a boolean; a schema allows.
pub(super) fn schema_or_bool(encoder: &mut Encoder<'_>, id: MessageId, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Writer::default();
    out.varint(1, u64::from(value.as_bool().unwrap_or(true)));
    if !value.is_boolean() {
        nested(encoder, id, value, 2, &mut out)?;
    }
    Ok(out.finish())
}

/// `JSONSchemaPropsOrArray`: one schema in field 1, or several in field 2.
pub(super) fn decode_schema_or_array(decoder: &mut Decoder<'_>, id: MessageId, bytes: &[u8]) -> Result<Value, Error> {
    let (mut schema, mut several) = (None, Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => schema = Some(object(decoder, id, field.bytes()?)?),
            2 => several.push(object(decoder, id, field.bytes()?)?),
            _ => {}
        }
    }
    Ok(if several.is_empty() { schema.unwrap_or(Value::Null) } else { Value::Array(several) })
}

/// The message of one schema or several.
pub(super) fn schema_or_array(encoder: &mut Encoder<'_>, id: MessageId, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Writer::default();
    match value {
        Value::Array(several) => {
            several.iter().try_for_each(|schema| nested(encoder, id, schema, 2, &mut out))?;
        }
        schema => nested(encoder, id, schema, 1, &mut out)?,
    }
    Ok(out.finish())
}

/// `JSONSchemaPropsOrStringArray`: a schema in field 1, or property names in field 2.
pub(super) fn decode_schema_or_strings(decoder: &mut Decoder<'_>, id: MessageId, bytes: &[u8]) -> Result<Value, Error> {
    let (mut schema, mut names) = (None, Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => schema = Some(object(decoder, id, field.bytes()?)?),
            2 => names.push(Value::String(field.text()?)),
            _ => {}
        }
    }
    Ok(if names.is_empty() { schema.unwrap_or(Value::Null) } else { Value::Array(names) })
}

/// The message of a schema or of property names.
pub(super) fn schema_or_strings(encoder: &mut Encoder<'_>, id: MessageId, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Writer::default();
    match value {
        Value::Array(names) => {
            for name in names {
                let name = name.as_str().ok_or_else(|| encoder.problem("must be a list of strings"))?;
                out.bytes(2, name.as_bytes());
            }
        }
        schema => nested(encoder, id, schema, 1, &mut out)?,
    }
    Ok(out.finish())
}

fn object(decoder: &mut Decoder<'_>, id: MessageId, bytes: &[u8]) -> Result<Value, Error> {
    let mut object = Map::new();
    decoder.message(id, bytes, &mut object)?;
    Ok(Value::Object(object))
}

fn nested(encoder: &mut Encoder<'_>, id: MessageId, value: &Value, number: u32, out: &mut Writer) -> Result<(), Error> {
    let mut inner = Writer::default();
    encoder.message(id, value, &mut inner)?;
    out.bytes(number, inner.as_slice());
    Ok(())
}

fn first_text(bytes: &[u8]) -> Result<String, Error> {
    let mut text = String::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            text = field.text()?;
        }
    }
    Ok(text)
}
