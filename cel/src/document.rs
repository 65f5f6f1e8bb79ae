//! JSON documents as values, converted where and when an expression looks at them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::collection::{List, Map};
use crate::shape::Shape;
use crate::time::{Duration, Timestamp};
use crate::types::Type;
use crate::value::Value;

/// The value that a document of this shape stands for. What does not fit its shape is taken as it is.
#[must_use]
pub fn value_of<'a>(json: &'a Json, shape: &'a Shape) -> Value<'a> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_of(number, shape),
        Json::String(text) => text_of(text, shape),
        Json::Array(items) => Value::List(List::Document(DocumentList { items, shape })),
        Json::Object(object) => Value::Map(Map::Document(DocumentMap { object, shape })),
    }
}

/// Values nested deeper than this are no documents.
const DEPTH_MAX: usize = 128;

/// The document that stands for a value; `None` for what JSON has no word for.
#[must_use]
pub fn json_of(value: &Value<'_>) -> Option<Json> {
    json_within(value, DEPTH_MAX)
}

fn json_within(value: &Value<'_>, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Double(value) => Json::Number(serde_json::Number::from_f64(*value)?),
        Value::String(text) => Json::from(&**text),
        Value::Bytes(bytes) => Json::from(STANDARD.encode(&**bytes)),
        Value::List(list) => Json::Array(list.iter().map(|item| json_within(&item, depth)).collect::<Option<_>>()?),
        Value::Map(map) => {
            let entry =
                |(key, value): (Value<'_>, Value<'_>)| Some((key.as_str()?.to_owned(), json_within(&value, depth)?));
            Json::Object(map.entries().map(entry).collect::<Option<_>>()?)
        }
        Value::Duration(_)
        | Value::Timestamp(_)
        | Value::Quantity(_)
        | Value::Semver(_)
        | Value::Url(_)
        | Value::Ip(_)
        | Value::Cidr(_) => Json::from(value.to_string()),
        Value::Type(_) | Value::Optional(_) | Value::Format(_) | Value::Access(_) => return None,
    })
}

fn number_of<'a>(number: &serde_json::Number, shape: &Shape) -> Value<'a> {
    let double = || Value::Double(number.as_f64().unwrap_or(f64::NAN));
    match (number.as_i64(), shape.simple_type()) {
        (_, Some(Type::Double)) => double(),
        (Some(value), _) => Value::Int(value),
        // JSON writes some integers with a fraction or an exponent.
        (None, Some(Type::Int)) => match number.as_f64() {
            Some(value) if value.fract() == 0.0 && value.abs() < 9e18 => Value::Int(value as i64),
            _ => double(),
        },
        (None, _) => double(),
    }
}

fn text_of<'a>(text: &'a str, shape: &Shape) -> Value<'a> {
    let converted = match shape.simple_type() {
        Some(Type::Bytes) => STANDARD.decode(text).ok().map(Value::bytes),
        Some(Type::Duration) => Duration::parse(text).map(Value::Duration),
        Some(Type::Timestamp) => Timestamp::parse(text).or_else(|| Timestamp::parse_date(text)).map(Value::Timestamp),
        _ => None,
    };
    converted.unwrap_or(Value::text(text))
}

/// An array of a document.
#[derive(Clone, Copy)]
pub struct DocumentList<'a> {
    items: &'a Vec<Json>,
    shape: &'a Shape,
}

impl<'a> DocumentList<'a> {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        let shape = self.shape.element().map_or(Shape::dynamic(), |element| element);
        self.items.get(index).map(|item| value_of(item, shape))
    }

    pub(crate) fn shape(&self) -> &'a Shape {
        self.shape
    }
}

/// An object of a document.
#[derive(Clone, Copy)]
pub struct DocumentMap<'a> {
    object: &'a serde_json::Map<String, Json>,
    shape: &'a Shape,
}

impl<'a> DocumentMap<'a> {
    /// Declared objects show their declared fields only.
    pub(crate) fn len(&self) -> usize {
        match self.shape.fields() {
            None => self.object.len(),
            Some(fields) => fields.values().filter(|field| self.object.contains_key(&field.name)).count(),
        }
    }

    pub(crate) fn find(&self, key: &Value<'_>) -> Option<Value<'a>> {
        let key = key.as_str()?;
        match self.shape.fields() {
            None => self.object.get(key).map(|value| value_of(value, self.element())),
            Some(fields) => {
                let field = fields.get(key)?;
                self.object.get(&field.name).map(|value| value_of(value, &field.shape))
            }
        }
    }

    fn element(&self) -> &'a Shape {
        self.shape.element().map_or(Shape::dynamic(), |element| element)
    }

    pub(crate) fn entries(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'a> {
        let (object, element) = (self.object, self.element());
        match self.shape.fields() {
            None => Box::new(object.iter().map(move |(key, value)| (Value::text(key), value_of(value, element)))),
            Some(fields) => Box::new(fields.iter().filter_map(move |(name, field)| {
                object.get(&field.name).map(|value| (Value::text(name), value_of(value, &field.shape)))
            })),
        }
    }

    pub(crate) fn type_name(&self) -> Option<&str> {
        self.shape.object_name().map(|name| &**name)
    }
}
