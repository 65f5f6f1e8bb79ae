//! Messages to JSON, as Go would write the decoded struct.

use machinery::limits;
use serde_json::{Map, Value};

use super::{
    Error,
    messages::{Field, MessageId, Messages, Shape, Type},
    special,
    wire::{self, Reader},
};

/// Decodes a message into `object`.
pub(super) fn message(
    messages: &Messages,
    id: MessageId,
    bytes: &[u8],
    object: &mut Map<String, Value>,
) -> Result<(), Error> {
    Decoder { messages, depth: 0, whole: false }.message(id, bytes, object)
}

/// What Go writes of a message of which nothing is known.
pub(super) fn zero(messages: &Messages, id: MessageId) -> Result<Value, Error> {
    Ok(Decoder { messages, depth: 0, whole: true }.zero(Type::Message(id))?.unwrap_or_default())
}

/// Decodes one document; knows how deep it is in it.
pub(super) struct Decoder<'a> {
    messages: &'a Messages,
    depth: usize,
    /// Whether all is shown that Go writes of nothing: every structure, and lists that are always written, as `null`.
    whole: bool,
}

impl Decoder<'_> {
    pub(super) fn message(
        &mut self,
        id: MessageId,
        bytes: &[u8],
        object: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        if self.depth >= limits::DOCUMENT_DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        let fields = self.messages.fields(id);
        let mut reader = Reader::new(bytes);
        while let Some((number, content)) = reader.next_field()? {
            if let Ok(at) = fields.binary_search_by_key(&number, |field| field.number) {
                self.field(&fields[at], content, object)?;
            }
        }
        for field in fields.iter().filter(|field| !field.pointer && !field.name.is_empty()) {
            let is_struct = self.whole && field.shape == Shape::One && matches!(field.type_, Type::Message(_));
            if !(field.always || is_struct) || object.contains_key(field.name) {
                continue;
            }
            let zero =
                if field.shape == Shape::One { self.zero(field.type_)? } else { self.whole.then_some(Value::Null) };
            object.extend(zero.map(|zero| (field.name.to_owned(), zero)));
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(&mut self, field: &Field, content: wire::Field<'_>, object: &mut Map<String, Value>) -> Result<(), Error> {
        match field.shape {
            Shape::One => self.one(field, content, object),
            Shape::Many => {
                let items = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(items) = items else { return Err(Error::Malformed(0)) };
                match content {
                    wire::Field::Bytes(packed) if matches!(field.type_, Type::Bool | Type::Int32 | Type::Int64) => {
                        let mut reader = Reader::new(packed);
                        while !reader.is_empty() {
                            items.push(self.value(field.type_, wire::Field::Varint(reader.varint()?), None)?);
                        }
                    }
                    other => items.push(self.value(field.type_, other, None)?),
                }
                Ok(())
            }
            Shape::Map => {
                let (key, value) = self.entry(field.type_, content.bytes()?)?;
                let members = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(members) = members else { return Err(Error::Malformed(0)) };
                members.insert(key, value);
                Ok(())
            }
        }
    }

    /// A single value. Zero disappears where Go's encoder would leave it out.
    fn one(&mut self, field: &Field, content: wire::Field<'_>, object: &mut Map<String, Value>) -> Result<(), Error> {
        if let (Type::Message(id), true) = (field.type_, field.name.is_empty()) {
            return self.message(id, content.bytes()?, object);
        }
        let value = self.value(field.type_, content, object.remove(field.name))?;
        let is_zero = match &value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Object(_) | Value::Array(_) => false,
        };
        if !is_zero || field.pointer || (field.always && !value.is_null()) {
            object.insert(field.name.to_owned(), value);
        }
        Ok(())
    }

    fn entry(&mut self, type_: Type, bytes: &[u8]) -> Result<(String, Value), Error> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some((number, content)) = reader.next_field()? {
            match number {
                1 => key = content.text()?,
                2 => value = Some(self.value(type_, content, None)?),
                _ => {}
            }
        }
        if value.is_none() {
            value = self.zero(type_)?;
        }
        Ok((key, value.unwrap_or(Value::Null)))
    }

    /// One value. A message that comes in several pieces is merged into what is there (`before`).
    fn value(&mut self, type_: Type, content: wire::Field<'_>, before: Option<Value>) -> Result<Value, Error> {
        Ok(match type_ {
            Type::String => Value::String(content.text()?),
            Type::Bytes => special::base64(content.bytes()?),
            Type::Bool => Value::Bool(content.varint()? != 0),
            // Go keeps the low 32 bits.
            Type::Int32 => Value::from(content.varint()? as i32),
            Type::Int64 => Value::from(content.varint()? as i64),
            Type::Double => match content {
                wire::Field::Fixed64(bits) => Value::from(f64::from_bits(bits)),
                _ => return Err(Error::Malformed(0)),
            },
            Type::Message(id) => {
                let mut object = match before {
                    Some(Value::Object(object)) => object,
                    _ => Map::new(),
                };
                self.message(id, content.bytes()?, &mut object)?;
                Value::Object(object)
            }
            Type::Time => special::decode_time(content.bytes()?, false)?,
            Type::MicroTime => special::decode_time(content.bytes()?, true)?,
            Type::Quantity => special::decode_quantity(content.bytes()?)?,
            Type::IntOrString => special::decode_int_or_string(content.bytes()?)?,
            Type::Raw => special::decode_raw(content.bytes()?)?,
            Type::Strings => special::decode_strings(content.bytes()?)?,
            Type::SchemaOrBool(id) => special::decode_schema_or_bool(self, id, content.bytes()?)?,
            Type::SchemaOrArray(id) => special::decode_schema_or_array(self, id, content.bytes()?)?,
            Type::SchemaOrStrings(id) => special::decode_schema_or_strings(self, id, content.bytes()?)?,
        })
    }

    /// What Go writes for a required field that has no value; `None` for what it writes as null.
    fn zero(&mut self, type_: Type) -> Result<Option<Value>, Error> {
        Ok(match type_ {
            Type::String => Some(Value::from("")),
            Type::Bool => Some(Value::Bool(false)),
            Type::Int32 | Type::Int64 | Type::IntOrString => Some(Value::from(0)),
            Type::Double => Some(Value::from(0.0)),
            Type::Quantity => Some(Value::from("0")),
            Type::Message(id) => {
                let mut object = Map::new();
                self.message(id, &[], &mut object)?;
                Some(Value::Object(object))
            }
            _ => None,
        })
    }
}
