//! Label selectors: their text form (`a=b,c!=d,e in (x,y),!f`), their object form (`matchLabels`, `matchExpressions`),
//! and matching.

mod parse;

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use crate::{
    field::{self, quote},
    label::{key_errors, value_errors},
    meta,
};

/// How a label relates to the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`: the label has the value.
    Equals,
    /// `==`: the same, in other letters.
    DoubleEquals,
    /// `!=`: the label is absent, or has another value.
    NotEquals,
    /// `in`: the label has one of the values.
    In,
    /// `notin`: the label is absent, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// `!`: the label is absent.
    DoesNotExist,
    /// `>`: the label is an integer greater than the value.
    GreaterThan,
    /// `<`: the label is an integer less than the value.
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// All of some requirements, or nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// `None` selects nothing; an empty list selects everything.
    requirements: Option<Vec<Requirement>>,
}

/// Why there is no such selector, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Requirement {
    /// Checks key, operator and values against each other. Values keep their order.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, Error> {
        let key = key.into();
        let mut errors = key_error(&key, &field::Path::new("key")).into_iter().collect::<Vec<_>>();
        let path = field::Path::new("values");
        if let Some(why) = count_error(operator, values.len()) {
            // Go has no list where there is no value.
            let shown = if values.is_empty() { Value::Null } else { Value::from(values.clone()) };
            errors.push(field::Error::invalid(&path, &shown, why));
        }
        for (index, value) in values.iter().enumerate() {
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(field::Error::invalid(&path.index(index), &Value::from(value.as_str()), why));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let why = value_errors(value).join("; ");
            if !why.is_empty() {
                let path = path.index(index).key(&key);
                errors.push(field::Error::invalid(&path, &Value::from(value.as_str()), &why));
            }
        }
        if errors.is_empty() { Ok(Self { key, operator, values }) } else { Err(aggregate(&errors)) }
    }

    /// The label.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label relates to the values.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What the label is compared with.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// True when the condition holds for the label's value, `None` being no such label.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => value.is_some_and(|value| self.has(value)),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(|value| self.has(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|(label, bound)| label > bound),
            Operator::LessThan => self.compare(value).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|one| one == value)
    }

    /// The label and the only value as integers.
    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        let [bound] = self.values.as_slice() else { return None };
        Some((value?.parse().ok()?, bound.parse().ok()?))
    }
}

fn key_error(key: &str, path: &field::Path) -> Option<field::Error> {
    let errors = key_errors(key);
    (!errors.is_empty()).then(|| field::Error::invalid(path, &Value::from(key), &errors.join("; ")))
}

/// What is wrong with the number of values.
fn count_error(operator: Operator, count: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn if count == 0 => Some("for 'in', 'notin' operators, values set can't be empty"),
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

/// Several errors in one text, as Go's aggregate prints them.
fn aggregate(errors: &[field::Error]) -> Error {
    let mut seen = BTreeSet::new();
    let messages: Vec<String> =
        errors.iter().map(ToString::to_string).filter(|message| seen.insert(message.clone())).collect();
    match messages.as_slice() {
        [only] => Error(only.clone()),
        several => Error(format!("[{}]", several.join(", "))),
    }
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self { requirements: Some(Vec::new()) }
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        Self { requirements: None }
    }

    /// Reads the text form; requirements are separated by commas, blanks are free, the empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text).map(Self::of)
    }

    /// Selects what meets all requirements.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements: Some(requirements) }
    }

    /// Selects what has all these labels with these values, without checking them.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let equals = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
        };
        Self::of(labels.into_iter().map(equals).collect())
    }

    /// Reads the object form, a `metav1.LabelSelector`. Absent or null selects nothing, an empty object everything.
    pub fn from_json(selector: Option<&Value>) -> Result<Self, Error> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = vec![value.as_str().unwrap_or_default().to_owned()];
            requirements.push(Requirement::new(key.as_str(), Operator::Equals, values)?);
        }
        for expression in expressions(selector) {
            let word = text(expression, "operator");
            let operator = object_operator(word)
                .ok_or_else(|| Error(format!("{} is not a valid label selector operator", quote(word))))?;
            let values = texts(expression, "values").map(str::to_owned).collect();
            requirements.push(Requirement::new(text(expression, "key"), operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// The conditions in the order of their keys; `None` when the selector selects nothing.
    pub fn requirements(&self) -> Option<&[Requirement]> {
        self.requirements.as_deref()
    }

    /// True when no label is asked for anything.
    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    /// The value that the label `key` must have, if the selector demands a single one.
    pub fn exact(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements()?.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [only]) => Some(only),
            _ => None,
        }
    }

    /// True when all requirements hold; `lookup` gives the value of a label.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements().is_some_and(|all| all.iter().all(|one| one.matches(lookup(&one.key))))
    }

    /// True when the labels of an object meet all requirements.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|key| meta::label(object, key))
    }
}

