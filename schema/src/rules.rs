//! Rules about values: bounds, patterns, combinations, CEL rules.

use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::tree::NodeId;

/// Largest compiled size of a pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// The value rules of one schema node.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The only values allowed.
    pub enumeration: Option<Vec<Value>>,
    /// Least number.
    pub minimum: Option<Bound>,
    /// Greatest number.
    pub maximum: Option<Bound>,
    /// Numbers are multiples of it.
    pub multiple_of: Option<Number>,
    /// Fewest characters.
    pub min_length: Option<u64>,
    /// Most characters.
    pub max_length: Option<u64>,
    /// Strings match it somewhere.
    pub pattern: Option<Pattern>,
    /// Fewest list items.
    pub min_items: Option<u64>,
    /// Most list items.
    pub max_items: Option<u64>,
    /// No list item twice.
    pub unique_items: bool,
    /// Fewest members of an object.
    pub min_properties: Option<u64>,
    /// Most members of an object.
    pub max_properties: Option<u64>,
    /// Members that must be there, in the order written.
    pub required: Vec<Box<str>>,
    /// Every one of these holds.
    pub(crate) all_of: Vec<NodeId>,
    /// One of these holds at least.
    pub(crate) any_of: Vec<NodeId>,
    /// Exactly one of these holds.
    pub(crate) one_of: Vec<NodeId>,
    /// This does not hold.
    pub(crate) not: Option<NodeId>,
    /// CEL rules.
    pub validations: Vec<ValidationRule>,
}

impl Rules {
    /// Reads the rules that stand in `schema` itself; the combinations are the loader's work.
    pub(crate) fn read(schema: &Map<String, Value>) -> Self {
        let count = |name: &str| schema.get(name).and_then(as_count);
        let bound = |name: &str, exclusive: &str| {
            let limit = schema.get(name)?.as_number()?.clone();
            Some(Bound { limit, exclusive: schema.get(exclusive) == Some(&Value::Bool(true)) })
        };
        Self {
            enumeration: schema.get("enum").and_then(Value::as_array).cloned(),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: schema.get("multipleOf").and_then(Value::as_number).cloned(),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            pattern: schema.get("pattern").and_then(Value::as_str).filter(|text| !text.is_empty()).map(Pattern::new),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: schema.get("uniqueItems") == Some(&Value::Bool(true)),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            required: texts(schema.get("required")),
            validations: validations(schema.get("x-kubernetes-validations")),
            ..Self::default()
        }
    }

    /// True when no rule stands here.
    pub(crate) fn is_empty(&self) -> bool {
        self.enumeration.is_none()
            && self.minimum.is_none()
            && self.maximum.is_none()
            && self.multiple_of.is_none()
            && self.min_length.is_none()
            && self.max_length.is_none()
            && self.pattern.is_none()
            && self.min_items.is_none()
            && self.max_items.is_none()
            && !self.unique_items
            && self.min_properties.is_none()
            && self.max_properties.is_none()
            && self.required.is_empty()
            && self.all_of.is_empty()
            && self.any_of.is_empty()
            && self.one_of.is_empty()
            && self.not.is_none()
            && self.validations.is_empty()
    }
}

fn as_count(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0).map(|float| float as u64))
}

/// The strings of a list, in order; what is no string is left out.
pub(crate) fn texts(value: Option<&Value>) -> Vec<Box<str>> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect()
}

/// A least or greatest number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The number.
    pub limit: Number,
    /// The number itself is not allowed.
    pub exclusive: bool,
}

/// A regular expression, compiled when first used.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    compiled: Arc<OnceLock<Option<Regex>>>,
}

impl Pattern {
    /// Keeps the text; a text that is no regular expression matches nothing.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), compiled: Arc::default() }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern occurs in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Compiles a pattern with a bound on its size. The error is Go's.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    machinery::regular::compile(pattern, PATTERN_BYTES_MAX)
}

/// One entry of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationRule {
    /// The CEL expression.
    pub rule: String,
    /// What to say when it is false.
    pub message: Option<String>,
    /// CEL that computes what to say.
    pub message_expression: Option<String>,
    /// `FieldValueInvalid` (the default), `FieldValueForbidden`, `FieldValueRequired` or `FieldValueDuplicate`.
    pub reason: Option<String>,
    /// Which field to blame, relative to the node: `.spec.x`.
    pub field_path: Option<String>,
    /// `oldSelf` is an optional, and the rule runs without an old value too.
    pub optional_old_self: Option<bool>,
}

fn validations(value: Option<&Value>) -> Vec<ValidationRule> {
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|entry| ValidationRule {
            rule: text(entry, "rule").unwrap_or_default(),
            message: text(entry, "message"),
            message_expression: text(entry, "messageExpression"),
            reason: text(entry, "reason"),
            field_path: text(entry, "fieldPath"),
            optional_old_self: entry.get("optionalOldSelf").and_then(Value::as_bool),
        })
        .collect()
}
