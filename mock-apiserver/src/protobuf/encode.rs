//! JSON to messages, byte for byte as Go's generated code writes them: fields in the order of their numbers, map entries in the
//! order of their keys, every field that is no pointer also when it is zero.

use serde_json::{Map, Value};

use super::{
    Error,
    messages::{Field, MessageId, Messages, Shape, Type},
    special,
    wire::Writer,
};

/// Encodes a document as a message; members that the message does not know are left out.
pub(super) fn message(messages: &Messages, id: MessageId, document: &Value, out: &mut Writer) -> Result<(), Error> {
    Encoder { messages, path: Vec::new() }.message(id, document, out)
}

/// Encodes one document; knows where in it it is.
pub(super) struct Encoder<'a> {
    messages: &'a Messages,
    path: Vec<String>,
}

impl Encoder<'_> {
    /// `value` is an object, or null for one in which everything is zero.
    pub(super) fn message(&mut self, id: MessageId, value: &Value, out: &mut Writer) -> Result<(), Error> {
        let empty = Map::new();
        let object = match value {
            Value::Null => &empty,
            Value::Object(object) => object,
            _ => return Err(self.problem("must be an object")),
        };
        if self.path.len() >= machinery::limits::DOCUMENT_DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        for field in self.messages.fields(id) {
            if field.name.is_empty() {
                self.inline(field, value, out)?;
                continue;
            }
            self.path.push(field.name.to_owned());
            self.field(field, object.get(field.name).unwrap_or(&Value::Null), out)?;
            self.path.pop();
        }
        Ok(())
    }

    /// A message whose members stand among those of its parent.
    fn inline(&mut self, field: &Field, parent: &Value, out: &mut Writer) -> Result<(), Error> {
        if let Type::Message(id) = field.type_ {
            let mut inner = Writer::default();
            self.message(id, parent, &mut inner)?;
            out.bytes(field.number, inner.as_slice());
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value, out: &mut Writer) -> Result<(), Error> {
        match (field.shape, value) {
            (Shape::One, Value::Null) => self.absent(field, out),
            (Shape::One, value) => self.value(field.type_, field.number, value, out),
            (_, Value::Null) => Ok(()),
            (Shape::Many, Value::Array(items)) => {
                items.iter().try_for_each(|item| self.value(field.type_, field.number, item, out))
            }
            (Shape::Many, _) => Err(self.problem("must be an array")),
            (Shape::Map, Value::Object(members)) => members.iter().try_for_each(|(key, value)| {
                let mut entry = Writer::default();
                entry.bytes(1, key.as_bytes());
                self.value(field.type_, 2, value, &mut entry)?;
                out.bytes(field.number, entry.as_slice());
                Ok(())
            }),
            (Shape::Map, _) => Err(self.problem("must be an object")),
        }
    }

    /// A field without a value: nothing for a pointer, else its zero.
    fn absent(&mut self, field: &Field, out: &mut Writer) -> Result<(), Error> {
        let number = field.number;
        if field.pointer {
            return Ok(());
        }
        match field.type_ {
            Type::String => out.bytes(number, b""),
            Type::Bool | Type::Int32 | Type::Int64 => out.varint(number, 0),
            Type::Double => out.fixed64(number, 0),
            // A slice, and the wrapper of one, is nil.
            Type::Bytes | Type::Strings => {}
            Type::Message(_) => return self.value(field.type_, number, &Value::Null, out),
            Type::Quantity => out.bytes(number, &special::quantity("0")),
            Type::IntOrString => out.bytes(number, &special::int_or_string(Some(0), "")),
            Type::Time
            | Type::MicroTime
            | Type::Raw
            | Type::SchemaOrBool(_)
            | Type::SchemaOrArray(_)
            | Type::SchemaOrStrings(_) => out.bytes(number, b""),
        }
        Ok(())
    }

    fn value(&mut self, type_: Type, number: u32, value: &Value, out: &mut Writer) -> Result<(), Error> {
        match type_ {
            Type::String => out.bytes(number, self.text(value)?.as_bytes()),
            Type::Bytes => {
                let bytes = special::from_base64(self.text(value)?).ok_or_else(|| self.problem("must be base64"))?;
                out.bytes(number, &bytes);
            }
            Type::Bool => {
                let value = value.as_bool().ok_or_else(|| self.problem("must be a boolean"))?;
                out.varint(number, u64::from(value));
            }
            Type::Int32 | Type::Int64 => {
                let integer = integer(value).ok_or_else(|| self.problem("must be an integer"))?;
                // Negative numbers take ten bytes, of 32 bits too.
                out.varint(number, integer as u64);
            }
            Type::Double => {
                let double = value.as_f64().ok_or_else(|| self.problem("must be a number"))?;
                out.fixed64(number, double.to_bits());
            }
            Type::Message(id) => {
                let mut inner = Writer::default();
                self.message(id, value, &mut inner)?;
                out.bytes(number, inner.as_slice());
            }
            // No time, as a value of a map.
            Type::Time | Type::MicroTime if value.is_null() => out.bytes(number, b""),
            Type::Time | Type::MicroTime => {
                let time = special::time(self.text(value)?, type_ == Type::MicroTime);
                out.bytes(number, &time.ok_or_else(|| self.problem("must be an RFC 3339 time"))?);
            }
            Type::Quantity => {
                let quantity = match value {
                    Value::String(text) => special::quantity(text),
                    Value::Number(number) => special::quantity(&number.to_string()),
                    _ => return Err(self.problem("must be a quantity")),
                };
                out.bytes(number, &quantity);
            }
            Type::IntOrString => {
                let encoded = match value {
                    Value::String(text) => special::int_or_string(None, text),
                    other => {
                        let integer = integer(other).and_then(|integer| i32::try_from(integer).ok());
                        special::int_or_string(
                            Some(integer.ok_or_else(|| self.problem("must be an integer or a string"))?),
                            "",
                        )
                    }
                };
                out.bytes(number, &encoded);
            }
            Type::Raw => out.bytes(number, &special::raw(value)),
            Type::Strings => {
                out.bytes(number, &special::strings(value).ok_or_else(|| self.problem("must be a list of strings"))?)
            }
            Type::SchemaOrBool(id) => out.bytes(number, &special::schema_or_bool(self, id, value)?),
            Type::SchemaOrArray(id) => out.bytes(number, &special::schema_or_array(self, id, value)?),
            Type::SchemaOrStrings(id) => out.bytes(number, &special::schema_or_strings(self, id, value)?),
        }
        Ok(())
    }

    fn text<'v>(&self, value: &'v Value) -> Result<&'v str, Error> {
        value.as_str().ok_or_else(|| self.problem("must be a string"))
    }

    pub(super) fn problem(&self, problem: &str) -> Error {
        Error::Value { path: self.path.join("."), problem: problem.to_owned() }
    }
}

/// A whole number, also when it is written with a fraction of zero.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15)?;
        Some(float as i64)
    })
}
