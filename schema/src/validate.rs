//! Validates custom resources against their schema, in upstream's words and with its reason codes.
//!
//! The words are those of kube-openapi's validator, the reasons those that apiextensions gives them. On an update, what is wrong
//! with a value that did not change is tolerated (ratcheting).

mod combination;
mod embedded;
mod list_type;
mod number;
mod place;

use machinery::field::{Error, ErrorKind, Path};
use serde_json::{Map, Value};

use crate::{
    correlation::Correlation,
    rules::Rules,
    tree::{Additional, Node, Type},
};
use place::Place;

/// Most errors that one validation reports.
pub const ERRORS_MAX: usize = 1000;

impl Node<'_> {
    /// Everything wrong with `value`: its types and value rules, embedded resources, duplicates in sets and list-maps. `old` is the
    /// stored value when this is an update. CEL rules are not run here. At most [`ERRORS_MAX`] errors are returned.
    pub fn validate(self, value: &Value, old: Option<&Value>) -> Vec<Error> {
        let mut errors = check(value, old, self, &Place::Root).errors;
        embedded::check_below(value, self, &Path::root(), &mut errors);
        let duplicates = list_type::errors(value, self);
        if !duplicates.is_empty() && old.is_none_or(|old| list_type::errors(old, self).is_empty()) {
            errors.extend(duplicates);
        }
        errors.truncate(ERRORS_MAX);
        errors
    }
}

/// The error to add when CEL rules exist and were not run because of `errors`; `None` when they are to be run.
pub fn rules_not_checked(errors: &[Error]) -> Option<Error> {
    let blocking = |error: &Error| {
        matches!(
            error.kind,
            ErrorKind::NotSupported
                | ErrorKind::Required
                | ErrorKind::TooLong
                | ErrorKind::TooMany
                | ErrorKind::TypeInvalid
        )
    };
    let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    errors.iter().any(blocking).then(|| Error::invalid(&Path::root(), &Value::Null, detail))
}

/// What validating one value against one schema gave.
#[derive(Default)]
struct Outcome {
    errors: Vec<Error>,
    /// How many checks were made: among failed alternatives the one with the most is reported.
    checks: usize,
}

impl Outcome {
    fn add(&mut self, error: Error) {
        if self.errors.len() < ERRORS_MAX && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn merge(&mut self, other: Self) {
        self.checks += other.checks;
        if self.errors.is_empty() {
            self.errors = other.errors;
        } else {
            other.errors.into_iter().for_each(|error| self.add(error));
        }
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Validates a field or item; an error in a value that equals the old one is none.
fn check(value: &Value, old: Option<&Value>, node: Node<'_>, place: &Place<'_>) -> Outcome {
    let mut outcome = check_schema(value, old, node, place);
    if !outcome.is_valid() && old == Some(value) {
        outcome.errors.clear();
    }
    outcome
}

/// Runs every check of one schema node, in upstream's order.
fn check_schema(value: &Value, old: Option<&Value>, node: Node<'_>, place: &Place<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if node.type_() != Type::Any || node.checked_format().is_some() {
        match type_error(value, node, place) {
            Some(error) => outcome.add(error),
            None => outcome.checks += 1,
        }
        outcome.checks += 1;
    }
    let rules = node.rules();
    if value.is_null() {
        if let Some(rules) = rules {
            enumeration(value, rules, place, &mut outcome);
        }
        return outcome;
    }
    if let Some(rules) = rules {
        combination::check(value, old, node, rules, place, &mut outcome);
    }
    outcome.checks += 2;
    match value {
        Value::String(text) => string(text, node, place, &mut outcome),
        Value::Number(number) => {
            number::check(number, node, place, &mut outcome);
            outcome.checks += 2;
        }
        Value::Array(items) => {
            list(items, old, node, place, &mut outcome);
            outcome.checks += 2;
        }
        Value::Object(_) | Value::Bool(_) | Value::Null => {}
    }
    if let Some(rules) = rules {
        enumeration(value, rules, place, &mut outcome);
    }
    outcome.checks += 1;
    if let Value::Object(members) = value {
        object(members, old, node, place, &mut outcome);
        outcome.checks += 1;
    }
    outcome.checks += 1;
    outcome
}

impl Node<'_> {
    /// The format, where validation knows it for the type: others are ignored.
    fn checked_format(&self) -> Option<&str> {
        let format = self.format()?;
        let known = match self.type_() {
            Type::Any | Type::String => format.is_checked(),
            Type::Integer => matches!(format.as_str(), "int32" | "int64"),
            Type::Number => matches!(format.as_str(), "float" | "double"),
            _ => false,
        };
        known.then(|| format.as_str())
    }
}

fn type_names(node: Node<'_>) -> &'static [&'static str] {
    match node.type_() {
        Type::Any => &[],
        Type::Object => &["object"],
        Type::Array => &["array"],
        Type::String | Type::Quantity => &["string"],
        Type::Integer => &["integer"],
        Type::Number => &["number"],
        Type::Boolean => &["boolean"],
        Type::IntOrString => &["integer", "string"],
    }
}

fn type_error(value: &Value, node: Node<'_>, place: &Place<'_>) -> Option<Error> {
    let wanted = type_names(node);
    let format = node.checked_format().unwrap_or_default();
    let (found, found_format) = match value {
        Value::Null => {
            let fine = wanted.is_empty() || node.nullable();
            return (!fine).then(|| place.type_invalid(&wanted.join(","), "null"));
        }
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "double"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    };
    let whole = value.as_f64().is_some_and(|float| float.fract() == 0.0);
    let converts = (found == "number" && whole && wanted.contains(&"integer"))
        || (found == "integer" && wanted.contains(&"number"));
    let fits = wanted.contains(&found) || converts;
    let texts = matches!(value, Value::String(_) | Value::Array(_));
    if !format.is_empty() && !texts && !fits && found_format != format {
        return Some(place.type_invalid(format, found_format));
    }
    let numeric = wanted.iter().any(|one| matches!(*one, "number" | "integer"));
    if !numeric && !format.is_empty() && texts {
        return None;
    }
    (!fits).then(|| place.type_invalid(&wanted.join(","), found))
}

fn string(text: &str, node: Node<'_>, place: &Place<'_>, outcome: &mut Outcome) {
    if let Some(rules) = node.rules() {
        let length = text.chars().count() as u64;
        let value = Value::from(text);
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            outcome.add(Error::too_long(&place.path(), usize::try_from(max).unwrap_or(usize::MAX)));
        } else if let Some(min) = rules.min_length.filter(|min| length < *min) {
            outcome.add(place.invalid(&value, &format!("should be at least {min} chars long")));
        } else if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            outcome.add(place.invalid(&value, &format!("should match '{}'", pattern.as_str())));
        }
    }
    outcome.checks += 1;
    if node.checked_format().is_some() {
        if let Some(format) = node.format().filter(|format| !format.matches(text)) {
            outcome.add(place.type_invalid(format.as_str(), text));
        }
        outcome.checks += 1;
    }
}

