//! Checks of lists and expressions that every generation of device APIs makes, with upstream's words.

use std::collections::HashSet;

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::{definition::Surroundings, format::Errors, hub::Environment, members};

/// Longest device selector, in bytes.
const SELECTOR_MAX: usize = 10 * 1024;
/// Largest estimated cost of a device selector.
const SELECTOR_COST_MAX: u64 = 1_000_000;
/// Longest opaque parameters, in bytes of JSON.
pub(crate) const PARAMETERS_MAX: usize = 10 * 1024;

/// Checks the items of a list. When there are more than `max`, that is the only error: a huge list is not looked at.
pub(crate) fn items(
    errors: &mut Errors,
    path: &Path,
    items: &[Value],
    max: Option<usize>,
    mut check: impl FnMut(&mut Errors, &Path, &Value),
) {
    if let Some(max) = max.filter(|max| items.len() > *max) {
        errors.push(Error::too_many(path, items.len(), max));
        return;
    }
    for (index, item) in items.iter().enumerate() {
        check(errors, &path.index(index), item);
    }
}

/// Checks the items of a list whose items are told apart by a key.
pub(crate) fn unique_items(
    errors: &mut Errors,
    path: &Path,
    list: &[Value],
    max: Option<usize>,
    key: impl Fn(&Value) -> Value,
    check: impl FnMut(&mut Errors, &Path, &Value),
) {
    items(errors, path, list, max, check);
    if max.is_none_or(|max| list.len() <= max) {
        unique(errors, path, list, key);
    }
}

/// Finds items with the key of an earlier one.
pub(crate) fn unique(errors: &mut Errors, path: &Path, list: &[Value], key: impl Fn(&Value) -> Value) {
    let mut seen = HashSet::new();
    for (index, item) in list.iter().enumerate() {
        let key = key(item);
        if !seen.insert(key.to_string()) {
            errors.push(Error::duplicate(&path.index(index), &key));
        }
    }
}

/// A key for `unique_items`: the text at `name`.
pub(crate) fn by(name: &str) -> impl Fn(&Value) -> Value {
    move |item| members::text(item, name).into()
}

/// A device selector: it must compile to a truth value and be cheap enough.
pub(crate) fn selector(
    errors: &mut Errors,
    path: &Path,
    expression: &str,
    environment: Environment,
    surroundings: &dyn Surroundings,
) {
    if expression.len() > SELECTOR_MAX {
        errors.push(Error::too_long(path, SELECTOR_MAX));
        return;
    }
    match surroundings.check_selector(expression, environment) {
        Err(detail) => errors.push(Error::invalid(path, &expression.into(), &detail)),
        Ok(cost) if cost > SELECTOR_COST_MAX => {
            errors.push(Error::forbidden(path, "too complex, exceeds cost limit"));
        }
        Ok(_) => {}
    }
}

/// Raw JSON that must be an object. `stored`: it was accepted before, so its length is not looked at.
pub(crate) fn raw_object(errors: &mut Errors, path: &Path, value: Option<&Value>, max: usize, stored: bool) {
    match value {
        None | Some(Value::Null) => errors.push(Error::required(path, "")),
        Some(value) if !stored && value.to_string().len() > max => errors.push(Error::too_long(path, max)),
        Some(Value::Object(_)) => {}
        Some(_) => {
            errors.push(Error::invalid(path, &"<value omitted>".into(), "must be a valid JSON object"));
        }
    }
}

/// A part of an object that cannot be changed, and how it is printed.
pub(crate) fn immutable_printed(
    errors: &mut Errors,
    path: &Path,
    new: Option<&Value>,
    old: Option<&Value>,
    print: fn(&Value) -> String,
) {
    if !members::same(new, old) {
        errors.push(Error::invalid_shown(path, &print(new.unwrap_or(&Value::Null)), "field is immutable"));
    }
}

/// A part of an object that cannot be changed.
pub(crate) fn immutable(errors: &mut Errors, path: &Path, new: Option<&Value>, old: Option<&Value>) {
    if !members::same(new, old) {
        errors.push(Error::invalid(path, new.unwrap_or(&Value::Null), "field is immutable"));
    }
}
