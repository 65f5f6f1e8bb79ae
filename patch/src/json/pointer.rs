//! Places in a document: JSON pointers (RFC 6901), and the object or list that holds what a pointer names.

use machinery::limits::DOCUMENT_DEPTH_MAX;
use serde_json::{Map, Value};

use super::Error;

/// A parsed pointer.
pub(super) struct Pointer {
    /// Unescaped reference tokens; `None` for a text that starts no token at all.
    tokens: Vec<String>,
}

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        // What stands before the first slash is ignored, as upstream does.
        let tokens = text.split('/').skip(1);
        if tokens.clone().nth(DOCUMENT_DEPTH_MAX).is_some() {
            return Err(Error::TooComplex);
        }
        Ok(Self { tokens: tokens.map(|token| token.replace("~1", "/").replace("~0", "~")).collect() })
    }

    /// How many levels below the root it points.
    pub(super) fn depth(&self) -> usize {
        self.tokens.len()
    }

    /// The name or index within the parent.
    pub(super) fn last(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }

    /// The object or list that holds, or could hold, what the pointer names.
    pub(super) fn parent_in<'d>(&self, document: &'d mut Value) -> Option<Place<'d>> {
        let (_, parents) = self.tokens.split_last()?;
        let mut here = document;
        for token in parents {
            here = match here {
                Value::Object(members) => members.get_mut(token)?,
                Value::Array(items) => {
                    let at = existing(items.len(), token).ok()?;
                    items.get_mut(at)?
                }
                _ => return None,
            };
        }
        match here {
            Value::Object(members) => Some(Place::Object(members)),
            Value::Array(items) => Some(Place::Array(items)),
            _ => None,
        }
    }
}

/// An object or a list.
pub(super) enum Place<'d> {
    Object(&'d mut Map<String, Value>),
    Array(&'d mut Vec<Value>),
}

impl<'d> Place<'d> {
    /// What is at `key`; an absent member of an object is `None`, an absent index an error.
    pub(super) fn get(self, key: &str) -> Result<Option<&'d Value>, String> {
        match self {
            Self::Object(members) => Ok(members.get(key)),
            Self::Array(items) => {
                let at = existing(items.len(), key)?;
                Ok(items.get(at))
            }
        }
    }

    /// Puts a value at a member, present or not, or in the place of an item.
    pub(super) fn set(self, key: &str, value: Value) -> Result<(), String> {
        match self {
            Self::Object(members) => drop(members.insert(key.to_owned(), value)),
            Self::Array(items) => {
                let at = existing(items.len(), key)?;
                items[at] = value;
            }
        }
        Ok(())
    }

    /// Puts a value at a member, or before an item.
    pub(super) fn add(self, key: &str, value: Value, effort: &mut usize) -> Result<(), String> {
        match self {
            Self::Object(members) => drop(members.insert(key.to_owned(), value)),
            Self::Array(items) if key == "-" => items.push(value),
            Self::Array(items) => {
                let wanted =
                    integer(key).map_err(|error| format!("value was not a proper array index: '{key}': {error}"))?;
                let at = counted(items.len() + 1, wanted)?;
                *effort += items.len() - at;
                items.insert(at, value);
            }
        }
        Ok(())
    }

    /// Takes a value out.
    pub(super) fn remove(self, key: &str, effort: &mut usize) -> Result<Value, String> {
        match self {
            Self::Object(members) => {
                members.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
            }
            Self::Array(items) => {
                let at = existing(items.len(), key)?;
                *effort += items.len() - at;
                Ok(items.remove(at))
            }
        }
    }
}

/// The index of an item that exists in a list of `length` items.
fn existing(length: usize, key: &str) -> Result<usize, String> {
    counted(length, integer(key)?)
}

/// Go's `strconv.Atoi`: a sign and leading zeros are fine.
fn integer(key: &str) -> Result<i64, String> {
    key.parse().map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", machinery::field::quote(key)))
}

/// `wanted` within `length`, where a negative index counts from the end.
fn counted(length: usize, wanted: i64) -> Result<usize, String> {
    let invalid = || format!("Unable to access invalid index: {wanted}: invalid index referenced");
    let distance = usize::try_from(wanted.unsigned_abs()).map_err(|_| invalid())?;
    let at = if wanted < 0 { length.checked_sub(distance) } else { Some(distance) };
    at.filter(|at| *at < length).ok_or_else(invalid)
}
