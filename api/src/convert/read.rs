//! Reading documents that may hold anything: what is absent or null is absent, what has the wrong type is an error that
//! says where.

use std::{collections::BTreeMap, fmt};

use machinery::quantity::Quantity;
use serde_json::{Map, Value};

/// Why a document could not be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Path of the member: `spec.devices[0].name`; empty for the document itself.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Error {
    /// An error about the value that is being read.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same error, seen from the object that has the value as its member `name`.
    pub(crate) fn at(mut self, name: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{separator}{}", self.path);
        self
    }

    fn at_index(self, index: usize) -> Self {
        self.at(&format!("[{index}]"))
    }

    fn wrong_type(wanted: &str, found: &Value) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Self::new(format!("must be {wanted}, is {found}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for Error {}

/// The result of reading.
pub(crate) type Result<T> = std::result::Result<T, Error>;

fn present<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// The text at `name`, when it is there.
pub(crate) fn optional_text<'a>(object: &'a Value, name: &str) -> Result<Option<&'a str>> {
    match present(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::wrong_type("a string", other).at(name)),
    }
}

/// The text at `name`; empty if absent.
pub(crate) fn text(object: &Value, name: &str) -> Result<String> {
    Ok(optional_text(object, name)?.unwrap_or_default().to_owned())
}

/// The truth value at `name`, when it is there.
pub(crate) fn boolean(object: &Value, name: &str) -> Result<Option<bool>> {
    match present(object, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(Error::wrong_type("a boolean", other).at(name)),
    }
}

/// The whole number at `name`, when it is there.
pub(crate) fn integer(object: &Value, name: &str) -> Result<Option<i64>> {
    present(object, name).map(|value| whole(value).map_err(|error| error.at(name))).transpose()
}

/// A whole number.
pub(crate) fn whole(value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| match value {
        Value::Number(number) => Error::new(format!("must be a whole number of 64 bits, is {number}")),
        other => Error::wrong_type("a whole number", other),
    })
}

/// A truth value.
pub(crate) fn truth(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| Error::wrong_type("a boolean", value))
}

/// A text.
pub(crate) fn string(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| Error::wrong_type("a string", value))
}

/// A quantity: a text or a number.
pub(crate) fn quantity(value: &Value) -> Result<Quantity> {
    if !value.is_string() && !value.is_number() {
        return Err(Error::wrong_type("a quantity", value));
    }
    Quantity::from_json(value).map_err(|error| Error::new(error.to_string()))
}

/// What `read` makes of the member at `name`, when it is there.
pub(crate) fn member<T>(object: &Value, name: &str, read: impl FnOnce(&Value) -> Result<T>) -> Result<Option<T>> {
    present(object, name).map(|value| read(value).map_err(|error| error.at(name))).transpose()
}

/// What `read` makes of the object at `name`, or of null if it is absent.
pub(crate) fn within<T>(object: &Value, name: &str, read: impl FnOnce(&Value) -> Result<T>) -> Result<T> {
    let value = object.get(name).unwrap_or(&Value::Null);
    if !value.is_null() && !value.is_object() {
        return Err(Error::wrong_type("an object", value).at(name));
    }
    read(value).map_err(|error| error.at(name))
}

/// The items of the list at `name`; none if absent.
pub(crate) fn items<'a>(object: &'a Value, name: &str) -> Result<&'a [Value]> {
    match present(object, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(Error::wrong_type("a list", other).at(name)),
    }
}

/// What `read` makes of the items of the list at `name`.
pub(crate) fn each<T>(object: &Value, name: &str, mut read: impl FnMut(&Value) -> Result<T>) -> Result<Vec<T>> {
    items(object, name)?
        .iter()
        .enumerate()
        .map(|(index, item)| read(item).map_err(|error| error.at_index(index).at(name)))
        .collect()
}

/// The texts of the list at `name`, when it is there.
pub(crate) fn optional_texts(object: &Value, name: &str) -> Result<Option<Vec<String>>> {
    match present(object, name) {
        None => Ok(None),
        Some(_) => each(object, name, string).map(Some),
    }
}

/// The texts of the list at `name`; none if absent.
pub(crate) fn texts(object: &Value, name: &str) -> Result<Vec<String>> {
    each(object, name, string)
}

/// The members of the object at `name`, when it is there.
pub(crate) fn members<'a>(object: &'a Value, name: &str) -> Result<Option<&'a Map<String, Value>>> {
    match present(object, name) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(other) => Err(Error::wrong_type("an object", other).at(name)),
    }
}

/// What `read` makes of the values of the map at `name`.
pub(crate) fn map<T>(
    object: &Value,
    name: &str,
    mut read: impl FnMut(&Value) -> Result<T>,
) -> Result<BTreeMap<String, T>> {
    members(object, name)?
        .into_iter()
        .flatten()
        .map(|(key, value)| match read(value) {
            Ok(value) => Ok((key.clone(), value)),
            Err(error) => Err(error.at(&format!("[{key}]")).at(name)),
        })
        .collect()
}

/// A map of quantities.
pub(crate) fn quantities(object: &Value, name: &str) -> Result<BTreeMap<String, Quantity>> {
    map(object, name, quantity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_say_where() {
        let object = json!({"a": {"b": [{"c": 1}], "m": {"k": []}}, "n": null});
        let read = |name: &'static str| within(&object, "a", |a| each(a, "b", |b| text(b, name)));
        assert_eq!(read("c").unwrap_err().to_string(), "a.b[0].c: must be a string, is a number");
        assert_eq!(read("d"), Ok(vec![String::new()]));
        let quantities = within(&object, "a", |a| quantities(a, "m"));
        assert_eq!(quantities.unwrap_err().to_string(), "a.m[k]: must be a quantity, is a list");
        assert_eq!(items(&object, "n"), Ok(&[][..]));
        assert_eq!(
            integer(&json!({"i": 1.5}), "i").unwrap_err().to_string(),
            "i: must be a whole number of 64 bits, is 1.5"
        );
        assert!(quantity(&json!("1Zi")).is_err());
        assert_eq!(within(&json!([]), "x", |x| Ok(x.is_null())), Ok(true));
    }
}
