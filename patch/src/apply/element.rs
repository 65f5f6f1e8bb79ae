//! One step of a path through an object.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use machinery::field::quote;
use serde_json::Value;

/// A struct field or map key, an item of a list-map, a member of a set, or a position. Ordered as FieldsV1 orders them.
#[derive(Clone, Debug)]
pub enum Element {
    /// `f:<name>`: a struct field or map key.
    Field(Box<str>),
    /// `k:{…}`: the item whose key fields have these values. Sorted by name.
    Key(Vec<(Box<str>, Value)>),
    /// `v:<json>`: the item of a set that has this value.
    Value(Value),
    /// `i:<n>`: the item at this position.
    Index(i64),
}

impl Element {
    /// Reads a member name of FieldsV1. `None`: of a kind that is not known, to be ignored.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_at_checked(2) else {
            return Err("key must be 2 characters long:".to_owned());
        };
        if !kind.ends_with(':') {
            return Err(format!("missing colon: {text}"));
        }
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        match kind {
            "f:" => Ok(Some(Self::Field(rest.into()))),
            "v:" => json(rest).map(|value| Some(Self::Value(value))),
            "k:" => match json(rest)? {
                Value::Object(fields) => {
                    Ok(Some(Self::Key(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())))
                }
                _ => Err(format!("expected an object: {rest}")),
            },
            "i:" => rest.parse().map(|at| Some(Self::Index(at))).map_err(|error| format!("{error}: {rest}")),
            _ => Ok(None),
        }
    }

    /// The member name in FieldsV1.
    pub(super) fn format(&self) -> String {
        match self {
            Self::Field(name) => ["f:", name].concat(),
            Self::Key(fields) => {
                let object: BTreeMap<&str, &Value> = fields.iter().map(|(name, value)| (&**name, value)).collect();
                let text = serde_json::to_string(&object);
                format!("k:{}", text.expect("names and values are JSON, and they are written to memory"))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(at) => format!("i:{at}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// As conflict messages write it: `.name`, `[name="c"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", show(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", show(value)),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => compare_keys(left, right),
            (Self::Value(left), Self::Value(right)) => compare(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Element {}

fn compare_keys(left: &[(Box<str>, Value)], right: &[(Box<str>, Value)]) -> Ordering {
    for ((left_name, left), (right_name, right)) in left.iter().zip(right) {
        let order = left_name.cmp(right_name).then_with(|| compare(left, right));
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// A total order of JSON values: numbers, strings, booleans, lists, objects, null.
fn compare(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().unwrap_or(f64::MAX).total_cmp(&right.as_f64().unwrap_or(f64::MAX)),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let different =
                left.iter().zip(right).map(|(left, right)| compare(left, right)).find(|order| order.is_ne());
            different.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let pairs = left.iter().zip(right);
            let mut orders = pairs.map(|((left_name, left), (right_name, right))| {
                left_name.cmp(right_name).then_with(|| compare(left, right))
            });
            orders.find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}
