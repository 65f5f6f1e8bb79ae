//! Lists and maps: those made by an expression, and views of the caller's data.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{DocumentList, DocumentMap};
use crate::value::{Shared, Value};

/// A list that the caller keeps.
pub trait Sequence: Sync {
    /// Number of elements.
    fn len(&self) -> usize;

    /// Whether there are no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, counted from 0.
    fn get(&self, index: usize) -> Option<Value<'_>>;
}

/// A map or object that the caller keeps.
pub trait Mapping: Sync {
    /// Number of entries.
    fn len(&self) -> usize;

    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What indexing and selection find. May answer for keys that are not among the entries.
    fn find(&self, key: &Value<'_>) -> Option<Value<'_>>;

    /// Whether `key` is among the entries (`in`).
    fn contains(&self, key: &Value<'_>) -> bool {
        self.find(key).is_some()
    }

    /// The entry at `index`, in an order that does not change.
    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)>;

    /// The name of the object type, if it is one.
    fn type_name(&self) -> Option<&str> {
        None
    }
}

/// A list value.
#[derive(Clone)]
pub enum List<'a> {
    /// Made by an expression.
    Owned(Arc<Vec<Value<'a>>>),
    /// The caller's.
    Borrowed(&'a dyn Sequence),
    /// Part of a JSON document.
    Document(DocumentList<'a>),
}

/// A map value.
#[derive(Clone)]
pub enum Map<'a> {
    /// Made by an expression.
    Owned(Arc<Entries<'a>>),
    /// The caller's.
    Borrowed(&'a dyn Mapping),
    /// Part of a JSON document.
    Document(DocumentMap<'a>),
}

impl<'a> List<'a> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            List::Owned(values) => values.len(),
            List::Borrowed(values) => values.len(),
            List::Document(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Owned(values) => values.get(index).cloned(),
            List::Borrowed(values) => values.get(index),
            List::Document(values) => values.get(index),
        }
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Whether lists of this kind are equal whatever the order of their elements (`x-kubernetes-list-type`).
    pub(crate) fn document(&self) -> Option<&DocumentList<'a>> {
        match self {
            List::Document(values) => Some(values),
            _ => None,
        }
    }
}

impl<'a> Map<'a> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Map::Owned(entries) => entries.len(),
            Map::Borrowed(entries) => entries.len(),
            Map::Document(entries) => entries.len(),
        }
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What indexing with `key` finds.
    #[must_use]
    pub fn find(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match self {
            Map::Owned(entries) => entries.find(key).cloned(),
            Map::Borrowed(entries) => entries.find(key),
            Map::Document(entries) => entries.find(key),
        }
    }

    /// Whether `key` is among the entries.
    #[must_use]
    pub fn contains(&self, key: &Value<'_>) -> bool {
        match self {
            Map::Owned(entries) => entries.find(key).is_some(),
            Map::Borrowed(entries) => entries.contains(key),
            Map::Document(entries) => entries.find(key).is_some(),
        }
    }

    /// All entries, in an order that does not change.
    pub fn entries(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Map::Owned(entries) => Box::new(entries.iter().cloned()),
            Map::Borrowed(entries) => {
                let entries: &'a dyn Mapping = *entries;
                Box::new((0..entries.len()).filter_map(|index| entries.entry(index)))
            }
            Map::Document(entries) => Box::new(entries.entries()),
        }
    }

    /// The name of the object type, if it is one.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        match self {
            Map::Owned(_) => None,
            Map::Borrowed(entries) => entries.type_name(),
            Map::Document(entries) => entries.type_name(),
        }
    }
}

/// The entries of a map made by an expression: numbers, then texts, then booleans. Numbers that are equal are the same
/// key whatever their type.
#[derive(Clone, Default)]
pub struct Entries<'a> {
    numbers: BTreeMap<i128, Entry<'a>>,
    texts: BTreeMap<Arc<str>, Entry<'a>>,
    bools: BTreeMap<bool, Entry<'a>>,
}

type Entry<'a> = (Value<'a>, Value<'a>);

impl<'a> Entries<'a> {
    fn len(&self) -> usize {
        self.numbers.len() + self.texts.len() + self.bools.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.numbers.values().chain(self.texts.values()).chain(self.bools.values())
    }

    /// Adds an entry or replaces the one of an equal key. `None` if such a value cannot be a key.
    pub(crate) fn insert(&mut self, key: Value<'a>, value: Value<'a>) -> Option<()> {
        match &key {
            Value::Bool(flag) => self.bools.insert(*flag, (key, value)),
            Value::String(Shared::Owned(text)) => self.texts.insert(Arc::clone(text), (key, value)),
            Value::String(text) => self.texts.insert(Arc::from(&**text), (key, value)),
            _ => self.numbers.insert(number(&key)?, (key, value)),
        };
        Some(())
    }

    pub(crate) fn remove(&mut self, key: &Value<'a>) {
        match key {
            Value::Bool(flag) => self.bools.remove(flag),
            Value::String(text) => self.texts.remove(&**text),
            _ => number(key).and_then(|number| self.numbers.remove(&number)),
        };
    }

    pub(crate) fn find(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        let entry = match key {
            Value::Bool(flag) => self.bools.get(flag),
            Value::String(text) => self.texts.get(&**text),
            _ => self.numbers.get(&number(key)?),
        };
        entry.map(|(_, value)| value)
    }
}

fn number(key: &Value<'_>) -> Option<i128> {
    match key {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        Value::Double(value) if value.fract() == 0.0 && value.abs() < 1e20 => Some(*value as i128),
        _ => None,
    }
}