fn enumeration(value: &Value, rules: &Rules, place: &Place<'_>, outcome: &mut Outcome) {
    let Some(allowed) = rules.enumeration.as_ref().filter(|allowed| !allowed.is_empty()) else { return };
    let same = |one: &Value| one == value || (one.is_number() && one.as_f64() == value.as_f64()) && value.is_number();
    if !value.is_null() && allowed.iter().any(same) {
        return;
    }
    let texts: Vec<String> =
        allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    outcome.add(Error::not_supported(&place.path(), value, &texts));
}

fn list(items: &[Value], old: Option<&Value>, node: Node<'_>, place: &Place<'_>, outcome: &mut Outcome) {
    if let Some(schema) = node.items() {
        let correlated = Correlation::new(old, node);
        for (at, item) in items.iter().enumerate() {
            let old = correlated.as_ref().and_then(|correlated| correlated.find(item));
            outcome.merge(check(item, old, schema, &Place::Item(place, at)));
        }
    }
    let Some(rules) = node.rules() else { return };
    let size = items.len() as u64;
    if let Some(min) = rules.min_items.filter(|min| size < *min) {
        outcome.add(place.invalid(&size.into(), &format!("should have at least {min} items")));
    }
    if let Some(max) = rules.max_items.filter(|max| size > *max) {
        outcome.add(Error::too_many(&place.path(), items.len(), usize::try_from(max).unwrap_or(usize::MAX)));
    }
    let mut seen = std::collections::HashSet::new();
    if rules.unique_items && !items.iter().all(|item| seen.insert(item.to_string())) {
        outcome.add(place.invalid(&Value::from(""), "shouldn't contain duplicates"));
    }
}

fn object(members: &Map<String, Value>, old: Option<&Value>, node: Node<'_>, place: &Place<'_>, outcome: &mut Outcome) {
    let rules = node.rules();
    let size = members.len() as u64;
    if let Some(min) = rules.and_then(|rules| rules.min_properties).filter(|min| size < *min) {
        outcome.add(place.invalid(&size.into(), &format!("should have at least {min} properties")));
    }
    if let Some(max) = rules.and_then(|rules| rules.max_properties).filter(|max| size > *max) {
        outcome.add(Error::too_many(&place.path(), members.len(), usize::try_from(max).unwrap_or(usize::MAX)));
    }
    for (name, member) in members {
        let schema = match (node.property(name), node.additional()) {
            (Some(property), _) => property,
            (None, Additional::Schema(values)) => values,
            (None, Additional::Any | Additional::None) => continue,
        };
        // What identifies the version is never tolerated for being old: both sides were converted to the same.
        let versioned = matches!(place, Place::Root) && matches!(name.as_str(), "apiVersion" | "kind");
        let old = old.filter(|_| !versioned).and_then(|old| old.get(name));
        outcome.merge(check(member, old, schema, &Place::Member(place, name)));
    }
    for name in rules.into_iter().flat_map(|rules| rules.required.iter()) {
        if !members.contains_key(name.as_ref()) {
            outcome.add(Error::required(&Place::Member(place, name).path(), ""));
        }
    }
}

#[cfg(test)]
mod tests;
