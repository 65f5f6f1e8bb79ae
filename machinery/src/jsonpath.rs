//! JSONPath as kubectl and CRD printer columns know it: `.spec.replicas`, `.items[*].name`, `['a\.b']`, `[-1:]`,
//! `..name`, `[?(@.type=="Ready")].status`.
//!
//! Grammar, answers and errors follow `k8s.io/client-go/util/jsonpath`, with missing fields giving no result instead of
//! an error, as the apiserver asks of it. `range` is a matter of kubectl's templates, and not part of a path here.

mod evaluate;
mod parse;

use std::borrow::Cow;

use serde_json::Value;

use crate::float;

/// Longest text of a path, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Most values that one step may have in hand; only repeated `..` and `*` come near it.
const VALUES_MAX: usize = 10_000;

/// A path, ready to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// Why a text is no path, or why it cannot be followed in an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// One step: from some values to others.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    /// The value and everything below that has something below it.
    Descend,
    Slice(Slice),
    /// The results of several paths, one after the other.
    Union(Vec<Vec<Step>>),
    Filter(Filter),
    /// A constant, in filters.
    Literal(Value),
    /// A word that means nothing; an error where it is reached.
    Identifier(String),
}

/// `[from:to:step]`; an index is the slice of one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// `to` was not written: the slice is a single item.
    single: bool,
    step: Option<i64>,
}

/// `[?(left operator right)]`; without operator the left side has to exist.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    comparison: Option<(String, Vec<Step>)>,
}

impl JsonPath {
    /// Reads the path of a CRD, without braces: `.spec.replicas`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error(format!("path must be no more than {TEXT_BYTES_MAX} bytes")));
        }
        parse::parse(text).map(|steps| Self { steps })
    }

    /// All values at the path, in document order.
    pub fn find<'a>(&'a self, object: &'a Value) -> Result<Vec<Cow<'a, Value>>, Error> {
        evaluate::steps(&self.steps, vec![Cow::Borrowed(object)])
    }

    /// The first value at the path; none where there is none, or where the path does not fit the object.
    pub fn first<'a>(&'a self, object: &'a Value) -> Option<Cow<'a, Value>> {
        self.find(object).ok()?.into_iter().next()
    }
}

/// A found value as kubectl prints it: text as it is, lists and maps as JSON.
pub fn to_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() => float::to_text(value),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