/// Everything wrong with the object form at `path`, as upstream's `ValidateLabelSelector` reports it.
pub fn validate(selector: &Value, path: &field::Path) -> Vec<field::Error> {
    let mut errors = Vec::new();
    let labels = path.child("matchLabels");
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let invalid = |value: &Value, why: String| field::Error::invalid(&labels, value, &why);
        errors.extend(key_errors(key).into_iter().map(|why| invalid(&Value::from(key.as_str()), why)));
        errors.extend(value_errors(value.as_str().unwrap_or_default()).into_iter().map(|why| invalid(value, why)));
    }
    for (index, expression) in expressions(selector).enumerate() {
        errors.extend(validate_expression(expression, &path.child("matchExpressions").index(index)));
    }
    errors
}

/// Everything wrong with one requirement in the object form, as upstream's `ValidateLabelSelectorRequirement` reports it.
pub fn validate_expression(expression: &Value, path: &field::Path) -> Vec<field::Error> {
    let mut errors = Vec::new();
    let values = path.child("values");
    let word = text(expression, "operator");
    match object_operator(word) {
        Some(Operator::In | Operator::NotIn) if texts(expression, "values").next().is_none() => {
            errors.push(field::Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        Some(Operator::Exists | Operator::DoesNotExist) if texts(expression, "values").next().is_some() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(field::Error::forbidden(&values, why));
        }
        Some(_) => {}
        None => {
            let path = path.child("operator");
            errors.push(field::Error::invalid(&path, &Value::from(word), "not a valid selector operator"));
        }
    }
    let key = text(expression, "key");
    let invalid_key = |why: String| field::Error::invalid(&path.child("key"), &Value::from(key), &why);
    errors.extend(key_errors(key).into_iter().map(invalid_key));
    for (index, value) in texts(expression, "values").enumerate() {
        let invalid = |why: String| field::Error::invalid(&values.index(index), &Value::from(value), &why);
        errors.extend(value_errors(value).into_iter().map(invalid));
    }
    errors
}

fn expressions(selector: &Value) -> impl Iterator<Item = &Value> {
    selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn texts<'a>(object: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    object.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn object_operator(word: &str) -> Option<Operator> {
    match word {
        "In" => Some(Operator::In),
        "NotIn" => Some(Operator::NotIn),
        "Exists" => Some(Operator::Exists),
        "DoesNotExist" => Some(Operator::DoesNotExist),
        _ => None,
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<&str> = self.values.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let values = sorted.join(",");
        match self.operator {
            Operator::Equals => write!(f, "{}={values}", self.key),
            Operator::DoubleEquals => write!(f, "{}=={values}", self.key),
            Operator::NotEquals => write!(f, "{}!={values}", self.key),
            Operator::In => write!(f, "{} in ({values})", self.key),
            Operator::NotIn => write!(f, "{} notin ({values})", self.key),
            Operator::Exists => write!(f, "{}", self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::GreaterThan => write!(f, "{}>{values}", self.key),
            Operator::LessThan => write!(f, "{}<{values}", self.key),
        }
    }
}

/// The text form, requirements in the order of their keys; empty for everything, and for nothing too.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().unwrap_or_default().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
